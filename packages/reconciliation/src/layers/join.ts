/**
 * The join: what several layers hold of a document, as one state. Pure.
 *
 * L12: the least state that covers all of them, never the longest of them. L13: of a session that is forked, what the first
 * layer holds stands, alone: it is never mixed with another's. Only a versioned tombstone deletes, forks as well.
 * Not here: asking layers (`race.ts`), copying (`repair.ts`).
 */
import { covers, type KnownState, union } from '@tidemark/known-state'
import { compareVersions, type StoredState } from '@tidemark/storage'

/** What is frozen of a document: some sessions, or all of it. */
export type Frozen = ReadonlySet<string> | 'document'

/** A state whose kind is a guess is of the kind that the others say. */
function ofKindsSaid(states: readonly StoredState[]): readonly StoredState[] {
  const said = states.find(({ guessed }) => guessed === undefined)
  if (said === undefined || states.every(({ guessed }) => guessed === undefined)) return states
  return states.map((state) => {
    const { guessed, ...sure } = state
    return guessed === undefined ? state : { ...sure, kind: said.kind }
  })
}

/** `all`: what the layers that hold it hold, in order of preference. */
export function joinOf(all: readonly StoredState[], frozen?: Frozen): StoredState | undefined {
  const states = ofKindsSaid(all)
  const [first] = states
  if (first === undefined || states.length === 1) return first
  const erased = latestErased(states)
  const base = erased ?? first
  // Of two documents nothing is joined; an erasure is of both.
  if (frozen === 'document') return base
  const mates = states.filter(
    (state) => state.kind === base.kind && (erased === undefined || isErasedAs(state, erased)),
  )
  if (mates.length === 1) return base
  const known = mates.map((state) => state.known).reduce((a, b) => unionOf(a, b, frozen))
  // The usual case: one of them holds all there is, and what it says of it stands.
  const whole = frozen === undefined && mates.find((state) => covers(state.known, known))
  if (whole) return whole
  const digests = new Map<string, string>()
  const lastRuns = new Map<string, number>()
  for (const [session, count] of known.sessions) {
    const owner = mates.find((state) => (state.known.sessions.get(session) ?? 0) === count)
    const digest = owner?.digests.get(session)
    const lastRun = owner?.lastRuns.get(session)
    if (digest !== undefined) digests.set(session, digest)
    if (lastRun !== undefined) lastRuns.set(session, lastRun)
  }
  // What is read from several layers comes in several pages.
  return { ...base, known, digests, lastRuns, paged: true }
}

/** As `union`, but of a frozen session what `a` holds stands, if it holds any. */
function unionOf(a: KnownState, b: KnownState, frozen: ReadonlySet<string> | undefined): KnownState {
  const joined = union(a, b)
  if (frozen === undefined || frozen.size === 0 || joined === a) return joined
  const sessions = new Map(joined.sessions)
  for (const session of frozen) {
    const count = a.sessions.get(session) ?? b.sessions.get(session) ?? 0
    if (count > 0) sessions.set(session, count)
  }
  return { header: joined.header, sessions }
}

/** An erasure keeps what was there of some sessions: two layers may have kept different counts of one. */
export function isErasedAs(state: StoredState, latest: StoredState): boolean {
  const [one, other] = [state.erased, latest.erased]
  return one !== undefined && other !== undefined && compareVersions(one, other) === 0
}

export function latestErased(states: readonly StoredState[]): StoredState | undefined {
  let latest: StoredState | undefined
  for (const state of states) {
    if (state.erased === undefined) continue
    if (latest?.erased === undefined || compareVersions(state.erased, latest.erased) > 0) latest = state
  }
  return latest
}

/** A known state without some sessions. */
export function without(known: KnownState, frozen: Frozen | undefined): KnownState {
  if (frozen === undefined || frozen === 'document' || frozen.size === 0) return known
  return { header: known.header, sessions: new Map([...known.sessions].filter(([session]) => !frozen.has(session))) }
}

/** `known` with the sessions of `frozen` lifted as far as `other` has them, so that a read after it passes over them. */
export function passing(known: KnownState, frozen: Frozen | undefined, other: KnownState): KnownState {
  if (frozen === undefined || frozen === 'document' || frozen.size === 0) return known
  const sessions = new Map<string, number>()
  for (const session of frozen) sessions.set(session, other.sessions.get(session) ?? 0)
  return union(known, { header: false, sessions })
}

/**
 * Sessions of which two states have the same count and different digests: forks that need no reading to be seen. With another
 * kind of payload the whole document is one.
 */
export function forksOf(all: readonly StoredState[]): readonly string[] | 'document' {
  const states = ofKindsSaid(all)
  const [first] = states
  if (first === undefined || states.length === 1) return []
  if (states.some((state) => state.kind !== first.kind)) return 'document'
  if (first.kind !== 'bytes' || latestErased(states) !== undefined) return []
  const forked = new Set<string>()
  for (const [index, state] of states.entries())
    for (const other of states.slice(index + 1))
      for (const [session, digest] of state.digests) {
        const theirs = other.digests.get(session)
        if (theirs === undefined || theirs === digest) continue
        if (state.known.sessions.get(session) === other.known.sessions.get(session)) forked.add(session)
      }
  return [...forked]
}

/** Whether a layer that holds `state` needs nothing to be in step with `joined`. */
export function inStep(state: StoredState | undefined, joined: StoredState | undefined, frozen?: Frozen): boolean {
  if (joined === undefined) return true
  if (joined.erased !== undefined)
    return state?.erased !== undefined && compareVersions(state.erased, joined.erased) >= 0
  if (frozen === 'document') return true
  return state !== undefined && covers(state.known, without(joined.known, frozen))
}

/** What at least `needed` of `states` hold; a layer without the document holds nothing. */
export function heldBy(states: readonly (KnownState | undefined)[], needed: number, all: KnownState): KnownState {
  if (needed <= 0) return all
  const enough = (counts: number[]) => counts.sort((a, b) => b - a)[needed - 1] ?? 0
  const sessions = new Map<string, number>()
  for (const session of all.sessions.keys()) {
    const count = enough(states.map((state) => state?.sessions.get(session) ?? 0))
    if (count > 0) sessions.set(session, count)
  }
  return { header: states.filter((state) => state?.header).length >= needed, sessions }
}
