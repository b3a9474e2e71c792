/**
 * Senders: one per connection and document, driven by its cursor (what the peer is assumed to hold).
 *
 * Growth only marks a sender ready. When its connection has room it reads the next page after its cursor, hands it to the
 * socket and moves the cursor; content is never queued as messages, so a slow peer costs a cursor, and a live push and a
 * stream are the same thing. One page is read per connection at a time.
 * L8: pages end at seals (the storage's part). L9: dependencies leave first (`dependencies.ts`).
 * Not here: what a peer is believed to hold (`views.ts`).
 */

import { covers, EMPTY, type KnownState, union } from '@tidemark/known-state'
import { type Content, type ContentMessage, contentWeight, type Run } from '@tidemark/protocol'
import type { Page } from '@tidemark/storage'
import { askForClaim, sendKnown, tellable, told } from './claims.ts'
import { reportConfirmed } from './confirmations.ts'
import {
  type Connection,
  type Core,
  emit,
  type Holding,
  IN_STEP,
  type Request,
  report,
  send,
  ticket,
  type View,
} from './core.ts'
import { dependenciesFirst, dependencyDone } from './dependencies.ts'
import type { Outcome } from './events.ts'
import { durable, guard, relax } from './holdings.ts'
import { enter, tellsItself } from './lanes.ts'
import { endIfUnwanted } from './on-done.ts'
import { probeClaim } from './probes.ts'
import { enterLater, otherKind, refuseLoad } from './refusals.ts'
import { codeOf } from './storage-codes.ts'
import { awaitsHello, fits, fitting, pageBytesFor } from './too-large.ts'
import { markExact, settleView, viewOf } from './views.ts'

/** Something may have to be sent: the sender runs when its connection has room. */
export function markReady(core: Core, connection: Connection, holding: Holding, view: View): void {
  view.exact = false
  if (!view.sending) {
    view.sending = true
    holding.pins += 1
  }
  queueOf(connection, holding).add(holding.id)
  pump(core, connection)
}

/** Lets senders of a connection run while it has room. */
export function pump(core: Core, connection: Connection): void {
  while (connection.room && connection.reading === undefined) {
    const id = nextReady(connection)
    if (id === undefined) return
    const holding = core.holdings.get(id)
    const view = connection.views.get(id)
    if (holding !== undefined && view !== undefined && view !== IN_STEP) step(core, connection, holding, view)
  }
}

/**
 * What is stored and may be sent: without the sessions that this peer forked (L13), or cannot take. A read passes over them as well: what
 * must not be sent is not read, and what is wanted here says when there is nothing left to read.
 */
export function wanted(holding: Holding, view: View): KnownState {
  const stored = durable(holding)
  if (!passesOver(view)) return stored
  const { frozen, tooLarge } = view
  const isSent = (session: string) => !frozen?.has(session) && !tooLarge?.has(session)
  return { header: stored.header, sessions: new Map([...stored.sessions].filter(([session]) => isSent(session))) }
}

const passesOver = ({ frozen, tooLarge }: View): boolean => frozen !== undefined || tooLarge !== undefined

function step(core: Core, connection: Connection, holding: Holding, view: View): void {
  // A document whose dependency is still to come is forwarded when it came, or after a while.
  if (holding.awaits !== undefined && !view.loads) return
  const cursor = view.assumed
  if (cursor === undefined || !view.readable || view.rival || !canCarry(connection, holding)) {
    finish(core, connection, holding, view)
    return
  }
  if (covers(cursor, wanted(holding, view))) {
    complete(core, connection, holding, view)
    return
  }
  const { recent } = holding
  const bytesMax = pageBytesFor(core, connection)
  if (recent !== undefined && recent.weight <= bytesMax && !passesOver(view) && continues(recent.message, cursor)) {
    deliver(core, connection, holding, view, recent.message)
    return
  }
  const frozen = view.frozen?.size ?? 0
  connection.reading = { id: holding.id, ticket: ticket(core), after: cursor, frozen, passesOver: passesOver(view) }
  emit(core, {
    type: 'page',
    connection: connection.id,
    ticket: connection.reading.ticket,
    id: holding.id,
    after: passOver(holding, view, cursor),
    bytesMax,
  })
}

/** The storage answered with a page, or failed to. */
export function onPaged(core: Core, connection: Connection, number: number, outcome: Outcome<Page | undefined>): void {
  const { reading } = connection
  if (reading?.ticket !== number) return
  connection.reading = undefined
  const holding = core.holdings.get(reading.id)
  const view = connection.views.get(reading.id)
  if (holding !== undefined && view !== undefined && view !== IN_STEP && view.sending) {
    if ('failed' in outcome) pageFailed(core, connection, holding, view, outcome.failed)
    // The cursor was moved while the page was read (a LOAD, a correction): the page is read again from where it is now. So it is where a
    // session was found to have two histories meanwhile (L13).
    else if (view.assumed !== reading.after || (view.frozen?.size ?? 0) !== reading.frozen)
      markReady(core, connection, holding, view)
    else if (outcome.value === undefined || isEmpty(outcome.value)) finish(core, connection, holding, view)
    else deliverFitting(core, connection, holding, view, outcome.value, reading.passesOver)
  }
  pump(core, connection)
}

