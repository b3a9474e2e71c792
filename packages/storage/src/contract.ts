/**
 * The storage contract: what every adapter and every wrapper of adapters is.
 *
 * One interface for synchronous and asynchronous engines: a method may return its value or a promise of it, `settle` tells
 * them apart. Bulk first. Ids are well-formed Unicode of 1–256 bytes UTF-8 and ordered bytewise everywhere.
 * Absent is a value, failed is an exception (law L2). What is acknowledged is on disk (law L3).
 * Not here: engines (adapters), several storages as one (`@tidemark/reconciliation`).
 */
import type { KnownState } from '@tidemark/known-state'
import {
  type AckLevel,
  type Content,
  DEFAULT_LIMITS,
  type Digests,
  type PayloadKind,
  type Priority,
} from '@tidemark/protocol'

export type Awaitable<T> = T | PromiseLike<T>

/**
 * One opening of a store: a random id, made anew at each open, and the change sequence at that open. Every open is recorded
 * (`Opened.history`), so that a mark (generation, sequence) taken elsewhere can be told from one of a store that was restored
 * or made anew: `isHonoured` says which. An id made once per store would not do, a copied file carries it along.
 */
export interface Generation {
  readonly id: string
  readonly sequence: number
}

export interface Capabilities {
  readonly list: boolean
  readonly changes: boolean
  readonly maps: boolean
  readonly erase: boolean
}

export interface Opened {
  /** The generation that this open began. */
  readonly generation: Generation
  /**
   * The generations of this store, oldest first, the present one last. A store that keeps its data keeps at least its latest
   * 1,000 (older marks are then not honoured, which costs their holder a comparison); one that keeps nothing has no history.
   */
  readonly history?: readonly Generation[]
  readonly writable: boolean
  readonly capabilities: Capabilities
  /** What a resolved `append` means; `memory` survives nothing. */
  readonly level: AckLevel | 'memory'
}

/** A version of a small-map entry or of an erasure: greater counter wins, then the greater actor (bytewise). */
export type Version = readonly [counter: number, actor: string]

/** What is stored of a document, without any of its content. */
export interface StoredState {
  readonly known: KnownState
  readonly kind: PayloadKind
  /** Only of a storage that asks another one, which does not say it: `kind` is a guess, and no reason to refuse anything. */
  readonly guessed?: true
  /** As given by the content that created the document; what later contents say is not taken up. */
  readonly priority: Priority
  /** Rolling digest of every session held, of `bytes` documents; empty for `json` ones. */
  readonly digests: Digests
  /**
   * Where the last sealed run of each session begins (its part that was new when it was stored), of `json` documents; sessions
   * without seals are not named.
   */
  readonly lastRuns: ReadonlyMap<string, number>
  /**
   * What is stored weighs more than one default page, `PAGE_BYTES` unless the store was told otherwise. Seals within a session count, which
   * a page that holds all of it leaves out.
   */
  readonly paged: boolean
  /** Set when the document was erased: what is left is its header and its tombstone sessions. */
  readonly erased: Version | undefined
  /**
   * Only of a storage made of several: one of them did not answer, so at least this is stored. What it lacks may not be denied (law L2);
   * `watch` tells when it is known.
   */
  readonly partial?: true
  /** Only of a storage made of several: what enough of them have stored, where that is less than `known`. It may be acknowledged (law L3). */
  readonly durable?: KnownState
}

/**
 * Something else than a write through this handle made more of a document known, or less while a layer is silent; `before` is what was answered
 * last.
 */
export interface Changed {
  readonly id: string
  readonly before: KnownState | undefined
  /**
   * It is about to be stored where marks are kept: these are set before it is, or with it. To be called at once. If they are not known
   * within the time of a write, nothing is stored, and `changed` is told again later.
   */
  storeWith?(marks: Awaitable<Marks>): void
}

/**
 * One bounded piece of a document after a known state (law L8): a run ends at a seal, or anywhere in a part that was appended
 * without one; it never carries a seal with transactions after it. Every run of a `bytes` document carries its digest.
 */
export interface Page extends Content {
  /** What the receiver holds after this page: the state that was asked after, and this page applied. */
  readonly end: KnownState
  /** Something is stored beyond `end`; also where a part of the storage that does not answer may hold something: then the next read fails. */
  readonly more: boolean
}

