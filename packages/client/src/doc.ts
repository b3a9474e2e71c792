/**
 * What a document handle offers to an application.
 *
 * Not here: how it does it (`handle.ts`).
 */
/// <reference lib="esnext.disposable" preserve="true" />
import type { KnownState } from '@tidemark/known-state'
import type { PayloadKind, Priority } from '@tidemark/protocol'
import type { Failure } from './errors.ts'
import type { Received } from './inbox.ts'
import type { UploadOptions, UploadStatus } from './uploads.ts'

/**
 * - `asking`: nobody has answered yet.
 * - `present`: the document exists; its contents are on their way.
 * - `absent`: everybody who may hold it was asked and does not (`absentBy`). Only now may an application create it.
 * - `failed`: somebody could not answer (`failure`); it may exist. Asked again after a reconnect, or with `retry()`.
 *
 * An absent or failed document becomes present when it arrives.
 */
export type DocState = 'asking' | 'present' | 'absent' | 'failed'

export interface OpenOptions {
  /** What the application has of the document already: contents begin after it. */
  readonly after?: KnownState
  /** Kind of the payloads that will be written, if the document does not say so itself. */
  readonly kind?: PayloadKind
  /** Closes the handle when it aborts. */
  readonly signal?: AbortSignal
}

/** What makes a document. The header is for ever: two nodes that create one document with the same header create the same one. */
export interface Creation {
  readonly header: Uint8Array
  /** Default: what the document was opened with, or the client's. */
  readonly kind?: PayloadKind
  /** Default 3. */
  readonly priority?: Priority
  /** The first transactions, if any, and the session that writes them. */
  readonly session?: string
  readonly transactions?: readonly Uint8Array[]
  readonly seal?: Uint8Array
  /** Withdraws it while it waits for its turn, with its reason. */
  readonly signal?: AbortSignal
}

export interface AppendOptions {
  /** Proof over the session up to the end of these transactions. They then travel and are stored as one. */
  readonly seal?: Uint8Array
  /** Withdraws it while it waits for its turn, with its reason; what is being stored is stored. */
  readonly signal?: AbortSignal
}

export interface DocStatus extends UploadStatus {
  /** What the upstream said when it refused something of this document; until all is confirmed. */
  readonly refused: Failure | undefined
}

export interface Doc extends AsyncDisposable {
  readonly id: string
  readonly state: DocState
  /** Who said that it is absent: `storage`, and the peer ids of upstreams. Empty in every other state. */
  readonly absentBy: readonly string[]
  /** Why asking failed; `undefined` in every other state. */
  readonly failure: Failure | undefined
  /** What the application took from this handle, wrote through it, or had before: hand it to `open` to go on from there. */
  readonly known: KnownState
  /** Whether every upstream confirmed what is stored here, writes of this handle included. */
  readonly status: DocStatus

  /** The first state other than `asking`: at once, if somebody has answered. */
  settled(signal?: AbortSignal): Promise<DocState>
  /** Asks again if asking failed. */
  retry(): void
  /** Calls back soon after `state`, `known` or `status` changed. Answers how to stop. */
  watch(watcher: () => void): () => void

  /**
   * Contents as they arrive: what is stored first, then what peers and other handles write. Every transaction comes once, in the
   * order of its session; what this handle wrote does not come back. The next page is read when this one was taken. Ends when the handle
   * is closed. Whoever stops reading may go on later from there.
   *
   * @throws TypeError while somebody else is reading.
   */
  contents(): AsyncIterableIterator<Received>
  /** The same, pushed; a listener that answers a promise is waited for. What it throws ends it, and is the application's to handle. */
  subscribe(listener: (content: Received) => unknown): () => void

  /**
   * Creates the document; waits for the answer first, so it can be called right away. Resolves when it is durable here, and is sent
   * on by itself.
   *
   * @throws ClientError `EXISTS`, `UNAVAILABLE`, `SESSION_TAKEN`, `CLOSED`, or why it was refused.
   */
  create(creation: Creation): Promise<void>
  /**
   * The session for this handle to append to: the same one every time. One of an earlier run of this client, if its lock is held and
   * the upstream has confirmed where it ends; else a new one. Nobody else writes in it.
   */
  session(signal?: AbortSignal): Promise<string>
  /**
   * Appends to a session of this document: a new one, or one whose contents were read through this handle. Resolves when the transactions are durable here; they are sent on by themselves. If it
   * rejects, none of them was stored, and what was appended to that session after them is refused too. Appends of one handle
   * take effect in the order in which they were called. The bytes are not to be changed until then.
   *
   * @throws ClientError `ABSENT`, `UNAVAILABLE`, `SESSION_TAKEN`, `FORK`, `GAP`, `CLOSED`, or why the storage refused it
   * (`QUOTA`, `TOO_LARGE`, `BUSY`, `STORAGE`). After `CLOSED` by a client that could not wait, it may have been stored or not.
   */
  append(session: string, transactions: readonly Uint8Array[], options?: AppendOptions): Promise<void>
  /** Resolves when all that is written through this handle and all else that is stored of the document is confirmed upstream. */
  whenUploaded(options?: UploadOptions): Promise<void>

  /** Waits until everything written is settled, then ends the subscription. */
  close(): Promise<void>
}
