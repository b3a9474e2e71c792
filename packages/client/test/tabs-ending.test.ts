/**
 * Tabs that end, or fail, while one of them is about to lead: nothing of them stays, and another leads.
 *
 * In manual time, without a browser. Not here: what tabs promise while all goes well (`tabs.test.ts`).
 */
import { tidemarkJson } from '@tidemark/protocol'
import { memoryStorage, type Storage, StorageError } from '@tidemark/storage'
import { expect, test } from 'vitest'
import { jsonPayload } from '../src/index.ts'
import type { TabPlatform } from '../src/tabs/platform.ts'
import { createTabClient, type TabClient, type TabClientOptions } from '../src/tabs/tab-client.ts'
import { rest } from './clock.ts'
import { fakeTabs } from './fake-tabs.ts'
import { createWorld, keptOpen, replaced } from './world.ts'

const header = jsonPayload({ root: true })

async function createTabs() {
  const world = await createWorld(tidemarkJson)
  const disk = memoryStorage()
  const tabs = fakeTabs()
  return {
    ...world,
    disk,
    tabs,
    tab: (options: Partial<TabClientOptions> = {}) =>
      createTabClient({
        name: 'test',
        storage: () => keptOpen(disk),
        platform: tabs.tab(),
        connect: world.server.connect,
        clock: world.clock,
        kind: 'json',
        ...options,
      }),
    async end(...clients: TabClient[]) {
      await Promise.all(clients.map((client) => client.close()))
      await rest()
      expect([tabs.locks(), tabs.channels(), world.server.runner.sizes().connections]).toEqual([[], [], 0])
      await world.end()
    },
  }
}

/** Storages over a disk that open when they are let, and how many are open. */
function slowStorage(disk: Storage) {
  let letOpen = () => {}
  const gate = new Promise<void>((resolve) => {
    letOpen = resolve
  })
  const open = new Set<object>()
  const storage = () => {
    const me = {}
    return replaced(keptOpen(disk), {
      async open(options) {
        await gate
        open.add(me)
        return disk.open(options)
      },
      close: () => void open.delete(me),
    })
  }
  return { storage, letOpen: () => letOpen(), open }
}

type Listener = (message: unknown) => void

/** A platform whose tab hears otherwise. */
function hearing(platform: TabPlatform, otherwise: (listener: Listener) => Listener): TabPlatform {
  return {
    ...platform,
    channel(name) {
      const channel = platform.channel(name)
      return { ...channel, hear: (listener) => channel.hear(otherwise(listener)) }
    },
  }
}

test('a tab that is closed while it is about to lead lets go of all it had, and the next tab leads', async () => {
  const { tab, end, tabs, disk, server } = await createTabs()
  const slow = slowStorage(disk)
  const a = await tab()
  const b = await tab({ storage: slow.storage })
  const c = await tab()
  await a.close()
  await rest()
  expect([b.role, c.role]).toEqual(['electing', 'guest'])
  const closed = b.close()
  slow.letOpen()
  await closed
  await rest()
  expect([slow.open.size, c.role, server.runner.sizes().connections]).toEqual([0, 'leader', 1])
  expect(tabs.locks()).not.toContain('test tab tab 2')
  await end(c)
})

test('the signal of a creation that succeeded means nothing to the tab afterwards', async () => {
  const { tab, end, tabs, clock } = await createTabs()
  const [first, patience] = [tabs.tab(), new AbortController()]
  const a = await tab({ platform: first })
  const b = await tab({ signal: patience.signal })
  patience.abort(new Error('took too long'))
  first.kill()
  await rest()
  await clock.advance(5_000)
  expect(b.role).toBe('leader')
  await end(a, b)
})

test('a leader whose storage fails to close says so, and lets go of its locks and channels', async () => {
  const { tab, tabs, disk } = await createTabs()
  const a = await tab({ storage: () => replaced(disk, { close: () => Promise.reject(new Error('busy')) }) })
  await expect(a.close()).rejects.toThrow('busy')
  await rest()
  expect([tabs.locks(), tabs.channels()]).toEqual([[], []])
})

test('what is no message of a tab is not heard', async () => {
  const { tab, end, tabs } = await createTabs()
  const errors: unknown[] = []
  const careful = () =>
    hearing(tabs.tab(), (listener) => (message) => {
      try {
        listener(message)
      } catch (error) {
        errors.push(error)
      }
    })
  const [a, b] = [await tab({ platform: careful() }), await tab({ platform: careful() })]
  const stranger = tabs.tab()
  for (const name of ['test tabs', 'test tab tab 1', 'test tab tab 2']) {
    const channel = stranger.channel(name)
    for (const message of [null, undefined, 1, 'x', {}]) channel.post(message)
    await rest()
    channel.close()
  }
  expect([errors, a.role, b.role, b.connection]).toEqual([[], 'leader', 'guest', 'online'])
  await end(a, b)
})

