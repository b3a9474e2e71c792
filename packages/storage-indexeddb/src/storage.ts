/**
 * `indexeddbStorage`: the contract of `@tidemark/storage` over one IndexedDB database.
 *
 * Several tabs may have the same store open: IndexedDB lets their writing transactions take turns, and each judges what it is given
 * by what it finds. Arguments are checked at the border, failures become `StorageError` (law L2). Not here: how anything is done.
 */
import type { KnownState } from '@tidemark/known-state'
import {
  type Append,
  type AppendOptions,
  type AppendResult,
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
  systemClock,
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
import { Connection } from './connection.ts'
import { erase } from './erase.ts'
import { type Recorded, readGeneration, recordGeneration } from './generations.ts'
import { listChanges, listIds, listMarks, readVerifierStates } from './lists.ts'
import { mergeMap, readMap } from './maps.ts'
import { readNumbers } from './numbers.ts'
import { quoted } from './open-database.ts'
import { WriteQueue } from './queue.ts'
import { readPage } from './read.ts'
import { headers, knownStates } from './states.ts'
import { freshTools, type Tools } from './tools.ts'
import type { Reach } from './transaction.ts'
import { type Limits, store } from './work.ts'

export interface IndexeddbStorageOptions {
  /** Of the database, created if it does not exist. One name, one store, in all tabs of an origin. */
  readonly name: string
  /** `strict` (default): an acknowledgement survives the machine. `relaxed`: it survives the tab, and is faster. */
  readonly durability?: 'strict' | 'relaxed'
  /** The browser's own unless given. */
  readonly indexedDB?: IDBFactory
  /** Neither creates nor changes the store: to look at it, also while tabs have it open. */
  readonly readOnly?: boolean
  /** Beyond what weight, in bytes, a document is `paged`. */
  readonly pageBytes?: number
  readonly runBytesMax?: number
  /** How long to wait for the browser, or for another tab, to let the store be opened; 5,000. */
  readonly busyTimeoutMs?: number
  readonly clock?: Clock
}

/** Every method answers a promise. */
export type IndexeddbStorage = {
  readonly [Method in keyof Storage]: (
    ...args: Parameters<Storage[Method]>
  ) => Promise<Awaited<ReturnType<Storage[Method]>>>
}

export function indexeddbStorage(options: IndexeddbStorageOptions): IndexeddbStorage {
  return new OneDatabase(options)
}

class OneDatabase implements IndexeddbStorage {
  readonly #name: string
  readonly #readOnly: boolean
  readonly #limits: Limits
  readonly #connection: Connection
  readonly #queue: WriteQueue
  readonly #tools: Tools = freshTools()
  #opening: Promise<Opened> | undefined
  #phase: 'made' | 'open' | 'closed' = 'made'

  constructor(options: IndexeddbStorageOptions) {
    const { name, durability = 'strict', indexedDB, clock = systemClock, busyTimeoutMs = 5_000 } = options
    this.#name = name
    this.#readOnly = options.readOnly ?? false
    this.#limits = { pageBytes: options.pageBytes ?? PAGE_BYTES, runBytesMax: options.runBytesMax ?? RUN_BYTES_MAX }
    this.#connection = new Connection({
      name,
      factory: indexedDB,
      durability,
      clock,
      busyTimeoutMs,
      readOnly: this.#readOnly,
    })
    this.#queue = new WriteQueue(async (calls) => {
      const write = (reach: Reach) => store(reach, this.#tools, calls, this.#limits)
      const { results, completed } = await this.#connection.write('storing', write)
      completed()
      return results
    })
  }

  async open(options?: CallOptions): Promise<Opened> {
    throwIfAborted(options)
    if (this.#phase === 'closed') throw this.#notOpen()
    this.#opening ??= this.#open()
    const opening = this.#opening
    try {
      return await opening
    } catch (cause) {
      // Another caller may be trying again already.
      if (this.#opening === opening) this.#opening = undefined
      throw cause
    }
  }

  async knownStates(ids: readonly string[], options?: CallOptions): Promise<readonly (StoredState | undefined)[]> {
    this.#ready(options)
    checkIds(ids)
    if (ids.length === 0) return []
    return this.#connection.read('reading known states', ['documents', 'sessions'], (reach) =>
      knownStates(reach, this.#tools, ids, this.#limits.pageBytes),
    )
  }

  async headers(ids: readonly string[], options?: CallOptions): Promise<readonly (Uint8Array | undefined)[]> {
    this.#ready(options)
    checkIds(ids)
    if (ids.length === 0) return []
    return this.#connection.read('reading headers', ['documents', 'content'], (reach) =>
      headers(reach, this.#tools, ids),
    )
  }

  async read(
    id: string,
    after: KnownState,
    options: CallOptions & { readonly bytesMax: number },
  ): Promise<Page | undefined> {
    this.#ready(options)
    checkId(id, 'document id')
    checkBytesMax(options.bytesMax)
    const limits = { bytesMax: options.bytesMax, runBytesMax: this.#limits.runBytesMax }
    return this.#connection.read('reading content', ['documents', 'sessions', 'content'], (reach) =>
      readPage(reach, this.#tools, id, after, limits),
    )
  }

  async append(batch: readonly Append[], options?: AppendOptions): Promise<readonly AppendResult[]> {
    this.#writable(options)
    checkBatch(batch, options?.marks)
    if (batch.length === 0 && !options?.marks?.size) return []
    return this.#queue.append({ batch, marks: options?.marks }, options)
  }

  async verifierStates(
    id: string,
    sessions: readonly string[],
    options?: CallOptions,
  ): Promise<ReadonlyMap<string, Uint8Array>> {
    this.#ready(options)
    checkId(id, 'document id')
    checkIds(sessions, 'session id')
    return this.#connection.read('reading verifier states', ['documents', 'sessions', 'verifiers'], (reach) =>
      readVerifierStates(reach, this.#tools, id, sessions),
    )
  }

  async marks(
    options: CallOptions & { readonly prefix: string; readonly after?: string; readonly limit: number },
  ): Promise<readonly (readonly [string, Uint8Array])[]> {
    this.#ready(options)
    checkListing(options)
    return this.#connection.read('reading marks', ['marks'], (reach) => listMarks(reach, options))
  }

  async list(options: CallOptions & { readonly after?: string; readonly limit: number }): Promise<readonly string[]> {
    this.#ready(options)
    checkListing(options)
    return this.#connection.read('listing documents', ['documents'], (reach) =>
      listIds(reach, options.after, options.limit),
    )
  }

  async count(options?: CallOptions): Promise<number> {
    this.#ready(options)
    return this.#connection.read('counting', ['meta'], async (reach) => (await readNumbers(reach)).documents)
  }

  async changes(options: CallOptions & { readonly since: number; readonly limit: number }): Promise<readonly Change[]> {
    this.#ready(options)
    checkListing(options)
    return this.#connection.read('listing changes', ['documents'], (reach) =>
      listChanges(reach, options.since, options.limit),
    )
  }

  async readMap(name: string, options?: CallOptions): Promise<ReadonlyMap<string, MapEntry>> {
    this.#ready(options)
    checkMap(name)
    return this.#connection.read('reading a map', ['maps'], (reach) => readMap(reach, name))
  }

  async mergeMap(name: string, entries: ReadonlyMap<string, MapEntry>, options?: CallOptions): Promise<MergeResult> {
    this.#writable(options)
    checkMap(name, entries)
    const tried = new Set<string>()
    return this.#queue.run(() =>
      this.#connection.write('merging a map', (reach) => mergeMap(reach, name, entries, tried)),
    )
  }

  async erase(
    id: string,
    version: Version,
    options: CallOptions & { readonly keep: readonly string[] },
  ): Promise<StoredState | undefined> {
    this.#writable(options)
    checkId(id, 'document id')
    checkIds(options.keep, 'session id')
    checkVersion(version, 'version')
    return this.#queue.run(() =>
      this.#connection.write('erasing', (reach) =>
        erase(reach, this.#tools.writer, id, version, options.keep, this.#limits.pageBytes),
      ),
    )
  }

  async close(): Promise<void> {
    this.#phase = 'closed'
    await this.#opening?.catch(() => {})
    await this.#queue.idle()
    await this.#connection.close()
  }

  async #open(): Promise<Opened> {
    const { recorded, level } = await (this.#readOnly ? this.#look() : this.#begin())
    this.#connection.identify(recorded.identity)
    if (this.#phase === 'made') this.#phase = 'open'
    return {
      generation: recorded.history.at(-1) as Opened['generation'],
      history: recorded.history,
      writable: !this.#readOnly,
      capabilities: { list: true, changes: true, maps: true, erase: true },
      level,
    }
  }

  #begin(): Promise<{ recorded: Recorded; level: 'durable' | 'stored' }> {
    return this.#connection.write('opening', async (reach, transaction) => ({
      recorded: await recordGeneration(reach),
      // A browser that does not know the wish does not say what it does.
      level: transaction.durability === 'strict' ? 'durable' : 'stored',
    }))
  }

  async #look(): Promise<{ recorded: Recorded; level: 'stored' }> {
    const recorded = await this.#connection.read('opening', ['generations'], readGeneration)
    if (recorded === undefined) throw new StorageError('IO', `The store ${quoted(this.#name)} was never written to.`)
    return { recorded, level: 'stored' }
  }

  #ready(options: CallOptions | undefined): void {
    throwIfAborted(options)
    if (this.#phase !== 'open') throw this.#notOpen()
  }

  #writable(options: CallOptions | undefined): void {
    this.#ready(options)
    if (this.#readOnly)
      throw new StorageError('READ_ONLY', `The store ${quoted(this.#name)} was opened for reading only.`)
  }

  #notOpen(): StorageError {
    const what = this.#phase === 'closed' ? 'it was closed' : 'call open() first'
    return new StorageError('CLOSED', `The store ${quoted(this.#name)} is not open: ${what}.`)
  }
}
