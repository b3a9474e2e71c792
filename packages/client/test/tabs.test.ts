/**
 * Several tabs, one storage and one connection: who leads, what a guest is promised, and what happens when the leader is gone.
 *
 * In manual time, without a browser. Not here: Web Locks and BroadcastChannel (`tabs-in-chromium.test.ts`).
 */
import { tidemarkJson } from '@tidemark/protocol'
import { memoryStorage, type Storage } from '@tidemark/storage'
import { expect, test } from 'vitest'
import { jsonPayload } from '../src/index.ts'
import { createTabClient, type TabClient, type TabClientOptions } from '../src/tabs/tab-client.ts'
import { rest } from './clock.ts'
import { fakeTabs } from './fake-tabs.ts'
import { collect, createWorld, keptOpen, replaced } from './world.ts'

const header = jsonPayload({ root: true })
const numbers = (...values: number[]) => values.map(jsonPayload)

/** A world of tabs that share a disk. Each tab's storage dies with it. */
async function createTabs(held: Storage = memoryStorage()) {
  const world = await createWorld(tidemarkJson, { storage: held })
  const disk = memoryStorage()
  const tabs = fakeTabs()
  return {
    ...world,
    held,
    disk,
    tabs,
    async tab(options: Partial<TabClientOptions> = {}) {
      const platform = tabs.tab()
      const channels: { close(code: number, reason: string): void }[] = []
      let dead = false
      const mortal = new Proxy(keptOpen(disk), {
        get(target, name: keyof Storage) {
          const method = target[name] as (...args: unknown[]) => unknown
          return (...args: unknown[]) => (dead ? new Promise(() => {}) : method.apply(target, args))
        },
      })
      const client = await createTabClient({
        name: 'test',
        storage: () => mortal,
        platform,
        async connect(signal) {
          const channel = await world.server.connect(signal)
          channels.push(channel)
          return channel
        },
        clock: world.clock,
        kind: 'json',
        ...options,
      })
      await rest()
      return {
        client,
        kill() {
          dead = true
          platform.kill()
          for (const channel of channels) channel.close(1006, 'killed')
        },
      }
    },
    async end(...clients: TabClient[]) {
      await Promise.all(clients.map((client) => client.close()))
      await rest()
      expect([tabs.locks(), tabs.channels()]).toEqual([[], []])
      await world.end()
    },
  }
}

const count = async (storage: Storage, id: string, session: string) =>
  (await storage.knownStates([id]))[0]?.known.sessions.get(session)

test('the first tab leads, the others are its guests, and the server sees one connection', async () => {
  const { tab, end, server } = await createTabs()
  const [a, b, c] = [await tab(), await tab(), await tab()]
  expect([a, b, c].map(({ client }) => [client.role, client.connection])).toEqual([
    ['leader', 'online'],
    ['guest', 'online'],
    ['guest', 'online'],
  ])
  expect(server.runner.sizes().connections).toBe(1)
  expect(b.client.opened).toEqual(a.client.opened)
  await end(a.client, b.client, c.client)
})

test('what a guest appends is in the storage of the leader when it is told so, and uploaded when it is told that', async () => {
  const { tab, end, disk, held } = await createTabs()
  const [a, b] = [await tab(), await tab()]
  const mine = a.client.open('note')
  const doc = b.client.open('note')
  expect([await doc.settled(), doc.absentBy]).toEqual(['absent', ['storage', 'server']])
  await doc.create({ header })
  await doc.append('b', numbers(1, 2))
  expect(await count(disk, 'note', 'b')).toBe(2)
  const told: string[] = []
  b.client.onUploaded((id) => told.push(id))
  await doc.whenUploaded()
  expect(await count(held, 'note', 'b')).toBe(2)
  await rest()
  expect([doc.status.uploaded, b.client.status(), told]).toEqual([true, { uploaded: true, pending: 0 }, ['note']])

  const [atA, atB] = [collect(mine), collect(doc)]
  await mine.settled()
  await rest()
  await mine.append('a', numbers(3))
  expect(b.client.status()).toEqual({ uploaded: false, pending: 1 })
  await rest()
  expect(b.client.status()).toEqual({ uploaded: true, pending: 0 })
  expect([atA, atB]).toEqual([['header', 'b:0=1', 'b:1=2'], ['a:0=3']])
  await end(a.client, b.client)
})

