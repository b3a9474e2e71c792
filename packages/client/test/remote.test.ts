/**
 * Another server as a layer: a real server at the other end of a pipe.
 */
import { EMPTY } from '@tidemark/known-state'
import { type Frame, ProtocolError, tidemarkJson } from '@tidemark/protocol'
import { layers } from '@tidemark/reconciliation/layers'
import { createServer } from '@tidemark/server'
import { type Append, memoryStorage, type Storage, StorageError } from '@tidemark/storage'
import { type Channel, createPipe } from '@tidemark/sync/run'
import { afterEach, expect, test } from 'vitest'
import { type RemoteStorageOptions, remoteStorage } from '../src/remote.ts'
import { manualClock } from './clock.ts'
import { durable } from './durable.ts'

declare function setImmediate(callback: () => void): unknown

const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
const utf8 = new TextEncoder()
const open: { close(): unknown }[] = []

afterEach(async () => {
  for (const one of open.splice(0).reverse()) await one.close()
})

function content(id: string, session: string, after: number, until: number, header = true): Append {
  const transactions = Array.from({ length: until - after }, (_, at) => utf8.encode(`${session} ${after + at}`))
  const runs = until > after ? [{ session, after, transactions }] : []
  return { id, kind: 'bytes', priority: 3, runs, ...(header && { header: utf8.encode(id) }) }
}

interface Far {
  readonly data: Storage
  readonly remote: Storage
  /** Lines of the wire, from the asker. */
  readonly said: string[]
  readonly heard: string[]
  cut(): void
  reachable: boolean
  /** Whether a frame that the asker sends is lost. */
  loses: (lines: readonly string[]) => boolean
  /** Holds back what the server sends until it is called with `false`. */
  hold(held: boolean): void
  /** That were made. */
  connections: number
  /** Of them, how many the asker has not closed. */
  readonly open: number
}

/** A server that holds `holds`, and a remote storage that asks it. */
async function far(holds: readonly Append[] = [], more: Partial<RemoteStorageOptions> = {}): Promise<Far> {
  const data = memoryStorage()
  const server = await createServer({ storage: data })
  open.push(server)
  data.append(holds)
  const said: string[] = []
  const heard: string[] = []
  let near: Channel | undefined
  const state = { reachable: true, loses: (_: readonly string[]) => false, isHeld: false, connections: 0, open: 0 }
  let waiting: (() => void)[] = []
  const remote = remoteStorage({
    ...more,
    peer: 'near',
    connect: async () => {
      if (!state.reachable) throw new Error('no route')
      const [mine, theirs] = createPipe(tidemarkJson)
      near = mine
      state.connections += 1
      state.open += 1
      let isOpen = true
      const ended = () => {
        if (isOpen) state.open -= 1
        isOpen = false
      }
      server.accept(theirs)
      return {
        ...mine,
        open: (receiver) =>
          mine.open({
            ...receiver,
            closed(code, reason) {
              ended()
              receiver.closed(code, reason)
            },
            frame(frame) {
              heard.push(...lines(frame))
              if (state.isHeld) waiting.push(() => receiver.frame(frame))
              else receiver.frame(frame)
            },
          }),
        close(code, reason) {
          ended()
          mine.close(code, reason)
        },
        send(frame) {
          said.push(...lines(frame))
          if (!state.loses(lines(frame))) mine.send(frame)
        },
      }
    },
  })
  return {
    data,
    remote,
    said,
    heard,
    cut: () => near?.close(1006, 'cut'),
    hold(held) {
      state.isHeld = held
      if (!held) for (const deliver of waiting) deliver()
      if (!held) waiting = []
    },
    get connections() {
      return state.connections
    },
    get open() {
      return state.open
    },
    set loses(loses: (lines: readonly string[]) => boolean) {
      state.loses = loses
    },
    get reachable() {
      return state.reachable
    },
    set reachable(reachable) {
      state.reachable = reachable
    },
  }
}

/** `load a:3`, `content`, … of a frame. */
function lines(frame: Frame): string[] {
  const said: string[] = []
  for (const one of tidemarkJson.createCodec().decode(frame)) {
    if (one instanceof ProtocolError) throw one
    const { message } = one
    const sessions = 'known' in message ? [...message.known.sessions].map((entry) => entry.join(':')) : []
    if (message.action !== 'hello') said.push([message.action, ...sessions].join(' '))
  }
  return said
}

test('a server is asked what it holds, read page by page, and written: what it answers is acknowledged', async () => {
  const { remote, data } = await far([content('note', 'a', 0, 3)])
  await remote.open()
  open.push(remote)
  expect(await remote.knownStates(['note', 'none'])).toMatchObject([{ known: { header: true } }, undefined])
  const page = await remote.read('note', EMPTY, { bytesMax: 1_000 })
  expect([page?.runs[0]?.transactions.length, page?.more]).toEqual([3, false])
  expect(await remote.read('none', EMPTY, { bytesMax: 1_000 })).toBe(undefined)
  const [result] = await remote.append([content('note', 'a', 3, 5, false)])
  expect(result).toMatchObject({ refused: new Map(), state: { known: { sessions: new Map([['a', 5]]) } } })
  expect((await data.knownStates(['note']))[0]?.known.sessions.get('a')).toBe(5)
  const [gap] = await remote.append([content('note', 'a', 7, 8, false)])
  expect(gap).toMatchObject({ refused: new Map([['a', { why: 'gap', have: 5 }]]) })
  const [fork] = await remote.append([{ ...content('note', 'a', 5, 6), header: utf8.encode('another') }])
  expect(fork).toMatchObject({ headerRefused: 'fork' })
})

