/**
 * Weights: what a message that is sent costs. Few bytes may ask for many.
 * Not here: what content weighs (`@tidemark/protocol`), what follows from it (`room.ts`, `run.ts`).
 */
import { contentWeight, type Message } from '@tidemark/protocol'

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

function sessionsIn(message: Message): number {
  return message.action === 'load' || message.action === 'known' ? message.known.sessions.size : 0
}
