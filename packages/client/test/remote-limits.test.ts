/**
 * A server as a storage keeps to what both ends said that they take: over real sockets, with the real server, in the dialects it speaks.
 */
import { EMPTY } from '@tidemark/known-state'
import { type Dialect, ProtocolError, type Run, tidemarkBinary, tidemarkJson } from '@tidemark/protocol'
import { layers } from '@tidemark/reconciliation/layers'
import { createServer } from '@tidemark/server'
import { listen } from '@tidemark/server/node'
import { type Append, memoryStorage, type Storage } from '@tidemark/storage'
import { type Channel, createPipe } from '@tidemark/sync/run'
import { webSocket } from '@tidemark/websocket'
import { afterEach, expect, test } from 'vitest'
import { remoteStorage } from '../src/remote.ts'
import { durable } from './durable.ts'

const mebibyte = 1024 * 1024
const least = { messageBytesMax: 65_536, frameBytesMax: 65_536 }
const raised = { messageBytesMax: 64 * mebibyte }
const own = [tidemarkBinary, tidemarkJson]

const leftovers: (() => unknown)[] = []
afterEach(async () => {
  for (const end of leftovers.splice(0).reverse()) await end()
})

interface Far {
  readonly data: Storage
  readonly remote: Storage
  /** Of the largest frame that was sent to the server. */
  frameBytes(): number
  /** Frames, to the server. */
  sent(): number
  /** Ends the connection; answers when it has ended. */
  cut(): Promise<void>
  connections(): number
}

async function far(dialect: Dialect, limits: typeof raised): Promise<Far> {
  const data = memoryStorage({ runBytesMax: 32 * mebibyte })
  const { url, close } = await listen(await createServer({ storage: data, limits }))
  leftovers.push(close)
  const connect = webSocket(url, { dialect })
  let largest = 0
  let sent = 0
  let connections = 0
  let near: Channel | undefined
  let ended: () => void = () => {}
  const remote = remoteStorage({
    peer: 'near',
    async connect(signal) {
      const channel = await connect(signal)
      near = channel
      connections += 1
      return {
        ...channel,
        open: (receiver) =>
          channel.open({
            ...receiver,
            closed(code, reason) {
              receiver.closed(code, reason)
              ended()
            },
          }),
        send(frame) {
          sent++
          largest = Math.max(largest, frame.length)
          channel.send(frame)
        },
      }
    },
  })
  await remote.open()
  leftovers.push(() => remote.close())
  return {
    data,
    remote,
    frameBytes: () => largest,
    sent: () => sent,
    connections: () => connections,
    cut: () =>
      new Promise((resolve) => {
        ended = resolve
        near?.close(4000, 'cut')
      }),
  }
}

const filled = (length: number, bytes: number) =>
  Array.from({ length }, (_, index) => new Uint8Array(bytes).fill(index))
const run = (session: string, transactions: Uint8Array[], seal?: Uint8Array): Run => ({
  session,
  after: 0,
  transactions,
  ...(seal !== undefined && { seal }),
})
const document = (header: number, ...runs: Run[]): Append => ({
  id: 'note',
  kind: 'bytes',
  priority: 3,
  header: new Uint8Array(header),
  runs,
})
const refused = (result: unknown) => {
  if (!(result instanceof Object && 'refused' in result)) throw new Error('it failed')
  return Object.fromEntries(result.refused as Map<string, unknown>)
}
const sessionsIn = async (storage: Storage) =>
  Object.fromEntries((await storage.knownStates(['note']))[0]?.known.sessions ?? [])

