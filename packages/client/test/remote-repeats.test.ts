/**
 * What a server as a storage takes for an acknowledgement when the server asks for the document, in whatever order it says so: a server that
 * says what it is told to. Law L3. What a real server says: `remote-answers.test.ts`.
 */
import type { Message, Run } from '@tidemark/protocol'
import type { Storage } from '@tidemark/storage'
import { afterEach, expect, test } from 'vitest'
import { filled, note, refusals, run, scripted } from './far.ts'

let remote: Storage | undefined
afterEach(() => remote?.close())

type Counts = Record<string, number>
const known = (sessions: Counts) => ({ header: true, sessions: new Map(Object.entries(sessions)) })
const load = (sessions: Counts): Message => ({ action: 'load', id: 'note', known: known(sessions) })
const tell = (sessions: Counts, correction = false): Message => ({
  action: 'known',
  id: 'note',
  known: known(sessions),
  correction,
})
const fork: Message = { action: 'error', id: 'note', code: 'fork', message: 'two histories' }
const same = run('a', filled(3, 10))
const next = run('a', filled(1, 10), 3)
const other = run('b', filled(1, 10))
const repeated = [load({ a: 3, b: 1 }), tell({ a: 3, b: 1 })]

/** What became of what was written to a server that holds 3 of `a` and 1 of `b`, and how often it was said. */
async function written(header: number | undefined, runs: readonly Run[], ...answers: Message[][]) {
  const server = scripted(known({ a: 3, b: 1 }), answers)
  remote = server.remote
  await remote.open()
  const outcome = (async () => remote.append([note(header, ...runs)]))().then(([result]) => refusals(result), String)
  return [await outcome, server.contents()]
}

test.each<[string, number | undefined, readonly Run[], Message[]]>([
  ['a session', undefined, [same], [tell({ a: 3 })]],
  ['a header', 10, [], [tell({})]],
  ['both', 10, [same, other], [tell({ a: 3, b: 1 })]],
])('what says no more than the LOAD before it acknowledges nothing, and is said once more: %s', async (_, ...one) => {
  const [header, runs, answer] = one
  expect(await written(header, runs, repeated, answer)).toEqual([{}, 2])
})

test('what is refused when it is said once more, or was before, is refused', async () => {
  expect(await written(undefined, [same, other], repeated, [fork, tell({ b: 1 })])).toEqual([{ a: 'fork 3' }, 2])
  const both = [fork, load({ a: 3, b: 1 }), tell({ b: 1 })]
  expect(await written(undefined, [same, other], both, [tell({ b: 1 })])).toEqual([{ a: 'fork 3' }, 2])
})

test('a server that asks and repeats for ever is not written to for ever: the write fails', async () => {
  const unsaid = expect.stringContaining('does not say what became')
  expect(await written(undefined, [same], ...Array(9).fill(repeated))).toEqual([unsaid, 2])
  expect(await written(undefined, [next], ...Array(9).fill([load({}), tell({})]))).toEqual([unsaid, 3])
  expect((await written(10, [next, other], ...Array(9).fill(repeated)))[0]).toEqual(unsaid)
})

test('of what a server asks for behind a LOAD, the rest is acknowledged besides, or said once more', async () => {
  const asks = [load({ b: 1 }), tell({ b: 1 })]
  expect(await written(undefined, [next, other], [...asks, tell({ b: 1 })], [tell({ a: 4 })])).toEqual([{}, 2])
  expect(await written(undefined, [next, other], asks, [tell({ b: 1 })], [tell({ a: 4 })])).toEqual([{}, 3])
})

test('a LOAD that comes alone is no answer, whatever it says: what says more, or corrects, is one', async () => {
  expect(await written(undefined, [next], [load({ a: 3 }), load({ a: 3 }), tell({ a: 4 })])).toEqual([{}, 1])
  expect(await written(undefined, [next], [load({}), tell({ a: 4 })])).toEqual([{}, 1])
  const gap = run('a', filled(1, 10), 5)
  expect(await written(undefined, [gap], [load({}), tell({ a: 3 }, true)])).toEqual([{ a: 'gap 3' }, 1])
})
