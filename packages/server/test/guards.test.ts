/**
 * What keeps a server upright among many clients and bad ones: origins, rates, the turnstile, the memory budget, a full disk.
 * As policy: over pipes and with a clock by hand.
 */
import { jazz, tidemarkBinary, tidemarkJson } from '@tidemark/protocol'
import { memoryStorage, StorageError } from '@tidemark/storage'
import { createPipe } from '@tidemark/sync/run'
import { describe, expect, test, vi } from 'vitest'
import type { Who } from '../src/connections.ts'
import { createServer, type Server } from '../src/index.ts'
import { metric, settled, wrapped } from './help.ts'
import { content, load } from './jazz.ts'
import { hear, setUp } from './policy.ts'

vi.setConfig({ testTimeout: 30_000 })

const somebody = { url: '/', headers: {}, remoteAddress: '10.0.0.1' }

describe('origins', () => {
  const from = (origin: string) => ({ ...somebody, headers: { origin } })

  test('pages of other sites are refused; those that are named, and clients that are no browsers, are let in', async () => {
    const server = await createServer({ storage: memoryStorage(), allowedOrigins: ['https://example.org'] })
    for (const request of [somebody, from('https://example.org'), from('HTTPS://Example.org')])
      expect(await server.admit(request)).toMatchObject({ admitted: {} })
    const others = ['http://example.org', 'https://example.org:444', 'https://example.org.evil.example', 'null', '']
    for (const origin of others) expect(await server.admit(from(origin))).toMatchObject({ status: 403 })
    await server.close()
  })

  test('nobody is authenticated who may not come from there', async () => {
    let asked = 0
    const server = await createServer({
      storage: memoryStorage(),
      allowedOrigins: [],
      hooks: { authenticate: () => ++asked },
    })
    expect(await server.admit(from('https://example.org'))).toMatchObject({ status: 403 })
    expect(asked).toBe(0)
    await server.close()
  })

  test('what is no origin is a mistake that is named at the start', async () => {
    for (const wrong of ['example.org', 'https://example.org/', '*', ''])
      await expect(createServer({ storage: memoryStorage(), allowedOrigins: [wrong] })).rejects.toThrow(TypeError)
  })
})

describe('rates', () => {
  const line = (index: number, filler = 'x'.repeat(900)) => JSON.stringify({ ...load(`d${index}`), filler })

  async function connected(limits: Record<string, number>, principals: readonly unknown[]) {
    const { clock, ready } = setUp({ limits })
    const server = await ready
    const clients = principals.map((principal) => {
      const [ours, theirs] = createPipe(jazz)
      server.accept(ours, { principal })
      const client = hear(theirs, clock)
      return { ...client, send: (index: number, filler?: string) => theirs.send(line(index, filler)) }
    })
    return { clock, server, clients: clients as [(typeof clients)[0], (typeof clients)[0]] }
  }

  test('who sends faster than it may is read from later, and loses nothing', async () => {
    const { clock, server, clients } = await connected({ receivedBytesPerSecondMax: 1_000 }, [undefined, undefined])
    const [greedy, modest] = clients
    for (let index = 0; index < 100; index++) greedy.send(index)
    modest.send(1_000)
    await settled()
    // Five seconds' worth at once, and the frame that exceeds them.
    expect(greedy.lines().length).toBeLessThanOrEqual(6)
    expect(modest.lines()).toHaveLength(1)
    await clock.pass(20_000)
    expect(greedy.lines().length).toBeGreaterThan(15)
    expect(greedy.lines().length).toBeLessThanOrEqual(27)
    await clock.pass(100_000)
    expect(greedy.lines()).toHaveLength(100)
    await server.close()
  })

  test('the bytes of a text count, not its characters', async () => {
    const { clock, server, clients } = await connected({ receivedBytesPerSecondMax: 1_000 }, [undefined])
    const [greedy] = clients
    for (let index = 0; index < 20; index++) greedy.send(index, '文'.repeat(300))
    await settled()
    expect(greedy.lines().length).toBeLessThanOrEqual(6)
    await clock.pass(100_000)
    expect(greedy.lines()).toHaveLength(20)
    expect(metric(server.metrics() ?? '', 'tidemark_received_bytes_total')).toBeGreaterThan(20 * 900)
    await server.close()
  })

  test('all connections of one user share what the user may send', async () => {
    const limits = { accountReceivedBytesPerSecondMax: 1_000 }
    const { clock, server, clients } = await connected(limits, [{ id: 'ada' }, { id: 'ada' }, { id: 'ben' }])
    for (const client of clients) for (let index = 0; index < 50; index++) client.send(index)
    await clock.pass(10_000)
    const [one, two, ben] = clients.map(({ lines }) => lines().length) as [number, number, number]
    expect(one + two).toBeLessThanOrEqual(19)
    expect(ben).toBeGreaterThanOrEqual(13)
    await server.close()
  })
})

