/**
 * The connection: kept up without haste, noticed when it is dead, left alone when that is wanted. In manual time.
 */
import { jazz, tidemarkBinary, tidemarkJson } from '@tidemark/protocol'
import { memoryStorage } from '@tidemark/storage'
import { type Channel, createPipe } from '@tidemark/sync/run'
import { describe, expect, test } from 'vitest'
import { type ClientOptions, createClient, type Hint, type Hints, jsonPayload } from '../src/index.ts'
import { type ManualClock, manualClock, rest } from './clock.ts'
import { createWorld, replaced } from './world.ts'

const header = jsonPayload({ root: true })

/** A client whose attempts are counted, by the times at which they were made. */
async function lonely(connect: ClientOptions['connect'], clock: ManualClock = manualClock()) {
  const attempts: number[] = []
  const begin = clock.now()
  const client = await createClient({
    storage: memoryStorage(),
    clock,
    async connect(signal) {
      attempts.push(clock.now() - begin)
      return (connect as NonNullable<ClientOptions['connect']>)(signal)
    },
  })
  await rest()
  return { client, clock, attempts }
}

const refused = () => Promise.reject(new Error('nobody is there'))

describe('attempts', () => {
  test('wait a part of 1, 2, 4 … 30 s that chance decides, the first one too', async () => {
    const clock = manualClock()
    const chances = [0.25, 0.5, 0.75, 1, 0.5, 1, 0]
    // The peer id of the client takes the first sixteen.
    clock.chances.push(...new Array(16).fill(0), ...chances)
    const { client, attempts } = await lonely(refused, clock)
    await clock.advance(100_000)
    const waits = attempts.slice(1, 8).map((at, index) => at - (attempts[index] as number))
    expect(waits).toEqual([250, 1_000, 3_000, 8_000, 8_000, 30_000, 0])
    expect([client.connection, client.disconnected]).toEqual(['offline', { code: 0, reason: 'nobody is there' }])
    await client.close()
    expect(clock.waits()).toEqual([])
  })

  test('of many clients do not come together after their server went away', async () => {
    const world = await createWorld(tidemarkJson)
    const clients = []
    for (let count = 0; count < 4; count++) clients.push(await world.client())
    await world.clock.advance(60_000)
    expect(clients.map(({ client }) => client.connection)).toEqual(['online', 'online', 'online', 'online'])
    world.clock.chances.push(0.1, 0.4, 0.7, 0.9)
    await world.server.cut()
    expect(world.clock.waits().sort((a, b) => a - b)).toEqual([100, 400, 700, 900])
    await world.clock.advance(400)
    expect(clients.map(({ client }) => client.connection)).toEqual(['online', 'online', 'offline', 'offline'])
    await world.end()
  })

  test('are not made before the time that the server asked for', async () => {
    const { client, clock, attempts } = await lonely(() =>
      Promise.reject(Object.assign(new Error('busy'), { retryAfterMs: 5_000 })),
    )
    await clock.advance(5_499)
    expect(attempts).toEqual([0])
    await clock.advance(1)
    expect(attempts).toEqual([0, 5_500])
    await client.close()
  })

  test('that a server asked for in its last words are not made before', async () => {
    const ends: Channel[] = []
    const { client, clock, attempts } = await lonely(async () => {
      const [ours, theirs] = createPipe(tidemarkJson)
      theirs.open({ frame() {}, drained() {}, closed() {} })
      ends.push(theirs)
      return ours
    })
    const codec = tidemarkJson.createCodec()
    const words = [{ action: 'error', code: 'busy', message: 'restarting', retryAfterMs: 7_000 }] as const
    for (const frame of codec.encode(words, 1_000)) ends[0]?.send(frame)
    await rest()
    ends[0]?.close(1013, 'restarting')
    await clock.advance(7_499)
    expect(client.disconnected).toEqual({ code: 1013, reason: 'restarting' })
    expect(attempts).toHaveLength(1)
    await clock.advance(1)
    expect(attempts).toHaveLength(2)
    await client.close()
  })

  test('are made again after ten minutes, however long a server asked to be left alone', async () => {
    const retryAfterMs = Number.MAX_SAFE_INTEGER
    const { client, clock, attempts } = await lonely(() =>
      Promise.reject(Object.assign(new Error('never'), { retryAfterMs })),
    )
    await clock.advance(600_499)
    expect(attempts).toEqual([0])
    await clock.advance(1)
    expect(attempts).toEqual([0, 600_500])
    await client.close()
  })

  test('that a server ends at once go on being counted as failures', async () => {
    const world = await createWorld(tidemarkJson)
    const { client } = await world.client()
    world.clock.chances.push(...new Array(5).fill(1))
    for (const waitMs of [1_000, 2_000, 4_000, 8_000]) {
      expect(client.connection).toBe('online')
      await world.server.cut()
      await world.clock.advance(waitMs - 1)
      expect(client.connection).toBe('offline')
      await world.clock.advance(1)
    }
    await world.end()
  })

  test('are made at once when the application knows better', async () => {
    const { client, clock, attempts } = await lonely(refused)
    await clock.advance(20_000)
    const before = attempts.length
    client.reconnectNow()
    await rest()
    expect(attempts).toHaveLength(before + 1)
    await client.close()
  })

  test('that take too long are given up, and a channel that comes too late is closed', async () => {
    let arrive: (channel: Channel) => void = () => {}
    const { client, clock } = await lonely(
      () =>
        new Promise((resolve) => {
          arrive = resolve
        }),
    )
    expect(client.connection).toBe('connecting')
    const late = arrive
    await clock.advance(10_000)
    expect([client.connection, client.disconnected?.reason]).toEqual(['offline', 'no connection within 10000 ms'])
    const [ours, theirs] = createPipe(tidemarkJson)
    const closed = new Promise((resolve) => theirs.open({ frame() {}, drained() {}, closed: (code) => resolve(code) }))
    late(ours)
    expect(await closed).toBe(1000)
    await client.close()
  })
})