/**
 * Content to store; `verifier` is the verifier's opaque state by session, committed beside the seals: only where something of
 * that session's run was stored. A session that it does not name keeps the state it had.
 */
export interface Append extends Content {
  readonly verifier?: ReadonlyMap<string, Uint8Array>
}

export type RefusedWhy = 'gap' | 'fork' | 'tooLarge'

export interface Refused {
  readonly why: RefusedWhy
  /** Count held of that session. */
  readonly have: number
}

/**
 * What became of one content of a batch: the state after the commit and which sessions of it were refused, or `failed` if the
 * store could not take this document (others of the batch are unaffected and nothing of it was stored). With `headerRefused`
 * nothing of the content was stored and `refused` is empty: look at it first.
 */
export type AppendResult =
  | {
      readonly state: StoredState | undefined
      readonly refused: ReadonlyMap<string, Refused>
      readonly headerRefused?: RefusedWhy
    }
  | { readonly failed: StorageErrorCode; readonly cause?: unknown }

/** Small local facts (outbox, dirty flags, cursors) that commit with the content they belong to; `undefined` removes. */
export type Marks = ReadonlyMap<string, Uint8Array | undefined>

export interface CallOptions {
  readonly signal?: AbortSignal
}

export interface LookOptions extends CallOptions {
  /** What whoever asks holds of each of the ids: a store across a network compares with it, others need not look at it. */
  readonly have?: readonly (KnownState | undefined)[]
}

export interface AppendOptions extends CallOptions {
  readonly marks?: Marks
}

export interface Change {
  readonly id: string
  readonly sequence: number
}

/** `undefined` bytes are a tombstone. */
export interface MapEntry {
  readonly version: Version
  readonly bytes: Uint8Array | undefined
}

export interface MergeResult {
  /** Keys whose entry was replaced. */
  readonly merged: readonly string[]
  /** Keys with an equal version and other bytes: kept as they were. */
  readonly conflicts: readonly string[]
}

/**
 * For all methods: ids, mark keys and map keys are checked (`checkId`), and a caller's mistake is a `TypeError` or `RangeError`
 * before anything is done. A signal that was aborted already makes a call fail with its reason, and nothing is done; one that
 * aborts later may be ignored, or leave the outcome unknown. Before `open` and after `close` calls fail with `CLOSED`. A method of
 * a capability that the store lacks (`count` goes with `list`) throws `TypeError`. Writes take effect in the order in which they
 * were called. Bytes handed over are the caller's again when the call has answered; bytes answered are not to be changed.
 */
export interface Storage {
  /**
   * Opens or creates the store. Every other method requires it; opening twice answers the same. A closed store stays closed.
   *
   * @throws StorageError `BUSY` (another process has it), `CORRUPT` (not a store of ours, or damaged), `IO`, `READ_ONLY`.
   */
  open(options?: CallOptions): Awaitable<Opened>

  /**
   * What is stored of each of `ids`, in the order asked; `undefined` is an authoritative "not here".
   *
   * Reads neither headers nor transactions. An empty list answers an empty list.
   *
   * @throws StorageError if the store failed: never to be taken for absence (law L2).
   */
  knownStates(ids: readonly string[], options?: LookOptions): Awaitable<readonly (StoredState | undefined)[]>

  /** The headers of `ids`, in the order asked; `undefined` where there is none. Reads no transactions. */
  headers(ids: readonly string[], options?: CallOptions): Awaitable<readonly (Uint8Array | undefined)[]>

  /**
   * One page of content after a known state.
   *
   * `after` is the cursor: pass `page.end` for the next page. Pages end at a seal, so a page may weigh more than `bytesMax`
   * (`contentWeight` of `@tidemark/protocol`: bytes of transactions, seals and header, and what each transaction and each run
   * comes to besides) by the remainder of one sealed run; it holds at least one run if anything is missing.
   * Sessions come in bytewise id order, one run each, and a page is cut before a session that no longer fits. A count in
   * `after` that lies inside a sealed run or beyond what is held is allowed: what is held beyond it is read, if anything.
   * Joining what was appended in several runs never makes a run larger than `runBytesMax`, or of more than `RUN_TRANSACTIONS_MAX`
   * transactions, so that any store can append it.
   * Answers `undefined` if the document is not stored, and a page without runs if `after` already covers it.
   */
  read(id: string, after: KnownState, options: CallOptions & { readonly bytesMax: number }): Awaitable<Page | undefined>