describe('the turnstile', () => {
  /** Lets a client in and connects it; answers nothing if it was refused. */
  async function enter(server: Server) {
    const admission = await server.admit(somebody)
    if ('status' in admission) return undefined
    const [ours, theirs] = createPipe(jazz)
    server.accept(ours, admission.admitted as Who)
    return theirs
  }

  test('so many clients find out at one time what they missed, and the others follow when those were quiet for a moment', async () => {
    const { clock, ready } = setUp({ limits: { reconcilingMax: 2 } })
    const server = await ready
    const entered: number[] = []
    const entering = Array.from({ length: 6 }, () =>
      enter(server).then((channel) => channel && entered.push(clock.now())),
    )
    await settled()
    expect(entered).toHaveLength(2)
    await clock.pass(2_000)
    await Promise.all(entering)
    expect(entered).toHaveLength(6)
    // Not before the two before it were looked at twice.
    expect(entered[2]).toBeGreaterThanOrEqual((entered[0] as number) + 200)
    expect(entered[4]).toBeGreaterThanOrEqual((entered[2] as number) + 200)
    await server.close()
  })

  test('a client that goes on asking keeps its pass for a while; who waited too long is told when to come again', async () => {
    const { clock, ready } = setUp({ limits: { reconcilingMax: 1 } })
    const server = await ready
    const busy = await enter(server)
    const asking = (async () => {
      for (let index = 0; index < 400; index++) {
        busy?.send(JSON.stringify(load(`d${index}`)))
        await clock.pass(50)
      }
    })()
    const refused = await server.admit(somebody)
    expect(refused).toMatchObject({ status: 503, message: 'many clients come back at one time', retryAfterMs: 7_500 })
    await asking
    await clock.pass(15_000)
    expect(await enter(server)).toBeDefined()
    await server.close()
  })

  test('nobody has all passes: a quarter of them is for others, who are let in at once', async () => {
    const { clock, ready } = setUp({
      limits: { reconcilingMax: 8 },
      hooks: { authenticate: ({ url }) => ({ id: url }) },
    })
    const server = await ready
    const admitted: string[] = []
    const enterAs = (url: string) =>
      server.admit({ ...somebody, url }).then((admission) => 'admitted' in admission && admitted.push(url))
    const greedy = Array.from({ length: 8 }, () => enterAs('greedy'))
    await settled()
    expect(admitted).toHaveLength(6)
    await Promise.all([enterAs('anna'), enterAs('ben')])
    expect(admitted.slice(6)).toEqual(['anna', 'ben'])
    await clock.pass(6_000)
    await Promise.all(greedy)
    await server.close()
  })

  test('a client that went away on the way in, or closed, gives its place up', async () => {
    const { clock, ready } = setUp({ limits: { reconcilingMax: 1 } })
    const server = await ready
    expect(await server.admit(somebody)).toMatchObject({ admitted: {} })
    await clock.pass(6_000)
    const closed = await enter(server)
    closed?.close(1000, '')
    await settled()
    expect(await enter(server)).toBeDefined()
    await server.close()
  })
})

