/**
 * Forwarding: what was stored goes to everybody who is subscribed, by the senders.
 *
 * L11: found by document. The page that was just stored is kept, so that a live push need not read it back.
 * Not here: sending (`senders.ts`).
 */
import { covers, EMPTY, equals, type KnownState, union } from '@tidemark/known-state'
import { type ContentMessage, contentWeight, type Run } from '@tidemark/protocol'
import { EMPTY_DIGEST, RUN_TRANSACTIONS_MAX, type StoredState } from '@tidemark/storage'
import { sendKnown, tellable, tellsDigests } from './claims.ts'
import { type Connection, type Core, type Holding, IN_STEP, type Pending, report, type View } from './core.ts'
import { dependencyArrived } from './dependencies.ts'
import { durable, forget, remember } from './holdings.ts'
import { replay } from './lanes.ts'
import { mergeRuns } from './merge-runs.ts'
import { endOf, markReady, wanted } from './senders.ts'
import { createView, markExact, settleView, subscribe, subscribersOf, viewOf } from './views.ts'
import { keptBytes } from './weights.ts'
import { askPeer, outdate } from './window.ts'

/** More is stored than `before`: lets every subscriber's sender run, and tells upstreams that know nothing of the document yet. The holding must be pinned. */
export function forward(core: Core, holding: Holding, before: KnownState, brought: readonly Pending[]): void {
  report(core, { kind: 'grew', id: holding.id })
  for (const upstream of core.upstreams)
    if (brought.some((pending) => pending.request.connection !== upstream))
      offerUpstream(core, upstream, holding, !before.header)
  const grown = grownSince(holding, before, brought)
  for (const connection of subscribersOf(core, holding.id)) {
    outdate(connection, holding.id)
    const view = viewOf(connection, holding.id, durable(holding))
    if (view === undefined) continue
    compareClaim(core, connection, holding, view, grown, brought)
    markReady(core, connection, holding, view)
  }
  dependencyArrived(core, holding.id)
  replay(core, holding, 'upstream')
}

/** Sessions of which more is durable than before: of those that were brought, or of all where it is not known what came. */
function grownSince(holding: Holding, before: KnownState, brought: readonly Pending[]): Map<string, number> {
  const { sessions } = durable(holding)
  const came = brought.flatMap(({ content }) => content.runs.map(({ session }) => session))
  const grown = new Map<string, number>()
  for (const session of brought.length > 0 ? came : sessions.keys()) {
    const count = sessions.get(session)
    if (count !== undefined && count !== before.sessions.get(session)) grown.set(session, count)
  }
  return grown
}

/**
 * L13: of what a peer said to hold before somebody else brought as much of it, the digest tells whether it is the same. It is sent nothing that
 * would show it. Without a digest that would read as a confirmation, and what it brings itself the storage compares.
 */
function compareClaim(
  core: Core,
  connection: Connection,
  holding: Holding,
  view: View,
  grown: ReadonlyMap<string, number>,
  brought: readonly Pending[],
): void {
  const { confirmed, frozen, rival } = view
  if (connection.traits.local || !tellsDigests(connection, holding)) return
  // Who has another document behind the same name would take it for a confirmation of that.
  if (rival || !confirmed.header) return
  const isClaimed = ([session, count]: readonly [string, number]) =>
    count === confirmed.sessions.get(session) && !frozen?.has(session)
  const claimed = [...grown].filter(isClaimed)
  if (claimed.length === 0) return
  const itsOwn = new Set<string>()
  for (const { request, ends } of [...brought, ...holding.pendings])
    if (request.connection === connection) for (const session of ends.sessions.keys()) itsOwn.add(session)
  const { header } = durable(holding)
  const sessions = new Map(claimed.filter(([session]) => !itsOwn.has(session)))
  if (sessions.size > 0) sendKnown(core, connection, holding, tellable(connection, holding, { header, sessions }))
}

/** Whoever sent what was stored already shows what it holds by that, and may lack the rest. */
export function sendRest(core: Core, connection: Connection, holding: Holding): void {
  const view = connection.views.get(holding.id)
  if (view === undefined || view === IN_STEP || view.assumed === undefined) return
  if (!covers(view.assumed, wanted(holding, view))) return markReady(core, connection, holding, view)
  if (view.sending) return
  markExact(view, holding)
  settleView(connection, holding.id, view)
}

/** What was created here nobody else has: it is sent without asking. Otherwise we ask what is there. */
function offerUpstream(core: Core, upstream: Connection, holding: Holding, isNew: boolean): void {
  if (upstream.views.has(holding.id)) oweIfAsked(core, upstream, holding.id)
  else if (isNew) subscribe(core, upstream, holding.id, createView(EMPTY, EMPTY))
  else {
    core.owed.add(holding.id)
    askPeer(core, upstream, holding.id, 'outbox')
  }
}

/** An upstream that was asked and has not answered is not left before it has what was written meanwhile. */
export function oweIfAsked(core: Core, upstream: Connection, id: string): void {
  const belief = upstream.views.get(id)
  if (typeof belief === 'object' && belief.assumed === undefined) core.owed.add(id)
}

/** Keeps what was just stored as a page, if it is one. */
export function rememberPage(
  core: Core,
  holding: Holding,
  before: StoredState | undefined,
  pendings: readonly Pending[],
): void {
  const known = before?.known ?? EMPTY
  const contents = pendings.map((pending) => pending.content)
  const runs = mergeRuns(
    contents.map((content) => content.runs),
    known,
  )
  const header = contents.find((content) => content.header !== undefined)?.header
  const { id, stored } = holding
  // Of what kind the document is, its storage may not know.
  if (runs === undefined || stored === undefined || stored.guessed) return forget(core, holding)
  const { kind, priority } = stored
  const carriesHeader = !known.header && header !== undefined
  const message: ContentMessage = {
    action: 'content',
    id,
    kind,
    priority,
    ...(carriesHeader && { header }),
    runs: kind === 'bytes' ? withDigests(runs, before) : runs,
  }
  // It has to be all that was added, or it would not be what comes after `before`.
  const count = runs.reduce((sum, { transactions }) => sum + transactions.length, 0)
  const weight = contentWeight(message)
  if (
    weight > core.limits.pageBytes ||
    count > RUN_TRANSACTIONS_MAX ||
    !equals(union(known, endOf(message)), stored.known)
  )
    return forget(core, holding)
  remember(core, holding, { message, weight, bytes: keptBytes(message, stored.known) })
}

/** Every run carries the digest that it continues, whatever its writer sent. */
function withDigests(runs: readonly Run[], before: StoredState | undefined): readonly Run[] {
  return runs.map((run) => ({ ...run, digest: before?.digests.get(run.session) ?? EMPTY_DIGEST }))
}
