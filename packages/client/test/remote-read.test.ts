/**
 * Reading from a server as a storage: what the reader lacks crosses once, and it is told whether there is more.
 */
import { EMPTY, type KnownState } from '@tidemark/known-state'
import { type Message, ProtocolError, tidemarkBinary, tidemarkJson } from '@tidemark/protocol'
import { createServer } from '@tidemark/server'
import { memoryStorage, type Page, type Storage } from '@tidemark/storage'
import { createPipe } from '@tidemark/sync/run'
import { afterEach, expect, describe as group, test } from 'vitest'
import { remoteStorage } from '../src/remote.ts'
import { type Far, far, filled, mebibyte, note, run, transactionsIn } from './far.ts'

declare function setImmediate(callback: () => void): unknown

const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
const leftovers: (() => unknown)[] = []
afterEach(async () => {
  for (const end of leftovers.splice(0).reverse()) await end()
})

/** Reads on from `after` until there is no more; calls `between` after each page. */
async function readAll(storage: Storage, after: KnownState = EMPTY, between: (page: Page) => unknown = () => {}) {
  const counts: number[] = []
  for (;;) {
    const page = await storage.read('note', after, { bytesMax: 1 })
    if (page === undefined) throw new Error('it is not there')
    for (const { session, transactions } of page.runs)
      if (session === 'a') counts.push(...transactions.map(([at]) => at as number))
    after = page.end
    if (!page.more) return { counts, end: after }
    await between(page)
  }
}

const loads = (messages: readonly Message[]) => messages.filter(({ action }) => action === 'load').length

group.each([tidemarkBinary, tidemarkJson].map((dialect) => [dialect.name, dialect] as const))('%s', (_, dialect) => {
  const LENGTH = 100
  const expected = Array.from({ length: LENGTH }, (_, at) => at)

  async function long(): Promise<Far> {
    const f = await far(dialect)
    leftovers.push(() => f.close())
    await f.data.append([note(10, run('a', filled(LENGTH, 60_000)))])
    return f
  }

  test('a document of many pages is read to its end, and each of them crosses once', async () => {
    const f = await long()
    expect((await readAll(f.remote)).counts).toEqual(expected)
    expect(transactionsIn(f.heard)).toBe(LENGTH)
    // One for all that a reader takes as fast as it comes; one more for each mebibyte at most.
    expect(loads(f.said)).toBeLessThan(8)
  })

  test('two who read at the same time have all of it, and cost no more than two', async () => {
    const f = await long()
    const both = await Promise.all([readAll(f.remote), readAll(f.remote)])
    expect(both.map(({ counts }) => counts)).toEqual([expected, expected])
    expect(transactionsIn(f.heard)).toBeLessThanOrEqual(2 * LENGTH)
  })

  test('who writes and asks between the pages reads on, and nothing crosses again', async () => {
    const f = await long()
    let written = 0
    const { counts, end } = await readAll(f.remote, EMPTY, async () => {
      if (written > 3) return
      await f.remote.append([note(undefined, run('z', filled(1, 10), written++))])
      await f.remote.knownStates(['note'])
    })
    expect(counts).toEqual(expected)
    expect(end.sessions.get('a')).toBe(LENGTH)
    const ofOthers = f.heard.flatMap((one) => (one.action === 'content' ? one.runs : []))
    expect(ofOthers.reduce((sum, one) => sum + (one.session === 'a' ? one.transactions.length : 0), 0)).toBe(LENGTH)
    const [state] = await f.data.knownStates(['note'])
    expect(state?.known.sessions.get('z')).toBe(written)
  })

  test('sessions come in bytewise order, however they were written', async () => {
    const f = await far(dialect)
    leftovers.push(() => f.close())
    await f.remote.append([note(10, ...['c', 'a', 'b'].map((session) => run(session, filled(1, 10))))])
    const page = await f.remote.read('note', EMPTY, { bytesMax: 1 })
    expect(page?.runs.map(({ session }) => session)).toEqual(['a', 'b', 'c'])
  })

  test('a header is asked for without what follows it', async () => {
    const f = await long()
    expect((await f.remote.headers(['note', 'none'])).map((header) => header?.length)).toEqual([10, undefined])
    expect(transactionsIn(f.heard)).toBe(0)
  })
})

/** A server at the other end of a pipe, and what it sent. */
async function piped(length: number) {
  const data = memoryStorage()
  const server = await createServer({ storage: data })
  leftovers.push(() => server.close())
  await data.append([note(10, run('a', filled(length, 60_000)))])
  const heard: Message[] = []
  const held: (() => void)[] = []
  const state = { holds: false, connections: 0 }
  const remote = remoteStorage({
    peer: 'near',
    async connect() {
      const [mine, theirs] = createPipe(tidemarkJson)
      server.accept(theirs)
      const isFirst = ++state.connections === 1
      const codec = tidemarkJson.createCodec()
      return {
        ...mine,
        open: (receiver) =>
          mine.open({
            ...receiver,
            frame(frame) {
              for (const one of codec.decode(frame)) if (!(one instanceof ProtocolError)) heard.push(one.message)
              if (state.holds && isFirst) held.push(() => receiver.frame(frame))
              else receiver.frame(frame)
            },
          }),
      }
    },
  })
  await remote.open()
  leftovers.push(() => remote.close())
  const release = () => {
    state.holds = false
    for (const deliver of held.splice(0)) deliver()
  }
  return { server, remote, data, heard, state, release }
}