test('a guest that was told its append is stored does not say that all is uploaded', async () => {
  const { tab, end, tabs } = await createTabs()
  // Each message in a task of its own, as browsers deliver them.
  const platform = () => hearing(tabs.tab(), (listener) => (message) => void setImmediate(() => listener(message)))
  const [a, b] = [await tab({ platform: platform() }), await tab({ platform: platform() })]
  const doc = await b.create('note', { header })
  await b.whenUploaded()
  b.disconnect()
  await rest()
  expect(b.status()).toEqual({ uploaded: true, pending: 0 })
  await doc.append('s', [jsonPayload(1)])
  expect([b.status(), doc.status.uploaded]).toEqual([{ uploaded: false, pending: 1 }, false])
  b.reconnectNow()
  await b.whenUploaded()
  await rest()
  expect(b.status()).toEqual({ uploaded: true, pending: 0 })
  await end(a, b)
})

test('a guest that disconnects while the next leader is elected is obeyed by it', async () => {
  const { tab, end, disk } = await createTabs()
  const slow = slowStorage(disk)
  const a = await tab()
  const b = await tab({ storage: slow.storage })
  const c = await tab()
  await a.close()
  await rest()
  expect([b.role, c.role]).toEqual(['electing', 'guest'])
  c.disconnect()
  slow.letOpen()
  await rest()
  expect([b.role, c.role, b.connection, c.connection]).toEqual(['leader', 'guest', 'offline', 'offline'])
  b.reconnectNow()
  await rest()
  expect([b.connection, c.connection]).toEqual(['online', 'online'])
  await end(b, c)
})

/** Storages over a disk; each is closed for good when it is told so, as when another tab deletes the database. */
function fragileStorage(disk: Storage) {
  let made = 0
  const gone = new Set<number>()
  const storage = () => {
    const number = made++
    const closed = () => Promise.reject(new StorageError('CLOSED', 'another tab upgraded the store'))
    return new Proxy(keptOpen(disk), {
      get(target, name: keyof Storage) {
        const method = target[name]
        return gone.has(number) && name !== 'close' ? closed : method
      },
    })
  }
  return { storage, lose: () => gone.add(made - 1) }
}

test('a leader whose storage is closed for good lets another tab lead, and what was written is stored there', async () => {
  const { tab, end, disk, clock } = await createTabs()
  const { storage, lose } = fragileStorage(disk)
  const a = await tab({ storage })
  const b = await tab()
  const [atA, atB] = [await a.create('x', { header }), await b.create('y', { header })]
  lose()
  const writes = [atA.append('s', [jsonPayload(1)]), atB.append('s', [jsonPayload(2)])]
  const uploads = [a.whenUploaded(), b.whenUploaded()]
  const found = b.open('z').settled()
  await clock.advance(10_000)
  await Promise.all([...writes, ...uploads])
  expect([a.role, b.role, await found]).toEqual(['guest', 'leader', 'absent'])
  const states = await disk.knownStates(['x', 'y'])
  expect(states.map((state) => state?.known.sessions.get('s'))).toEqual([1, 1])
  await end(a, b)
})

test('a tab that is alone leads again, with another storage', async () => {
  const { tab, end, disk, clock } = await createTabs()
  const { storage, lose } = fragileStorage(disk)
  const a = await tab({ storage })
  const doc = await a.create('x', { header })
  lose()
  const write = doc.append('s', [jsonPayload(1)])
  await clock.advance(10_000)
  await write
  expect(a.role).toBe('leader')
  await end(a)
})

test('a guest that waits for an upload gets its answer from the next leader, whoever notices that the storage is gone', async () => {
  const { tab, end, disk, clock } = await createTabs()
  const { storage, lose } = fragileStorage(disk)
  const a = await tab({ storage })
  const b = await tab()
  await (await b.create('x', { header })).close()
  await b.whenUploaded()
  lose()
  const uploaded = b.whenUploaded('x').then(() => 'uploaded')
  await clock.advance(10_000)
  expect([await Promise.race([uploaded, 'waiting']), a.role, b.role]).toEqual(['uploaded', 'guest', 'leader'])
  await a.whenUploaded('x')
  await end(a, b)
})

test('a tab that comes while the storage of its leader is gone and the next does not lead yet is the guest of the next', async () => {
  const { tab, end, disk, clock } = await createTabs()
  const { storage, lose } = fragileStorage(disk)
  const a = await tab({ storage: () => replaced(storage(), { close: () => clock.wait(500) }) })
  lose()
  const write = a.create('x', { header })
  await rest()
  expect(a.role).toBe('electing')
  const b = tab()
  await clock.advance(10_000)
  await write
  expect([a.role, (await b).role].sort()).toEqual(['guest', 'leader'])
  await end(a, await b)
})

test('after close() a tab waits for no upload', async () => {
  const { tab, end } = await createTabs()
  const a = await tab()
  const b = await tab()
  await b.close()
  await expect(b.whenUploaded()).rejects.toMatchObject({ code: 'CLOSED' })
  await end(a)
})

test('a guest that waits for an upload when its leader is closed gets its answer from the next', async () => {
  const { tab, end, clock } = await createTabs()
  const a = await tab()
  const b = await tab()
  a.disconnect()
  await (await b.create('x', { header })).close()
  const uploaded = [b.whenUploaded('x'), b.whenUploaded()]
  await rest()
  await a.close()
  await rest()
  b.reconnectNow()
  await clock.advance(10_000)
  await Promise.all(uploaded)
  expect(b.role).toBe('leader')
  await end(b)
})
