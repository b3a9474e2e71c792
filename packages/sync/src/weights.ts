/**
 * Weights: what messages cost beside their bytes. Few bytes may ask for many, and hold much: an empty transaction is one byte on the wire.
 *
 * L10: what waits in memory is counted as what it takes there, in any dialect.
 * Not here: what content weighs in a page (`@tidemark/protocol`), what follows from it (`room.ts`, `run-inflow.ts`, `pools.ts`).
 */
import type { KnownState } from '@tidemark/known-state'
import { type ContentMessage, contentWeight, type Message } from '@tidemark/protocol'

/** Of a known state; those with fewer are told at once. */
export const MANY_SESSIONS = 100
/** What telling a session costs: its name, its count, its digest. */
const SESSION_BYTES = 16

/** After a message like this there is no room until the shell says `drained`. */
export function takesRoom(message: Message): boolean {
  return message.action === 'content' || sessionsIn(message) > MANY_SESSIONS
}

/** What a message counts for the turn in which it is sent. */
export function weightOf(message: Message): number {
  return message.action === 'content' ? contentWeight(message) : sessionsIn(message) * SESSION_BYTES
}

/** Measured with Node 26, with nothing in them: 115 bytes a transaction, 400 a run; an entry of a known state, whose name is there already. */
const HELD_TRANSACTION_BYTES = 100
const HELD_RUN_BYTES = 400
const HELD_SESSION_BYTES = 32
/** A session of what is stored, with its name of 20 characters, count and digest, and of what was stored before: measured likewise, among 200,000. */
const STORED_SESSION_BYTES = 250

/** What a message that was received takes in memory beside the bytes that it had on the wire, until it is handled. */
export function heldBeside(message: Message): number {
  if (message.action === 'content') {
    let bytes = message.runs.length * HELD_RUN_BYTES + heldState(message.expectUntil)
    for (const { transactions } of message.runs) bytes += transactions.length * HELD_TRANSACTION_BYTES
    return bytes
  }
  return 'known' in message ? heldState(message.known) : 0
}

/** What a page that is kept takes in memory, with the state of its document. */
export function keptBytes(page: ContentMessage, { sessions }: KnownState): number {
  return contentWeight(page) + heldBeside(page) + sessions.size * STORED_SESSION_BYTES
}

function heldState(known: KnownState | undefined): number {
  return (known?.sessions.size ?? 0) * HELD_SESSION_BYTES
}

function sessionsIn(message: Message): number {
  return message.action === 'load' || message.action === 'known' ? message.known.sessions.size : 0
}
