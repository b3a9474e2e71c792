/**
 * `sqliteStorage`: the contract of `@tidemark/storage` over one SQLite file.
 *
 * All but `append` and `close` answer in the same tick; `append` resolves after the commit (law L3). Arguments are checked at the
 * border, failures become `StorageError` (law L2). Not here: how anything is done.
 */
import type { KnownState } from '@tidemark/known-state'
import {
  type Append,
  type AppendOptions,
  type AppendResult,
  backgroundClock,
  type CallOptions,
  type Change,
  type Clock,
  type MapEntry,
  type MergeResult,
  type Opened,
  PAGE_BYTES,
  type Page,
  RUN_BYTES_MAX,
  type Storage,
  StorageError,
  type StoredState,
  type Version,
} from '@tidemark/storage'
import {
  checkBatch,
  checkBytesMax,
  checkId,
  checkIds,
  checkListing,
  checkMap,
  checkVersion,
  throwIfAborted,
} from '@tidemark/storage/adapter'
import { betterSqlite3 } from './better-sqlite3.ts'
import type { SqliteDriver } from './driver.ts'
import { erase } from './erase.ts'
import { storageError } from './errors.ts'
import { Group } from './group.ts'
import { Idle } from './idle.ts'
import { listChanges, listIds, listMarks, readVerifierStates } from './lists.ts'
import { mergeMap, readMap } from './maps.ts'
import { type OpenOptions, type OpenStore, openStore } from './open.ts'
import { readPage } from './read.ts'
import { headers, knownStates } from './states.ts'
import { beginReading, type Store } from './store.ts'

export interface SqliteStorageOptions {
  /** The file, created if it does not exist (its folder must); `:memory:` keeps nothing. */
  readonly path: string
  /** The SQLite library: better-sqlite3 unless told otherwise. */
  readonly driver?: SqliteDriver
  /** `full` (default): an acknowledgement survives the machine. `normal`: it survives the process, and is much faster. */
  readonly synchronous?: 'full' | 'normal'
  /** Neither locks nor changes the file: to look at a store, also while a server has it. */
  readonly readOnly?: boolean
  /** Beyond what weight, in bytes, a document is `paged`. */
  readonly pageBytes?: number
  readonly runBytesMax?: number
  /** Memory for pages of the file; 16 MiB. */
  readonly cacheBytes?: number
  /** Session ids that are remembered, at most, and sessions of large known states; 32,768, about 10 MiB if it is used up. */
  readonly sessionsRememberedMax?: number
  /** What tells how long nobody has written; its waits should keep no process alive, as those of `backgroundClock`. */
  readonly clock?: Clock
}

/** A storage that answers at once; only appending and closing are promises. */
export function sqliteStorage(options: SqliteStorageOptions): SqliteStorage {
  return new OneFile(options)
}

type Answers = { readonly [Method in keyof Storage]: Exclude<ReturnType<Storage[Method]>, PromiseLike<unknown>> }

/** The contract, and which of its methods answer at once. */
export type SqliteStorage = {
  readonly [Method in keyof Storage]: (
    ...args: Parameters<Storage[Method]>
  ) => Method extends 'append' | 'close' ? Promise<Answers[Method]> : Answers[Method]
}

/** What there is while a store is open. */
interface Parts extends OpenStore {
  readonly group: Group
  readonly idle: Idle
}

class OneFile implements SqliteStorage {
  readonly #options: OpenOptions
  readonly #clock: Clock
  #open: Parts | undefined
  #closed = false

