/**
 * Lanes: requests that wait, one lane per document and connection.
 *
 * The heart of "guard, park, replay": what is parked is the request itself, and when what it waited for is there it is
 * handled again from the top. Requests of one connection and document queue behind a parked one, in order.
 * What waits counts against its connection (`pools.ts`). Not here: what is waited for.
 */
import { dropSlot, reserveSlot } from './arrivals.ts'
import type { Connection, Core, Holding, Lane, Request, Work } from './core.ts'
import { handleRequest } from './handle.ts'
import { relax } from './holdings.ts'
import { charge, discharge } from './pools.ts'

/** What a request that waits costs beside its own bytes. */
export const REQUEST_BYTES = 1_024

/** Handles work for a connection and a document now, or behind what is parked there already. */
export function enter(core: Core, connection: Connection, id: string, work: Work, bytes = 0): void {
  const request: Request = {
    connection,
    id,
    work,
    bytes,
    since: core.now,
    checks: undefined,
    until: undefined,
    timed: false,
    expired: false,
    basis: undefined,
    slot: undefined,
  }
  const lane = core.holdings.get(id)?.lanes.get(connection)
  if (lane === undefined) {
    handleRequest(core, request)
    return
  }
  lane.requests.push(request)
  wait(core, request)
}

/** Whether a LOAD or a correction waits in the lane of a connection: it will say what its peer holds. */
export function tellsItself(holding: Holding, connection: Connection): boolean {
  const lane = holding.lanes.get(connection)
  // The first is being handled if it waits for nothing.
  const waiting = lane?.waiting === undefined ? lane?.requests.slice(1) : lane.requests
  return waiting?.some(({ work }) => work.action === 'load' || (work.action === 'known' && work.correction)) === true
}

/** Parks a request (the one being handled) until `replay` is called for what it waits for. */
export function park(core: Core, holding: Holding, request: Request, waiting: NonNullable<Lane['waiting']>): void {
  const { connection } = request
  const lane = holding.lanes.get(connection)
  if (lane !== undefined) {
    lane.waiting = waiting
    return
  }
  holding.lanes.set(connection, { waiting, requests: [request] })
  connection.lanes.add(holding.id)
  wait(core, request)
}

/**
 * Parks a request until everything that was accepted before it waited is durable or refused.
 *
 * What is accepted later is not waited for: it may itself wait, in the order of its connection, behind a request like this one.
 */
export function waitsForAppends(core: Core, holding: Holding, request: Request): boolean {
  request.until ??= core.tickets
  for (const pending of holding.pendings) {
    if (pending.order > request.until) return false
    park(core, holding, request, 'append')
    return true
  }
  return false
}

/** Handles again, from the top, what waits for `waited` in any lane of the holding. */
export function replay(core: Core, holding: Holding, waited: Lane['waiting']): void {
  for (const [connection, lane] of [...holding.lanes])
    if (lane.waiting === waited) replayLane(core, holding, connection, lane)
}

/** Handles a parked request again, if it still is the one its lane waits with. */
export function resume(core: Core, holding: Holding, request: Request): void {
  const lane = holding.lanes.get(request.connection)
  if (lane !== undefined && lane.requests[0] === request) replayLane(core, holding, request.connection, lane)
}

function replayLane(core: Core, holding: Holding, connection: Connection, lane: Lane): void {
  for (;;) {
    const request = lane.requests[0]
    if (request === undefined) break
    lane.waiting = undefined
    handleRequest(core, request)
    if (lane.waiting !== undefined) return
    // A handler may have closed the connection, and its lanes with it.
    if (holding.lanes.get(connection) !== lane) return
    lane.requests.shift()
    dropSlot(core, request)
    discharge(core, connection, request.bytes + REQUEST_BYTES)
  }
  holding.lanes.delete(connection)
  connection.lanes.delete(holding.id)
  relax(core, holding)
}

/** Nothing of a connection that is gone stays. */
export function dropLanes(core: Core, connection: Connection): void {
  for (const id of connection.lanes) {
    const holding = core.holdings.get(id)
    if (holding === undefined) continue
    for (const { bytes } of holding.lanes.get(connection)?.requests ?? [])
      discharge(core, connection, bytes + REQUEST_BYTES)
    holding.lanes.delete(connection)
    relax(core, holding)
  }
  connection.lanes.clear()
  connection.roomless.clear()
}

function wait(core: Core, request: Request): void {
  if (request.work.action === 'content') reserveSlot(request)
  charge(core, request.connection, request.bytes + REQUEST_BYTES)
}