/** Sends what its peer takes of a page. A document whose header it does not take is not sent to it at all. */
function deliverFitting(
  core: Core,
  connection: Connection,
  holding: Holding,
  view: View,
  page: Page,
  isPart: boolean,
): void {
  const { id } = holding
  // What a storage only guessed of the document, its page says.
  if (!connection.traits.kinds.includes(page.kind)) {
    endReading(core, connection, id)
    return refuseLoad(core, connection, id, otherKind(page.kind))
  }
  const headerBytes = page.header?.length ?? 0
  if (!fits(connection, headerBytes)) {
    if (awaitsHello(connection, view)) return putOffHeader(core, connection, id, view)
    endReading(core, connection, id)
    return refuseLoad(core, connection, id, { code: 'tooLarge', message: 'the header is more than this peer takes' })
  }
  const message = asMessage(page)
  const part = fitting(core, connection, holding, view, message)
  // The storage said where such a page ends: by that very state it knows where the next one begins.
  const end = part === message && !isPart && !passesOver(view) ? page.end : undefined
  if (!isEmpty(part)) deliver(core, connection, holding, view, part, end)
  else {
    // What was passed over is passed over by the next page: in its turn, as if it had been sent.
    connection.room = false
    emit(core, { type: 'passed', connection: connection.id, bytes: contentWeight(message) })
    markReady(core, connection, holding, view)
  }
}

/** It may be sent once its peer says how much it takes; who asked for it is told, and nothing waits for what may never come (L9). */
function putOffHeader(core: Core, connection: Connection, id: string, { loads }: View): void {
  stopSender(core, connection, id)
  const message = 'the header is more than every peer takes, and this one has not said in a hello that it takes more'
  if (loads) refuseLoad(core, connection, id, { code: 'tooLarge', message })
}

/** Sends one page, its dependencies first, and moves the cursor past it. */
function deliver(
  core: Core,
  connection: Connection,
  holding: Holding,
  view: View,
  page: ContentMessage,
  end?: KnownState,
): void {
  // A LOAD or a correction of its own that waits says better what it lacks; between us and the application nothing is on its way.
  if (!view.streaming && !connection.traits.local && tellsItself(holding, connection)) {
    stop(holding, view)
    return enter(core, connection, holding.id, { action: 'resend' })
  }
  if (page.header !== undefined && !dependenciesFirst(core, connection, holding, view, page)) return
  const cursor = end ?? union(view.assumed as KnownState, endOf(page))
  const target = wanted(holding, view)
  const more = !covers(cursor, target)
  // A document of one page is not a stream: nobody could tell later that it was cut.
  const isStream = holding.stored?.paged === true || !connection.traits.claimsStreams
  const announced = more && isStream && !view.streaming ? { ...page, expectUntil: target } : page
  send(core, connection, announced)
  view.assumed = cursor
  view.failures = 0
  // The application has what it was given: there is no wire between.
  if (connection.traits.local) view.confirmed = cursor
  if (!more) return complete(core, connection, holding, view)
  view.streaming = true
  queueOf(connection, holding).add(holding.id)
}

/** Goes on with a page after its dependencies were looked at, or starts again if the cursor moved, or a session was frozen meanwhile. */
export function deliverLater(
  core: Core,
  connection: Connection,
  holding: Holding,
  view: View,
  page: ContentMessage,
): void {
  const isForked = page.runs.some(({ session }) => view.frozen?.has(session))
  if (!isForked && continues(page, view.assumed as KnownState)) deliver(core, connection, holding, view, page)
  else markReady(core, connection, holding, view)
}

/**
 * All that is sent was sent. What was announced and is passed over does not come: a KNOWN behind the last page says that this was all, also
 * where an announcement would have had no room.
 */
function complete(core: Core, connection: Connection, holding: Holding, view: View): void {
  const isShort = view.streaming && view.tooLarge !== undefined && view.tooLarge.size > 0
  if (isShort) sendKnown(core, connection, holding)
  finish(core, connection, holding, view)
}

function finish(core: Core, connection: Connection, holding: Holding, view: View): void {
  if (view.streaming || view.loads) tellErased(core, connection, holding)
  stop(holding, view)
  askForClaim(core, connection, holding, view)
  probeClaim(core, connection, holding, view)
  markExact(view, holding)
  settleView(connection, holding.id, view)
  // Who was asked for it and has not answered was sent nothing: what depends on it waits for the push (`dependencies.ts`).
  if (view.assumed !== undefined) dependencyDone(core, connection, holding.id)
  if (view.leaves) {
    view.leaves = false
    endIfUnwanted(core, connection, holding.id)
  }
  relax(core, holding)
}

/**
 * An application that was told of more of an erased document than comes now waits for that no longer. What it is writing stands: an erased
 * document takes that. A peer asks again.
 */
