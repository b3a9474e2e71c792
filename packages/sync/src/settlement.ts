/**
 * Settlement: what became of a batch.
 *
 * L3: what is durable is acknowledged, and only then forwarded. L2: a rejected batch means that the outcome is unknown: the
 * storage is looked at again before anything is said.
 * Not here: the batch (`appends.ts`), who is sent what was stored (`forward.ts`).
 */
import { covers, EMPTY, type KnownState, union } from '@tidemark/known-state'
import type { Content } from '@tidemark/protocol'
import type { AppendResult, StorageErrorCode, StoredState } from '@tidemark/storage'
import { believeOwn, dropQueued, enqueueWaiting, gather, recount } from './appends.ts'
import { settleItem } from './batches.ts'
import { allowed } from './checks.ts'
import { sendKnown, tellable, tellsDigests } from './claims.ts'
import { reportConfirmed } from './confirmations.ts'
import { type Connection, type Core, type Holding, IN_STEP, type Pending, report, type View } from './core.ts'
import {
  clearRefusal,
  correctCut,
  correctGaps,
  HEADER,
  refusedByStorage,
  settleCut,
  settleGaps,
} from './corrections.ts'
import { erase } from './erasures.ts'
import type { Outcome } from './events.ts'
import { freeze } from './forks.ts'
import { forward, oweIfAsked, rememberPage, sendRest } from './forward.ts'
import { acknowledgeable, durable, forget, lookAgain, relax } from './holdings.ts'
import { REQUEST_BYTES, replay } from './lanes.ts'
import { endIfUnwanted } from './on-done.ts'
import { discharge } from './pools.ts'
import { OTHER_HEADER, refuseContent } from './refusals.ts'
import { codeOf } from './storage-codes.ts'
import { confirm, forgetUnstorable, markExact, subscribersOf, takeBack, viewOf } from './views.ts'

type Taken = Exclude<AppendResult, { failed: unknown }>

export function onAppended(core: Core, outcome: Outcome<readonly AppendResult[]>): void {
  const batch = core.appends.inFlight ?? []
  core.appends.inFlight = undefined
  const documents = groupByHolding(batch)
  // Each is needed until the last of its subscribers was looked at, also when the first of them needs nothing.
  for (const holding of documents.keys()) holding.pins += 1
  if ('failed' in outcome) appendRejected(core, documents, outcome.failed)
  else settleBatch(core, documents, batch, outcome.value)
  for (const holding of documents.keys()) {
    if (holding.looked) replay(core, holding, 'append')
    holding.pins -= 1
    relax(core, holding)
  }
  gather(core)
}

function groupByHolding(batch: readonly Pending[]): Map<Holding, Pending[]> {
  const groups = new Map<Holding, Pending[]>()
  for (const pending of batch) {
    const group = groups.get(pending.holding)
    if (group === undefined) groups.set(pending.holding, [pending])
    else group.push(pending)
  }
  return groups
}

/** L3: store, then acknowledge, then forward. */
function settleBatch(
  core: Core,
  documents: ReadonlyMap<Holding, Pending[]>,
  batch: readonly Pending[],
  results: readonly AppendResult[],
): void {
  const byPending = new Map(batch.map((pending, index) => [pending, results[index] as AppendResult]))
  const next = [...documents].map(([holding, pendings]) => settleDocument(core, holding, pendings, byPending))
  for (const forwardDocument of next) forwardDocument()
}

/** Notes and acknowledges what became of one document's contents; answers what is left to do: forwarding it. */
function settleDocument(
  core: Core,
  holding: Holding,
  pendings: readonly Pending[],
  results: ReadonlyMap<Pending, AppendResult>,
): () => void {
  const before = holding.stored
  const taken: Pending[] = []
  const refused = new Set<string>()
  let whole = true
  for (const pending of pendings) {
    const result = results.get(pending) as AppendResult
    release(core, pending)
    if ('failed' in result) {
      whole = false
      report(core, { kind: 'storage', operation: 'append', id: holding.id, code: result.failed, cause: result.cause })
      failedContent(core, pending, before, result.failed)
      for (const { session } of pending.content.runs) refused.add(session)
      continue
    }
    if (result.state !== undefined && !isOutdated(holding, result.state)) holding.stored = result.state
    for (const session of result.refused.keys()) refused.add(session)
    if (result.refused.size > 0 || result.headerRefused !== undefined) {
      whole = false
      refusedContent(core, pending, before, result)
    } else compared(pending, before)
    noteStorable(pending, result)
    taken.push(pending)
  }
  dropRefused(core, holding, before, refused)
  // What is being looked up is older than what was just stored.
  if (!holding.looked) lookAgain(core, holding)
  return settled(core, holding, before, { pendings, taken, whole })
}