  /**
   * Stores contents, in order: results stand in the order of `batch`. Resolves when everything accepted is durable (at the
   * level that `open` answered). Atomic per document and content. Idempotent: what overlaps is compared (`json` payloads by
   * meaning where their bytes differ), then sliced; a difference refuses that session as `fork`. A fully overlapped or empty
   * run writes nothing, not even its seal. A run that begins beyond what is held refuses its session as `gap`; headerless
   * content for an absent document refuses all its sessions as gaps (`state: undefined`); a different header, or another
   * payload kind, is `headerRefused: 'fork'` and nothing of that content is stored. A sealed run (with its seal) or single
   * transaction above `runBytesMax`, or a sealed run of more than `RUN_TRANSACTIONS_MAX` transactions, which no reader takes in
   * one message, refuses its session as `tooLarge`, by what of it is new; a header above `runBytesMax` is
   * `headerRefused: 'tooLarge'`. Contents for an erased document store nothing and refuse nothing.
   * Headers are compared like payloads. The `digest` of a run for a `bytes` document is compared with that of the session at
   * `after`, also of an empty run; a difference is a fork. An empty run beyond what is held is a gap. What is refused or stored
   * of one session decides nothing for another. The `seal` stored belongs to the end of its run.
   * Marks commit with the batch, also where all its contents were refused, and with an empty batch; if a content answers
   * `failed`, no mark of the batch was set.
   *
   * @throws StorageError Unknown outcome: every document of the batch is unchanged or complete. Look again. Appends that were not
   * waited for may share one write, and its failure.
   */
  append(batch: readonly Append[], options?: AppendOptions): Awaitable<readonly AppendResult[]>

  /** The verifier's opaque state of each of `sessions` of a document; sessions without one are not named. */
  verifierStates(
    id: string,
    sessions: readonly string[],
    options?: CallOptions,
  ): Awaitable<ReadonlyMap<string, Uint8Array>>

  /** Marks whose key starts with `prefix`, in bytewise key order, after key `after`, at most `limit`. */
  marks(
    options: CallOptions & { readonly prefix: string; readonly after?: string; readonly limit: number },
  ): Awaitable<readonly (readonly [key: string, value: Uint8Array])[]>

  /** Ids in bytewise order, after `after` (exclusive), at most `limit`. */
  list(options: CallOptions & { readonly after?: string; readonly limit: number }): Awaitable<readonly string[]>

  count(options?: CallOptions): Awaitable<number>

  /**
   * Documents in the order of their latest commit, above sequence `since`, at most `limit`; a document stands at its latest
   * change only. Nothing ever appears at or below a sequence that was answered.
   */
  changes(options: CallOptions & { readonly since: number; readonly limit: number }): Awaitable<readonly Change[]>

  /** All entries of a small map, tombstones included. */
  readMap(name: string, options?: CallOptions): Awaitable<ReadonlyMap<string, MapEntry>>

  /** Joins entries into a small map: per key the greater version stays. */
  mergeMap(name: string, entries: ReadonlyMap<string, MapEntry>, options?: CallOptions): Awaitable<MergeResult>

  /**
   * Erases a document: its header and the sessions in `keep` (its tombstones) stay, all other content goes; a smaller or equal
   * version than the one recorded changes nothing. Answers the state afterwards, `undefined` if the document is not stored.
   */
  erase(
    id: string,
    version: Version,
    options: CallOptions & { readonly keep: readonly string[] },
  ): Awaitable<StoredState | undefined>

  /** Waits for appends in flight, then closes; closing twice is allowed. Every other method throws `CLOSED` afterwards. */
  close(): Awaitable<void>
}

/** A storage that can tell when a document changed by something else than calls of this handle: another layer, another process. */
export interface WatchedStorage extends Storage {
  /** Answers how to stop. */
  watch(listener: (change: Changed) => void): () => void
}

export type StorageErrorCode = 'CLOSED' | 'IO' | 'QUOTA' | 'READ_ONLY' | 'CORRUPT' | 'BUSY' | 'TOO_LARGE'

/** Defaults that adapters share. */
export const PAGE_BYTES: number = 64 * 1024
export const RUN_BYTES_MAX: number = 4 * 1024 * 1024
/** Of what one seal covers: every reader of a message takes as many. */
export const RUN_TRANSACTIONS_MAX: number = DEFAULT_LIMITS.transactionsMax
