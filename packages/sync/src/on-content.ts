/**
 * CONTENT: new transactions. What continues what we accepted is stored, acknowledged, then forwarded; what leaves a gap is corrected.
 *
 * A cold document is merged against what the storage holds of it, never against memory alone (seed 001, US-2). Overlaps are passed
 * on whole: the storage compares them (L13). L4: continuity is judged against what was accepted, not only what is durable.
 * Not here: appending and acknowledging (`appends.ts`).
 */
import { EMPTY, type KnownState, union } from '@tidemark/known-state'
import type { ContentMessage, Run } from '@tidemark/protocol'
import type { Append } from '@tidemark/storage'
import { accept } from './appends.ts'
import { allowed, asked, permitted } from './checks.ts'
import { sendKnown, tellable } from './claims.ts'
import { askForProof, noteProven, partByProof } from './continuity.ts'
import { type Connection, type Core, type Holding, type Request, ticket, type View } from './core.ts'
import { correctGaps, HEADER, refusedUnjudged } from './corrections.ts'
import { needDependencies } from './dependencies.ts'
import { sendRest } from './forward.ts'
import { durable, guard, isAbsent } from './holdings.ts'
import { enter } from './lanes.ts'
import { crossedDone } from './on-done.ts'
import { OTHER_HEADER, otherKind, type Refusal, refuseContent, tooManyDocuments, tooManySessions } from './refusals.ts'
import { endOf, wanted } from './senders.ts'
import { ahead, isVerified, REFUSED, UNVERIFIED, verified } from './verification.ts'
import { confirm, createView, subscribedView } from './views.ts'
import { notePage } from './window.ts'

export function onContent(core: Core, request: Request, message: ContentMessage): void {
  const { connection, id } = request
  const mayWrite = allowed(core, request, 'write')
  if (mayWrite === undefined) return
  if (!permitted(core, request, 'write')) return enter(core, connection, id, { action: 'follow' })
  const mayRead = allowed(core, request, 'read')
  if (mayRead === undefined) return
  const holding = guard(core, request)
  if (holding === undefined) return
  if (holding.stored !== undefined && !holding.stored.guessed && holding.stored.kind !== message.kind)
    return refuseContent(core, connection, id, otherKind(holding.stored.kind))
  const belief = connection.views.get(id)
  if (typeof belief === 'object' && belief.rival) return refuseContent(core, connection, id, OTHER_HEADER)
  const counts = countsOf(core, holding, connection)
  const { continuing, gaps, crowded } = split(core, holding, counts, belief, message)
  const { proven, unproven } = partByProof(core, connection, holding, continuing)
  const judged = verified(core, request, holding, proven)
  if (judged === undefined) return
  const { content, refusal } = judged
  const facts = learn(core, request, holding, content)
  if (facts === undefined) return
  // What crossed our DONE is stored and acknowledged, and subscribes to nothing.
  const view = crossedDone(core, connection, id) ? createView(EMPTY, EMPTY) : subscribedView(core, connection, holding)
  if (view === undefined) return refuseContent(core, connection, id, tooManyDocuments(core))
  view.readable = mayRead
  view.mayHold = connection.traits.upstream && isAbsent(holding) && message.header === undefined
  notePage(core, connection, id, view, union(view.confirmed, endOf(message)), message.expectUntil)
  if (refusal === UNVERIFIED) refusedUnjudged(core, request, message, refusal)
  else if (refusal !== undefined) refuseContent(core, connection, id, refusal)
  if (crowded) refuseContent(core, connection, id, tooManySessions(core))
  if (content.kind === 'json') noteProven(core, view, content.runs)
  const taken = take(core, request, holding, view, content, facts, basisOf(core, connection, counts, content))
  if (!taken && (refusal === REFUSED || crowded)) {
    // Who sent what was refused is subscribed all the same, and may lack the rest. Its header is compared by sending ours.
    confirm(view, { header: message.header === undefined, sessions: EMPTY.sessions })
    sendRest(core, connection, holding)
  }
  if (!taken && isFrozen(view, message))
    sendKnown(core, connection, holding, tellable(connection, holding, wanted(holding, view)))
  askForProof(core, connection, holding, view, unproven)
  if (gaps.size > 0) correctGaps(core, connection, holding, view, gaps)
}

type Counts = ReadonlyMap<string, number>

/** What content may continue (L4): what was accepted; where it is verified, only what will be stored before it. */
function countsOf(core: Core, holding: Holding, connection: Connection): Counts {
  return isVerified(core, connection) ? ahead(holding, connection).counts : holding.accepted.sessions
}

