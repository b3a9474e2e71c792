/**
 * The messages that two nodes exchange, as both dialects mean them.
 *
 * Headers, transactions and seals are opaque bytes (for `json` documents: the UTF-8 of their own JSON text). Counts are
 * counts of a dense prefix, see `@tidemark/known-state`. Not here: how messages look on a wire (the dialects), what is
 * answered to them (`@tidemark/sync`).
 */
import type { KnownState } from '@tidemark/known-state'

/** What a document's payloads are: JSON texts, or any bytes. Fixed when the document is created. */
export type PayloadKind = 'json' | 'bytes'

/** 0 high, 3 normal, 6 low: sent in that order under pressure, never reordered within a document. */
export type Priority = 0 | 3 | 6

/** Session id → rolling digest of the transactions up to the session's count (8 bytes as 16 hex digits). */
export type Digests = ReadonlyMap<string, string>

/** Transactions of one session from count `after` on. May be empty (a probe). */
export interface Run {
  readonly session: string
  readonly after: number
  readonly transactions: readonly Uint8Array[]
  /** Proof over the session up to the end of this run. */
  readonly seal?: Uint8Array
  /** Digest of the session at `after`; only for `bytes` documents. */
  readonly digest?: string
}

/** A bounded piece of one document: its header and at most one run per session. */
export interface Content {
  readonly id: string
  readonly kind: PayloadKind
  readonly priority: Priority
  readonly header?: Uint8Array
  readonly runs: readonly Run[]
}

/** Subscribe, and "this is what I hold". Replaces what was believed of the sender. */
export interface LoadMessage {
  readonly action: 'load'
  readonly id: string
  readonly known: KnownState
  readonly digests?: Digests
  /** Answer with a known state only; no content, no subscription (own dialect). */
  readonly probe?: boolean
}

/** "I hold this": an acknowledgement (may name only some sessions) or, as a correction, exactly what is held. */
export interface KnownMessage {
  readonly action: 'known'
  readonly id: string
  readonly known: KnownState
  readonly correction: boolean
  readonly digests?: Digests
}

export interface ContentMessage extends Content {
  readonly action: 'content'
  /** On the first of several pages: what the receiver will hold after the last one. */
  readonly expectUntil?: KnownState
}

/** Ends the sender's subscription to a document. */
export interface DoneMessage {
  readonly action: 'done'
  readonly id: string
}

/** Bulk comparison of documents that the sender holds only in storage; hashes are the Jazz reconcile hash. */
export interface ReconcileMessage {
  readonly action: 'reconcile'
  readonly batch: string
  readonly values: readonly (readonly [id: string, hash: string])[]
}

export interface ReconcileAckMessage {
  readonly action: 'reconcile-ack'
  readonly batch: string
}

export type ErrorCode =
  | 'malformed'
  | 'unsupported'
  | 'limit'
  | 'forbidden'
  | 'failed'
  | 'unavailable'
  | 'quota'
  | 'tooLarge'
  | 'refused'
  | 'fork'
  | 'busy'

/** A request failed; not the same as absent. */
export interface ErrorMessage {
  readonly action: 'error'
  readonly id?: string
  readonly code: ErrorCode
  readonly message: string
  readonly retryAfterMs?: number
}

/** What an acknowledgement means: survives the process, or survives the machine. */
export type AckLevel = 'stored' | 'durable'

/** First message each way in our own dialect. */
export interface HelloMessage {
  readonly action: 'hello'
  readonly version: number
  readonly features: readonly string[]
  /** The sender's storage generation and how far its change sequence was when it connected. */
  readonly generation: { readonly id: string; readonly sequence: number }
  readonly level: AckLevel
  readonly limits: { readonly messageBytesMax: number; readonly frameBytesMax: number }
  readonly peer: string
}

/** Keep-alive of the Jazz dialect; epoch milliseconds. */
export interface PingMessage {
  readonly action: 'ping'
  readonly time: number
  readonly from: string
}

export type Message =
  | LoadMessage
  | KnownMessage
  | ContentMessage
  | DoneMessage
  | ReconcileMessage
  | ReconcileAckMessage
  | ErrorMessage
  | HelloMessage
  | PingMessage