  constructor(options: SqliteStorageOptions) {
    this.#options = {
      path: options.path,
      driver: options.driver ?? betterSqlite3,
      synchronous: options.synchronous ?? 'full',
      readOnly: options.readOnly ?? false,
      pageBytes: options.pageBytes ?? PAGE_BYTES,
      runBytesMax: options.runBytesMax ?? RUN_BYTES_MAX,
      cacheBytes: options.cacheBytes ?? 16 * 1024 * 1024,
      sessionsRememberedMax: options.sessionsRememberedMax ?? 32_768,
    }
    this.#clock = options.clock ?? backgroundClock
  }

  open(options?: CallOptions): Opened {
    throwIfAborted(options)
    if (this.#closed) throw this.#notOpen()
    if (this.#open === undefined) {
      const open = openStore(this.#options)
      this.#open = { ...open, group: new Group(open.store), idle: new Idle(open.store, this.#clock) }
    }
    return this.#open.opened
  }

  knownStates(ids: readonly string[], options?: CallOptions): readonly (StoredState | undefined)[] {
    const { store } = this.#ready(options)
    checkIds(ids)
    return this.#read(store, 'reading known states', () => knownStates(store, ids))
  }

  headers(ids: readonly string[], options?: CallOptions): readonly (Uint8Array | undefined)[] {
    const { store } = this.#ready(options)
    checkIds(ids)
    return this.#read(store, 'reading headers', () => headers(store, ids))
  }

  read(id: string, after: KnownState, options: CallOptions & { readonly bytesMax: number }): Page | undefined {
    const { store } = this.#ready(options)
    checkId(id, 'document id')
    checkBytesMax(options.bytesMax)
    return this.#read(store, 'reading content', () => readPage(store, id, after, options.bytesMax))
  }

  append(batch: readonly Append[], options?: AppendOptions): Promise<readonly AppendResult[]> {
    try {
      const { group } = this.#writable(options)
      checkBatch(batch, options?.marks)
      return group.append(batch, options)
    } catch (cause) {
      return Promise.reject(cause)
    }
  }

  verifierStates(id: string, sessions: readonly string[], options?: CallOptions): ReadonlyMap<string, Uint8Array> {
    const { store } = this.#ready(options)
    checkId(id, 'document id')
    checkIds(sessions, 'session id')
    return this.#read(store, 'reading verifier states', () => readVerifierStates(store, id, sessions))
  }

  marks(
    options: CallOptions & { readonly prefix: string; readonly after?: string; readonly limit: number },
  ): readonly (readonly [string, Uint8Array])[] {
    const { store } = this.#ready(options)
    checkListing(options)
    return this.#read(store, 'reading marks', () => listMarks(store, options))
  }

  list(options: CallOptions & { readonly after?: string; readonly limit: number }): readonly string[] {
    const { store } = this.#ready(options)
    checkListing(options)
    return this.#read(store, 'listing documents', () => listIds(store, options.after, options.limit))
  }

  count(options?: CallOptions): number {
    const { store } = this.#ready(options)
    // Documents are numbered from 1 on and never removed.
    return this.#read(store, 'counting documents', () => (store.sql.greatestDocument.get()?.[0] as number | null) ?? 0)
  }

  changes(options: CallOptions & { readonly since: number; readonly limit: number }): readonly Change[] {
    const { store } = this.#ready(options)
    checkListing(options)
    return this.#read(store, 'listing changes', () => listChanges(store, options.since, options.limit))
  }

  readMap(name: string, options?: CallOptions): ReadonlyMap<string, MapEntry> {
    const { store } = this.#ready(options)
    checkMap(name)
    return this.#read(store, 'reading a map', () => readMap(store, name))
  }

  mergeMap(name: string, entries: ReadonlyMap<string, MapEntry>, options?: CallOptions): MergeResult {
    const { store, group } = this.#writable(options)
    checkMap(name, entries)
    group.flush()
    return this.#attempt('storing a map', () => mergeMap(store, name, entries))
  }

  erase(
    id: string,
    version: Version,
    options: CallOptions & { readonly keep: readonly string[] },
  ): StoredState | undefined {
    const { store, group } = this.#writable(options)
    checkId(id, 'document id')
    checkIds(options.keep, 'session id')
    checkVersion(version, 'version')
    group.flush()
    return this.#attempt(`erasing document ${JSON.stringify(id)}`, () => erase(store, id, version, options.keep))
  }

  async close(): Promise<void> {
    this.#closed = true
    const open = this.#open
    this.#open = undefined
    if (open === undefined) return
    open.idle.close()
    open.group.flush()
    this.#attempt('closing', () => open.close())
    // Whoever waits for an append is answered before whoever waits for the close.
    await new Promise((resolve) => setImmediate(resolve))
  }

  #ready(options: CallOptions | undefined): Parts {
    throwIfAborted(options)
    if (this.#open === undefined) throw this.#notOpen()
    return this.#open
  }

  #writable(options: CallOptions | undefined): Parts {
    const open = this.#ready(options)
    if (this.#options.readOnly)
      throw new StorageError('READ_ONLY', `${this.#options.path} was opened for reading only.`)
    open.idle.written()
    return open
  }

  #read<T>(store: Store, doing: string, body: () => T): T {
    return this.#attempt(doing, () => {
      beginReading(store)
      return body()
    })
  }

  #attempt<T>(doing: string, body: () => T): T {
    try {
      return body()
    } catch (cause) {
      throw storageError(this.#options.driver, cause, doing)
    }
  }

  #notOpen(): StorageError {
    const what = this.#closed ? 'it was closed' : 'call open() first'
    return new StorageError('CLOSED', `The store ${this.#options.path} is not open: ${what}.`)
  }
}
