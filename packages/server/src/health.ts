/**
 * Health: one look at a server, for people and load balancers. No secrets, no ids of documents.
 */
import type { AckLevel } from '@tidemark/protocol'
import type { LayerHealth } from '@tidemark/reconciliation/layers'
import type { Generation } from '@tidemark/storage'
import type { ConnectionState } from '@tidemark/sync/reconnect'

export interface Health {
  /**
   * `degraded`: it reads, but cannot store, or the store is slow to answer; `full`: nobody else is let in for lack of room;
   * `draining`: it is being closed; `failed`: the store does not answer.
   */
  readonly status: 'ok' | 'degraded' | 'full' | 'draining' | 'failed'
  /** What is wrong, where that is known. */
  readonly reason?: string | undefined
  readonly peer: string
  readonly storage: {
    readonly generation: Generation
    /** What an acknowledgement means; `memory` survives nothing. */
    readonly level: AckLevel | 'memory'
    readonly writable: boolean
    /** How each is, where there are several. */
    readonly layers?: readonly LayerHealth[]
  }
  readonly connections: number
  /** Documents that somebody is subscribed to, and subscriptions: each document counts once per subscriber. */
  readonly documents: number
  readonly subscriptions: number
  /** Contents accepted and not yet durable. */
  readonly queued: number
  /** The server that this one is a client of, and documents that hold what it has not confirmed. */
  readonly upstream?: { readonly state: ConnectionState; readonly owed: number }
  readonly uptimeMs: number
}