test('a reader that does not come back is not sent the rest', async () => {
  const { remote, heard } = await piped(300)
  await remote.read('note', EMPTY, { bytesMax: 1 })
  for (let turns = 0; turns < 400; turns++) await nextTurn()
  expect(transactionsIn(heard) * 60_000).toBeLessThan(3 * mebibyte)
})

test("who did not wait for a page asks for it again, and what came late is nobody's answer", async () => {
  const { remote, state, release } = await piped(40)
  const first = await remote.read('note', EMPTY, { bytesMax: 1 })
  const leaving = new AbortController()
  state.holds = true
  const late: Promise<unknown>[] = []
  // Some pages may have come before; the one behind them does not.
  const counts: number[] = []
  let after = first?.end ?? EMPTY
  const take = (page: Page | undefined) => {
    for (const { transactions } of page?.runs ?? []) counts.push(...transactions.map(([at]) => at as number))
    after = page?.end ?? after
  }
  take(first)
  for (let left = false; !left; ) {
    const asked = Promise.resolve(remote.read('note', after, { bytesMax: 1, signal: leaving.signal }))
    const turns = async () => {
      for (let turn = 0; turn < 30; turn++) await nextTurn()
    }
    const page = await Promise.race([asked, turns()])
    if (page instanceof Object) take(page)
    else {
      left = true
      late.push(asked)
    }
  }
  leaving.abort(new Error('in time'))
  await expect(late[0]).rejects.toThrow('in time')
  release()
  for (let turn = 0; turn < 30; turn++) await nextTurn()
  for (let more = true; more; ) {
    const page = await remote.read('note', after, { bytesMax: 1 })
    take(page)
    more = page?.more === true
  }
  expect(counts).toEqual(Array.from({ length: 40 }, (_, at) => at))
})

test('who did not wait for a page of a connection that is silent asks over another one', async () => {
  const { remote, state } = await piped(100)
  const first = await remote.read('note', EMPTY, { bytesMax: 1 })
  state.holds = true
  const later = new AbortController()
  let after = first?.end ?? EMPTY
  const read = async () => {
    for (;;) after = (await remote.read('note', after, { bytesMax: 1, signal: later.signal }))?.end ?? after
  }
  const reading = read()
  for (let turns = 0; turns < 50; turns++) await nextTurn()
  later.abort(new Error('in time'))
  await expect(reading).rejects.toThrow('in time')
  const { counts } = await readAll(remote, after)
  expect([counts.at(-1), state.connections]).toEqual([99, 2])
})

test('what was read ahead of a document that is erased is not handed out when that is known', async () => {
  const { remote, data } = await piped(10)
  const first = await remote.read('note', EMPTY, { bytesMax: 1 })
  for (let turns = 0; turns < 50; turns++) await nextTurn()
  await data.erase('note', [1, 'x'], { keep: [] })
  await remote.knownStates(['note'])
  const next = await remote.read('note', first?.end ?? EMPTY, { bytesMax: 1 })
  expect([next?.runs, next?.more]).toEqual([[], false])
})

/** Somebody else writes to the server. */
async function writeElsewhere(server: Awaited<ReturnType<typeof createServer>>): Promise<void> {
  const writer = remoteStorage({
    peer: 'writer',
    async connect() {
      const [mine, theirs] = createPipe(tidemarkJson)
      server.accept(theirs)
      return mine
    },
  })
  await writer.open()
  leftovers.push(() => writer.close())
  await writer.append([note(undefined, run('z', filled(5, 10)))])
}

const whole = new Map([
  ['a', 10],
  ['z', 5],
])

test('who begins to read when something was written is not told that it was all by what was read ahead before', async () => {
  const { server, remote } = await piped(10)
  await remote.read('note', EMPTY, { bytesMax: 1 })
  for (let turns = 0; turns < 50; turns++) await nextTurn()
  await writeElsewhere(server)
  expect((await readAll(remote)).end.sessions).toEqual(whole)
})

test('who was told how much there is, is not told that it was all by what was read ahead before', async () => {
  const { server, remote } = await piped(10)
  const first = await remote.read('note', EMPTY, { bytesMax: 1 })
  for (let turns = 0; turns < 50; turns++) await nextTurn()
  await writeElsewhere(server)
  expect((await remote.knownStates(['note']))[0]?.known.sessions).toEqual(whole)
  expect((await readAll(remote, first?.end)).end.sessions).toEqual(whole)
})