/** An erasure that was answered before the append came after it on the disk: nothing undoes an erasure. */
const isOutdated = ({ stored }: Holding, state: StoredState): boolean =>
  stored?.erased !== undefined && state.erased === undefined

interface Settled {
  readonly pendings: readonly Pending[]
  /** Those that are stored, if only in part. */
  readonly taken: readonly Pending[]
  /** Nothing of them was refused. */
  readonly whole: boolean
}

/** Acknowledges; answers what comes after all acknowledgements. */
function settled(
  core: Core,
  holding: Holding,
  before: StoredState | undefined,
  { pendings, taken, whole }: Settled,
): () => void {
  acknowledge(core, holding, taken)
  settleGaps(core, holding)
  const old = before?.known ?? EMPTY
  const grew = !covers(old, durable(holding))
  // Who was in step was so with what was stored before. Once something is sent, there may be new markers, which mean what is stored now.
  if (grew) for (const connection of subscribersOf(core, holding.id)) viewOf(connection, holding.id, old)
  if (grew && whole) rememberPage(core, holding, before, taken)
  else if (grew) forget(core, holding)
  return () => {
    if (grew) forward(core, holding, old, taken)
    // Also what was not stored said what its sender holds.
    for (const connection of new Set(pendings.map(({ request }) => request.connection))) {
      if (!grew) sendRest(core, connection, holding)
      if (grew && connection.traits.upstream) reportConfirmed(core, connection, holding.id)
      // Nobody may want it any more, and it was not left before this had come.
      endIfUnwanted(core, connection, holding.id)
    }
    // What brought nothing new, of an erased document for instance, is owed no longer where it is confirmed already.
    if (!grew)
      for (const upstream of core.upstreams) {
        if (taken.some(({ request }) => request.connection !== upstream)) oweIfAsked(core, upstream, holding.id)
        reportConfirmed(core, upstream, holding.id)
      }
    erase(core, holding, taken)
  }
}

/** L4: when a session is refused, only that session's queue is dropped, and each of its senders is corrected once. */
function dropRefused(
  core: Core,
  holding: Holding,
  before: StoredState | undefined,
  refused: ReadonlySet<string>,
): void {
  for (const { pending, ends } of dropQueued(holding, refused)) {
    const { connection } = pending.request
    const view = viewOf(connection, holding.id, before?.known ?? EMPTY)
    const gaps = [...refused].map((session) => [session, durable(holding).sessions.get(session) ?? 0] as const)
    if (view !== undefined) correctCut(core, connection, holding, view, ends, new Map(gaps))
  }
  believeOwn(holding, refused, before?.known ?? EMPTY)
  recount(holding)
}

function release(core: Core, pending: Pending): void {
  const { holding, request } = pending
  holding.pendings.delete(pending)
  core.unsettled -= 1
  discharge(core, request.connection, request.bytes + REQUEST_BYTES)
  settleItem(core, request.connection, holding.id)
}

/** One KNOWN per connection for all its contents of this append, naming what they brought. */
function acknowledge(core: Core, holding: Holding, taken: readonly Pending[]): void {
  const acknowledged = new Map<Connection, KnownState>()
  for (const pending of taken) {
    const { connection } = pending.request
    if (isCutOff(pending)) continue
    acknowledged.set(connection, union(acknowledged.get(connection) ?? EMPTY, held(holding, pending)))
  }
  for (const [connection, known] of acknowledged) {
    if (!core.connections.has(connection.id)) continue
    const view = connection.views.get(holding.id)
    const refused = view === undefined || view === IN_STEP ? EMPTY : clearRefusal(view, acknowledgeable(holding))
    const frozen = typeof view === 'object' ? view.frozen : undefined
    if (typeof view === 'object') settleCut(view, known)
    if (known.header) sendKnown(core, connection, holding, union(known, without(refused, frozen)))
  }
}