describe('the memory budget', () => {
  for (const dialect of [jazz, tidemarkJson])
    test(`${dialect.name}: above it the costliest connections are sent away, nobody is let in, and the others stay`, async () => {
      const { clock, ready } = setUp({ limits: { memoryBytesMax: 1_000_000 } })
      const server = await ready
      const join = () => {
        const [ours, theirs] = createPipe(dialect)
        server.accept(ours)
        return hear(theirs, clock)
      }
      const [modest, greedy] = [join(), join()]
      const ask = (client: ReturnType<typeof hear>, id: string) =>
        client.say(dialect === jazz ? load(id) : { type: 'load', id, header: false, sessions: {} })
      ask(modest, 'note')
      await clock.pass(1_000)
      expect(modest.ends).toEqual([])
      // Subscriptions to what does not exist are all it takes.
      for (let index = 0; index < 6_000; index++) ask(greedy, `d${index}`)
      while (server.health().subscriptions < 6_000) await settled()
      await clock.pass(250)
      expect(greedy.ends).toMatchObject([{ code: 1013, reason: 'the server has too much to do: try again later' }])
      if (dialect !== jazz)
        expect(greedy.lines().at(-1)).toMatchObject({ type: 'error', code: 'busy', retryAfterMs: expect.any(Number) })
      expect(await server.admit(somebody)).toMatchObject({ status: 503, retryAfterMs: expect.any(Number) })
      await clock.pass(250)
      expect(await server.admit(somebody)).toMatchObject({ admitted: {} })
      expect(modest.ends).toEqual([])
      expect(metric(server.metrics() ?? '', 'tidemark_connections_shed_total')).toBe(1)
      await server.close()
    })
})

describe('what the memory budget counts', () => {
  test('a whole frame that waits for its turn, and leaves with the connection that sent it', async () => {
    const { clock, ready } = setUp({
      limits: { memoryBytesMax: 1_000_000, pendingBytesMax: 1_000 },
      hooks: { authorize: () => new Promise<boolean>(() => {}) },
    })
    const server = await ready
    const [ours, theirs] = createPipe(jazz)
    server.accept(ours)
    const client = hear(theirs, clock)
    const line = JSON.stringify({ ...load('note'), filler: 'x'.repeat(50_000) })
    theirs.send(Array.from({ length: 40 }, () => line).join('\n'))
    await clock.pass(500)
    expect(client.ends).toMatchObject([{ code: 1013 }])
    await clock.pass(500)
    expect(server.health()).toMatchObject({ status: 'ok', connections: 0 })
    expect(metric(server.metrics() ?? '', 'tidemark_messages_received_total{action="load"}')).toBeLessThan(10)
    await server.close()
  })

  test('content as what it takes in memory: an empty transaction is a byte on the wire', async () => {
    const { clock, ready } = setUp({
      limits: { memoryBytesMax: 1_000_000 },
      hooks: { authorize: () => new Promise<boolean>(() => {}) },
    })
    const server = await ready
    const [ours, theirs] = createPipe(tidemarkBinary)
    server.accept(ours)
    const client = hear(theirs, clock)
    const nothing = new Uint8Array(0)
    const run = { session: 'a', after: 0, transactions: Array<Uint8Array>(10_000).fill(nothing) }
    const message = { action: 'content', id: 'note', kind: 'bytes', priority: 3, header: nothing, runs: [run] } as const
    const [frame = nothing] = tidemarkBinary.createCodec().encode([message], 64 * 1024)
    expect(frame.length).toBeLessThan(11_000)
    theirs.send(frame)
    await clock.pass(500)
    expect(client.ends).toMatchObject([{ code: 1013 }])
    await server.close()
  })

  test('the names that a client announced', async () => {
    const { clock, ready } = setUp({ limits: { memoryBytesMax: 1_000_000 } })
    const server = await ready
    const [ours, theirs] = createPipe(tidemarkBinary)
    server.accept(ours)
    const client = hear(theirs, clock)
    const varint = (n: number): number[] => (n < 128 ? [n] : [(n & 127) | 128, ...varint(n >> 7)])
    const names = (from: number) => {
      const slots = Array.from({ length: 1_000 }, (_, index) => (from + index) * 2)
      const body = slots.flatMap((slot) => [
        ...varint(slot),
        ...varint(200),
        ...Buffer.from(`${slot}`.padEnd(200, 'x')),
      ])
      return Uint8Array.from([2, ...varint(body.length), ...body])
    }
    for (let from = 0; from < 4_000; from += 1_000) theirs.send(names(from))
    await clock.pass(500)
    expect(client.ends).toMatchObject([{ code: 1013 }])
    await server.close()
  })
})

