/**
 * What an engine can be told at its creation: limits, time limits, who it is. Every number has its unit in its name.
 */
import type { AckLevel } from '@tidemark/protocol'
import type { Generation } from '@tidemark/storage'

export interface EngineOptions {
  /** What our `hello` says. */
  readonly self: { readonly peer: string; readonly generation: Generation; readonly level: AckLevel }
  /** Which questions are asked of the application; those that are not are not asked at all. */
  readonly asks?: {
    readonly authorize?: boolean
    readonly dependencies?: boolean
    readonly verify?: boolean
    readonly tombstones?: boolean
  }
  /** Absence is said only after an upstream answered, also while none is connected. */
  readonly upstreamExpected?: boolean
  /**
   * JSON documents have no digests: the first continuation of each session of one on a connection has to overlap what is held, so that a
   * fork shows. Costs a question and one sealed run each. What is claimed beyond what is held always has to.
   */
  readonly proveContinuity?: boolean
  /** The bulk-comparison hash of the Jazz dialect; without it `reconcile` is answered by asking for every document. */
  readonly reconcileHash?: (sessions: ReadonlyMap<string, number>) => string
  /** In [0, 1), for the jitter of back-offs. */
  readonly random?: () => number
  readonly limits?: Partial<EngineLimits>
}

export interface EngineLimits {
  /** One page of content. */
  readonly pageBytes: number
  /** Largest message we say we accept. */
  readonly messageBytesMax: number
  readonly frameBytesMax: number
  /** Received from one connection and not yet durable or answered; reading pauses above it. */
  readonly pendingBytesMax: number
  /** The same of all connections of one account together, and of all connections but upstreams. */
  readonly accountPendingBytesMax: number
  readonly allPendingBytesMax: number
  /** Documents of one connection, and of all connections of one account together. */
  readonly subscriptionsMax: number
  /**
   * Sessions remembered of what the peer of a connection names, and the peers of all connections of one account together; beyond, only
   * what is stored here too.
   */
  readonly viewSessionsMax: number
  readonly accountViewSessionsMax: number
  /** Sessions of one document; more are refused, and so is not the document. */
  readonly documentSessionsMax: number
  readonly accountSubscriptionsMax: number
  readonly reconcileBatchesMax: number
  /** Malformed messages after which a connection is closed. */
  readonly malformedMax: number
  /** Our LOADs in flight per connection. */
  readonly loadsInFlightMax: number
  readonly loadTimeoutMs: number
  /** A LOAD of ours that failed is asked again after this, unless the peer said when. */
  readonly askAgainMs: number
  /** And not later than this, whatever the peer said. */
  readonly askAgainMaxMs: number
  /** How long a failing look-up is tried again before its failure is said: to dialects with errors, and to those without. */
  readonly lookTriesMs: number
  readonly lookTriesSilentMs: number
  readonly lookBackoffMs: number
  readonly upstreamTimeoutMs: number
  readonly dependencyTimeoutMs: number
  readonly correctionRepeatMs: number
  readonly refusalBackoffMs: number
  readonly refusalBackoffMaxMs: number
  readonly reconcileTimeoutMs: number
  /** Documents kept between events because they were written to lately, and what they take in memory with a page each. */
  readonly holdingsIdleMax: number
  readonly recentBytesMax: number
}

export const DEFAULT_ENGINE_LIMITS: EngineLimits = {
  pageBytes: 64 * 1024,
  messageBytesMax: 8 * 1024 * 1024,
  frameBytesMax: 64 * 1024 * 1024,
  pendingBytesMax: 8 * 1024 * 1024,
  accountPendingBytesMax: 32 * 1024 * 1024,
  allPendingBytesMax: 256 * 1024 * 1024,
  subscriptionsMax: 1_000_000,
  viewSessionsMax: 50_000,
  accountViewSessionsMax: 200_000,
  // As many as one known state may name on the wire.
  documentSessionsMax: 100_000,
  accountSubscriptionsMax: 2_000_000,
  reconcileBatchesMax: 16,
  malformedMax: 20,
  loadsInFlightMax: 2_000,
  loadTimeoutMs: 30_000,
  askAgainMs: 5_000,
  askAgainMaxMs: 300_000,
  lookTriesMs: 10_000,
  lookTriesSilentMs: 50_000,
  lookBackoffMs: 250,
  upstreamTimeoutMs: 3_000,
  dependencyTimeoutMs: 5_000,
  correctionRepeatMs: 10_000,
  refusalBackoffMs: 1_000,
  refusalBackoffMaxMs: 300_000,
  reconcileTimeoutMs: 30_000,
  holdingsIdleMax: 1_000,
  recentBytesMax: 32 * 1024 * 1024,
}
