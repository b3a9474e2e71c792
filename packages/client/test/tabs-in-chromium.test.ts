/**
 * Real tabs of a real Chromium, on Web Locks, BroadcastChannel and IndexedDB, with a real server: killed, offline, reloaded.
 *
 * Not here: every moment at which a tab may die (`tabs.test.ts`).
 */
import { createServer, type Server } from '@tidemark/server'
import { listen } from '@tidemark/server/node'
import { memoryStorage, type Storage, systemClock } from '@tidemark/storage'
import { afterAll, afterEach, describe, expect, test } from 'vitest'
import { callIn, killPage, type Pages, servePages } from '../../../scripts/pages.ts'
import { delayed } from './world.ts'

type Tab = typeof import('./tab.ts')
type Page = Awaited<ReturnType<Pages['open']>>

const MODULE = 'packages/client/test/tab.ts'
const TIMEOUT_MS = 180_000

const pages = await servePages({ packages: 'sources' })

// `scripts/browser.ts` said aloud that there is none, or failed.
describe.runIf(pages !== undefined)('in real tabs', { timeout: TIMEOUT_MS }, () => {
  const leftovers: (() => unknown)[] = []
  let names = 0
  let name = ''
  let told = 0

  afterEach(async () => {
    await pages?.stop()
    for (const end of leftovers.splice(0).reverse()) await end()
  })
  afterAll(() => pages?.close())

  const call = <Name extends keyof Tab>(page: Page, called: Name, ...args: Parameters<Tab[Name]>) =>
    callIn<Tab[Name]>(page, called, ...args)

  async function serve(storage: Storage): Promise<{ port: number; server: Server }> {
    const server = await createServer({ storage })
    const listening = await listen(server)
    leftovers.push(() => listening.close())
    name = `client ${++names}`
    return { port: listening.port, server }
  }

  async function tab(port: number): Promise<Page> {
    const page = await (pages as Pages).open(MODULE)
    await call(page, 'start', name, port)
    return page
  }

  /** Writes in the background; answers how far it was promised to be, and its end. */
  async function writing(page: Page, session: string, until: number) {
    const progress = { promised: 0, ended: Promise.resolve() as Promise<unknown> }
    const tell = `told${++told}`
    await page.exposeFunction(tell, (count: number) => {
      progress.promised = count
    })
    progress.ended = call(page, 'write', 'note', session, 0, until, tell)
    progress.ended.catch(() => {})
    return progress
  }

  const until = (done: () => unknown) => expect.poll(done, { timeout: 60_000, interval: 20 })
  const count = async (storage: Storage, session: string) =>
    (await storage.knownStates(['note']))[0]?.known.sessions.get(session) ?? 0

  test('two have one connection; what one writes the other sees', async () => {
    const storage = memoryStorage()
    const { port, server } = await serve(storage)
    const [one, other] = [await tab(port), await tab(port)]
    expect([(await call(one, 'look')).role, (await call(other, 'look')).role]).toEqual(['leader', 'guest'])
    await until(async () => (await call(other, 'look')).connection).toBe('online')
    expect(server.health().connections).toBe(1)
    expect(await call(one, 'open', 'note')).toBe('absent')
    expect(await call(other, 'open', 'note')).toBe('present')
    await Promise.all([call(one, 'write', 'note', 'a', 0, 3, ''), call(other, 'write', 'note', 'b', 0, 3, '')])
    await until(() => call(one, 'heard', 'note')).toEqual(['b:0=0', 'b:1=1', 'b:2=2'])
    await until(() => call(other, 'heard', 'note')).toEqual(['a:0=0', 'a:1=1', 'a:2=2'])
    await call(other, 'whenUploaded')
    expect([await count(storage, 'a'), await count(storage, 'b')]).toEqual([3, 3])
  })

  test('the one that leads is killed while it uploads: the other goes on, nothing is lost, nothing comes twice', async () => {
    const storage = memoryStorage()
    // Slow, so that there is always something that is stored and not uploaded.
    const { port, server } = await serve(delayed(storage, systemClock, 30))
    const [victim, survivor] = [await tab(port), await tab(port)]
    await call(victim, 'open', 'note')
    await call(survivor, 'open', 'note')
    const [theirs, ours] = [await writing(victim, 'victim', 1e9), await writing(survivor, 'survivor', 150)]
    await until(() => Math.min(theirs.promised, ours.promised)).toBeGreaterThan(20)
    await killPage(victim)
    await ours.ended
    await until(async () => (await call(survivor, 'look')).role).toBe('leader')
    await call(survivor, 'whenUploaded')
    expect([ours.promised, await count(storage, 'survivor')]).toEqual([150, 150])
    const stored = await count(storage, 'victim')
    expect(stored).toBeGreaterThanOrEqual(theirs.promised)
    await until(() => call(survivor, 'heard', 'note')).toHaveLength(stored)
    const expected = Array.from({ length: stored }, (_, index) => `victim:${index}=${index}`)
    expect(await call(survivor, 'heard', 'note')).toEqual(expected)
    expect(server.health().connections).toBe(1)
  })

  test('offline and back: what was written in between is uploaded by itself', async () => {
    const storage = memoryStorage()
    const { port } = await serve(storage)
    const [one, other] = [await tab(port), await tab(port)]
    await call(one, 'open', 'note')
    await call(other, 'open', 'note')
    await call(one, 'whenUploaded')
    await one.context().setOffline(true)
    await until(async () => (await call(other, 'look')).connection).not.toBe('online')
    await call(other, 'write', 'note', 'b', 0, 5, '')
    expect(await call(other, 'look')).toMatchObject({ uploaded: false, pending: 1 })
    expect(await count(storage, 'b')).toBe(0)
    await one.context().setOffline(false)
    await until(() => count(storage, 'b')).toBe(5)
    await until(() => call(other, 'look')).toMatchObject({ connection: 'online', uploaded: true, pending: 0 })
  })

  test('a reload, and a crash of the last tab, with pending uploads: they are uploaded, and nobody opens the document', async () => {
    const storage = memoryStorage()
    const { port } = await serve(storage)
    const page = await tab(port)
    await call(page, 'open', 'note')
    await call(page, 'disconnect')
    await call(page, 'write', 'note', 'a', 0, 5, '')
    await page.reload()
    await page.waitForFunction(() => 'tidemarkModule' in globalThis)
    await call(page, 'start', name, port)
    await call(page, 'whenUploaded')
    expect(await count(storage, 'a')).toBe(5)

    await call(page, 'open', 'note')
    await call(page, 'disconnect')
    await call(page, 'write', 'note', 'b', 0, 5, '')
    await killPage(page)
    const next = await tab(port)
    await call(next, 'whenUploaded')
    expect(await count(storage, 'b')).toBe(5)
    expect(await call(next, 'look')).toMatchObject({ role: 'leader', uploaded: true, pending: 0 })
  })
})