export function tellErased(core: Core, connection: Connection, holding: Holding): void {
  if (!connection.traits.local || holding.stored?.erased === undefined) return
  const { known, ...digests } = told(connection, holding, tellable(connection, holding))
  const sessions = new Map(known.sessions)
  for (const { session, after } of writtenBy(connection, holding))
    if (after > (sessions.get(session) ?? 0)) sessions.set(session, after)
  const { header } = known
  send(core, connection, { action: 'known', id: holding.id, ...digests, known: { header, sessions }, correction: true })
}

/** What a connection sent that is not stored yet. */
function writtenBy(connection: Connection, holding: Holding): readonly Run[] {
  const accepted = [...holding.pendings].filter(({ request }) => request.connection === connection)
  const parked = holding.lanes.get(connection)?.requests ?? []
  return [
    ...accepted.flatMap(({ content }) => content.runs),
    ...parked.flatMap(({ work }) => (work.action === 'content' ? work.runs : [])),
  ]
}

function stop(holding: Holding, view: View): void {
  view.streaming = false
  view.loads = false
  if (!view.sending) return
  view.sending = false
  holding.pins -= 1
}

/** Ends a sender whose subscription ends. */
export function stopSender(core: Core, connection: Connection, id: string): void {
  const view = connection.views.get(id)
  const holding = core.holdings.get(id)
  if (view === undefined || view === IN_STEP || !view.sending || holding === undefined) return
  for (const queue of connection.ready) queue.delete(id)
  stop(holding, view)
  dependencyDone(core, connection, id)
  relax(core, holding)
}

/** Who may not read any more is sent nothing more; what it may write is still heard. */
export function endReading(core: Core, connection: Connection, id: string): void {
  const view = viewOf(connection, id, EMPTY)
  if (view === undefined) return
  view.readable = false
  view.claims = undefined
  stopSender(core, connection, id)
}

function pageFailed(core: Core, connection: Connection, holding: Holding, view: View, cause: unknown): void {
  const code = codeOf(cause)
  report(core, { kind: 'storage', operation: 'page', id: holding.id, code, cause })
  view.failures += 1
  const waitMs = core.limits.lookBackoffMs * 2 ** view.failures
  // What is damaged stays damaged; what may pass is tried again for as long as a look-up would be.
  if (code === 'CORRUPT' || waitMs > core.limits.lookTriesMs) {
    view.failures = 0
    refuseLoad(core, connection, holding.id, { code: 'failed', message: 'the document could not be read' })
    finish(core, connection, holding, view)
    // Nobody may ask again: of an upload its receiver knows nothing yet. An application that was told may.
    if (code !== 'CORRUPT' && !connection.traits.local) enterLater(core, connection, holding.id, { action: 'resend' })
    return
  }
  core.deadlines.add(core.now + waitMs, () => {
    if (view.sending && connection.views.get(holding.id) === view) markReady(core, connection, holding, view)
  })
}

/** A document could not be read for a while: what is left of it is sent now. */
export function onResend(core: Core, request: Request): void {
  const { connection, id } = request
  const holding = guard(core, request)
  if (holding === undefined) return
  connection.unheard.delete(id)
  const view = connection.views.get(id)
  if (view === undefined || view === IN_STEP) dependencyDone(core, connection, id)
  else if (!view.sending) markReady(core, connection, holding, view)
  if (connection.traits.upstream) reportConfirmed(core, connection, id)
}

/** What a peer holds after it received a content. */
export function endOf(content: Content): KnownState {
  const sessions = new Map<string, number>()
  for (const run of content.runs) {
    const end = run.after + run.transactions.length
    if (end > 0) sessions.set(run.session, end)
  }
  return { header: content.header !== undefined, sessions }
}

/** Whether a content begins exactly at a cursor: nothing left out, nothing sent twice. */
function continues(content: Content, cursor: KnownState): boolean {
  if ((content.header !== undefined) === cursor.header) return false
  return content.runs.every((run) => run.after === (cursor.sessions.get(run.session) ?? 0))
}

function isEmpty(page: Content): boolean {
  return page.header === undefined && page.runs.length === 0
}

function asMessage({ id, kind, priority, header, runs }: Page): ContentMessage {
  return { action: 'content', id, kind, priority, ...(header !== undefined && { header }), runs }
}

/** A cursor that lets a read pass over sessions that are not sent. */
function passOver(holding: Holding, view: View, cursor: KnownState): KnownState {
  if (!passesOver(view)) return cursor
  const stored = durable(holding)
  const passed = [...(view.frozen ?? []), ...(view.tooLarge ?? [])]
  const ends = passed.map((session) => [session, stored.sessions.get(session) ?? 0] as const)
  return union(cursor, { header: false, sessions: new Map(ends) })
}

function canCarry(connection: Connection, holding: Holding): boolean {
  return holding.stored === undefined || connection.traits.kinds.includes(holding.stored.kind)
}

function queueOf(connection: Connection, holding: Holding): Set<string> {
  const priority = holding.stored?.priority ?? 3
  return connection.ready[priority === 0 ? 0 : priority === 3 ? 1 : 2]
}

function nextReady(connection: Connection): string | undefined {
  for (const queue of connection.ready) {
    for (const id of queue) {
      queue.delete(id)
      return id
    }
  }
  return undefined
}
