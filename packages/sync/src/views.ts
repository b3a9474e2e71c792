/**
 * Views: what we believe each connection's peer holds, and who is subscribed to what.
 *
 * L6: a belief lives as long as its connection; a LOAD or a correction replaces it, everything else only adds to it. A peer
 * that holds exactly what is stored here is a marker, not a copy, so that an idle subscription costs a map entry.
 * L11: subscribers are found by document, never by walking the connections.
 * Not here: what is sent because of a view (`senders.ts`).
 */
import { covers, EMPTY, equals, type KnownState, union } from '@tidemark/known-state'
import type { Content } from '@tidemark/protocol'
import { type Belief, type Connection, type Core, type Holding, IN_STEP, type View } from './core.ts'
import { HEADER } from './corrections.ts'
import { durable } from './holdings.ts'

/** The peer's view, made explicit if it was a marker; `undefined` if the peer is not subscribed. */
export function viewOf(connection: Connection, id: string, stored: KnownState): View | undefined {
  const belief = connection.views.get(id)
  if (belief !== IN_STEP) return belief
  const view = createView(stored, stored)
  connection.views.set(id, view)
  return view
}

/** As `viewOf`; a peer that was not subscribed is, holding nothing that we know of. `undefined` if it may not have more. */
export function subscribedView(core: Core, connection: Connection, holding: Holding): View | undefined {
  const view = viewOf(connection, holding.id, durable(holding))
  if (view !== undefined) return view
  return subscribe(core, connection, holding.id, createView(EMPTY, EMPTY))
}

export function createView(confirmed: KnownState, assumed: KnownState | undefined, readable = true): View {
  return {
    rival: false,
    mayHold: false,
    loads: false,
    toProbe: false,
    readable,
    confirmed,
    assumed,
    weight: 0,
    exact: false,
    sending: false,
    asksAgain: false,
    leaves: false,
    failures: 0,
    streaming: false,
    claims: undefined,
    corrected: undefined,
    gaps: undefined,
    refusals: 0,
    refused: false,
    withheld: false,
    lost: undefined,
    until: undefined,
    probe: undefined,
    frozen: undefined,
    tooLarge: undefined,
    unstorable: undefined,
    proven: undefined,
    dependencies: undefined,
  }
}

/** Sessions of a view that are not stored here. A peer may name any. */
const CLAIMS_MAX = 1_000

/**
 * What is remembered of what a peer says that it holds (L10): all of what is stored here too, and of the rest no more than its connection
 * has room for, but always something, so that more is asked for. What is forgotten may be sent to it again. `view` is what it adds to.
 */
export function kept(
  core: Core,
  connection: Connection,
  { accepted }: Holding,
  view: View | undefined,
  claim: KnownState,
): KnownState {
  const { upstream, local } = connection.traits
  if (upstream || local) return claim
  const isBeyond = (session: string) => !accepted.sessions.has(session)
  const before = view?.confirmed.sessions ?? EMPTY.sessions
  let beyond = 0
  for (const session of before.keys()) if (isBeyond(session)) beyond += 1
  const least = beyond === 0 ? 1 : 0
  const room = Math.min(CLAIMS_MAX - beyond, roomFor(core, connection))
  let left = Math.max(least, room)
  const sessions = new Map<string, number>()
  for (const [session, count] of claim.sessions)
    if (!isBeyond(session) || before.has(session) || left-- > 0) sessions.set(session, count)
  return sessions.size === claim.sessions.size ? claim : { header: claim.header, sessions }
}

/** How many more sessions may be remembered of what a peer names; of upstreams, which we chose, and of ourselves any number. */
export function roomFor({ limits }: Core, { traits, viewSessions, account }: Connection): number {
  if (traits.upstream || traits.local) return Number.POSITIVE_INFINITY
  const ofAccount = limits.accountViewSessionsMax - (account?.viewSessions ?? 0)
  return Math.max(0, Math.min(limits.viewSessionsMax - viewSessions, ofAccount))
}

/** Counts the sessions that a view names, for its connection and its account. Done after each request, which may have changed it. */
export function weigh(connection: Connection, id: string): void {
  const view = connection.views.get(id)
  if (view !== undefined && view !== IN_STEP) setWeight(connection, view, weightOf(view))
}

