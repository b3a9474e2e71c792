/**
 * The server as policy, over pipes and with a clock by hand: keep-alives, a store that fails, closing, numbers.
 */
import { jazz, tidemarkJson } from '@tidemark/protocol'
import { type Append, memoryStorage, type Storage, StorageError } from '@tidemark/storage'
import { createPipe } from '@tidemark/sync/run'
import { describe, expect, test, vi } from 'vitest'
import { createServer } from '../src/index.ts'
import { metric, settled, wrapped } from './help.ts'
import { content, doc, load, session } from './jazz.ts'
import { hear, setUp } from './policy.ts'

vi.setConfig({ testTimeout: 30_000 })

const somebody = { url: '/', headers: {}, remoteAddress: '10.0.0.1' }

describe('keep-alives', () => {
  test('a Jazz client hears a ping at once, and then something at least every 5 s', async () => {
    const { clock, ready } = setUp({ peer: 'server-1' })
    const server = await ready
    const [ours, theirs] = createPipe(jazz)
    server.accept(ours)
    const client = hear(theirs, clock)
    await clock.pass(60_000)
    expect(client.heard[0]).toEqual({ atMs: 1_000_000, text: '{"type":"ping","time":1000000,"dc":"server-1"}' })
    const gaps = client.heard.slice(1).map(({ atMs }, index) => atMs - (client.heard[index]?.atMs ?? 0))
    expect(Math.max(...gaps)).toBeLessThanOrEqual(5_000)
    expect(client.heard.length).toBeLessThanOrEqual(15)
    await server.close()
  })

  test('what is sent anyway takes the place of a ping', async () => {
    const { clock, ready } = setUp()
    const server = await ready
    const [ours, theirs] = createPipe(jazz)
    server.accept(ours)
    const client = hear(theirs, clock)
    for (let second = 0; second < 20; second += 2) {
      client.say(load(`unknown${second}`))
      await clock.pass(2_000)
    }
    expect(client.heard.filter(({ text }) => text.includes('"ping"'))).toHaveLength(1)
    expect(client.lines()).toHaveLength(10)
    await server.close()
  })

  test('our own dialect has none', async () => {
    const { clock, ready } = setUp()
    const server = await ready
    const [ours, theirs] = createPipe(tidemarkJson)
    server.accept(ours)
    const client = hear(theirs, clock)
    await clock.pass(60_000)
    expect(client.heard.map(({ text }) => JSON.parse(text).type)).toEqual(['hello'])
    await server.close()
  })

  test('5,000 idle connections share one timer, and it stops with the last of them', async () => {
    const { clock, ready } = setUp()
    const server = await ready
    const idleWaits = clock.waiting
    const pipes = Array.from({ length: 5_000 }, () => createPipe(jazz))
    for (const [ours] of pipes) server.accept(ours)
    await settled()
    expect(clock.waiting).toBe(idleWaits + 1)
    for (const [, theirs] of pipes) theirs.close(1000, '')
    await settled()
    expect(clock.waiting).toBe(idleWaits)
    await server.close()
  })
})