describe('what the memory budget counts of states', () => {
  const states = (from: number, count: number) =>
    Object.fromEntries(Array.from({ length: count }, (_, index) => [`s${from + index}`, 1]))

  async function connected() {
    const { clock, ready } = setUp({ limits: { memoryBytesMax: 1_000_000 } })
    const server = await ready
    const [ours, theirs] = createPipe(tidemarkJson)
    server.accept(ours)
    return { clock, server, theirs, client: hear(theirs, clock) }
  }

  test('the sessions that a client claims to hold, of documents that nobody has', async () => {
    const { clock, server, theirs, client } = await connected()
    for (let document = 0; document < 20; document++)
      theirs.send(JSON.stringify({ type: 'load', id: `d${document}`, header: true, sessions: states(0, 900) }))
    await clock.pass(500)
    expect(client.ends).toMatchObject([{ code: 1013 }])
    await server.close()
  })

  test('a state of which more is to come', async () => {
    const { clock, server, theirs, client } = await connected()
    for (const [index, type] of ['load', 'more'].entries())
      theirs.send(JSON.stringify({ type, id: 'd', header: true, sessions: states(index * 5_000, 5_000), more: true }))
    await clock.pass(500)
    expect(client.ends).toMatchObject([{ code: 1013 }])
    await server.close()
  })
})

describe('a full disk', () => {
  test('is told as degraded while writes fail, with the code, and reading goes on', async () => {
    let full = true
    const inner = memoryStorage()
    const storage = wrapped(inner, (method, call) => {
      if (method === 'append' && full) throw new StorageError('QUOTA', 'no space left')
      return call()
    })
    const { clock, ready } = setUp({ storage })
    const server = await ready
    const [ours, theirs] = createPipe(jazz)
    server.accept(ours)
    const client = hear(theirs, clock)
    expect(server.health()).toMatchObject({ status: 'ok' })
    client.say(content('note', 'a', 0, 1))
    await settled()
    expect(server.health()).toMatchObject({
      status: 'degraded',
      reason: 'what clients write cannot be stored: QUOTA',
    })
    client.say(load('other'))
    await settled()
    expect(client.lines().at(-1)).toMatchObject({ action: 'known', header: false })
    full = false
    client.say(content('second', 'a', 0, 1))
    await settled()
    expect(server.health()).toMatchObject({ status: 'ok' })
    await server.close()
  })

  test('is forgotten when nobody wrote for a minute: then nobody knows', async () => {
    const storage = wrapped(memoryStorage(), (method, call) => {
      if (method === 'append') throw new StorageError('READ_ONLY', 'the file system is read-only')
      return call()
    })
    const { clock, ready } = setUp({ storage })
    const server = await ready
    const [ours, theirs] = createPipe(jazz)
    server.accept(ours)
    hear(theirs, clock).say(content('note', 'a', 0, 1))
    await settled()
    expect(server.health().status).toBe('degraded')
    theirs.close(1000, '')
    await clock.pass(61_000)
    expect(server.health().status).toBe('ok')
    await server.close()
  })
})

describe('health', () => {
  test('a store that never answers is degraded after 3 s, and failed when it does not answer something else either', async () => {
    let hangs = false
    const storage = wrapped(memoryStorage(), (_method, call) => (hangs ? new Promise(() => {}) : call()))
    const { clock, ready } = setUp({ storage })
    const server = await ready
    const [ours, theirs] = createPipe(jazz)
    server.accept(ours)
    const client = hear(theirs, clock)
    hangs = true
    client.say(load('note'))
    await clock.pass(2_900)
    expect(server.health()).toMatchObject({ status: 'ok' })
    await clock.pass(100)
    expect(server.health()).toMatchObject({ status: 'degraded', reason: 'the store has not answered for 3000 ms' })
    await clock.pass(12_000)
    expect(server.health()).toMatchObject({ status: 'failed' })
    expect(client.ends).toMatchObject([{ code: 1013 }])
    expect(await server.admit(somebody)).toMatchObject({ status: 503 })
    hangs = false
    await clock.pass(10_000)
    expect(await server.admit(somebody)).toMatchObject({ admitted: {} })
    await server.close().catch(() => {})
  })

  test('a server that lets nobody in says why', async () => {
    const { clock, ready } = setUp({ limits: { connectionsMax: 1 } })
    const server = await ready
    const [ours, theirs] = createPipe(jazz)
    server.accept(ours)
    expect(server.health()).toMatchObject({ status: 'full', reason: 'too many connections' })
    theirs.close(1000, '')
    await clock.pass(10)
    expect(server.health()).toMatchObject({ status: 'ok' })
    await server.close()
  })
})
