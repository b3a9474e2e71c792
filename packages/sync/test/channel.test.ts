/**
 * Channels attached to runners: frames to messages and back, in all dialects; a peer that does not read.
 */
import { EMPTY } from '@tidemark/known-state'
import { type Dialect, dialects, jazz, type Message, tidemarkBinary } from '@tidemark/protocol'
import { type Append, memoryStorage, type Storage, type StoredState } from '@tidemark/storage'
import { expect, test } from 'vitest'
import type { Effect, Event, Report } from '../src/index.ts'
import { attach, type Channel, createPipe, type Receiver, type RunOptions, run } from '../src/run.ts'
import { append, settled, spied, state } from './world.ts'

for (const dialect of dialects)
  test(`${dialect.name}: what one runner stores the other receives through a pipe`, async () => {
    const stores = [memoryStorage(), memoryStorage()] as const
    const [server, client] = await Promise.all(stores.map((storage, index) => run({ storage, peer: `p${index}` })))
    if (server === undefined || client === undefined) throw new Error('two runners')
    stores[0].append([append('note', 'a:0-3')])
    const [near, far] = createPipe(dialect)
    attach(server, far)
    const attached = attach(client, near, { upstream: true })
    attached.ask(['note'])
    await settled()
    expect(stores[1].knownStates(['note'])[0]?.known).toEqual(state('a:3'))
    near.close(1000, 'done')
    expect(await attached.closed).toEqual({ code: 1000, reason: 'done' })
    await settled()
    expect(server.sizes()).toMatchObject({ connections: 0, documents: 0 })
    await Promise.all([server.close(), client.close()])
  })

const mebibyte = 1024 * 1024
const own = dialects.filter(({ traits }) => traits.hello)

/** Two runners on a pipe, of which the second asks the first for `note`; answers what the first holds then, and why it ended. */
async function exchange(dialect: Dialect, holds: readonly Append[], limits: RunOptions['limits'][]) {
  const stores = [0, 1].map(() => memoryStorage({ runBytesMax: 32 * mebibyte })) as [Storage, Storage]
  const [server, client] = await Promise.all(
    stores.map((storage, index) => run({ storage, peer: `p${index}`, limits: limits[index] ?? {} })),
  )
  if (server === undefined || client === undefined) throw new Error('two runners')
  await stores[1].append(holds)
  const reports: Report[] = []
  for (const runner of [server, client]) runner.listen((report) => reports.push(report))
  const [near, far] = createPipe(dialect)
  let isClosed = false
  void attach(server, far).closed.then(() => {
    isClosed = true
  })
  // Asked for at once, before any hello was heard.
  attach(client, near, { upstream: true, owed: ['note'] })
  await settled()
  const [held] = await stores[0].knownStates(['note'])
  await Promise.all([server.close(), client.close()])
  return { held: held?.known, isClosed, errors: reports.filter(({ kind }) => kind === 'error' || kind === 'unsent') }
}

for (const dialect of own) {
  test(`${dialect.name}: what a hello says is taken is taken, also by who asks`, async () => {
    const transactions = [new Uint8Array(10 * mebibyte)]
    const large: Append = {
      ...append('note', '', true, 'bytes'),
      runs: [{ session: 'a', after: 0, transactions }],
    }
    const limits = { messageBytesMax: 64 * mebibyte }
    expect(await exchange(dialect, [large], [limits, limits])).toEqual({
      held: state('a:1'),
      isClosed: false,
      errors: [],
    })
  })

  test(`${dialect.name}: of a server that takes as little as may be a client of very many sessions hears no refusal`, async () => {
    const runs = Array.from({ length: 3_000 }, (_, index) => ({
      session: `${index}`.padStart(200, 's'),
      after: 0,
      transactions: [new Uint8Array(3)],
    }))
    const limits = { messageBytesMax: 65_536, frameBytesMax: 65_536 }
    const { held, isClosed, errors } = await exchange(
      dialect,
      [{ ...append('note', '', true, 'bytes'), runs }],
      [limits, {}],
    )
    expect([held?.sessions.size, isClosed, errors]).toEqual([3_000, false, []])
  })
}

test('who takes a pipe that was closed meanwhile is told so', async () => {
  const [near, far] = createPipe(jazz)
  far.close(1006, 'cut')
  await settled()
  const runner = await run({ storage: memoryStorage(), peer: 'server' })
  expect(await attach(runner, near).closed).toEqual({ code: 1006, reason: 'cut' })
  expect(runner.sizes().connections).toBe(0)
  await runner.close()
})

/** A channel whose other end reads nothing until it is told to. */
function stuffed(dialect: Dialect) {
  const seen = { unsent: 0, paused: 0, resumed: 0, receiver: undefined as Receiver | undefined }
  const channel: Channel = {
    dialect,
    open: (receiver) => {
      seen.receiver = receiver
    },
    send: (frame) => {
      seen.unsent += frame.length
    },
    room: () => seen.unsent === 0,
    unsent: () => seen.unsent,
    close() {},
    pause: () => {
      seen.paused += 1
    },
    resume: () => {
      seen.resumed += 1
    },
  }
  return { channel, seen }
}

/** Frames of the binary dialect one after the other are a frame. */
const joined = (frames: readonly Uint8Array[]) => new Uint8Array(frames.flatMap((frame) => [...frame]))