describe('a store that fails', () => {
  function breakable() {
    const state = { broken: false, only: undefined as string | undefined }
    const inner = memoryStorage()
    const storage: Storage = {
      ...wrapped(inner, (_method, call) => call()),
      open: () => inner.open(),
      knownStates(ids, options) {
        if (state.broken || ids.some((id) => id === state.only)) throw new StorageError('IO', 'the disk is gone')
        return inner.knownStates(ids, options)
      },
      close: () => inner.close(),
    }
    return {
      state,
      storage: new Proxy(inner, {
        get: (target, name) => Reflect.get(storage, name) ?? Reflect.get(target, name),
      }) as Storage,
    }
  }

  test('as a whole: clients are closed with 1013 and refused with 503, until it answers again', async () => {
    const { state, storage } = breakable()
    const { clock, ready } = setUp({ storage })
    const server = await ready
    const [ours, theirs] = createPipe(jazz)
    server.accept(ours)
    const client = hear(theirs, clock)
    state.broken = true
    client.say(load('note'))
    await clock.pass(3_000)
    expect(client.ends).toEqual([{ code: 1013, reason: 'the store does not answer; try again later' }])
    // L2: failed is not absent.
    expect(client.lines()).toEqual([])
    expect(server.health().status).toBe('failed')
    expect(await server.admit(somebody)).toMatchObject({ status: 503, retryAfterMs: 7_500 })
    state.broken = false
    await clock.pass(6_000)
    expect(server.health().status).toBe('ok')
    expect(await server.admit(somebody)).toMatchObject({ admitted: {} })
    await server.close()
  })

  test('for one document: the others are served, nobody is closed', async () => {
    const { state, storage } = breakable()
    const { clock, ready } = setUp({ storage })
    const server = await ready
    const [ours, theirs] = createPipe(jazz)
    server.accept(ours)
    const client = hear(theirs, clock)
    state.only = doc('broken')
    client.say(load('broken'))
    client.say(load('note'))
    await clock.pass(10_000)
    expect(client.ends).toEqual([])
    expect(client.lines()).toMatchObject([{ action: 'known', id: doc('note'), header: false }])
    expect(server.health().status).toBe('ok')
    expect(
      metric(server.metrics() ?? '', 'tidemark_storage_failures_total{operation="look",code="IO"}'),
    ).toBeGreaterThan(1)
    await server.close()
  })
})

describe('closing', () => {
  test('stores and acknowledges what was accepted, closes with 1001, then closes the storage', async () => {
    const calls: string[] = []
    const inner = memoryStorage()
    let release = () => {}
    const slow = wrapped(inner, (method, call) => {
      calls.push(method)
      if (method !== 'append') return call()
      return new Promise((resolve) => {
        release = () => resolve(call())
      })
    })
    const { clock, ready } = setUp({ storage: slow })
    const server = await ready
    const [ours, theirs] = createPipe(jazz)
    server.accept(ours)
    const client = hear(theirs, clock)
    client.say(content('note', 'a', 0, 3))
    await settled()
    const closing = server.close()
    client.say(content('late', 'a', 0, 3))
    expect(server.close()).toBe(closing)
    await settled()
    expect(server.health()).toMatchObject({ status: 'draining', queued: 1 })
    expect(await server.admit(somebody)).toMatchObject({ status: 503 })
    const [another, its] = createPipe(jazz)
    server.accept(another)
    const refused = hear(its, clock)
    await settled()
    expect(refused.ends).toMatchObject([{ code: 1013 }])
    expect(client.lines()).toEqual([])
    release()
    await closing
    await settled()
    expect(client.lines()).toMatchObject([{ action: 'known', id: doc('note'), sessions: { [session('a')]: 3 } }])
    expect(client.ends).toEqual([{ code: 1001, reason: 'the server is going away' }])
    expect(calls.at(-1)).toBe('close')
    expect(() => inner.knownStates([doc('note')])).toThrow()
  })

  test('a storage that does not settle is waited for only so long, and that is said', async () => {
    const stuck = wrapped(memoryStorage(), (method, call) => (method === 'append' ? new Promise(() => {}) : call()))
    const { clock, ready } = setUp({ storage: stuck })
    const server = await ready
    const [ours, theirs] = createPipe(jazz)
    server.accept(ours)
    const client = hear(theirs, clock)
    client.say(content('note', 'a', 0, 3))
    await settled()
    const closing = expect(server.close()).rejects.toThrow('did not settle')
    await clock.pass(10_000)
    await closing
    expect(client.ends).toMatchObject([{ code: 1001 }])
  })
})

