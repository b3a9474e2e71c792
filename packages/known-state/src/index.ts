/**
 * Known states: how much of a document somebody has, and the arithmetic of comparing and merging that.
 *
 * A known state says whether the header is held and, for every session, how many of its transactions are held from the
 * start (a count of the dense prefix, never an index). Known states form a lattice: `union` is its join, `covers` its order.
 * Values are immutable; sessions are a `Map`, so an id such as `__proto__` is just an id. A session that is not named and
 * a session with count 0 mean the same.
 *
 * Not here: what the transactions are, who holds them, digests.
 */

/** What somebody holds of one document. */
export interface KnownState {
  readonly header: boolean
  /** Session id → number of transactions held from the start of the session. */
  readonly sessions: ReadonlyMap<string, number>
}

/** Transactions `after` (inclusive) to `until` (exclusive) of one session; both are counts. */
export interface Range {
  readonly after: number
  readonly until: number
}

/** What one side lacks: ranges by session, and whether the header is among it. */
export interface Missing {
  readonly header: boolean
  readonly sessions: ReadonlyMap<string, Range>
}

export type Comparison = 'equal' | 'ahead' | 'behind' | 'concurrent'

/** Holds nothing. */
export const EMPTY: KnownState = { header: false, sessions: new Map() }

/**
 * A known state from its parts; counts of 0 are dropped.
 *
 * @throws RangeError if a count is not a safe integer ≥ 0.
 */
export function knownState(header: boolean, sessions: Iterable<readonly [string, number]> = []): KnownState {
  const counts = new Map<string, number>()
  for (const [session, value] of sessions) if (checked(value, session) > 0) counts.set(session, value)
  return { header, sessions: counts }
}

/** Whether `a` holds everything that `b` holds. */
export function covers(a: KnownState, b: KnownState): boolean {
  if (a === b) return true
  if (b.header && !a.header) return false
  for (const [session, until] of b.sessions) if (held(a, session) < until) return false
  return true
}

export function equals(a: KnownState, b: KnownState): boolean {
  return covers(a, b) && covers(b, a)
}

/** How `a` stands to `b`: `ahead` if it holds all of `b` and more, `concurrent` if each holds what the other lacks. */
export function compare(a: KnownState, b: KnownState): Comparison {
  const over = covers(a, b)
  const under = covers(b, a)
  if (over) return under ? 'equal' : 'ahead'
  return under ? 'behind' : 'concurrent'
}

/** The least state that covers both; one of the two themselves where that already does. */
export function union(a: KnownState, b: KnownState): KnownState {
  if (covers(a, b)) return a
  if (covers(b, a)) return b
  const sessions = new Map(a.sessions)
  for (const [session, until] of b.sessions) if (until > held(a, session)) sessions.set(session, until)
  return { header: a.header || b.header, sessions }
}

/** What `have` lacks of `want`; empty if `have` covers it. */
export function missing(have: KnownState, want: KnownState): Missing {
  const sessions = new Map<string, Range>()
  for (const [session, until] of want.sessions) {
    const after = held(have, session)
    if (after < until) sessions.set(session, { after, until })
  }
  return { header: want.header && !have.header, sessions }
}

/**
 * `have` after it received `ranges`. A range may overlap what is held.
 *
 * @throws RangeError if a range begins beyond what is held (a gap), ends before it begins, or is not made of safe integers.
 */
export function apply(have: KnownState, ranges: Missing): KnownState {
  const sessions = new Map(have.sessions)
  for (const [session, { after, until }] of ranges.sessions) {
    const from = held(have, session)
    if (checked(after, session) > from || checked(until, session) < after)
      throw new RangeError(`session ${JSON.stringify(session)}: ${after} to ${until} does not continue ${from}`)
    if (until > from) sessions.set(session, until)
  }
  return { header: have.header || ranges.header, sessions }
}

/** Number of transactions held, over all sessions. */
export function count(state: KnownState): number {
  let sum = 0
  for (const [session, value] of state.sessions) sum = checked(sum + value, session)
  return sum
}

function held(state: KnownState, session: string): number {
  return state.sessions.get(session) ?? 0
}

function checked(value: number, session: string): number {
  if (Number.isSafeInteger(value) && value >= 0) return value
  throw new RangeError(`session ${JSON.stringify(session)}: expected a count (safe integer ≥ 0), got ${value}`)
}