/** The part that continues what we hold; the gaps: session → what we hold of it; whether sessions were one too many. */
function split(
  core: Core,
  holding: Holding,
  counts: Counts,
  belief: View | 'in step' | undefined,
  message: ContentMessage,
): { continuing: ContentMessage; gaps: Map<string, number>; crowded: boolean } {
  const gaps = new Map<string, number>()
  let room = core.limits.documentSessionsMax - counts.size
  let crowded = false
  const { frozen } = typeof belief === 'object' ? belief : {}
  // Headerless content for a document that nobody has: a gap with nothing held.
  if (isAbsent(holding) && message.header === undefined) {
    for (const { session } of message.runs) gaps.set(session, 0)
    if (gaps.size === 0) gaps.set(HEADER, 0)
    return { continuing: { ...message, runs: [] }, gaps, crowded }
  }
  const runs = message.runs.filter((run) => {
    // L13. The digest of bytes would show the other history in the storage; JSON has none, and goes on from wherever it ends.
    if (frozen?.has(run.session)) return false
    if (holding.stored?.erased !== undefined) return true
    const have = counts.get(run.session)
    // A new session is refused where there are too many, never the document.
    if (have === undefined && hasTransactions(run) && --room < 0) {
      crowded = true
      return false
    }
    if (run.after <= (have ?? 0)) return true
    gaps.set(run.session, have ?? 0)
    return false
  })
  return { continuing: runs.length === message.runs.length ? message : { ...message, runs }, gaps, crowded }
}

/** L13: of all of it nothing is taken on this connection. It is answered like any other content, and acknowledged by nothing that names it. */
function isFrozen({ frozen }: View, { header, runs }: ContentMessage): boolean {
  return header === undefined && runs.length > 0 && runs.every(({ session }) => frozen?.has(session))
}

interface Facts {
  readonly dependencies: readonly string[]
  readonly tombstones: readonly string[]
}

const UNJUDGED: Refusal = { code: 'failed', message: 'the content could not be judged' }

/** What the application knows of new sessions and headers; `undefined` if the request was parked for it, or refused. */
function learn(core: Core, request: Request, holding: Holding, content: ContentMessage & Append): Facts | undefined {
  const asks = core.options.asks
  const sessions = content.runs.filter((run) => !holding.accepted.sessions.has(run.session)).map((run) => run.session)
  const { header } = content
  let dependencies: readonly string[] = []
  let tombstones: readonly string[] = []
  if (asks?.dependencies === true && (header !== undefined || sessions.length > 0)) {
    const answer = asked<readonly string[]>(core, request, 'dependencies', {
      question: 'dependencies',
      id: request.id,
      header,
      sessions,
    })
    if (answer === undefined) return undefined
    if ('value' in answer) dependencies = answer.value
  }
  // Also of sessions that are held already: a tombstone is acted upon when it comes again, if it was not when it came first.
  const begun = holding.stored?.erased === undefined ? content.runs.filter((run) => run.after === 0) : []
  if (asks?.tombstones === true && begun.length > 0) {
    const question = {
      question: 'tombstones',
      id: request.id,
      header,
      sessions: begun.map((run) => run.session),
    } as const
    const answer = asked<readonly string[]>(core, request, 'tombstones', question)
    if (answer === undefined) return undefined
    if ('failed' in answer) {
      refusedUnjudged(core, request, content, UNJUDGED)
      return undefined
    }
    tombstones = answer.value
  }
  return { dependencies, tombstones }
}

/** Accepts what is to be stored; `false` if that is nothing. */
function take(
  core: Core,
  request: Request,
  holding: Holding,
  view: View,
  content: ContentMessage & Append,
  facts: Facts,
  basis: Counts,
): boolean {
  const { connection } = request
  const ends = endOf(content)
  const carries = content.header !== undefined || content.runs.some(hasTransactions)
  if (!carries) {
    // Nothing to store: an empty run asks whether we hold what comes before it.
    const sessions = content.runs.map(({ session }) => session)
    if (sessions.length > 0)
      sendKnown(core, connection, holding, tellable(connection, holding, durable(holding), sessions))
    return false
  }
  const sure = certain(holding, connection, content, ends)
  confirm(view, sure)
  const { action: _action, expectUntil: _expectUntil, ...stored } = content
  accept(core, {
    request,
    holding,
    content: stored,
    tombstones: facts.tombstones,
    ends,
    basis,
    believed: new Set(sure.sessions.keys()),
    order: ticket(core),
    ordered: false,
    waits: false,
    unknown: undefined,
  })
  needDependencies(core, connection, holding, facts.dependencies)
  return true
}

/**
 * What its sender holds for certain. What an application here writes where something stands may be something else: the storage
 * compares them first, and the application is told what stands there like everybody else.
 */
function certain(holding: Holding, { traits }: Connection, content: ContentMessage, ends: KnownState): KnownState {
  if (isAbsent(holding)) return ends
  if (!traits.local) return union(ends, { header: true, sessions: new Map() })
  const { sessions: accepted } = holding.accepted
  const begun = content.runs.filter((run) => run.after >= (accepted.get(run.session) ?? 0))
  return { ...endOf({ ...content, runs: begun }), header: content.header === undefined }
}

/** Verified content relies on everything that it was judged to repeat, other content on what it continues. */
function basisOf(core: Core, connection: Connection, counts: Counts, content: ContentMessage): Counts {
  const verifies = isVerified(core, connection)
  return new Map(content.runs.map(({ session, after }) => [session, verifies ? (counts.get(session) ?? 0) : after]))
}

const hasTransactions = (run: Run): boolean => run.transactions.length > 0
