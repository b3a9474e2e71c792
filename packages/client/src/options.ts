/**
 * What a client can be told at its creation, and the defaults. Every number has its unit in its name.
 */
import type { PayloadKind } from '@tidemark/protocol'
import type { Clock, Storage } from '@tidemark/storage'
import type { EngineLimits } from '@tidemark/sync'
import { type ConnectionLimits, DEFAULT_CONNECTION_LIMITS, type Hints } from '@tidemark/sync/reconnect'
import type { Connect, Hooks, RunOptions } from '@tidemark/sync/run'
import type { SessionLocks } from './write-sessions.ts'

export interface ClientOptions {
  /** Where documents are kept. The client opens and closes it; one client per store. */
  readonly storage: Storage
  /** Opens a channel to the server, in the dialect that it is to be spoken to. Without it the client stays by itself. */
  readonly connect?: Connect
  /** What the platform says of the network. In browsers: `browserHints()` of `@tidemark/client/browser`. */
  readonly hints?: Hints
  /**
   * Lets `Doc.session` go on with sessions of earlier runs: `storageLocks()` for a storage that one process has to itself. Default:
   * every run writes new ones.
   */
  readonly sessionLocks?: SessionLocks
  /** Gives up opening; once the client is open it means nothing. */
  readonly signal?: AbortSignal
  /** Kind of the payloads of documents that are created here. Default `bytes`; Jazz documents are `json`. */
  readonly kind?: PayloadKind
  /** Who this client is to its peers. Default: made up anew. */
  readonly peer?: string
  /** What is known of documents: verification, dependencies, tombstones. */
  readonly hooks?: Omit<Hooks, 'authorize'>
  readonly clock?: Clock
  readonly limits?: Partial<ClientLimits>
  readonly engineLimits?: Partial<EngineLimits>
  /** Calls back after the current turn of the event loop. */
  readonly soon?: RunOptions['soon']
  /** Sees every event and effect of the engine, for traces. */
  readonly observe?: RunOptions['observe']
}

export interface ClientLimits extends ConnectionLimits {
  /** How long `close` waits for writes that the storage does not settle. */
  readonly closeMsMax: number
  /** How long `Doc.session` waits for an upstream to confirm where an earlier run has left a session. */
  readonly sessionMsMax: number
}

export const DEFAULT_CLIENT_LIMITS: ClientLimits = {
  ...DEFAULT_CONNECTION_LIMITS,
  closeMsMax: 10_000,
  sessionMsMax: 2_000,
}
