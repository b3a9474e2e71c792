/**
 * Looking at an engine from outside: how far a document is uploaded, how large the tables are. Changes nothing.
 */
import { covers, EMPTY } from '@tidemark/known-state'
import { type Core, IN_STEP } from './core.ts'

export interface SyncStatus {
  /** Every upstream confirmed what is durable here; `undefined` if no upstream is connected or what is durable is not known. */
  readonly uploaded: boolean | undefined
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
  readonly recentBytes: number
}

export function statusOf(core: Core, id: string): SyncStatus {
  const upstreams = [...core.upstreams]
  if (upstreams.length === 0) return { uploaded: undefined, upstreams: 0 }
  const uploaded = upstreams.every((upstream) => {
    const belief = upstream.views.get(id)
    if (belief === undefined) return false
    if (belief === IN_STEP || belief.exact)
      return belief === IN_STEP || covers(belief.confirmed, belief.assumed ?? EMPTY)
    const holding = core.holdings.get(id)
    return (
      holding?.looked === true &&
      holding.pendings.size === 0 &&
      covers(belief.confirmed, holding.stored?.known ?? EMPTY)
    )
  })
  return { uploaded, upstreams: upstreams.length }
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
    recentBytes: core.recentBytes,
  }
}