test('a guest that nobody reads from takes one page, and no more', async () => {
  const { tab, end, disk } = await createTabs()
  const a = await tab()
  const doc = await a.client.create('long', { header })
  const line = jsonPayload('x'.repeat(1_000))
  for (let part = 0; part < 10; part++)
    await doc.append('a', new Array(100).fill(line), { seal: new Uint8Array([65 + part]) })
  let pages = 0
  const read = disk.read.bind(disk)
  disk.read = (...args) => {
    pages += 1
    return read(...args)
  }
  const b = await tab()
  const there = b.client.open('long')
  await rest()
  expect(pages).toBe(1)
  const got = collect(there)
  await rest()
  expect(got).toHaveLength(1_001)
  expect(pages).toBeGreaterThan(5)
  await end(a.client, b.client)
})

test('a leader that dies is replaced by the next tab; what it had promised is there, what it had not is stored once', async () => {
  const { tab, end, disk, held, server } = await createTabs()
  const [a, b, c] = [await tab(), await tab(), await tab()]
  const doc = b.client.open('note')
  await doc.settled()
  await doc.create({ header, session: 'b', transactions: numbers(1) })
  const seen = collect(c.client.open('note'))
  await rest()

  // Stored by the leader, who dies before it can say so.
  const append = disk.append.bind(disk)
  disk.append = (...args) => {
    disk.append = append
    append(...args)
    a.kill()
    return new Promise(() => {}) as never
  }
  let resolved = 0
  const appends = [1, 2, 3].map((value) => doc.append('b', numbers(value)).then(() => (resolved += 1)))
  await Promise.all(appends)
  await rest()
  expect([b.client.role, c.client.role, resolved]).toEqual(['leader', 'guest', 3])
  await b.client.whenUploaded()
  expect([await count(disk, 'note', 'b'), await count(held, 'note', 'b')]).toEqual([4, 4])
  expect(seen).toEqual(['header', 'b:0=1', 'b:1=1', 'b:2=2', 'b:3=3'])
  expect(collect(doc)).toEqual([])
  expect(server.runner.sizes().connections).toBe(1)
  await end(b.client, c.client)
})

test('what a guest wrote and the leader never heard of is said again to the next', async () => {
  const { tab, end, disk } = await createTabs()
  const [a, b] = [await tab(), await tab()]
  const doc = b.client.open('note')
  await doc.settled()
  a.kill()
  await doc.create({ header, session: 'b', transactions: numbers(1) })
  expect([b.client.role, await count(disk, 'note', 'b'), doc.state]).toEqual(['leader', 1, 'present'])
  await doc.whenUploaded()
  await end(b.client)
})

test('a leader that is closed hands over: guests that wait for an upload go on waiting, what they open is asked for', async () => {
  const { tab, end, server, held } = await createTabs()
  const [a, b] = [await tab(), await tab()]
  b.client.disconnect()
  await rest()
  expect([a.client.connection, b.client.connection]).toEqual(['offline', 'offline'])
  const doc = await b.client.create('note', { header, session: 'b', transactions: numbers(1) })
  let uploaded = false
  const waiting = b.client.whenUploaded().then(() => {
    uploaded = true
  })
  await a.client.close()
  await rest()
  // That somebody wanted to be offline is remembered.
  expect([b.client.role, b.client.connection, uploaded]).toEqual(['leader', 'offline', false])
  expect(b.client.status()).toEqual({ uploaded: false, pending: 1 })
  b.client.reconnectNow()
  await waiting
  expect([await count(held, 'note', 'b'), server.runner.sizes().connections]).toEqual([1, 1])
  await doc.close()
  await end(b.client)
})