function weightOf(view: View): number {
  const { confirmed, assumed, claims, lost, until, corrected, gaps, frozen, proven, dependencies } = view
  // What is assumed contains what is confirmed, and what is claimed often is the very same.
  let weight = Math.max(confirmed.sessions.size, assumed?.sessions.size ?? 0)
  if (claims !== undefined && claims.sessions !== confirmed.sessions) weight += claims.sessions.size
  if (lost !== undefined && lost !== 'much') weight += lost.sessions.size
  weight += until?.sessions.size ?? 0
  for (const names of [corrected, gaps, frozen, proven, dependencies, view.tooLarge, view.unstorable])
    weight += names?.size ?? 0
  return weight
}

function setWeight(connection: Connection, view: View, weight: number): void {
  const more = weight - view.weight
  connection.viewSessions += more
  if (connection.account !== undefined) connection.account.viewSessions += more
  view.weight = weight
}

function unweigh(connection: Connection, belief: Belief | undefined): void {
  if (belief !== undefined && belief !== IN_STEP) setWeight(connection, belief, 0)
}

export function subscribe(core: Core, connection: Connection, id: string, view: View): View | undefined {
  return hold(core, connection, id, view) ? view : undefined
}

/** Subscribes a peer that holds exactly what is stored; `false` if it may not have more subscriptions. */
export function subscribeInStep(core: Core, connection: Connection, id: string): boolean {
  return hold(core, connection, id, IN_STEP)
}

function hold(core: Core, connection: Connection, id: string, belief: Belief): boolean {
  if (!connection.views.has(id)) {
    if (connection.views.size >= core.limits.subscriptionsMax) return false
    if (connection.account !== undefined) {
      if (connection.account.subscriptions >= core.limits.accountSubscriptionsMax) return false
      connection.account.subscriptions += 1
    }
    addSubscriber(core, connection, id)
  }
  unweigh(connection, connection.views.get(id))
  connection.views.set(id, belief)
  return true
}

/** Replaces what is believed of a peer by what it says it holds. What it is still owed a correction for stays. */
export function replaceBelief(
  core: Core,
  connection: Connection,
  holding: Holding,
  claim: KnownState,
): View | undefined {
  const old = viewOf(connection, holding.id, durable(holding))
  if (old === undefined) return subscribe(core, connection, holding.id, createView(claim, claim))
  // In mid-stream it may claim the announced end, where its dialect does that: the cursor is lowered, never raised past what was sent.
  const isAnnounced = connection.traits.claimsStreams && old.streaming
  const believed = isAnnounced && old.assumed !== undefined ? lower(claim, old.assumed) : claim
  Object.assign(old, {
    mayHold: false,
    confirmed: believed,
    assumed: believed,
    exact: false,
    claims: undefined,
    corrected: undefined,
    probe: undefined,
    withheld: false,
    // Who lacks the document may lack by now what it names, or what it names may have come since (L9).
    dependencies: claim.header || isWaiting(old) ? old.dependencies : undefined,
  })
  // Nor has it any more what was too large to be stored.
  if (!claim.header) forgetUnstorable(old, [HEADER])
  return old
}

const isWaiting = ({ dependencies }: View): boolean => dependencies !== undefined && dependencies.size > 0

/** Adds to what is believed of a peer. */
export function confirm(view: View, known: KnownState): void {
  const assumed = view.assumed
  view.confirmed = union(view.confirmed, known)
  view.assumed = assumed === undefined ? view.confirmed : union(assumed, known)
  // What it holds beyond what was sent may be more than what is stored.
  if (view.assumed !== assumed) view.exact = false
}

/** What was too large for the storage is so no longer. */
export function forgetUnstorable(view: View, names: readonly string[]): void {
  if (view.unstorable === undefined) return
  for (const name of names) view.unstorable.delete(name)
  if (view.unstorable.size === 0) view.unstorable = undefined
}

