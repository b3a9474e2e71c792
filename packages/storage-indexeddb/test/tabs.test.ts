/**
 * Real tabs of a real Chromium, with their data on a disk: together, killed, upgraded, and with the whole browser killed.
 *
 * What was acknowledged is there afterwards, everything is whole, and nobody is held up. The kill of a process keeps what the
 * operating system has of its files: a power cut is not tested.
 */
import { afterAll, afterEach, describe, expect, test } from 'vitest'
import { callIn, killPage, type Pages, servePages } from '../../../scripts/pages.ts'
import type { Checked, Told } from './tab.ts'

type Tab = typeof import('./tab.ts')
type Page = Awaited<ReturnType<Pages['open']>>

const MODULE = 'packages/storage-indexeddb/test/tab.ts'
const KILLS = process.env.TIDEMARK_LARGE ? 40 : 2
const WRITTEN_PER_KILL = 40
const TIMEOUT_MS = 60_000 + 5_000 * KILLS

const pages = await servePages({ packages: 'sources' })

// `scripts/browser.ts` said aloud that there is none, or failed.
describe.runIf(pages !== undefined)('in real tabs', () => {
  const open: Pages['open'] = (module) => (pages as Pages).open(module)
  let name = ''
  let made = 0

  afterEach(() => pages?.stop())
  afterAll(() => pages?.close())

  async function tab(from = open): Promise<Page> {
    const page = await from(MODULE)
    await call(page, 'open', { name })
    return page
  }

  function fresh(): void {
    name = `tabs ${++made}`
  }

  test('two that write at the same time lose nothing', { timeout: TIMEOUT_MS }, async () => {
    fresh()
    const [one, other] = [await tab(), await tab()]
    const writers = [await writing(one, 'a', 60), await writing(other, 'b', 60)]
    await Promise.all(writers.map(({ ended }) => ended))
    const found = await call(one, 'check')
    expect(found.wrong).toEqual([])
    expect(found.sessions).toEqual({ a: 60, b: 60 })
    expect(found.ids).toHaveLength(13)
  })

  test('one that is killed while it writes leaves what it was told, and the other goes on', {
    timeout: TIMEOUT_MS,
  }, async () => {
    fresh()
    const survivor = await tab()
    const surviving = await writing(survivor, 'survivor', WRITTEN_PER_KILL * KILLS)
    const writers = [surviving]
    for (let kills = 0; kills < KILLS; kills++) {
      const victim = await tab()
      const killed = await writing(victim, `victim ${kills}`, Number.MAX_SAFE_INTEGER)
      writers.push(killed)
      await killed.until(5 + 7 * kills)
      await killPage(victim)
      // While the survivor goes on: its last commits, and those of the victim that were under way, may or may not be seen.
      await checked(survivor, writers)
    }
    await surviving.ended
    const { sessions } = await checked(survivor, writers)
    expect(sessions.survivor).toBe(WRITTEN_PER_KILL * KILLS)
  })

  test('whoever looks while others write sees each commit whole', { timeout: TIMEOUT_MS }, async () => {
    fresh()
    const [one, other, looking] = [await tab(), await tab(), await tab()]
    const writers = [await writing(one, 'a', 1e9), await writing(other, 'b', 1e9)]
    for (let looks = 0; looks < 15; looks++) {
      await checked(looking, writers)
      await Promise.all(writers.map((writer) => writer.until(5 * looks)))
    }
    for (const page of [one, other]) await call(page, 'stop')
    await Promise.all(writers.map(({ ended }) => ended))
    await checked(looking, writers)
  })

  // Each time with a disk of its own: Chromium's LevelDB goes on in a log whose last entry the kill has torn, and takes the
  // whole database for damaged, and removes it, when it reads that log again.
  test('all of them killed with the browser leave what they were told', { timeout: TIMEOUT_MS }, async () => {
    fresh()
    for (let kills = 0; kills < KILLS; kills++) {
      const { open, kill, close } = (await servePages({ packages: 'sources' })) as Pages
      const writers = [await writing(await tab(open), 'a', 1e9), await writing(await tab(open), 'b', 1e9)]
      await Promise.all(writers.map((writer) => writer.until(10 + 5 * kills)))
      await kill()
      await checked(await tab(open), writers)
      await close()
    }
  })

  test('one that upgrades the store is not held up, and the others say so', { timeout: TIMEOUT_MS }, async () => {
    fresh()
    const [old, young] = [await tab(), await open(MODULE)]
    const writer = await writing(old, 'a', 1e9)
    await writer.until(5)
    expect(await call(young, 'upgrade', name, 2)).toBe(false)
    await expect(writer.ended).rejects.toThrow(/reload this page/)
    expect(await call(old, 'failureOf', 'count')).toMatch(/^CLOSED .*reload this page/)
    expect(await call(young, 'failureOf', 'open', { name })).toMatch(/^CORRUPT .*newer version/)
  })

  test('one that waits for another is told BUSY after its time', { timeout: TIMEOUT_MS }, async () => {
    fresh()
    const [holding, waiting] = [await open(MODULE), await open(MODULE)]
    await call(holding, 'holdUp', name)
    const options = { name, busyTimeoutMs: 200 }
    expect(await call(waiting, 'failureOf', 'open', options)).toMatch(/^BUSY .*within 200 ms/)
    await holding.close()
    await expect.poll(() => call(waiting, 'failureOf', 'open', options), { timeout: 5_000 }).toBe(undefined)
  })
})

function call<Name extends keyof Tab>(page: Page, name: Name, ...args: Parameters<Tab[Name]>) {
  return callIn<Tab[Name]>(page, name, ...args)
}

interface Writing {
  /** What was acknowledged so far, as the page said when it was. */
  readonly told: Told[]
  readonly ended: Promise<void>
  until(count: number): Promise<void>
}

async function writing(page: Page, session: string, count: number): Promise<Writing> {
  const told: Told[] = []
  const tell = `tell${session.replace(' ', '')}`
  await page.exposeFunction(tell, (one: Told) => told.push(one))
  const ended = call(page, 'write', session, count, tell)
  // A killed page does not answer.
  ended.catch(() => {})
  const until = (least: number) =>
    expect.poll(() => told.length, { timeout: 30_000, interval: 5 }).toBeGreaterThan(least)
  return { told, ended, until }
}

/** Nothing is wrong, and everything is there that a writer had been told before. */
async function checked(page: Page, writers: readonly Writing[]): Promise<Checked> {
  const toldBefore = writers.map(({ told }) => [...told])
  const found = await call(page, 'check')
  expect(found.wrong).toEqual([])
  const ids = new Set(found.ids)
  for (const told of toldBefore) {
    expect(told.flatMap((one) => one.ids).filter((id) => !ids.has(id))).toEqual([])
    for (const { session, until } of told.slice(-1))
      expect(found.sessions[session], session).toBeGreaterThanOrEqual(until)
  }
  return found
}