test('of a guest that dies nothing stays', async () => {
  const { tab, end } = await createTabs()
  const [a, b] = [await tab(), await tab()]
  await b.client.create('note', { header })
  b.client.open('other')
  await b.client.whenUploaded()
  b.kill()
  await rest()
  expect(a.client.sizes()).toMatchObject({ connections: 1, documents: 0, subscriptions: 0, parked: 0, queued: 0 })
  await end(a.client)
})

test('a wait that is given up in a guest is given up in the leader, and refusals keep their codes', async () => {
  const { tab, end } = await createTabs()
  const [a, b] = [await tab(), await tab()]
  await expect(b.client.whenUploaded('nowhere')).rejects.toMatchObject({
    name: 'ClientError',
    code: 'ABSENT',
    id: 'nowhere',
  })
  await expect(b.client.whenUploaded(undefined, { level: 'durable' })).rejects.toMatchObject({ code: 'LEVEL' })
  b.client.disconnect()
  await b.client.create('note', { header })
  const abort = new AbortController()
  const waiting = b.client.whenUploaded('note', { signal: abort.signal })
  await rest()
  abort.abort(new Error('enough'))
  await expect(waiting).rejects.toThrow('enough')
  await end(a.client, b.client)
})

test('reports of the leader are heard in guests, also after it was replaced', async () => {
  const { tab, end } = await createTabs()
  const [a, b] = [await tab(), await tab()]
  const heard: string[] = []
  b.client.listen(({ kind }) => heard.push(kind))
  await a.client.create('one', { header })
  await rest()
  expect(heard).toContain('confirmed')
  heard.length = 0
  a.kill()
  await rest()
  await b.client.create('two', { header })
  await rest()
  expect(heard).toContain('confirmed')
  await end(b.client)
})

test('a tab whose storage does not open says so, and holds up no other', async () => {
  const { tab, end, disk } = await createTabs()
  const broken = replaced(disk, {
    open() {
      throw new Error('no disk')
    },
  })
  await expect(tab({ storage: () => broken })).rejects.toThrow('no disk')
  const a = await tab()
  expect(a.client.role).toBe('leader')
  await end(a.client)
})

test('two leaders that die one after the other, while each of three tabs writes: nothing is lost, nothing comes twice', async () => {
  const { tab, end, disk, held } = await createTabs()
  const all = [await tab(), await tab(), await tab()]
  const made = await all[2]?.client.create('note', { header })
  const docs = all.map(({ client }) => client.open('note'))
  await Promise.all(docs.map((doc) => doc.settled()))
  const seen = collect(docs[2] as (typeof docs)[0])
  const promised = [0, 0, 0]
  const write = async (which: number) => {
    for (let value = 0; value < 40; value++) {
      await docs[which]?.append(`s${which}`, numbers(value))
      promised[which] = value + 1
    }
  }
  const writes = [0, 1, 2].map(write)
  for (const leader of [0, 1]) {
    while ((promised[2] as number) < 10 * (leader + 1)) await new Promise((resolve) => setImmediate(resolve))
    all[leader]?.kill()
  }
  await writes[2]
  await rest()
  const last = all[2]?.client as TabClient
  expect(last.role).toBe('leader')
  await last.whenUploaded()
  const [state] = await held.knownStates(['note'])
  expect(state?.known.sessions.get('s2')).toBe(40)
  for (const which of [0, 1]) {
    expect(await count(disk, 'note', `s${which}`)).toBeGreaterThanOrEqual(promised[which] as number)
    const stored = (await count(held, 'note', `s${which}`)) ?? 0
    expect(seen.filter((line) => line.startsWith(`s${which}:`))).toEqual(
      Array.from({ length: stored }, (_, index) => `s${which}:${index}=${index}`),
    )
  }
  await made?.close()
  await end(last)
})