test('a peer that does not read its answers is not read from until it does', async () => {
  const runner = await run({ storage: memoryStorage(), peer: 'server' })
  const { channel, seen } = stuffed(jazz)
  attach(runner, channel, { unsentBytesMax: 1_000 })
  const codec = jazz.createCodec()
  for (let index = 0; index < 100; index++)
    for (const frame of codec.encode([{ action: 'load', id: `co_z${index}`, known: EMPTY }], 1_000))
      if (seen.paused === 0) seen.receiver?.frame(frame)
  // Others had their turn too, which alone would not keep it from being read.
  await settled()
  expect([seen.paused, seen.resumed]).toEqual([1, 0])
  seen.unsent = 0
  seen.receiver?.drained()
  await settled()
  expect([seen.paused, seen.resumed]).toEqual([1, 1])
  await runner.close()
})

test('of a peer that does not read its answers not even the rest of a frame is handled', async () => {
  const steps: (Event | Effect)[] = []
  const runner = await run({ storage: memoryStorage(), peer: 'server', observe: (step) => steps.push(step) })
  const { channel, seen } = stuffed(tidemarkBinary)
  const attached = attach(runner, channel, { unsentBytesMax: 1_000 })
  const loads = Array.from(
    { length: 5_000 },
    (_, index): Message => ({ action: 'load', id: `d${index}`, known: EMPTY }),
  )
  const frame = joined(tidemarkBinary.createCodec().encode(loads, Number.MAX_SAFE_INTEGER) as Uint8Array[])
  const answered = () => steps.filter((step) => step.type === 'received').length
  seen.receiver?.frame(frame)
  await settled()
  const first = answered()
  expect(first).toBeLessThan(1_100)
  seen.unsent = 0
  seen.receiver?.drained()
  await settled()
  expect(answered()).toBeGreaterThan(first)
  expect(answered()).toBeLessThan(2 * 1_100)
  // What came before its peer closed is handled; nobody waits for its answers.
  seen.receiver?.closed(1000, 'bye')
  await attached.closed
  while (answered() < 5_000) await settled()
  await settled()
  expect(runner.sizes().connections).toBe(0)
  await runner.close()
})

test('a channel is not attached with limits below what every peer may send', async () => {
  const runner = await run({ storage: memoryStorage(), peer: 'server' })
  const [near] = createPipe(tidemarkBinary)
  expect(() => attach(runner, near, { limits: { sessionsMax: 500 } })).toThrow('limits.sessionsMax: expected at least')
  expect(runner.sizes().connections).toBe(0)
  await runner.close()
})

for (const dialect of own)
  test(`${dialect.name}: what a hello says is taken, whatever limits its channel was attached with`, async () => {
    const stores = [memoryStorage(), memoryStorage()] as const
    const [server, client] = await Promise.all([
      run({ storage: stores[0], peer: 'server' }),
      run({ storage: stores[1], peer: 'client' }),
    ])
    const large = { session: 'a', after: 0, transactions: [new Uint8Array(mebibyte)] }
    stores[1].append([{ ...append('note', '', true, 'bytes'), runs: [large] }])
    const [near, far] = createPipe(dialect)
    attach(server, far, { limits: { messageBytesMax: 65_536, frameBytesMax: 65_536 } })
    attach(client, near, { upstream: true, owed: ['note'] })
    await settled()
    expect(stores[0].knownStates(['note'])[0]?.known).toEqual(state('a:1'))
    await Promise.all([server.close(), client.close()])
  })

test('what a dialect has no words for costs its connection, and no other', async () => {
  const storage = memoryStorage()
  const runner = await run({ storage, peer: 'server' })
  await storage.append([append('note', 'a:0-1')])
  const reports: Report[] = []
  runner.listen((report) => reports.push(report))
  const speechless: Dialect = {
    ...jazz,
    createCodec: (limits) => ({
      ...jazz.createCodec(limits),
      encode() {
        throw new TypeError('no words')
      },
    }),
  }
  const ends = [speechless, jazz].map((dialect) => {
    const [near, far] = createPipe(dialect)
    const heard: string[] = []
    let code: number | undefined
    near.open({
      frame: (frame) => heard.push(`${frame}`),
      drained() {},
      closed(with_) {
        code = with_
      },
    })
    attach(runner, far)
    for (const frame of jazz.createCodec().encode([{ action: 'load', id: 'note', known: EMPTY }], mebibyte))
      near.send(frame)
    return { heard, code: () => code, near }
  })
  await settled()
  expect(ends.map(({ heard, code }) => [heard.length > 0, code()])).toEqual([
    [false, 1011],
    [true, undefined],
  ])
  expect(reports).toContainEqual(expect.objectContaining({ kind: 'unsendable' }))
  ends[1]?.near.close(1000, 'done')
  await settled()
  expect(runner.sizes()).toMatchObject({ connections: 0, documents: 0 })
  await runner.close()
})

test('a peer that cannot carry a document is told so, also where its storage had only guessed of what kind it is', async () => {
  const spy = spied()
  const guess = (stored: StoredState | undefined): StoredState | undefined =>
    stored && { ...stored, kind: 'json', guessed: true, digests: new Map() }
  spy.replace = { knownStates: async (ids) => (await spy.real.knownStates(ids)).map(guess) }
  const runner = await run({ storage: spy.storage, peer: 'server' })
  await spy.real.append([append('note', 'a:0-3', true, 'bytes')])
  const [near, far] = createPipe(jazz)
  const heard: string[] = []
  near.open({ frame: (frame) => heard.push(`${frame}`), drained() {}, closed() {} })
  attach(runner, far)
  for (const frame of jazz.createCodec().encode([{ action: 'load', id: 'note', known: EMPTY }], mebibyte))
    near.send(frame)
  await settled()
  expect(heard.map((frame) => JSON.parse(frame))).toEqual([
    { action: 'known', id: 'note', header: false, sessions: {} },
  ])
  near.close(1000, 'done')
  await settled()
  await runner.close()
})
