/**
 * Refusals: how "no" and "it failed" are said in a dialect.
 *
 * L2: failed is not absent. A dialect with errors says `error`. One without says KNOWN without header for a LOAD that is
 * refused, the plain known state for content that is refused, and nothing for what failed: silence is not a denial.
 * Not here: deciding what is refused.
 */
import { EMPTY } from '@tidemark/known-state'
import type { ErrorCode, PayloadKind } from '@tidemark/protocol'
import { settleItem } from './batches.ts'
import { type Connection, type Core, emit, type Request, report, send, type Work } from './core.ts'
import { refusedUnjudged } from './corrections.ts'
import { askForNeeded, dependencyDone } from './dependencies.ts'
import { enter } from './lanes.ts'
import { knownUnread } from './on-known.ts'
import { createView, subscribe } from './views.ts'
import { askFailed, freed } from './window.ts'

/** Why something was refused, in the words of the protocol. */
export interface Refusal {
  readonly code: ErrorCode
  readonly message: string
  readonly retryAfterMs?: number
}

export function refuseLoad(core: Core, connection: Connection, id: string, refusal: Refusal): void {
  if (sayError(core, connection, id, refusal, 'load')) return
  if (refusal.code !== 'failed') send(core, connection, { action: 'known', id, known: EMPTY, correction: false })
}

export function refuseContent(core: Core, connection: Connection, id: string, refusal: Refusal): void {
  settleItem(core, connection, id)
  freed(core, connection, id)
  if (sayError(core, connection, id, refusal, 'content')) return
  if (refusal.code !== 'failed') enter(core, connection, id, { action: 'tell' })
}

export const otherKind = (kind: PayloadKind): Refusal => ({
  code: 'unsupported',
  message: `the payloads of this document are ${kind}, which was not sent or cannot be carried here`,
})

export const tooManyDocuments = (core: Core): Refusal => ({
  code: 'limit',
  message: `too many documents: at most ${core.limits.subscriptionsMax} per connection and ${core.limits.accountSubscriptionsMax} per user`,
})

export const tooManySessions = (core: Core): Refusal => ({
  code: 'limit',
  message: `too many sessions: at most ${core.limits.documentSessionsMax} of a document; go on in one of them`,
})

export const OTHER_HEADER: Refusal = { code: 'fork', message: 'another header is stored for this document' }

const UNREADABLE: Refusal = { code: 'failed', message: 'the storage could not be read' }

/** Answers, or gives up, a request whose look-up failed for as long as it may. */
export function refuseFailed(core: Core, request: Request): void {
  const { connection, id, work } = request
  switch (work.action) {
    case 'ask':
    // What could not be compared is asked for: saying that it was compared would be a lie.
    case 'compare':
      return askFailed(core, connection, id)
    case 'push':
      return dependencyDone(core, connection, id)
    case 'load':
      // The application is told at once, and given all that comes after what it has once something comes (or once it asks again).
      if (connection.traits.local && !connection.views.has(id))
        subscribe(core, connection, id, createView(work.known, work.known))
      return refuseLoad(core, connection, id, UNREADABLE)
    case 'content':
      return refusedUnjudged(core, request, work, UNREADABLE)
    case 'need':
      return askForNeeded(core, connection, id)
    case 'known':
      return knownUnread(core, request, work)
    // Owed to the peer whatever happens: once more, a while later.
    case 'correct':
    case 'resend':
      return enterLater(core, connection, id, work)
  }
}

/** Work for a peer that is still connected and subscribed then. */
export function enterLater(core: Core, connection: Connection, id: string, work: Work): void {
  core.deadlines.add(core.now + core.limits.refusalBackoffMaxMs, () => {
    if (connection.views.has(id) && core.connections.has(connection.id)) enter(core, connection, id, work)
    else connection.unheard.delete(id)
  })
}

function sayError(
  core: Core,
  connection: Connection,
  id: string,
  refusal: Refusal,
  answers: 'load' | 'content',
): boolean {
  const { code, message } = refusal
  report(core, { kind: 'refused', connection: connection.id, id, code, message })
  if (!connection.traits.errors) return false
  emit(core, { type: 'send', connection: connection.id, message: { action: 'error', id, ...refusal }, answers })
  return true
}
