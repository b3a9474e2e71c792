/**
 * What the engine is told (events, past tense) and what it wants done (effects, imperative).
 *
 * Both are plain data: a log of them is a trace, and a trace replays. Not here: who performs effects (`run.ts`).
 */
import type { KnownState } from '@tidemark/known-state'
import type { ErrorCode, HelloMessage, Message, ProtocolError, Traits } from '@tidemark/protocol'
import type { Append, AppendResult, Page, StorageErrorCode, StoredState, Version } from '@tidemark/storage'

/** Given by the shell; one live channel, never used again after `disconnected`. */
export type ConnectionId = number

/** What a shell decides about a connection. The engine itself has no roles. */
export interface ConnectionTraits extends Traits {
  /** We ask this peer for what we are interested in, and absence needs its answer. */
  readonly upstream: boolean
  /** Connections of one account share what they may have; without one, each is on its own. */
  readonly account?: string | undefined
  /** The application in this process: it is not asked for permission, and learns of failures as errors. */
  readonly local: boolean
}

/** An answer, or why there is none. */
export type Outcome<T> = { readonly value: T } | { readonly failed: unknown }

export type Event =
  | {
      readonly type: 'connected'
      readonly connection: ConnectionId
      readonly traits: ConnectionTraits
      /** Of an upstream: what is `wanted` to be uploaded to it from the start. */
      readonly owed?: readonly string[] | undefined
    }
  /** `bytes`: what it takes in memory. */
  | { readonly type: 'received'; readonly connection: ConnectionId; readonly message: Message; readonly bytes: number }
  | { readonly type: 'malformed'; readonly connection: ConnectionId; readonly error: ProtocolError }
  /** Documents that nobody here has open, and that this peer is to be asked for with what the storage holds (seed 000). */
  | {
      readonly type: 'wanted'
      readonly connection: ConnectionId
      readonly ids: readonly string[]
      /** What is to be uploaded comes before what is only compared. */
      readonly urgency: 'outbox' | 'reconcile'
    }
  /** Documents of which only `wanted` kept a subscription at this peer: it may end once both are in step. */
  | { readonly type: 'unwanted'; readonly connection: ConnectionId; readonly ids: readonly string[] }
  /** It is gone, and what it said before is still being handled: nothing is said to it, and nothing waits for room there. */
  | { readonly type: 'leaving'; readonly connection: ConnectionId }
  /** There is room again. A content that is sent takes the room, and so does a known state of more than 100 sessions. */
  | { readonly type: 'drained'; readonly connection: ConnectionId }
  | { readonly type: 'disconnected'; readonly connection: ConnectionId }
  | {
      readonly type: 'looked'
      readonly id: string
      readonly ticket: number
      readonly outcome: Outcome<StoredState | undefined>
    }
  | {
      readonly type: 'paged'
      readonly connection: ConnectionId
      readonly ticket: number
      readonly outcome: Outcome<Page | undefined>
    }
  /** The turn in which `gather` was wanted is over: what was accepted in it may be appended. */
  | { readonly type: 'gathered' }
  | { readonly type: 'appended'; readonly outcome: Outcome<readonly AppendResult[]> }
  | { readonly type: 'erased'; readonly id: string; readonly outcome: Outcome<StoredState | undefined> }
  | { readonly type: 'checked'; readonly ticket: number; readonly outcome: Outcome<unknown> }
  /** An earlier process stored tombstones, and did not erase their document. */
  | { readonly type: 'unerased'; readonly id: string; readonly keep: readonly string[] }
  /** Something else than an append of this engine made more of a document known; `before` is the least that was known of it. */
  | { readonly type: 'changed'; readonly id: string; readonly before: KnownState | undefined }
  /** `nextWake()` has passed. */
  | { readonly type: 'woke' }

/** A question to the application; the type of the answer stands behind each. */
export type Check =
  /** → boolean */
  | {
      readonly question: 'authorize'
      readonly connection: ConnectionId
      readonly action: 'read' | 'write'
      readonly id: string
    }
  /** → string[] */
  | {
      readonly question: 'dependencies'
      readonly id: string
      /** `stored`: it is not at hand, and the storage has it. */
      readonly header: Uint8Array | 'stored' | undefined
      readonly sessions: readonly string[]
    }
  /** → Verified; states of sessions that are not in `states` are the storage's */
  | {
      readonly question: 'verify'
      readonly content: Append
      readonly states: ReadonlyMap<string, Uint8Array | undefined>
    }
  /** → string[]: those of `sessions` that are tombstones */
  | {
      readonly question: 'tombstones'
      readonly id: string
      readonly header: Uint8Array | undefined
      readonly sessions: readonly string[]
    }