describe('silence', () => {
  test('of a peer that never says a word ends the connection after 10 s', async () => {
    const { client, clock, attempts } = await lonely(async () => createPipe(tidemarkJson)[0])
    await clock.advance(9_999)
    expect(client.connection).toBe('connecting')
    await clock.advance(1)
    expect([client.connection, client.disconnected?.code]).toEqual(['offline', 4000])
    await clock.advance(1_000)
    expect(attempts).toHaveLength(2)
    await client.close()
  })

  test('of a Jazz server for 10 s ends the connection; its pings keep it', async () => {
    const ends: Channel[] = []
    const { client, clock } = await lonely(async () => {
      const [ours, theirs] = createPipe(jazz)
      ends.push(theirs)
      return ours
    })
    const ping = () => ends[0]?.send('{"type":"ping","time":1,"dc":"here"}')
    expect(client.connection).toBe('connecting')
    for (let count = 0; count < 10; count++) {
      ping()
      await clock.advance(5_000)
      expect(client.connection).toBe('online')
    }
    await clock.advance(4_999)
    expect(client.connection).toBe('online')
    await clock.advance(1)
    expect([client.connection, client.disconnected?.reason]).toEqual(['offline', 'nothing was heard for 10000 ms'])
    await client.close()
  })

  test.each([tidemarkJson, tidemarkBinary])(
    'of a server that is gone without a close is noticed within 40 s',
    async (dialect) => {
      const world = await createWorld(dialect)
      let isGone = false
      const { client } = await world.client({
        async connect(signal) {
          const channel = await world.server.connect(signal)
          // As a network that swallows everything, both ways.
          return {
            ...channel,
            send: (frame) => void (isGone || channel.send(frame)),
            open: (to) => channel.open({ ...to, frame: (frame) => void (isGone || to.frame(frame)) }),
          }
        },
      })
      await world.clock.advance(600_000)
      expect(client.connection).toBe('online')
      isGone = true
      await world.clock.advance(29_999)
      expect(client.connection).toBe('online')
      await world.clock.advance(10_001)
      expect(client.disconnected).toEqual({ code: 4000, reason: 'nothing was heard for 40000 ms' })
      isGone = false
      await world.clock.advance(1_000)
      expect(client.connection).toBe('online')
      await world.end()
    },
  )

  test('is not the end of a connection on which an upload takes minutes to get away', async () => {
    const held = memoryStorage()
    const world = await createWorld(tidemarkJson, { storage: held })
    const { client } = await world.client({
      async connect(signal) {
        const channel = await world.server.connect(signal)
        let way = Promise.resolve()
        // 16 kB a second, in order.
        const send: Channel['send'] = (frame) => {
          way = way.then(() => world.clock.wait(frame.length / 16)).then(() => channel.send(frame))
        }
        return { ...channel, send }
      },
    })
    await world.clock.advance(60_000)
    await client.create('note', { header, session: 's', transactions: [jsonPayload('x'.repeat(2_000_000))] })
    await world.clock.advance(200_000)
    expect([client.connection, client.disconnected]).toEqual(['online', undefined])
    expect(client.status()).toEqual({ uploaded: true, pending: 0 })
    await world.end()
  })

  test.each([tidemarkJson, jazz])(
    'is borne longer after each connection that ended so: a message of minutes arrives',
    async (dialect) => {
      const held = memoryStorage()
      held.open()
      const transactions = [jsonPayload('x'.repeat(1_500_000))]
      held.append([{ id: 'note', kind: 'json', priority: 3, header, runs: [{ session: 's', after: 0, transactions }] }])
      const world = await createWorld(dialect, { storage: held })
      let attempts = 0
      const { client } = await world.client({
        async connect(signal) {
          attempts += 1
          const channel = await world.server.connect(signal)
          let way = Promise.resolve()
          const open: Channel['open'] = (to) => {
            // 16 kB a second, in order.
            const frame: typeof to.frame = (frame) => {
              way = way.then(() => world.clock.wait(frame.length / 16)).then(() => to.frame(frame))
            }
            channel.open({ ...to, frame })
          }
          return { ...channel, open }
        },
      })
      const doc = client.open('note')
      doc.subscribe(() => {})
      await world.clock.advance(600_000)
      expect([doc.known.sessions.get('s'), attempts <= 6]).toEqual([1, true])
      await world.end()
    },
  )

  test('of a server that has too much to do is not taken for an end while it answers at all', async () => {
    const world = await createWorld(tidemarkJson, {
      storage: replaced(memoryStorage(), { knownStates: () => new Promise(() => {}) }),
    })
    const { client } = await world.client()
    client.open('note')
    await world.clock.advance(3_600_000)
    expect(client.connection).toBe('online')
    await client.close()
  })

  test('means nothing where a peer has nothing to say but that it is there', async () => {
    const world = await createWorld(tidemarkJson)
    const { client } = await world.client()
    await world.clock.advance(3_600_000)
    expect(client.connection).toBe('online')
    await world.end()
  })
})

