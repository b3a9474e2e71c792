/**
 * What a server can be told at its creation. Every number has its unit in its name.
 */
import type { Limits } from '@tidemark/protocol'
import type { Awaitable, Clock, Storage } from '@tidemark/storage'
import type { EngineLimits } from '@tidemark/sync'
import type { Hooks, RunOptions } from '@tidemark/sync/run'
import type { UpgradeRequest } from '@tidemark/websocket'
import type { Log } from './log.ts'
import type { Meter } from './meter.ts'
import type { UpstreamOptions } from './upstream.ts'

export interface ServerOptions {
  /** The server opens it, and closes it when it is closed. One server per store. */
  readonly storage: Storage
  readonly hooks?: ServerHooks
  /** The server that this one is a client of: it serves what it holds, asks there for what it lacks, and uploads what clients write. */
  readonly upstream?: UpstreamOptions
  /** Of messages, of the engine, of the server; see `Limits`, `EngineLimits`, `ServerLimits` for the defaults. */
  readonly limits?: Partial<ServerLimits & Limits & EngineLimits>
  /** Makes the counters; an OpenTelemetry meter fits. Default: a registry of its own, which `Server.metrics` renders. */
  readonly meter?: Meter
  /**
   * Web sites whose pages may connect, like `https://example.org`; clients that are no browsers are not asked. Default: all.
   */
  readonly allowedOrigins?: readonly string[]
  /**
   * JSON documents, in every dialect: the first continuation of each session on a connection has to overlap what is stored, so that a
   * restored device shows as a fork instead of breaking the document for everybody. Costs a question and one sealed run each. Default:
   * off. Documents of bytes need no proof: their digests are compared.
   */
  readonly proveContinuity?: boolean
  readonly log?: Log
  readonly clock?: Clock
  /** Who this server is to its peers. Default: made up anew. */
  readonly peer?: string
  /** Calls back after the current turn of the event loop; see `RunOptions`. */
  readonly soon?: NonNullable<RunOptions['soon']>
}

/** What a framework knows about its users and documents. All may return promises. */
export interface ServerHooks extends Hooks {
  /**
   * Who a client is, from its upgrade request: anything but `undefined` and `false` is its principal, which `authorize` gets.
   * `undefined`: it did not say who it is (401). `false`: it did, and is not wanted (403). A rejection is no answer (503).
   * Without this hook everybody is let in.
   */
  authenticate?(request: UpgradeRequest): Awaitable<unknown>
}

export interface ServerLimits {
  readonly connectionsMax: number
  /** A client that does not read its answers is not read from while more than this waits for it. */
  readonly unsentBytesMax: number
  /** What a connection, and all connections of one account together, may send; who is faster is read from later. */
  readonly receivedBytesPerSecondMax: number
  readonly accountReceivedBytesPerSecondMax: number
  /** What connections may cost in memory together: above it nobody is let in, and those that cost most are sent away. */
  readonly memoryBytesMax: number
  /** Clients that find out at one time what they missed; others wait at the upgrade, 5 s at most. */
  readonly reconcilingMax: number
  /** When clients that are sent away for lack of room are told to come again; up to as much again at random. */
  readonly retryAfterMs: number
  /** How long `close` waits until what was accepted is stored. */
  readonly drainMsMax: number
}

export const DEFAULT_SERVER_LIMITS: ServerLimits = {
  connectionsMax: 50_000,
  unsentBytesMax: 4 * 1024 * 1024,
  receivedBytesPerSecondMax: Number.POSITIVE_INFINITY,
  accountReceivedBytesPerSecondMax: Number.POSITIVE_INFINITY,
  memoryBytesMax: Number.POSITIVE_INFINITY,
  reconcilingMax: 500,
  retryAfterMs: 5_000,
  drainMsMax: 10_000,
}
