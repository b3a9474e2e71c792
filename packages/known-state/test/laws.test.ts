/** Scenarios 36 and 37: the laws of known states, on generated ones, and the corners that are defined. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  apply,
  compare,
  count,
  covers,
  EMPTY,
  equals,
  type KnownState,
  knownState,
  type Missing,
  missing,
  union,
} from '../src/index.ts'

const MAX = Number.MAX_SAFE_INTEGER

/** Few names, so that states overlap; some that objects have already. */
const session = fc.constantFrom('a', 'b', 'c', '7', '__proto__', 'constructor', 'toString', '', '🙂')
const held = fc.oneof(fc.integer({ min: 0, max: 3 }), fc.constantFrom(0, 2 ** 31, 2 ** 32, MAX - 1, MAX))
/** As somebody writes it down: zeros are there. */
const state: fc.Arbitrary<KnownState> = fc.record({
  header: fc.boolean(),
  sessions: fc.array(fc.tuple(session, held), { maxLength: 6 }).map((pairs) => new Map(pairs)),
})
const law = (title: string, holds: (a: KnownState, b: KnownState, c: KnownState) => void) =>
  test(title, () => {
    const property = fc.property(state, state, state, (a, b, c) => void holds(a, b, c))
    fc.assert(property, { numRuns: 2000 })
  })

/** The definition, spelled out: every single thing that is held. */
const at = (of: KnownState, name: string) => of.sessions.get(name) ?? 0
const names = (...states: readonly KnownState[]) => new Set(states.flatMap((of) => [...of.sessions.keys()]))
const expectEqual = (a: KnownState, b: KnownState) => {
  expect(a.header).toBe(b.header)
  for (const name of names(a, b)) expect(at(a, name)).toBe(at(b, name))
}
const frozen = (of: KnownState) => JSON.stringify([of.header, [...of.sessions]])

describe('union', () => {
  law('is commutative', (a, b) => expectEqual(union(a, b), union(b, a)))
  law('is associative', (a, b, c) => expectEqual(union(union(a, b), c), union(a, union(b, c))))
  law('is idempotent', (a) => expectEqual(union(a, a), a))
  law('changes nothing with EMPTY', (a) => expectEqual(union(a, EMPTY), a))
  law('covers both, and is covered by all that does', (a, b, c) => {
    expect(covers(union(a, b), a)).toBe(true)
    expect(covers(union(a, b), b)).toBe(true)
    if (covers(c, a) && covers(c, b)) expect(covers(c, union(a, b))).toBe(true)
  })
  law('is the greater count of each session', (a, b) => {
    const both = union(a, b)
    expect(both.header).toBe(a.header || b.header)
    for (const name of names(a, b)) expect(at(both, name)).toBe(Math.max(at(a, name), at(b, name)))
  })
  law('is one of the two where that covers the other', (a, b) => {
    if (covers(a, b)) expect(union(a, b)).toBe(a)
    else if (covers(b, a)) expect(union(a, b)).toBe(b)
  })
})

describe('covers', () => {
  law('is reflexive', (a) => expect(covers(a, a)).toBe(true))
  law('is antisymmetric: both ways is `equals`', (a, b) => {
    expect(equals(a, b)).toBe(covers(a, b) && covers(b, a))
    if (equals(a, b)) expectEqual(a, b)
  })
  law('is transitive', (a, b, c) => {
    const larger = union(b, c)
    if (covers(a, larger)) expect(covers(a, b)).toBe(true)
    expect(covers(union(a, larger), c)).toBe(true)
  })
  law('is what it says, session by session', (a, b) => {
    const all = [...names(a, b)].every((name) => at(a, name) >= at(b, name))
    expect(covers(a, b)).toBe(all && (a.header || !b.header))
  })
  law('holds of EMPTY under everything', (a) => expect(covers(a, EMPTY)).toBe(true))
})

describe('compare', () => {
  law('says what `covers` says', (a, b) => {
    const verdicts = {
      'true true': 'equal',
      'true false': 'ahead',
      'false true': 'behind',
      'false false': 'concurrent',
    }
    expect(compare(a, b)).toBe(verdicts[`${covers(a, b)} ${covers(b, a)}`])
  })
  law('is the reverse the other way round', (a, b) => {
    const reverse = { equal: 'equal', ahead: 'behind', behind: 'ahead', concurrent: 'concurrent' }
    expect(compare(b, a)).toBe(reverse[compare(a, b)])
  })
})

describe('missing', () => {
  law('is what one has and the other lacks, and no more', (have, want) => {
    const lacking = missing(have, want)
    expect(lacking.header).toBe(want.header && !have.header)
    for (const name of names(have, want)) {
      const range = at(have, name) < at(want, name) ? { after: at(have, name), until: at(want, name) } : undefined
      expect(lacking.sessions.get(name)).toEqual(range)
    }
    for (const name of lacking.sessions.keys()) expect(want.sessions.has(name)).toBe(true)
  })
  law('is empty exactly if nothing is lacked', (have, want) => {
    const { header, sessions } = missing(have, want)
    expect(!header && sessions.size === 0).toBe(covers(have, want))
    expect(missing(have, have)).toEqual({ header: false, sessions: new Map() })
  })
})

