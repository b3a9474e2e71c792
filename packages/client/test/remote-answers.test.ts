/**
 * What a server as a storage answers to a write is what the server said to that very content, session by session: over real sockets.
 */
import { EMPTY } from '@tidemark/known-state'
import { type Message, type Run, tidemarkBinary, tidemarkJson } from '@tidemark/protocol'
import { layers } from '@tidemark/reconciliation/layers'
import type { Append, Storage } from '@tidemark/storage'
import { createPipe } from '@tidemark/sync/run'
import { afterEach, expect, describe as group, test } from 'vitest'
import { createRemoteLink } from '../src/remote-link.ts'
import { durable } from './durable.ts'
import { type Far, far, filled, least, mebibyte, note, refusals, run, sessionsIn, transactionsIn } from './far.ts'

const leftovers: (() => unknown)[] = []
afterEach(async () => {
  for (const end of leftovers.splice(0).reverse()) await end()
})

declare function setImmediate(callback: () => void): unknown

const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
const utf8 = new TextEncoder()
const count = (messages: readonly Message[], action: Message['action']) =>
  messages.filter((message) => message.action === action).length
/** Stores what it is given some turns later, so that what else is answered to it is answered first. */
const late = (data: Storage): Storage =>
  new Proxy(data, {
    get(target, name: keyof Storage) {
      if (name !== 'append') return typeof target[name] === 'function' ? target[name].bind(target) : target[name]
      return async (...given: Parameters<Storage['append']>) => {
        for (let turns = 0; turns < 20; turns++) await nextTurn()
        return target.append(...given)
      }
    },
  })
/** Sessions of one transaction. */
const few = (...sessions: string[]) => sessions.map((session) => run(session, filled(1, 10)))

