/**
 * KNOWN: what a peer holds, as an acknowledgement or an answer; or, as a correction, exactly what it holds.
 *
 * A plain KNOWN only adds to what is believed, may name only some sessions, and is never answered with a correction; a correction
 * replaces the belief (L6). What is missing is judged against what is *assumed*: judged against what is confirmed, everything in
 * flight would be sent again. Not here: sending (`senders.ts`).
 */
import { covers, EMPTY, equals, type KnownState } from '@tidemark/known-state'
import type { Digests, KnownMessage } from '@tidemark/protocol'
import { settleItem } from './batches.ts'
import { allowed } from './checks.ts'
import { sendKnown } from './claims.ts'
import { reportConfirmed } from './confirmations.ts'
import { type Connection, type Core, type Holding, IN_STEP, type Request, type View } from './core.ts'
import { compareDigests } from './forks.ts'
import { durable, guard } from './holdings.ts'
import { replay } from './lanes.ts'
import { crossedDone, endIfUnwanted } from './on-done.ts'
import { probedAgain } from './probes.ts'
import { enterLater } from './refusals.ts'
import { endReading, markReady, wanted } from './senders.ts'
import { confirm, createView, kept, lower, markExact, replaceBelief, settleView, subscribe, viewOf } from './views.ts'
import { freed } from './window.ts'

export function onKnown(core: Core, request: Request, message: KnownMessage): void {
  const { connection, id } = request
  if (!message.correction && (acknowledges(core, connection, id, message) || agrees(core, connection, id, message)))
    return
  // A correction can ask for everything once more, as a LOAD does, and is asked about like one.
  const subscribed = connection.views.has(id)
  const may = subscribed && !message.correction ? true : allowed(core, request, 'read')
  if (may === undefined || (!may && !subscribed)) return
  if (crossedDone(core, connection, id)) return
  const holding = guard(core, request)
  if (holding === undefined) return
  const answersUs = connection.asked.has(id)
  freed(core, connection, id)
  settleItem(core, connection, id)
  if (!may) endReading(core, connection, id)
  const old = viewOf(connection, id, durable(holding))
  if (old !== undefined && old.probe !== undefined && probedAgain(core, connection, holding, old, message)) return
  const view = message.correction
    ? replaceBelief(core, connection, holding, kept(core, connection, holding, undefined, message.known))
    : believe(core, connection, holding, old, message, answersUs)
  if (view === undefined) return
  if (compareDigests(core, connection, holding, view, message)) sendKnown(core, connection, holding)
  reportConfirmed(core, connection, id)
  if (connection.traits.upstream) replay(core, holding, 'upstream')
  goOn(core, connection, holding, view)
}

/** The common case: an acknowledgement of all that was sent, to somebody who was sent all there is. Needs no holding. */
function acknowledges(core: Core, connection: Connection, id: string, message: KnownMessage): boolean {
  const view = connection.views.get(id)
  if (view === undefined || view === IN_STEP || !view.exact || view.probe !== undefined || view.assumed === undefined)
    return false
  if (message.digests !== undefined || connection.asked.has(id) || connection.reconciling.has(id)) return false
  if (!covers(view.assumed, message.known)) return false
  confirm(view, message.known)
  reportConfirmed(core, connection, id)
  settleView(connection, id, view)
  endIfUnwanted(core, connection, id)
  return true
}

/** The usual answer to a LOAD of ours: the peer holds exactly what is stored here. Needs no holding, so nothing is looked up. */
function agrees(core: Core, connection: Connection, id: string, { known, digests }: KnownMessage): boolean {
  const said = connection.asked.get(id)?.said
  const view = connection.views.get(id)
  if (said === undefined || core.holdings.has(id) || !equals(said.known, known) || differ(said.digests, digests))
    return false
  if (view === undefined || view === IN_STEP || view.assumed !== undefined) return false
  confirm(view, known)
  view.exact = true
  freed(core, connection, id)
  settleItem(core, connection, id)
  reportConfirmed(core, connection, id)
  settleView(connection, id, view)
  endIfUnwanted(core, connection, id)
  return true
}

function differ(ours: Digests | undefined, theirs: Digests | undefined): boolean {
  return [...(theirs ?? [])].some(([session, digest]) => ours?.get(session) !== digest)
}

function believe(
  core: Core,
  connection: Connection,
  holding: Holding,
  old: View | undefined,
  message: KnownMessage,
  answersUs: boolean,
): View | undefined {
  const known = kept(core, connection, holding, old, message.known)
  if (old === undefined) return subscribe(core, connection, holding.id, createView(known, known))
  old.mayHold = false
  // An answer to a LOAD of ours may, in mid-stream, claim the announced end: believed is what it holds of what was sent.
  const clamped = answersUs && connection.traits.claimsStreams && old.streaming && old.assumed !== undefined
  confirm(old, clamped ? lower(known, old.assumed as KnownState) : known)
  return old
}

/** The storage could not be read: what the peer said is believed, and what follows from it is done later, once for all that it says meanwhile. */
export function knownUnread(core: Core, request: Request, message: KnownMessage): void {
  const { connection, id } = request
  const holding = core.holdings.get(id)
  if (holding === undefined || !connection.views.has(id)) return
  freed(core, connection, id)
  settleItem(core, connection, id)
  // Who is in step holds all there was: what it acknowledges is no news.
  if (!message.correction && connection.views.get(id) === IN_STEP) return
  const known = kept(core, connection, holding, undefined, message.known)
  if (message.correction) {
    if (allowed(core, request, 'read') !== true) endReading(core, connection, id)
    replaceBelief(core, connection, holding, known)
  } else believe(core, connection, holding, viewOf(connection, id, EMPTY), message, true)
  if (connection.unheard.has(id)) return
  connection.unheard.add(id)
  enterLater(core, connection, id, { action: 'resend' })
}

function goOn(core: Core, connection: Connection, holding: Holding, view: View): void {
  if (view.sending || !covers(view.assumed ?? durable(holding), wanted(holding, view))) {
    markReady(core, connection, holding, view)
    return
  }
  markExact(view, holding)
  settleView(connection, holding.id, view)
  endIfUnwanted(core, connection, holding.id)
}