/** How many transactions of each run were accepted, and the verifier's new opaque state by session. */
export interface Verified {
  readonly accepted: ReadonlyMap<string, number>
  readonly states: ReadonlyMap<string, Uint8Array>
}

export type Effect =
  | {
      readonly type: 'send'
      readonly connection: ConnectionId
      readonly message: Message
      /** With a KNOWN that says "absent": who was asked. */
      readonly answeredBy?: readonly string[]
      /** With an error: whether it is the answer to a LOAD (and what is sent because of it) or to content. */
      readonly answers?: 'load' | 'content'
    }
  | { readonly type: 'look'; readonly id: string; readonly ticket: number }
  | {
      readonly type: 'page'
      readonly connection: ConnectionId
      readonly ticket: number
      readonly id: string
      readonly after: KnownState
      readonly bytesMax: number
    }
  | { readonly type: 'gather' }
  /** `owed`, of a node that expects upstreams: the documents of the batch that bring what no upstream has sent. */
  | {
      readonly type: 'append'
      readonly batch: readonly Append[]
      readonly owed: readonly string[]
      /** Documents that are erased once it is durable, and their tombstones. */
      readonly erases: readonly { readonly id: string; readonly keep: readonly string[] }[]
    }
  | { readonly type: 'erase'; readonly id: string; readonly version: Version; readonly keep: readonly string[] }
  | { readonly type: 'check'; readonly ticket: number; readonly check: Check }
  | { readonly type: 'close'; readonly connection: ConnectionId; readonly code: number; readonly reason: string }
  /** A page of so many bytes was read and nothing of it is sent: `drained` is to be told in a later turn, as if it had been. */
  | { readonly type: 'passed'; readonly connection: ConnectionId; readonly bytes: number }
  /** Stop, or go on, reading from this connection. */
  | { readonly type: 'pause' | 'resume'; readonly connection: ConnectionId }
  | { readonly type: 'report'; readonly report: Report }

/** What an operator or an application wants to hear of. No payload data. */
export type Report =
  | { readonly kind: 'greeted'; readonly connection: ConnectionId; readonly hello: HelloMessage }
  /**
   * A peer told us what it holds: the basis of "is it uploaded?". `uploaded` is the answer at that moment: what nobody here wants is
   * let go of in the next.
   */
  | { readonly kind: 'confirmed'; readonly connection: ConnectionId; readonly id: string; readonly uploaded: boolean }
  /** What is stored of a document grew. */
  | { readonly kind: 'grew'; readonly id: string }
  | { readonly kind: 'corrected'; readonly connection: ConnectionId; readonly id: string }
  | {
      readonly kind: 'fork'
      readonly connection: ConnectionId
      readonly id: string
      /** All that one message forked; of a document with another header none. */
      readonly sessions: readonly string[]
    }
  /** We refused what a peer sent; `unsent`: it would not take what we have, so that was not sent. */
  | {
      readonly kind: 'refused' | 'unsent'
      readonly connection: ConnectionId
      readonly id: string
      readonly code: ErrorCode
      readonly message: string
    }
  | {
      readonly kind: 'storage'
      readonly operation: 'look' | 'page' | 'append' | 'erase'
      readonly id: string | undefined
      readonly code: StorageErrorCode | undefined
      readonly cause: unknown
    }
  | { readonly kind: 'check'; readonly question: Check['question']; readonly cause: unknown }
  /** A message could not be encoded, which is a bug: its connection is closed with 1011. */
  | { readonly kind: 'unsendable'; readonly connection: ConnectionId; readonly cause: unknown }
  /** The peer said that something failed. */
  | {
      readonly kind: 'error'
      readonly connection: ConnectionId
      readonly id: string | undefined
      readonly code: ErrorCode
      readonly message: string
      readonly retryAfterMs: number | undefined
    }
