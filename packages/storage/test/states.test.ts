/**
 * States as adapters make them: of rows and entries, and after each content of a commit.
 */
import { expect, test } from 'vitest'
import { JudgedAt, Moments, stateOf } from '../src/adapter.ts'
import type { StoredState } from '../src/index.ts'

const row = { kind: 'json', priority: 3, bytes: 100, erased: undefined } as const
const entry = (count: number, lastRun?: number) => ({ count, digest: undefined, lastRun })
const named = ['a', 'b']
/** Room for two sessions, and no more. */
const PAGE = 1_000

function stored(...entries: ReturnType<typeof entry>[]): StoredState | undefined {
  return stateOf(row, entries, PAGE, (one) => named[entries.indexOf(one)])
}

test('a state names each session with its count and last run', () => {
  expect(stored(entry(3, 1), entry(2))).toEqual({
    known: {
      header: true,
      sessions: new Map([
        ['a', 3],
        ['b', 2],
      ]),
    },
    kind: 'json',
    priority: 3,
    digests: new Map(),
    lastRuns: new Map([['a', 1]]),
    paged: false,
    erased: undefined,
  })
})

test('a session without a name leaves no state, rather than one without it', () => {
  expect(stored(entry(1), entry(1), entry(1))).toBeUndefined()
})

test('each moment of a commit has its own state, in whatever order they are asked for', () => {
  const moments = new Moments(stored(entry(1)) as StoredState, PAGE)
  const [first, second, third] = [moments.now, change('a', 2), change('b', 5)]
  function change(name: string, count: number): number {
    moments.changed(name, entry(count, 1), name === 'b' ? PAGE : 1)
    return moments.now
  }
  const countsAfter = (after: number) => Object.fromEntries(moments.state(after).known.sessions)
  expect([third, first, second, third].map(countsAfter)).toEqual([{ a: 2, b: 5 }, { a: 1 }, { a: 2 }, { a: 2, b: 5 }])
  expect([first, second, third].map((after) => moments.state(after).paged)).toEqual([false, false, true])
})

test('an answer is made with the state after its own content, also in a copy and after later ones', () => {
  const moments = new Moments(stored(entry(1)) as StoredState, PAGE)
  const refused = new Map()
  const first = new JudgedAt(moments, moments.now, refused)
  moments.changed('a', entry(2), 1)
  const second = new JudgedAt(moments, moments.now, refused)
  const countOf = ({ state }: { readonly state: StoredState }) => state.known.sessions.get('a')
  expect([second, first, { ...second }, { ...first }].map(countOf)).toEqual([2, 1, 2, 1])
  expect(Object.keys(first).sort()).toEqual(['refused', 'state'])
})