describe('apply', () => {
  law('of what is missing gives the union', (have, want) =>
    expectEqual(apply(have, missing(have, want)), union(have, want)),
  )
  law('of it a second time changes nothing', (have, want) => {
    const once = apply(have, missing(have, want))
    expectEqual(apply(once, missing(have, want)), once)
  })
  law('of ranges that overlap what is held gives the union too', (a, b, more) => {
    const have = union(a, more)
    expectEqual(apply(have, missing(a, b)), union(have, b))
  })

  const ranges = (name: string, after: number, until: number): Missing => ({
    header: false,
    sessions: new Map([[name, { after, until }]]),
  })
  test('takes a range that overlaps, and one that is held already', () => {
    const have = knownState(true, [['a', 5]])
    expect(apply(have, ranges('a', 3, 8)).sessions.get('a')).toBe(8)
    expect(apply(have, ranges('a', 0, 5))).toEqual(have)
    expect(apply(have, ranges('a', 1, 1))).toEqual(have)
  })
  test('refuses a gap', () => {
    expect(() => apply(knownState(true, [['a', 5]]), ranges('a', 6, 8))).toThrow(RangeError)
    expect(() => apply(EMPTY, ranges('__proto__', 1, 2))).toThrow('"__proto__": 1 to 2 does not continue 0')
  })
  test('refuses a range that ends before it begins, and ranges that are no counts', () => {
    const have = knownState(true, [['a', 5]])
    for (const [after, until] of [
      [4, 3],
      [-1, 3],
      [0.5, 3],
      [0, Number.NaN],
      [0, MAX + 1],
      [0, Number.POSITIVE_INFINITY],
    ] as const)
      expect(() => apply(have, ranges('a', after, until)), `${after} to ${until}`).toThrow(RangeError)
  })
})

describe('states', () => {
  law('are never changed by what is done with them', (a, b) => {
    const before = [frozen(a), frozen(b)]
    union(a, b)
    apply(a, missing(a, b))
    compare(a, b)
    expect([frozen(a), frozen(b)]).toEqual(before)
    expect(EMPTY).toEqual({ header: false, sessions: new Map() })
  })
  law('do not show what their source becomes later', (a) => {
    const source = new Map(a.sessions)
    const made = knownState(a.header, source)
    source.set('a', 1).set('new', 1)
    expectEqual(made, a)
  })
  law('with zeros equal those without', (a) => {
    const without = knownState(a.header, a.sessions)
    expect([...without.sessions.values()]).not.toContain(0)
    expect(equals(a, without)).toBe(true)
    expect(compare(without, a)).toBe('equal')
    expect(missing(without, a).sessions.size).toBe(0)
  })

  test('may hold sessions without a header, and the reverse', () => {
    const sessions = knownState(false, [['a', 1]])
    const header = knownState(true)
    expect(compare(sessions, header)).toBe('concurrent')
    expectEqual(union(sessions, header), knownState(true, [['a', 1]]))
    expect(missing(sessions, header)).toEqual({ header: true, sessions: new Map() })
    expect(compare(header, EMPTY)).toBe('ahead')
  })
  test('may name sessions like members of Object', () => {
    const odd = knownState(true, [
      ['__proto__', 1],
      ['constructor', 2],
      ['hasOwnProperty', 3],
    ])
    expect(covers(knownState(true), odd)).toBe(false)
    expect(missing(EMPTY, odd).sessions.get('__proto__')).toEqual({ after: 0, until: 1 })
    expect(count(odd)).toBe(6)
  })
  test('may have 10,000 sessions', () => {
    const pairs = Array.from({ length: 10_000 }, (_, index) => [`session ${index}`, index + 1] as const)
    const large = knownState(true, pairs)
    const half = knownState(true, pairs.slice(5000))
    expect(compare(large, half)).toBe('ahead')
    expect(missing(half, large).sessions.size).toBe(5000)
    expect(equals(apply(half, missing(half, large)), large)).toBe(true)
    expect(count(large)).toBe(50_005_000)
  })
  test('may count to 2^53-1, and no further', () => {
    const full = knownState(true, [['a', MAX]])
    expect(missing(EMPTY, full).sessions.get('a')).toEqual({ after: 0, until: MAX })
    expect(count(full)).toBe(MAX)
    expect(() => count(union(full, knownState(true, [['b', 1]])))).toThrow(RangeError)
  })
  test('have no counts that are no counts', () => {
    for (const value of [-1, 1.5, MAX + 1, Number.NaN, Number.POSITIVE_INFINITY, '1' as unknown as number])
      expect(() => knownState(true, [['a', value]]), String(value)).toThrow('session "a": expected a count')
  })
})
