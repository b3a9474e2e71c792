/**
 * Leaving: connections that are gone and left something behind that is still to be handled.
 *
 * L10: each may have left a whole frame behind; the oldest end early, and their senders send again what is dropped.
 * Not here: handling what they left (`run-inflow.ts`).
 */
import type { ConnectionId } from './events.ts'
import type { Port } from './run.ts'

const LEAVING_MAX = 16
const LEAVING_BYTES_MAX = 128 * 1024 * 1024

export interface Leaving {
  add(id: ConnectionId, end: () => void): void
  delete(id: ConnectionId): void
  /** Ends the oldest while they are too many, or too much. */
  bound(): void
}

/** `bytesOf`: what one of them left behind. */
export function createLeaving(bytesOf: (id: ConnectionId) => number): Leaving {
  const leaving = new Map<ConnectionId, () => void>()

  function isTooMuch(): boolean {
    let bytes = 0
    for (const id of leaving.keys()) bytes += bytesOf(id)
    return leaving.size > LEAVING_MAX || bytes > LEAVING_BYTES_MAX
  }

  return {
    add: (id, end) => void leaving.set(id, end),
    delete: (id) => void leaving.delete(id),
    bound() {
      for (const end of [...leaving.values()]) if (isTooMuch()) end()
    },
  }
}

/** A connection that is gone: it is told nothing, and there is no room for pages. */
export function deaf({ traits, principal }: Port): Port {
  return { traits, principal, send() {}, room: () => false, close() {}, pause() {}, resume() {} }
}