describe('numbers', () => {
  test('counters tell what was asked of the storage and said on the wire', async () => {
    const { clock, ready } = setUp()
    const server = await ready
    const clients = ['writer', 'reader'].map(() => {
      const [ours, theirs] = createPipe(jazz)
      server.accept(ours)
      return hear(theirs, clock)
    })
    const [writer, reader] = clients as [(typeof clients)[0], (typeof clients)[0]]
    writer.say(content('note', 'a', 0, 3))
    await settled()
    writer.say(content('note', 'a', 5, 6, false))
    await settled()
    reader.say(load('note', { a: 3 }))
    reader.say('nonsense')
    await settled()
    const text = server.metrics() ?? ''
    const numbers = {
      'connections_opened_total{dialect="jazz"}': 2,
      connections_open: 2,
      'messages_received_total{action="content"}': 2,
      'messages_received_total{action="load"}': 1,
      'messages_malformed_total{code="malformed"}': 1,
      'messages_sent_total{action="known"}': 3,
      'messages_sent_total{action="ping"}': 2,
      storage_appends_total: 1,
      storage_contents_total: 1,
      storage_transactions_total: 3,
      storage_pages_total: 0,
      corrections_total: 1,
      subscriptions: 2,
      documents_subscribed: 1,
    }
    for (const [series, value] of Object.entries(numbers))
      expect([series, metric(text, `tidemark_${series}`)]).toEqual([series, value])
    expect(metric(text, 'tidemark_received_bytes_total')).toBeGreaterThan(500)
    expect(server.health()).toMatchObject({ status: 'ok', connections: 2, documents: 1, subscriptions: 2, queued: 0 })
    await server.close()
    expect(metric(server.metrics() ?? '', 'tidemark_connections_closed_total{code="1001"}')).toBe(2)
  })

  test('a meter that is handed in gets them instead', async () => {
    const added = new Map<string, number>()
    const instrument = (name: string) => ({
      add: (value: number) => void added.set(name, (added.get(name) ?? 0) + value),
      addCallback() {},
      removeCallback() {},
    })
    const meter = { createCounter: instrument, createObservableGauge: instrument, createObservableCounter: instrument }
    const server = await createServer({ storage: memoryStorage(), meter })
    const [ours] = createPipe(jazz)
    server.accept(ours)
    expect(added.get('tidemark.connections.opened')).toBe(1)
    expect(server.metrics()).toBeUndefined()
    await server.close()
  })
})

describe('a bug of ours', () => {
  test('while a frame is handled costs the connection that sent it (L14)', async () => {
    let faulty = false
    const instrument = (name: string) => ({
      add() {
        if (faulty && name === 'tidemark.messages.received') throw new Error('a bug')
      },
      addCallback() {},
      removeCallback() {},
    })
    const meter = { createCounter: instrument, createObservableGauge: instrument, createObservableCounter: instrument }
    const { clock, ready } = setUp({ meter })
    const server = await ready
    const clients = ['one', 'other'].map(() => {
      const [ours, theirs] = createPipe(jazz)
      server.accept(ours)
      return hear(theirs, clock)
    })
    const [one, other] = clients as [(typeof clients)[0], (typeof clients)[0]]
    faulty = true
    one.say(load('note'))
    await settled()
    faulty = false
    other.say(load('note'))
    await settled()
    expect(one.ends).toEqual([{ code: 1011, reason: 'internal error' }])
    expect(other.lines()).toMatchObject([{ action: 'known', header: false }])
    await server.close()
  })
})

describe('hooks', () => {
  test('verify decides what is stored; what it refuses is neither acknowledged nor forwarded', async () => {
    const { clock, ready } = setUp({
      hooks: {
        verify: ({ runs }: Append) => ({
          accepted: new Map(
            runs.map((run) => [run.session, run.session === session('bad') ? 0 : run.transactions.length]),
          ),
          states: new Map(),
        }),
      },
    })
    const server = await ready
    const clients = ['writer', 'reader'].map(() => {
      const [ours, theirs] = createPipe(jazz)
      server.accept(ours)
      return hear(theirs, clock)
    })
    const [writer, reader] = clients as [(typeof clients)[0], (typeof clients)[0]]
    reader.say(load('note'))
    await settled()
    const good = content('note', 'good', 0, 2)
    const bad = content('note', 'bad', 0, 2)
    writer.say({ ...good, new: { ...good.new, ...bad.new } })
    await settled()
    expect(reader.lines().at(-1)).toMatchObject({ action: 'content', new: { [session('good')]: { after: 0 } } })
    expect(JSON.stringify(reader.lines())).not.toContain(session('bad'))
    expect(JSON.stringify(writer.lines())).not.toContain(session('bad'))
    await server.close()
  })
})