/** Nothing is left of it: its sender is corrected. */
const isCutOff = ({ content }: Pending): boolean => content.header === undefined && content.runs.length === 0

function without({ header, sessions }: KnownState, left: ReadonlySet<string> = new Set()): KnownState {
  return { header, sessions: new Map([...sessions].filter(([session]) => !left.has(session))) }
}

/** What is durable of the sessions that a content named. L13: of what it forked something else is stored than it brought. */
function held(holding: Holding, pending: Pending): KnownState {
  const { header, sessions: stored } = durable(holding)
  // An erased document covers every claim.
  if (holding.stored?.erased !== undefined) return union(pending.ends, { header, sessions: new Map() })
  const view = pending.request.connection.views.get(holding.id)
  const { rival = false, frozen = undefined, unstorable = undefined } = typeof view === 'object' ? view : {}
  if (rival || unstorable?.has(HEADER)) return EMPTY
  const sessions = new Map<string, number>()
  for (const { session } of pending.content.runs) {
    const have = stored.get(session) ?? 0
    if (have > 0 && !frozen?.has(session)) sessions.set(session, have)
  }
  return { header, sessions }
}

/** What an application here wrote where something stood is what stands there: the storage compared them. */
function compared({ holding, request, ends }: Pending, before: StoredState | undefined): void {
  if (!request.connection.traits.local) return
  const view = viewOf(request.connection, holding.id, before?.known ?? EMPTY)
  if (view !== undefined) confirm(view, ends)
}

/** `before`: what was stored when the marker of a peer in step was set, which is what such a peer holds. */
function refusedContent(core: Core, pending: Pending, before: StoredState | undefined, result: Taken): void {
  const { holding, request } = pending
  const { connection } = request
  const view = viewOf(connection, holding.id, before?.known ?? EMPTY)
  if (result.headerRefused === 'tooLarge') {
    // Whatever comes to stand here has another header, which it is sent.
    if (view !== undefined) takeBack(view, { ...pending.content, runs: [] })
    return tooLarge(core, pending, view, HEADER)
  }
  if (result.headerRefused !== undefined) {
    report(core, { kind: 'fork', connection: connection.id, id: holding.id, sessions: [] })
    if (view !== undefined) view.rival = true
    return refuseContent(core, connection, holding.id, OTHER_HEADER)
  }
  const gaps = new Map<string, number>()
  const forked: string[] = []
  for (const [session, { why, have }] of result.refused) {
    if (why === 'gap') gaps.set(session, have)
    else if (why === 'fork') forked.push(session)
    else if (why === 'tooLarge') tooLarge(core, pending, view, session)
  }
  if (freeze(core, connection, holding, view, forked))
    sendKnown(
      core,
      connection,
      holding,
      tellable(connection, holding, comparable(connection, holding, pending.ends, forked)),
    )
  // Its application has nothing in that place, unless it is what is stored.
  if (view !== undefined && connection.traits.local)
    takeBack(
      view,
      believedOf(pending, (session) => result.refused.has(session)),
    )
  if (gaps.size > 0 && view !== undefined) correctGaps(core, connection, holding, view, gaps)
}

/** L13: of a session that its sender forked a digest shows that, only where the counts are the same. Anything else would read as a confirmation. */
function comparable(connection: Connection, holding: Holding, ends: KnownState, forked: readonly string[]): KnownState {
  const { header, sessions } = durable(holding)
  const isShown = (session: string) =>
    tellsDigests(connection, holding) && sessions.get(session) === ends.sessions.get(session)
  return without({ header, sessions }, new Set(forked.filter((session) => !isShown(session))))
}