for (const dialect of own) {
  test(`${dialect.name}: what is written goes in messages that the server takes, and comes out the same`, async () => {
    const f = await far(dialect, least)
    const many = Array.from({ length: 2_000 }, (_, index) => run(`s${index}`, [new Uint8Array([index])]))
    const large = run('large', filled(60, 3_000))
    const content = document(
      30_000,
      large,
      run('piece', filled(1, 40_000)),
      run('sealed', filled(20, 2_000), filled(1, 64)[0]),
      ...many,
    )
    const [written] = await f.remote.append([content])
    expect(refused(written)).toEqual({})
    expect(f.frameBytes()).toBeLessThanOrEqual(65_536)
    expect(f.connections()).toBe(1)
    const same = memoryStorage()
    same.open()
    same.append([content])
    const [here, there] = [same.knownStates(['note'])[0], (await f.data.knownStates(['note']))[0]]
    expect(there?.known).toEqual(here?.known)
    expect(there?.digests).toEqual(here?.digests)
    // The next page continues it, with the digest of all that was stored.
    const more = { ...large, after: 60, digest: here?.digests.get('large') as string }
    const { header: _, ...rest } = document(0, more)
    expect(refused((await f.remote.append([rest]))[0])).toEqual({})
    expect((await sessionsIn(f.data)).large).toBe(120)
  })

  test(`${dialect.name}: a fork that a later part brings is told, and what was there stays`, async () => {
    const f = await far(dialect, least)
    await f.data.append([document(10, run('a', filled(20, 3_000)))])
    // It repeats what is there, until something else comes in a later part.
    const other = filled(40, 3_000).map((bytes, index) => (index < 19 ? bytes : bytes.fill(255)))
    const { header: _, ...rest } = document(0, { ...run('a', other), digest: '746964656d61726b' })
    expect(refused((await f.remote.append([rest]))[0])).toEqual({ a: { why: 'fork', have: 20 } })
    expect(await sessionsIn(f.data)).toEqual({ a: 20 })
  })

  test(`${dialect.name}: what cannot be cut and is more than the server takes is refused, the rest is stored`, async () => {
    const f = await far(dialect, least)
    const runs = [
      run('transaction', [new Uint8Array(1), new Uint8Array(60_000)]),
      run('sealed', filled(30, 2_000), new Uint8Array(1)),
      run('small', filled(2, 10)),
    ]
    const [written] = await f.remote.append([document(10, ...runs)])
    const tooLarge = { why: 'tooLarge', have: 0 }
    expect(refused(written)).toEqual({ transaction: tooLarge, sealed: tooLarge })
    expect(await sessionsIn(f.data)).toEqual({ small: 2 })
    const { header: _, ...rest } = document(0, ...runs.slice(0, 1))
    expect(refused((await f.remote.append([rest]))[0])).toEqual({ transaction: tooLarge })
    const [header] = await f.remote.append([{ ...document(60_000, ...runs), id: 'other' }])
    expect(header).toMatchObject({ state: undefined, headerRefused: 'tooLarge' })
    expect(await f.data.knownStates(['other'])).toEqual([undefined])
    expect(f.connections()).toBe(1)
  })

  test(`${dialect.name}: as a layer it is repaired with what it takes, and not held up by the rest`, async () => {
    const f = await far(dialect, least)
    const near = durable()
    near.append([document(10, run('a', [new Uint8Array(60_000)]), run('b', filled(60, 3_000)))])
    const all = layers([near, { storage: f.remote, name: 'core', remote: true }])
    await all.open()
    leftovers.push(() => all.close())
    await all.load('note', { until: 'settled' })
    expect(await sessionsIn(f.data)).toEqual({ b: 60 })
    // What it does not take is not tried for ever.
    const before = f.sent()
    await all.load('note', { until: 'settled' })
    expect(f.sent() - before).toBeLessThan(4)
  })

  test(`${dialect.name}: what a server of raised limits takes and sends is written and read, also over a new connection`, async () => {
    const f = await far(dialect, raised)
    const content = document(10, run('a', filled(1, 10 * mebibyte)))
    expect(refused((await f.remote.append([content]))[0])).toEqual({})
    const page = await f.remote.read('note', EMPTY, { bytesMax: 1 })
    expect(page?.runs.map(({ transactions }) => transactions.map(({ length }) => length))).toEqual([[10 * mebibyte]])
    await f.cut()
    // Nothing was heard over the next one yet.
    expect(refused((await f.remote.append([{ ...content, id: 'other' }]))[0])).toEqual({})
    expect(f.connections()).toBe(2)
  })
}

test('an error that names no document fails what it may be about, which is asked again over another connection', async () => {
  const ends: Channel[] = []
  const heard: string[] = []
  const codec = () => tidemarkJson.createCodec()
  const remote = remoteStorage({
    peer: 'near',
    async connect() {
      const [mine, theirs] = createPipe(tidemarkJson)
      const [reads, writes] = [codec(), codec()]
      const say = (message: object) => {
        for (const frame of writes.encode([message as never], 1_000)) theirs.send(frame)
      }
      const number = ends.push(theirs)
      theirs.open({
        drained() {},
        closed() {},
        frame(frame) {
          for (const one of reads.decode(frame)) {
            if (one instanceof ProtocolError) throw one
            const { action } = one.message
            heard.push(`${number} ${action}`)
            const known = { header: true, sessions: new Map() }
            if (number === 1 && action === 'content') say({ action: 'error', code: 'limit', message: 'too much' })
            else if (action === 'content' || action === 'load')
              say({ action: 'known', id: 'note', known, correction: false })
          }
        },
      })
      const limits = { messageBytesMax: 8 * mebibyte, frameBytesMax: 8 * mebibyte }
      const generation = { id: 'g', sequence: 0 }
      say({ action: 'hello', version: 1, features: [], generation, level: 'durable', limits, peer: 'far' })
      return mine
    },
  })
  await remote.open()
  leftovers.push(() => remote.close())
  await expect(remote.append([document(10)])).rejects.toMatchObject({
    code: 'IO',
    message: expect.stringContaining('too much'),
  })
  expect(refused((await remote.append([document(10)]))[0])).toEqual({})
  expect(heard.filter((line) => line.endsWith('content'))).toEqual(['1 content', '2 content'])
})
