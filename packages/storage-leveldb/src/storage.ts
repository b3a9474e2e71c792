/**
 * `leveldbStorage`: the contract of `@tidemark/storage` over one LevelDB folder, or any abstract-level database.
 *
 * Arguments are checked at the border when a method is called, failures become `StorageError` (law L2). Not here: how anything
 * is done.
 */
import type { KnownState } from '@tidemark/known-state'
import {
  type Append,
  type AppendOptions,
  type AppendResult,
  type Awaitable,
  type CallOptions,
  type Change,
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
import type { LevelDatabase } from './database.ts'
import { erase } from './erase.ts'
import { storageError } from './errors.ts'
import { listChanges, listIds, listMarks, readVerifierStates } from './lists.ts'
import { mergeMap, readMap } from './maps.ts'
import { type OpenOptions, type OpenStore, openStore } from './open.ts'
import { readPage } from './read.ts'
import { headers, knownStates } from './states.ts'
import { Writer } from './writer.ts'

interface CommonOptions {
  /**
   * What an acknowledgement survives: `durable` the machine, `stored` the process (and is faster). `durable` unless told
   * otherwise; for a database that was handed in `stored`, since only its owner knows whether its `sync` option does anything.
   */
  readonly level?: 'durable' | 'stored'
  /** Changes nothing: to look at a store that no server has open. LevelDB itself still tidies up its files. */
  readonly readOnly?: boolean
  /** Beyond what weight, in bytes, a document is `paged`. */
  readonly pageBytes?: number
  readonly runBytesMax?: number
  /** Session ids that are remembered, at most; 32,768. */
  readonly sessionsRememberedMax?: number
}

export interface LeveldbFolderOptions extends CommonOptions {
  /** The folder, created if it does not exist (its parent must). */
  readonly path: string
  /** Memory for blocks of the database; 16 MiB. */
  readonly cacheBytes?: number
}

export interface LeveldbDatabaseOptions extends CommonOptions {
  /**
   * Any abstract-level database that keeps bytes, with nothing else in it: a sublevel will do. It is opened if it is not, and stays
   * open when the store is closed.
   */
  readonly db: LevelDatabase
}

export type LeveldbStorageOptions = LeveldbFolderOptions | LeveldbDatabaseOptions

/** A storage of promises; the known state of a single document is a value where the database has `getSync`. */
export function leveldbStorage(options: LeveldbStorageOptions): LeveldbStorage {
  return new OneDatabase(options)
}

/** The contract, and that all but `knownStates` answer promises. */
export type LeveldbStorage = {
  readonly [Method in keyof Storage]: Method extends 'knownStates'
    ? Storage[Method]
    : (...args: Parameters<Storage[Method]>) => Promise<Awaited<ReturnType<Storage[Method]>>>
}

interface Open extends OpenStore {
  readonly writer: Writer
}

class OneDatabase implements LeveldbStorage {
  readonly #options: OpenOptions
  readonly #name: string
  #opening: Promise<Open> | undefined
  #open: Open | undefined
  #closing: Promise<void> | undefined

  constructor(options: LeveldbStorageOptions) {
    this.#name = 'path' in options ? options.path : 'over the database that was handed in'
    this.#options = {
      where: 'path' in options ? options.path : options.db,
      level: options.level,
      readOnly: options.readOnly ?? false,
      pageBytes: options.pageBytes ?? PAGE_BYTES,
      runBytesMax: options.runBytesMax ?? RUN_BYTES_MAX,
      cacheBytes: ('path' in options ? options.cacheBytes : undefined) ?? 16 * 1024 * 1024,
      sessionsRememberedMax: options.sessionsRememberedMax ?? 32_768,
    }
  }

  async open(options?: CallOptions): Promise<Opened> {
    throwIfAborted(options)
    if (this.#closing !== undefined) throw this.#notOpen()
    this.#opening ??= this.#openNow()
    return (await this.#opening).opened
  }

  knownStates(ids: readonly string[], options?: CallOptions): Awaitable<readonly (StoredState | undefined)[]> {
    const { store } = this.#ready(options)
    checkIds(ids)
    return this.#attempt('reading known states', () => knownStates(store, ids))
  }

  async headers(ids: readonly string[], options?: CallOptions): Promise<readonly (Uint8Array | undefined)[]> {
    const { store } = this.#ready(options)
    checkIds(ids)
    return this.#attempt('reading headers', () => headers(store, ids))
  }

  async read(
    id: string,
    after: KnownState,
    options: CallOptions & { readonly bytesMax: number },
  ): Promise<Page | undefined> {
    const { store } = this.#ready(options)
    checkId(id, 'document id')
    checkBytesMax(options.bytesMax)
    return this.#attempt('reading content', () => readPage(store, id, after, options.bytesMax))
  }

  append(batch: readonly Append[], options?: AppendOptions): Promise<readonly AppendResult[]> {
    try {
      const { writer } = this.#writable(options)
      checkBatch(batch, options?.marks)
      return writer.append(batch, options)
    } catch (cause) {
      return Promise.reject(cause)
    }
  }

  async verifierStates(
    id: string,
    sessions: readonly string[],
    options?: CallOptions,
  ): Promise<ReadonlyMap<string, Uint8Array>> {
    const { store } = this.#ready(options)
    checkId(id, 'document id')
    checkIds(sessions, 'session id')
    return this.#attempt('reading verifier states', () => readVerifierStates(store, id, sessions))
  }

  async marks(
    options: CallOptions & { readonly prefix: string; readonly after?: string; readonly limit: number },
  ): Promise<readonly (readonly [string, Uint8Array])[]> {
    const { store } = this.#ready(options)
    checkListing(options)
    return this.#attempt('reading marks', () => listMarks(store, options))
  }

  async list(options: CallOptions & { readonly after?: string; readonly limit: number }): Promise<readonly string[]> {
    const { store } = this.#ready(options)
    checkListing(options)
    return this.#attempt('listing documents', () => listIds(store, options.after, options.limit))
  }

  async count(options?: CallOptions): Promise<number> {
    const { store } = this.#ready(options)
    // Documents are numbered from 1 on and never removed.
    return store.numbers.document
  }

  async changes(options: CallOptions & { readonly since: number; readonly limit: number }): Promise<readonly Change[]> {
    const { store } = this.#ready(options)
    checkListing(options)
    return this.#attempt('listing changes', () => listChanges(store, options.since, options.limit))
  }

  async readMap(name: string, options?: CallOptions): Promise<ReadonlyMap<string, MapEntry>> {
    const { store } = this.#ready(options)
    checkMap(name)
    return this.#attempt('reading a map', () => readMap(store, name))
  }

  async mergeMap(name: string, entries: ReadonlyMap<string, MapEntry>, options?: CallOptions): Promise<MergeResult> {
    const { store, writer } = this.#writable(options)
    checkMap(name, entries)
    return writer.alone('storing a map', () => mergeMap(store, name, entries))
  }

  async erase(
    id: string,
    version: Version,
    options: CallOptions & { readonly keep: readonly string[] },
  ): Promise<StoredState | undefined> {
    const { store, writer } = this.#writable(options)
    checkId(id, 'document id')
    checkIds(options.keep, 'session id')
    checkVersion(version, 'version')
    const doing = `erasing document ${JSON.stringify(id)}`
    return writer.alone(doing, () => erase(store, id, version, options.keep))
  }

  close(): Promise<void> {
    this.#closing ??= this.#closeNow()
    return this.#closing
  }

  async #openNow(): Promise<Open> {
    try {
      const open = await openStore(this.#options)
      this.#open = { ...open, writer: new Writer(open.store) }
      return this.#open
    } catch (cause) {
      // It may be tried again: the other process may have gone.
      this.#opening = undefined
      throw cause
    }
  }

  async #closeNow(): Promise<void> {
    const open = this.#open ?? (await this.#opening?.catch(() => undefined))
    this.#open = undefined
    if (open === undefined) return
    await open.writer.idle()
    try {
      await open.close()
    } catch (cause) {
      throw storageError(cause, 'closing')
    }
  }

  #ready(options: CallOptions | undefined): Open {
    throwIfAborted(options)
    if (this.#open === undefined) throw this.#notOpen()
    return this.#open
  }

  #writable(options: CallOptions | undefined): Open {
    const open = this.#ready(options)
    if (this.#options.readOnly)
      throw new StorageError('READ_ONLY', `The store ${this.#name} was opened for reading only.`)
    return open
  }

  #attempt<T>(doing: string, body: () => Awaitable<T>): Awaitable<T> {
    try {
      const answer = body()
      return answer instanceof Promise ? answer.catch((cause) => this.#fail(cause, doing)) : answer
    } catch (cause) {
      return this.#fail(cause, doing)
    }
  }

  #fail(cause: unknown, doing: string): never {
    if (cause instanceof StorageError) throw cause
    throw this.#open === undefined ? this.#notOpen(cause) : storageError(cause, doing)
  }

  #notOpen(cause?: unknown): StorageError {
    const what = this.#closing === undefined ? 'call open() first' : 'it was closed'
    return new StorageError('CLOSED', `The store ${this.#name} is not open: ${what}.`, cause)
  }
}
