/**
 * Arrivals: contents of one connection become durable, acknowledged and forwarded in the order in which they came.
 *
 * A content that has to wait takes a place in the order when it arrives, and fills it when it is accepted; what was accepted
 * behind it waits there. A content that is refused, or whose look-up failed, gives its place up, so that one bad document does
 * not hold up its neighbours.
 * Not here: the appends themselves (`appends.ts`).
 */
import { enqueue } from './appends.ts'
import type { Connection, Core, Pending, Request } from './core.ts'

/** Takes the next place in its connection's order. */
export function reserveSlot(request: Request): void {
  if (request.slot !== undefined) return
  request.slot = { pending: undefined, dropped: false }
  request.connection.arrivals.push(request.slot)
}

/** Hands accepted content on, as soon as everything that came before it was handed on. */
export function place(core: Core, pending: Pending): void {
  const { request } = pending
  const { arrivals } = request.connection
  if (request.slot === undefined && arrivals.length === 0) return enqueue(core, pending)
  if (request.slot?.dropped) return enqueue(core, pending)
  reserveSlot(request)
  if (request.slot !== undefined) request.slot.pending = pending
  advance(core, request.connection)
}

/** Gives up a place that was not filled. */
export function dropSlot(core: Core, request: Request): void {
  if (request.slot === undefined || request.slot.pending !== undefined) return
  request.slot.dropped = true
  advance(core, request.connection)
}

/** Of a connection that is gone: what was accepted goes on, what was not is dropped. */
export function dropArrivals(core: Core, connection: Connection): void {
  for (const slot of connection.arrivals) slot.dropped = slot.pending === undefined
  advance(core, connection)
}

function advance(core: Core, connection: Connection): void {
  const { arrivals } = connection
  let passed = 0
  for (const slot of arrivals) {
    if (slot.pending === undefined && !slot.dropped) break
    passed += 1
    if (slot.pending !== undefined) enqueue(core, slot.pending)
  }
  arrivals.splice(0, passed)
}
