/**
 * Looking at an engine from outside: how far a document is uploaded, how large the tables are. Changes nothing.
 */
import { covers, EMPTY } from '@tidemark/known-state'
import { type Connection, type Core, IN_STEP } from './core.ts'

export interface SyncStatus {
  /**
   * Every upstream confirmed what is durable here; `undefined` if no upstream is connected, or one was not asked about this
   * document or has not answered yet.
   */
  readonly uploaded: boolean | undefined
  /** Every upstream answered, and holds exactly what is durable here. */
  readonly inStep: boolean
  readonly upstreams: number
}

export interface EngineSizes {
  readonly connections: number
  readonly holdings: number
  readonly idle: number
  readonly documents: number
  readonly subscriptions: number
  readonly parked: number
  readonly queued: number
  readonly checks: number
  readonly deadlines: number
  readonly recentBytes: number
  /** Received from connections other than upstreams, and neither durable nor answered. */
  readonly pendingBytes: number
}

export interface ConnectionSizes {
  readonly subscriptions: number
  /** That are remembered of what its peer holds of them. */
  readonly sessions: number
  /** Documents that it is asked for, is to be asked for, or has asked to be compared. */
  readonly asking: number
  readonly pendingBytes: number
  /** Nothing that it asked for is under way. */
  readonly idle: boolean
}

export function connectionSizes(connection: Connection | undefined): ConnectionSizes {
  if (connection === undefined) return { subscriptions: 0, sessions: 0, asking: 0, pendingBytes: 0, idle: true }
  const { views, viewSessions, asked, toAsk, reconciling, lanes, reading, ready, pools } = connection
  const pendingBytes = pools[0]?.bytes ?? 0
  const idle = pendingBytes === 0 && lanes.size === 0 && reading === undefined && ready.every(({ size }) => size === 0)
  let asking = asked.size + reconciling.size
  for (const queue of toAsk) asking += queue.size
  return { subscriptions: views.size, sessions: viewSessions, asking, pendingBytes, idle }
}

export function statusOf(core: Core, id: string): SyncStatus {
  const upstreams = [...core.upstreams]
  const standings = upstreams.map((upstream) => standingOf(core, upstream, id))
  const known = standings.length > 0 && standings.every((standing) => standing !== 'unknown')
  const uploaded = standings.includes('behind') ? false : known ? true : undefined
  return {
    uploaded,
    inStep: known && standings.every((standing) => standing === 'in step'),
    upstreams: upstreams.length,
  }
}

/** How an upstream stands to what is durable here. */
function standingOf(core: Core, upstream: Connection, id: string): 'unknown' | 'behind' | 'in step' | 'ahead' {
  const pendings = [...(core.holdings.get(id)?.pendings ?? [])]
  if (pendings.some(({ request }) => request.connection !== upstream)) return 'behind'
  const belief = upstream.views.get(id)
  if (belief === IN_STEP) return 'in step'
  if (belief?.assumed === undefined) return 'unknown'
  // L13: counts say nothing of a session that has another history there, or of another document.
  if (belief.frozen !== undefined || belief.rival) return 'behind'
  // What is assumed is then exactly what is stored.
  if (belief.exact) return covers(belief.confirmed, belief.assumed) ? 'in step' : 'behind'
  const holding = core.holdings.get(id)
  const stored = holding?.stored?.known ?? EMPTY
  // What a silent layer has may be more than anybody was asked about.
  if (holding?.stored?.partial === true) return 'behind'
  if (holding?.looked !== true || holding.pendings.size > 0 || !covers(belief.confirmed, stored)) return 'behind'
  return covers(stored, belief.confirmed) ? 'in step' : 'ahead'
}

export function sizesOf(core: Core): EngineSizes {
  let subscriptions = 0
  let parked = 0
  for (const connection of core.connections.values()) {
    subscriptions += connection.views.size
    parked += connection.lanes.size
  }
  return {
    connections: core.connections.size,
    holdings: core.holdings.size,
    idle: core.idle.size,
    documents: core.subscribers.size,
    subscriptions,
    parked,
    queued: core.unsettled,
    checks: core.checks.size,
    deadlines: core.deadlines.size(),
    recentBytes: core.recentBytes,
    pendingBytes: core.pool.bytes,
  }
}