describe('being offline', () => {
  test('lasts until the application ends it, and is told to whoever watches', async () => {
    const world = await createWorld(tidemarkJson)
    const { client } = await world.client()
    const seen: string[] = []
    client.watch(() => seen.push(client.connection))
    client.disconnect()
    expect(client.connection).toBe('offline')
    await world.clock.advance(600_000)
    expect(client.connection).toBe('offline')
    expect(world.server.runner.sizes().connections).toBe(0)
    client.reconnectNow()
    await rest()
    expect(client.connection).toBe('online')
    expect(seen).toEqual(['offline', 'connecting', 'online'])
    await world.end()
  })

  test('and online in the same turn makes a new connection', async () => {
    const world = await createWorld(tidemarkJson)
    const { client } = await world.client()
    const doc = await client.create('note', { header })
    client.disconnect()
    client.reconnectNow()
    await rest()
    expect(client.connection).toBe('online')
    await doc.whenUploaded()
    expect(world.server.runner.sizes().connections).toBe(1)
    await world.end()
  })

  test('a version that is not understood is no connection', async () => {
    const ends: Channel[] = []
    const { client } = await lonely(async () => {
      const [ours, theirs] = createPipe(tidemarkJson)
      theirs.open({ frame() {}, drained() {}, closed() {} })
      ends.push(theirs)
      return ours
    })
    const codec = tidemarkJson.createCodec()
    const limits = { messageBytesMax: 1, frameBytesMax: 1 }
    const generation = { id: 'g', sequence: 0 }
    const hello = {
      action: 'hello',
      version: 9,
      features: [],
      generation,
      level: 'durable',
      limits,
      peer: 's',
    } as const
    for (const frame of codec.encode([hello], 1_000)) ends[0]?.send(frame)
    await rest()
    expect([client.connection, client.disconnected?.code]).toEqual(['offline', 1002])
    await client.close()
  })
})

describe('hints of the platform', () => {
  /** Hints that a test gives. */
  function hinting() {
    const watchers = new Set<(hint: Hint) => void>()
    const hints: Hints = {
      watch(watcher) {
        watchers.add(watcher)
        return () => watchers.delete(watcher)
      },
    }
    const say = (hint: Hint) => {
      for (const watcher of watchers) watcher(hint)
    }
    return { hints, watchers, say }
  }

  test('end a connection that the network has left, and make the next attempt at once', async () => {
    const world = await createWorld(tidemarkJson)
    const { hints, watchers, say } = hinting()
    const { client } = await world.client({ hints })
    world.server.refuse = new Error('no network')
    say('offline')
    await rest()
    expect([client.connection, client.disconnected?.code]).toEqual(['offline', 4001])
    world.server.refuse = undefined
    say('online')
    await rest()
    expect(client.connection).toBe('online')
    await world.end()
    expect(watchers.size).toBe(0)
  })

  test('neither end a wish to be offline, nor outweigh the time that a server asked for', async () => {
    const { hints, say } = hinting()
    const world = await createWorld(tidemarkJson)
    const { client } = await world.client({ hints })
    client.disconnect()
    say('online')
    await rest()
    expect(client.connection).toBe('offline')

    client.reconnectNow()
    await rest()
    world.server.refuse = Object.assign(new Error('later'), { retryAfterMs: 60_000 })
    await world.server.cut()
    await world.clock.advance(500)
    world.server.refuse = undefined
    say('online')
    await rest()
    expect(client.connection).toBe('offline')
    await world.clock.advance(61_000)
    expect(client.connection).toBe('online')
    await world.end()
  })
})