/** Believes no longer that a peer holds what it sent. */
export function takeBack(view: View, content: Content): void {
  const back = (known: KnownState): KnownState => {
    const sessions = new Map(known.sessions)
    for (const { session, after } of content.runs)
      if ((sessions.get(session) ?? 0) > after) sessions.set(session, after)
    return { header: known.header && content.header === undefined, sessions }
  }
  view.confirmed = back(view.confirmed)
  if (view.assumed !== undefined) view.assumed = back(view.assumed)
}

/** It is to be told what became of what it sent. */
function isOwed({ corrected }: View): boolean {
  if (corrected === undefined) return false
  for (const { owed } of corrected.values()) if (owed) return true
  return false
}

/** Turns a view that says nothing beyond what is stored into the marker. */
export function settleView(connection: Connection, id: string, view: View): void {
  if (!view.exact || view.sending || view.assumed === undefined || !covers(view.confirmed, view.assumed)) return
  if (
    !view.readable ||
    view.rival ||
    view.mayHold ||
    view.toProbe ||
    view.probe !== undefined ||
    view.claims !== undefined ||
    view.until !== undefined ||
    view.frozen !== undefined ||
    view.tooLarge !== undefined ||
    view.unstorable !== undefined ||
    view.proven !== undefined ||
    view.refused ||
    view.withheld ||
    view.gaps !== undefined ||
    isOwed(view)
  )
    return
  if (connection.views.get(id) !== view) return
  unweigh(connection, view)
  connection.views.set(id, IN_STEP)
}

/**
 * Notes whether what a peer is assumed to hold is exactly what is stored: nothing to send, nothing claimed beyond. A part of what is stored
 * says nothing of that.
 */
export function markExact(view: View, holding: Holding): void {
  // An erased document covers every claim: what a peer has of it beyond that is owed to nobody.
  if (holding.stored?.erased !== undefined && view.assumed !== undefined) {
    view.confirmed = lower(view.confirmed, durable(holding))
    view.assumed = lower(view.assumed, durable(holding))
  }
  const isWhole = holding.stored?.partial !== true
  view.exact = isWhole && view.assumed !== undefined && equals(view.assumed, durable(holding))
}

export function unsubscribe(core: Core, connection: Connection, id: string): void {
  unweigh(connection, connection.views.get(id))
  if (!connection.views.delete(id)) return
  if (connection.account !== undefined) connection.account.subscriptions -= 1
  const subscribers = core.subscribers.get(id)
  if (subscribers === connection) core.subscribers.delete(id)
  else if (subscribers instanceof Set) {
    subscribers.delete(connection)
    const [last] = subscribers
    if (subscribers.size === 1 && last !== undefined) core.subscribers.set(id, last)
  }
}

export function subscribersOf(core: Core, id: string): readonly Connection[] {
  const subscribers = core.subscribers.get(id)
  if (subscribers === undefined) return []
  return subscribers instanceof Set ? [...subscribers] : [subscribers]
}

/**
 * Whether anybody but upstreams wants to hear of a document, or the shell does. `from` does not count: two servers may be each other's
 * upstream, and what each wants for the other alone nobody wants (L10).
 */
export function isWanted(core: Core, id: string, from?: Connection): boolean {
  const counts = (connection: Connection) => !connection.traits.upstream && !isSamePeer(connection, from)
  return core.wanted.has(id) || subscribersOf(core, id).some(counts)
}

/** Two connections with one node, as far as it says who it is. */
export function isSamePeer(one: Connection, other: Connection | undefined): boolean {
  return one.peer !== undefined && one.peer === other?.peer
}

function addSubscriber(core: Core, connection: Connection, id: string): void {
  const subscribers = core.subscribers.get(id)
  if (subscribers === undefined) core.subscribers.set(id, connection)
  else if (subscribers instanceof Set) subscribers.add(connection)
  else core.subscribers.set(id, new Set([subscribers, connection]))
}

/** What both hold. */
export function lower(a: KnownState, b: KnownState): KnownState {
  const sessions = new Map<string, number>()
  for (const [session, value] of a.sessions) {
    const least = Math.min(value, b.sessions.get(session) ?? 0)
    if (least > 0) sessions.set(session, least)
  }
  return { header: a.header && b.header, sessions }
}