test('a long document is read page by page, each once', async () => {
  const { remote } = await far()
  await remote.open()
  open.push(remote)
  const transactions = Array.from({ length: 40 }, (_, at) => new Uint8Array(10_000).fill(at))
  await remote.append([{ ...content('note', 'a', 0, 0), runs: [{ session: 'a', after: 0, transactions }] }])
  const read: number[] = []
  for (let after = EMPTY; ; ) {
    const page = await remote.read('note', after, { bytesMax: 1 })
    for (const run of page?.runs ?? []) read.push(...run.transactions.map(([at]) => at as number))
    after = page?.end ?? after
    if (page?.more !== true) break
  }
  expect(read).toEqual(transactions.map((_, at) => at))
})

test('as a layer it is asked with what the others hold, never with nothing, and costs no content when it has no more', async () => {
  const { remote, said, heard } = await far([content('note', 'a', 0, 5)])
  const near = durable()
  near.append([content('note', 'a', 0, 5)])
  const all = layers([near, { storage: remote, name: 'core', remote: true }])
  await all.open()
  open.push(all)
  await remote.open()
  expect((await all.load('note')).answered).toEqual(['layer 1', 'core'])
  expect(said).toEqual(['load a:5'])
  expect(heard).toEqual(['known a:5'])
})

test('what either end lacks crosses once: both hold the join afterwards', async () => {
  const { remote, data, said, heard } = await far([content('note', 'b', 0, 4)])
  const near = durable()
  near.append([content('note', 'a', 0, 3)])
  const all = layers([near, { storage: remote, name: 'core', remote: true }])
  await all.open()
  open.push(all)
  await remote.open()
  await all.load('note', { until: 'settled' })
  const join = new Map([
    ['a', 3],
    ['b', 4],
  ])
  for (const end of [near, data]) expect((await end.knownStates(['note']))[0]?.known.sessions).toEqual(join)
  const contents = (lines: readonly string[]) => lines.filter((line) => line.startsWith('content')).length
  expect([contents(said), contents(heard)]).toEqual([1, 1])
})

test('a server that cannot be reached hides nothing of the others, and is never absence; when it is back it is asked again', async () => {
  const core = await far([content('far', 'a', 0, 1)])
  const near = durable()
  near.append([content('note', 'a', 0, 3)])
  core.reachable = false
  const all = layers([near, { storage: core.remote, name: 'core', remote: true }], {
    limits: { retryMs: 1, retryMsMax: 2 },
  })
  await all.open()
  open.push(all)
  expect((await all.knownStates(['note']))[0]).toMatchObject({ partial: true })
  await expect(all.knownStates(['far'])).rejects.toThrow(StorageError)
  expect((await all.load('far')).found).toBe('unknown')
  core.reachable = true
  const loaded = async (): Promise<string> => {
    const { found } = await all.load('far')
    return found === 'present' ? found : nextTurn().then(loaded)
  }
  expect(await loaded()).toBe('present')
})

test('a connection that is lost fails what was asked over it, and the next call makes another', async () => {
  const core = await far([content('note', 'a', 0, 3)])
  await core.remote.open()
  open.push(core.remote)
  // The server is still looking when the connection ends.
  const { knownStates } = core.data
  core.data.knownStates = () => new Promise(() => {})
  const asked = core.remote.knownStates(['note'])
  await nextTurn()
  core.data.knownStates = knownStates
  core.cut()
  await expect(asked).rejects.toMatchObject({ code: 'IO' })
  expect(await core.remote.knownStates(['note'])).toMatchObject([{ known: { header: true } }])
})

/** Asks, and leaves before there is an answer. */
async function leave(ask: (signal: AbortSignal) => unknown): Promise<unknown> {
  const leaving = new AbortController()
  const asked = Promise.resolve(ask(leaving.signal)).then(
    () => 'answered',
    (cause) => cause,
  )
  for (let turn = 0; turn < 9; turn++) await nextTurn()
  leaving.abort('left')
  return asked
}

test('a question that is not answered holds up nobody: whoever asks next asks over another connection', async () => {
  const f = await far([content('note', 'a', 0, 3), content('other', 'a', 0, 1)])
  await f.remote.open()
  open.push(f.remote)
  let lost = 0
  f.loses = (frames) => frames.some((line) => line.startsWith('load')) && ++lost === 1
  expect(await leave((signal) => f.remote.knownStates(['note'], { signal }))).toBe('left')
  expect((await f.remote.knownStates(['other']))[0]?.known.sessions.get('a')).toBe(1)
  expect(f.connections).toBe(1)
  expect((await f.remote.knownStates(['note']))[0]?.known.sessions.get('a')).toBe(3)
  expect(f.connections).toBe(2)
})