group.each([tidemarkBinary, tidemarkJson].map((dialect) => [dialect.name, dialect] as const))('%s', (_, dialect) => {
  async function holding(
    content: Append | undefined,
    limits = {},
    runBytesMax?: number,
    more?: Parameters<typeof far>[3],
  ): Promise<Far> {
    const f = await far(dialect, limits, runBytesMax, more)
    leftovers.push(() => f.close())
    if (content !== undefined) await f.data.append([content])
    return f
  }
  const write = async (f: Far, content: Append) => refusals((await f.remote.append([content]))[0])

  test('what is too large to be said is refused, also where as much of that session stands already', async () => {
    const f = await holding(note(10, run('a', filled(1, 10))), least)
    expect(await write(f, note(undefined, run('a', filled(1, 60_000, 7))))).toEqual({ a: 'tooLarge 1' })
  })

  test('a session with a gap stops, those behind it are said, and are not stored because as much of them stands there', async () => {
    const f = await holding(note(10, run('b', filled(60, 3_000))), least)
    const runs = [run('a', filled(30, 3_000), 5), run('b', filled(60, 3_000, 100)), run('c', filled(60, 3_000))]
    expect(await write(f, note(undefined, ...runs))).toEqual({ a: 'gap 0', b: 'fork 60' })
    expect(await sessionsIn(f.data)).toEqual({ b: 60, c: 60 })
  })

  for (const [title, limits, size] of [
    ['at once', {}, 10],
    ['in parts', least, 3_000],
  ] as const)
    test(`a forked session is refused as often as it is written, the others are stored: ${title}`, async () => {
      const f = await holding(note(10, run('a', filled(20, size))), limits)
      const other = run('a', filled(20, size, 100))
      const rest = (session: string) => [run(session, filled(20, size)), run(`${session}2`, filled(40, size))]
      expect(await write(f, note(10, other, ...rest('b')))).toEqual({ a: 'fork 20' })
      expect(await write(f, note(10, other, ...rest('c')))).toEqual({ a: 'fork 20' })
      expect(await write(f, note(undefined, other))).toEqual({ a: 'fork 20' })
      expect(await sessionsIn(f.data)).toEqual({ a: 20, b: 20, b2: 40, c: 20, c2: 40 })
      // The server withholds the session where it found the fork: it is read all the same.
      const page = await f.remote.read('note', EMPTY, { bytesMax: 1_000 })
      expect(page?.runs[0]).toMatchObject({ session: 'a', after: 0 })
    })

  test('another header, or kind, is told from a session that forked', async () => {
    const f = await holding(note(10, run('a', filled(3, 10))))
    expect(await write(f, note(11, run('a', filled(4, 10)), run('b', filled(1, 10))))).toBe('fork')
    expect(await write(f, { ...note(undefined, run('a', [utf8.encode('1')], 3)), kind: 'json' })).toBe('fork')
    expect(await sessionsIn(f.data)).toEqual({ a: 3 })
    expect(await write(f, note(10, run('a', filled(4, 10, 9)), run('b', filled(1, 10))))).toEqual({ a: 'fork 3' })
    expect(await sessionsIn(f.data)).toEqual({ a: 3, b: 1 })
  })

  test('each session is refused for its own reason: what the server cannot store, what forked, what has a gap', async () => {
    const f = await holding(note(10, run('fork', filled(3, 10))), {}, 100_000)
    const runs = [
      run('fork', filled(4, 10, 9)),
      run('gap', filled(1, 10), 2),
      run('large', [new Uint8Array(1), new Uint8Array(200_000)]),
      run('ok', filled(1, 10)),
    ]
    expect(await write(f, note(undefined, ...runs))).toEqual({ fork: 'fork 3', gap: 'gap 0', large: 'tooLarge 0' })
    expect(await sessionsIn(f.data)).toEqual({ fork: 3, ok: 1 })
  })

  for (const [title, more] of [
    ['', undefined],
    [', also where they are stored later', (data: Storage) => ({ storage: late(data) })],
  ] as const)
    test(`a session too many is refused as too large, the others of that content are stored${title}`, async () => {
      const f = await holding(note(10, run('a', filled(1, 10))), { documentSessionsMax: 2 }, undefined, more)
      const content = note(undefined, run('a', filled(1, 10), 1), ...few('b', 'c'))
      expect(await write(f, content)).toEqual({ c: 'tooLarge 0' })
      expect(await write(f, note(undefined, run('b', filled(1, 10), 1), run('c', filled(1, 10), 3)))).toEqual({
        c: 'gap 0',
      })
      expect(await sessionsIn(f.data)).toEqual({ a: 2, b: 2 })
      expect(await write(f, { ...note(10, ...few('a', 'b', 'c')), id: 'other' })).toEqual({ c: 'tooLarge 0' })
    })

  for (const [title, more] of [
    ['', undefined],
    [', also where it is stored later', (data: Storage) => ({ storage: late(data) })],
  ] as const) {
    test(`what forked or is too large beside a session too many is refused as often as it is written, the others are stored${title}`, async () => {
      const begun = note(10, run('fork', filled(3, 10)), run('large', filled(1, 10)))
      const f = await holding(begun, { documentSessionsMax: 3 }, 100_000, more)
      const forked = run('fork', filled(4, 10, 9))
      const large = run('large', [new Uint8Array(200_000)], 1)
      const runs = [forked, ...few('b', 'c')]
      for (const header of [undefined, 10])
        expect(await write(f, note(header, ...runs))).toEqual({ fork: 'fork 3', c: 'tooLarge 0' })
      const all = { fork: 'fork 3', large: 'tooLarge 1', c: 'tooLarge 0' }
      expect(await write(f, note(undefined, large, ...runs))).toEqual(all)
      expect(await sessionsIn(f.data)).toEqual({ fork: 3, large: 1, b: 1 })
    })

    test(`a document that the server asks for, because another one names it, is written when it is stored${title}`, async () => {
      const needs = (header?: Uint8Array) => (header?.length === 20 ? ['note'] : [])
      const f = await holding(undefined, {}, undefined, (data) => ({
        ...more?.(data),
        hooks: { dependenciesOf: needs },
      }))
      const batch = [{ ...note(20, ...few('a')), id: 'other' }, note(10, ...few('a'))]
      expect((await f.remote.append(batch)).map(refusals)).toEqual([{}, {}])
      expect([count(f.heard, 'load'), count(f.said, 'content'), f.connections()]).toEqual([1, 2, 1])
      expect(await write(f, note(undefined, run('a', filled(1, 10), 1)))).toEqual({})
      expect(await sessionsIn(f.data)).toEqual({ a: 2 })
    })
  }

  test('a header that the server cannot store is too large, and no other document', async () => {
    const f = await holding(undefined, {}, 100_000)
    expect(await write(f, note(200_000, run('a', filled(1, 10))))).toBe('tooLarge')
    expect(await f.data.knownStates(['note'])).toEqual([undefined])
  })

  test('a run that brings nothing is compared all the same, and more under one seal than a reader takes is too large', async () => {
    const f = await holding(note(10, run('a', filled(3, 10))))
    const digest = (await f.data.knownStates(['note']))[0]?.digests.get('a') as string
    expect(await write(f, note(undefined, { ...run('a', [], 3), digest }))).toEqual({})
    expect(await write(f, note(undefined, { ...run('a', [], 3), digest: '0011223344556677' }))).toEqual({ a: 'fork 3' })
    expect(await write(f, note(undefined, run('a', [], 4)))).toEqual({ a: 'gap 3' })
    const many = { ...run('b', filled(100_001, 0)), seal: new Uint8Array(1) }
    expect(await write(f, note(undefined, many, run('c', filled(1, 10))))).toEqual({ b: 'tooLarge 0' })
    expect(await sessionsIn(f.data)).toEqual({ a: 3, c: 1 })
  })

  test('a document of JSON: a session that forked, found where it overlaps, leaves the others alone', async () => {
    const sealed = (session: string, length: number, text: string): Run => ({
      ...run(
        session,
        Array.from({ length }, (_, at) => utf8.encode(JSON.stringify([at, text]))),
      ),
      seal: utf8.encode(text),
    })
    const json = (...runs: Run[]): Append => ({ ...note(undefined, ...runs), kind: 'json', header: utf8.encode('{}') })
    const f = await holding(json(sealed('a', 3, 'far')))
    const content = json(sealed('a', 6, 'near'), sealed('b', 6, 'b'))
    for (let times = 0; times < 2; times++) expect(await write(f, content)).toEqual({ a: 'fork 3' })
    expect(await sessionsIn(f.data)).toEqual({ a: 3, b: 6 })
  })

  test('a server that wants to compare what a session of JSON goes on from, which is not here, is told it once more', async () => {
    const sealed = (session: string, length: number, after: number): Run => ({
      ...run(
        session,
        Array.from({ length }, (_, at) => utf8.encode(`[${after + at}]`)),
        after,
      ),
      seal: utf8.encode('seal'),
    })
    const json = (...runs: Run[]): Append => ({ ...note(undefined, ...runs), kind: 'json', header: utf8.encode('{}') })
    const f = await holding(json(sealed('a', 3, 0)), {}, 1_000, (data) => ({
      storage: late(data),
      proveContinuity: true,
    }))
    expect(await write(f, json(sealed('a', 2, 3), sealed('b', 1, 0)))).toEqual({})
    expect(f.heard.filter(({ action }) => action === 'load')).toHaveLength(1)
    // Something else was refused before what was asked for is stored.
    const large = { ...run('large', [utf8.encode(`"${'x'.repeat(2_000)}"`)]), seal: utf8.encode('seal') }
    expect(await write(f, json(sealed('a', 2, 5), large))).toEqual({ large: 'tooLarge 0' })
    expect(await write(f, json(sealed('a', 1, 9), sealed('b', 1, 1)))).toEqual({ a: 'gap 7' })
    expect(await sessionsIn(f.data)).toEqual({ a: 7, b: 2 })
  })

  test('as a layer: a session that forked rests, and the others are repaired', async () => {
    const f = await holding(note(10, run('a', filled(20, 3_000))), least)
    const near = durable()
    near.append([note(10, run('a', filled(20, 3_000, 100)), run('b', filled(40, 3_000)))])
    const all = layers([near, { storage: f.remote, name: 'core', remote: true }])
    await all.open()
    leftovers.push(() => all.close())
    await all.load('note', { until: 'settled' })
    expect(await sessionsIn(f.data)).toEqual({ a: 20, b: 40 })
    expect(refusals((await all.append([note(undefined, run('d', filled(1, 10)))]))[0])).toEqual({})
    await all.load('note', { until: 'settled' })
    expect(await sessionsIn(f.data)).toEqual({ a: 20, b: 40, d: 1 })
  })

  for (const [title, after, from] of [
    ['a gap', 7, 0],
    ['a fork', 0, 9],
  ] as const)
    test(`what was answered to ${title} is not taken for the answer to what is asked next`, async () => {
      const name = (index: number) => `session ${index} ${'x'.repeat(60)}`
      const sessions = Array.from({ length: 6_000 }, (_, index) => run(name(index), filled(1, 1)))
      const f = await holding(note(10, ...sessions))
      const refused = run(name(3), filled(1, 1, from), after)
      const why = after > 0 ? 'gap 1' : 'fork 1'
      expect(await write(f, note(undefined, refused, run('b', filled(1, 1))))).toEqual({ [name(3)]: why })
      expect((await f.remote.knownStates(['note']))[0]?.known.sessions.size).toBe(6_001)
      const after1 = { header: true, sessions: new Map([['b', 1]]) }
      const page = await f.remote.read('note', after1, { bytesMax: 1_000 })
      expect([page?.runs[0]?.session, page?.more]).toEqual([name(0), true])
      expect((await f.remote.knownStates(['note']))[0]?.known.sessions.size).toBe(6_001)
    })

  /** From now on the server's storage takes nothing before `release`; `reached` resolves when it is to take something. */
  function holdAppends(f: Far) {
    const { append } = f.data
    let release = () => {}
    const released = new Promise<void>((resolve) => {
      release = resolve
    })
    const reached = new Promise<void>((resolve) => {
      f.data.append = async (batch) => {
        resolve()
        await released
        return append.call(f.data, batch)
      }
    })
    return { reached, release }
  }

  test('what is acknowledged after a write has failed is not taken for the answer to the next one', async () => {
    const accepted = ({ session, transactions }: Run) => [session, session === 'd' ? 0 : transactions.length] as const
    const verify = ({ runs }: Append) => ({ accepted: new Map(runs.map(accepted)), states: new Map() })
    const f = await holding(note(10, run('a', filled(3, 10))), {}, undefined, () => ({ hooks: { verify } }))
    const { reached, release } = holdAppends(f)
    const first = f.remote.append([note(undefined, run('a', filled(1, 10, 3), 3), ...few('c', 'd'))])
    await Promise.all([reached, expect(first).rejects.toThrow('refused by verification')])
    // Another history, as long.
    const second = write(f, note(undefined, run('a', filled(4, 10, 100))))
    while (count(f.said, 'content') < 2) await nextTurn()
    release()
    expect(await second).toEqual({ a: 'fork 4' })
  })

  test('a fork that is told when nobody waits for it any more withholds nothing from later readers and writers', async () => {
    const f = await holding(note(10, run('a', filled(5, 10)), run('b', filled(2, 10))))
    const { reached, release } = holdAppends(f)
    const leaving = new AbortController()
    const first = f.remote.append([note(undefined, run('a', filled(6, 10, 100)))], { signal: leaving.signal })
    await reached
    leaving.abort(new Error('in time'))
    await expect(first).rejects.toThrow('in time')
    release()
    // All that was said is answered.
    while (count(f.heard, 'reconcile-ack') < 2) await nextTurn()
    await nextTurn()
    const page = await f.remote.read('note', EMPTY, { bytesMax: 10_000 })
    expect(page?.runs.map(({ session }) => session)).toEqual(['a', 'b'])
    expect((await f.remote.knownStates(['note']))[0]?.known.sessions).toEqual(page?.end.sessions)
    expect(await write(f, note(undefined, run('a', filled(1, 10, 5), 5)))).toEqual({})
  })

  test('a question that somebody else leaves unanswered fails no write of the same document', async () => {
    const f = await holding(note(10, run('a', filled(3, 10))))
    const { knownStates } = f.data
    let release = () => {}
    const released = new Promise<void>((resolve) => {
      release = resolve
    })
    f.data.knownStates = async (ids, options) => {
      await released
      return knownStates.call(f.data, ids, options)
    }
    const writing = write(f, note(undefined, run('b', filled(1, 10))))
    await nextTurn()
    const leaving = new AbortController()
    const left = f.remote.knownStates(['note'], { signal: leaving.signal })
    const asked = f.remote.knownStates(['note'])
    await nextTurn()
    leaving.abort(new Error('in time'))
    await expect(left).rejects.toThrow('in time')
    release()
    expect(await writing).toEqual({})
    expect((await asked)[0]?.known.sessions.get('a')).toBe(3)
    expect([await sessionsIn(f.data), f.connections()]).toEqual([{ a: 3, b: 1 }, 2])
  })

  test('contents of one document are stored in order, in one batch and in several at once', async () => {
    const f = await holding(undefined, least)
    const parts = (session: string) => [0, 1, 2].map((at) => note(10, run(session, filled(30, 3_000, at), at * 30)))
    const batch = await f.remote.append(parts('a'))
    expect(batch.map(refusals)).toEqual([{}, {}, {}])
    const several = await Promise.all(parts('b').map((content) => f.remote.append([content])))
    expect(several.flat().map(refusals)).toEqual([{}, {}, {}])
    expect(await sessionsIn(f.data)).toEqual({ a: 90, b: 90 })
  })

  test('of an erased document nothing is stored and nothing refused, and little of it is said', async () => {
    const f = await holding(note(10, run('a', filled(3, 10))), least)
    await f.data.erase('note', [1, 'x'], { keep: [] })
    const content = note(10, run('a', filled(60, 3_000)), run('b', filled(60, 3_000)))
    expect(await write(f, content)).toEqual({})
    expect(transactionsIn(f.said)).toBeLessThan(20)
    expect(await sessionsIn(f.data)).toEqual({})
  })

  test('a gap is told at once, also by a server that holds less than it said when it was asked', async () => {
    const f = await holding(note(10, run('a', filled(3, 10))))
    const { knownStates } = f.data
    const [state] = await knownStates.call(f.data, ['note'])
    if (state === undefined) throw new Error('it is not there')
    f.data.knownStates = () => [{ ...state, known: { header: true, sessions: new Map([['a', 5]]) } }]
    await f.remote.knownStates(['note'])
    f.data.knownStates = knownStates
    expect(await write(f, note(undefined, run('a', filled(1, 10), 5)))).toEqual({ a: 'gap 3' })
    // Of a gap that was told by its LOAD the server would say no more for a while.
    const before = f.said.slice(
      0,
      f.said.findIndex(({ action }) => action === 'content'),
    )
    const claims = before.flatMap((one) => (one.action === 'load' && !one.probe ? [one.known.sessions.get('a')] : []))
    expect(claims).toEqual([5, 3])
  })
})

test('a connection on which a fork was told serves that document no more, though nobody waited for it', async () => {
  const [mine, theirs] = createPipe(tidemarkJson)
  const limits = { messageBytesMax: mebibyte, frameBytesMax: mebibyte }
  const generation = { id: 'g', sequence: 0 }
  const link = createRemoteLink(mine, {
    action: 'hello',
    version: 1,
    features: [],
    generation,
    level: 'stored',
    limits,
    peer: 'near',
  })
  leftovers.push(() => link.close())
  const told: Message = { action: 'error', id: 'note', code: 'fork', message: 'two histories' }
  const other: Message = { action: 'error', id: 'other', code: 'failed', message: 'not now' }
  for (const frame of tidemarkJson.createCodec().encode([told, other], 1_000)) theirs.send(frame)
  await nextTurn()
  expect(['note', 'other'].map((id) => link.serves(id))).toEqual([false, true])
})
