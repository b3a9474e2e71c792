/**
 * What layers can be told at their creation. Every number has its unit in its name.
 */
import type { Clock, Storage, StoredState } from '@tidemark/storage'

/** How many layers must have stored a write before it is acknowledged. A store in memory never counts. */
export type WritePolicy = 'all-required' | 'any-durable' | { readonly quorum: number }

export interface LayerOptions {
  readonly storage: Storage
  /** For events, status and marks: keep it when the order of the layers changes. Default: `layer 1`, `layer 2`, … */
  readonly name?: string
  /** Default `required`, and `best-effort` for a remote layer. A store that may not be written is `none`, whatever is said here. */
  readonly write?: 'required' | 'best-effort' | 'none'
  /**
   * It is reached over a network: asked after the others, with what they hold, given three times as long, and no small maps are
   * kept there unless `maps` says so.
   */
  readonly remote?: boolean
  readonly maps?: 'join' | 'none'
  /** Repair writes to and reads from this layer at most so many bytes a second. */
  readonly repairBytesPerSecond?: number
}

export interface LayersOptions {
  /** Default `all-required`. */
  readonly policy?: WritePolicy
  /** Whether what a layer holds is worth being handed over by `load` before the others answered. Default: it has the header. */
  readonly usable?: (state: StoredState) => boolean
  /** Default: `backgroundClock`, whose waits keep no process alive: a script that does nothing but wait for a `load` hands over `systemClock`. */
  readonly clock?: Clock
  readonly limits?: Partial<LayersLimits>
}

export interface LayersLimits {
  /** How long a local layer may take; a remote one gets three times that. */
  readonly openTimeoutMs: number
  readonly lookTimeoutMs: number
  readonly pageTimeoutMs: number
  readonly appendTimeoutMs: number
  /** After a failure: 2^n times the first, fully jittered, at most the last. */
  readonly retryMs: number
  readonly retryMsMax: number
  /** Failures in a row after which a layer is left alone for a while. */
  readonly failuresMax: number
  readonly pageBytes: number
  /** A page on its way from layer to layer: what a repair holds in memory, per document and layer. */
  readonly repairPageBytes: number
  readonly repairsMax: number
  /** A document is repaired at most once in this time, unless its state changed. */
  readonly repairIntervalMs: number
  /** Documents that wait for repair; what does not fit is found by the next sweep. */
  readonly repairsQueuedMax: number
  /** How often what layers missed is gone through while there is any, and everything, a slice at a time. */
  readonly sweepMs: number
  readonly fullSweepMs: number
  readonly sweepSlice: number
  /** Bytes handed to a layer that is not waited for; beyond them it is skipped, and repaired later. */
  readonly unstoredBytesMax: number
  /** How long layers are waited for that have not answered with a small map when another has. */
  readonly mapPatienceMs: number
  /** Documents whose states are remembered. */
  readonly rememberedMax: number
}

export const DEFAULT_LAYERS_LIMITS: LayersLimits = {
  openTimeoutMs: 5_000,
  lookTimeoutMs: 2_000,
  pageTimeoutMs: 5_000,
  appendTimeoutMs: 10_000,
  retryMs: 1_000,
  retryMsMax: 300_000,
  failuresMax: 5,
  pageBytes: 64 * 1024,
  repairPageBytes: 256 * 1024,
  repairsMax: 4,
  repairIntervalMs: 30_000,
  repairsQueuedMax: 10_000,
  sweepMs: 300_000,
  fullSweepMs: 86_400_000,
  sweepSlice: 100,
  unstoredBytesMax: 8 * 1024 * 1024,
  mapPatienceMs: 100,
  rememberedMax: 2_000,
}