test("an answer that comes after its asker left is nobody else's, and costs no connection", async () => {
  const f = await far([content('note', 'a', 0, 3)])
  await f.remote.open()
  open.push(f.remote)
  await f.remote.knownStates(['note'])
  f.hold(true)
  expect(await leave((signal) => f.remote.read('note', EMPTY, { bytesMax: 1_000, signal }))).toBe('left')
  f.hold(false)
  await nextTurn()
  const added = await f.remote.append([content('note', 'a', 3, 5, false)])
  expect(added[0]).toMatchObject({ refused: new Map() })
  expect((await f.remote.knownStates(['note']))[0]?.known.sessions.get('a')).toBe(5)
  expect(f.connections).toBe(1)
})

test('a server that does not introduce itself is not waited for by the next who opens', async () => {
  const f = await far([content('note', 'a', 0, 3)])
  f.hold(true)
  const failure = await leave((signal) => f.remote.open({ signal }))
  expect(failure).toBeInstanceOf(StorageError)
  f.hold(false)
  await f.remote.open()
  open.push(f.remote)
  expect(f.connections).toBe(2)
})

test('as a layer it is slow for the time of one look-up, and there again for the next', async () => {
  const f = await far([content('note', 'a', 0, 3)])
  let lost = 0
  f.loses = (frames) => frames.some((line) => line.startsWith('load')) && ++lost === 1
  const all = layers(
    [
      { storage: durable(), name: 'near' },
      { storage: f.remote, name: 'far', remote: true },
    ],
    { limits: { lookTimeoutMs: 10 } },
  )
  await all.open()
  open.push(all)
  while (all.health().some(({ level }) => level === undefined)) await nextTurn()
  const [first, second] = [await all.load('note'), await all.load('note')]
  expect([first.found, first.timedOut, second.found]).toEqual(['unknown', ['far'], 'present'])
})

test('whoever asks at once after a connection was lost asks over one new connection', async () => {
  const near = await far([content('x', 'a', 0, 1)])
  await near.remote.open()
  near.cut()
  await nextTurn()
  await Promise.all([near.remote.knownStates(['x']), near.remote.knownStates(['y']), near.remote.headers(['z'])])
  expect(near.connections).toBe(2)
  await near.remote.close()
  expect(near.open).toBe(0)
})

test('what is under way over a connection is not cut when another asks over a new one', async () => {
  const near = await far([content('slow', 'a', 0, 1)])
  await near.remote.open()
  const patience = new AbortController()
  near.hold(true)
  const left = near.remote.knownStates(['slow'], { signal: patience.signal })
  const written = near.remote.append([content('note', 'a', 0, 2)])
  await nextTurn()
  patience.abort(new Error('in time'))
  await expect(left).rejects.toThrow('in time')
  const again = near.remote.knownStates(['slow'])
  for (let turns = 0; turns < 10; turns++) await nextTurn()
  expect(near.connections).toBe(2)
  near.hold(false)
  expect([(await again)[0]?.known.header, (await written).length]).toEqual([true, 1])
  for (let turns = 0; turns < 10; turns++) await nextTurn()
  expect(near.open).toBe(1)
  await near.remote.close()
  expect(near.open).toBe(0)
})

test('who closes it waits for what is being written, and nothing more is begun', async () => {
  const near = await far()
  await near.remote.open()
  near.hold(true)
  const written = near.remote.append([content('note', 'a', 0, 2), content('list', 'a', 0, 1)])
  await nextTurn()
  const closing = near.remote.close()
  await expect(near.remote.append([content('late', 'a', 0, 1)])).rejects.toMatchObject({ code: 'CLOSED' })
  for (let turns = 0; turns < 10; turns++) await nextTurn()
  expect(near.open).toBe(1)
  near.hold(false)
  await closing
  expect((await written).map((result) => 'state' in result && result.state?.known.sessions.get('a'))).toEqual([2, 1])
  expect(near.open).toBe(0)
})

test('who closes it waits no longer than said: what is not answered by then fails as closed, and no connection is made for what is behind it', async () => {
  const clock = manualClock()
  const near = await far([], { clock, closeMsMax: 500 })
  await near.remote.open()
  near.hold(true)
  const writes = [content('note', 'a', 0, 2), content('note', 'b', 0, 1), content('list', 'a', 0, 1)]
  const written = Promise.all(writes.map((one) => Promise.resolve(near.remote.append([one])).catch(({ code }) => code)))
  const closing = near.remote.close()
  await clock.advance(499)
  expect(near.open).toBe(1)
  await clock.advance(1)
  await closing
  expect(await written).toEqual(['CLOSED', 'CLOSED', 'CLOSED'])
  expect([near.open, near.connections, clock.waits()]).toEqual([0, 1, []])
})