/** What its sender was believed to hold because of it: of what it wrote where something stood, nothing. */
function believedOf({ content, believed }: Pending, isRefused = (_session: string) => true): Content {
  return { ...content, runs: content.runs.filter(({ session }) => believed.has(session) && isRefused(session)) }
}

/** The storage will not take it, however often it comes. */
function tooLarge(core: Core, { holding, request }: Pending, view: View | undefined, session: string): void {
  if (view !== undefined && !request.connection.traits.local) {
    view.unstorable ??= new Set()
    view.unstorable.add(session)
  }
  const what = session === HEADER ? 'the header' : `a run of session ${JSON.stringify(session)}`
  refuseContent(core, request.connection, holding.id, {
    code: 'tooLarge',
    message: `${what} is too large to be stored`,
  })
}

/** What was too large fits in smaller pieces, or with another header. */
function noteStorable({ holding, request, content }: Pending, { refused, headerRefused }: Taken): void {
  const view = request.connection.views.get(holding.id)
  if (typeof view !== 'object' || headerRefused !== undefined) return
  const stored = content.runs.map(({ session }) => session).filter((session) => !refused.has(session))
  forgetUnstorable(view, content.header === undefined ? stored : [HEADER, ...stored])
}

/** The storage could not take this content, and nothing of it is stored: its sender still has it. */
function failedContent(
  core: Core,
  pending: Pending,
  before: StoredState | undefined,
  code: StorageErrorCode | undefined,
): void {
  const { holding, request } = pending
  const view = viewOf(request.connection, holding.id, before?.known ?? EMPTY)
  // A peer still has what we refused. The application here does not: its write failed.
  if (view !== undefined && request.connection.traits.local) takeBack(view, believedOf(pending))
  if (view !== undefined) markExact(view, holding)
  refusedByStorage(core, request.connection, holding.id, pending.ends, allowed(core, request, 'read') === true, code)
}

/** L2: all or nothing of each document was stored, and we do not know which. */
function appendRejected(core: Core, documents: ReadonlyMap<Holding, Pending[]>, cause: unknown): void {
  const code = codeOf(cause)
  report(core, { kind: 'storage', operation: 'append', id: undefined, code, cause })
  // What was queued behind it continues what may not be there: it is judged by the same look-up.
  const behind = core.appends.queue.filter((pending) => documents.has(pending.holding))
  core.appends.queue = core.appends.queue.filter((pending) => !documents.has(pending.holding))
  for (const pending of [...[...documents.values()].flat(), ...behind]) pending.unknown = { code }
  for (const holding of documents.keys()) {
    holding.looked = false
    // A look-up that is under way was asked before this append.
    lookAgain(core, holding)
  }
}

/**
 * L13: what an application wrote where something was already is to be compared with it, and counts do not tell whether it was: it is
 * told that it failed. What a peer sends, it holds itself: there digests tell.
 */
function overlapped({ content, request }: Pending, before: StoredState | undefined): boolean {
  if (before === undefined || !request.connection.traits.local) return false
  return (
    content.header !== undefined ||
    content.runs.some(({ session, after }) => (before.known.sessions.get(session) ?? 0) > after)
  )
}

/** The storage was asked again after an unknown outcome. */
export function settleUnknown(core: Core, holding: Holding, before: StoredState | undefined): void {
  const unknown = [...holding.pendings].filter((pending) => pending.unknown !== undefined)
  if (unknown.length === 0) return
  const stored = acknowledgeable(holding)
  const taken: Pending[] = []
  const refused = new Set<string>()
  for (const pending of unknown) {
    release(core, pending)
    const isThere = covers(stored, pending.ends) && !overlapped(pending, before)
    if (isThere || holding.stored?.erased !== undefined) {
      compared(pending, before)
      taken.push(pending)
      continue
    }
    failedContent(core, pending, before, pending.unknown?.code)
    for (const { session } of pending.content.runs) refused.add(session)
  }
  dropRefused(core, holding, before, refused)
  settled(core, holding, before, { pendings: unknown, taken, whole: false })()
  // A tombstone that too few layers stored yet is there all the same, and comes to the others.
  erase(core, holding, unknown)
  enqueueWaiting(core, holding)
}
