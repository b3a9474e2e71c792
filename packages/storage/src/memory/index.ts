/**
 * A storage in memory: the whole contract in the same tick, kept by nothing.
 *
 * For tests, for the simulator, and as the reference of what the contract means. Level `memory`: what it acknowledges
 * survives nothing, so it never counts as durable (law L3). It has no limit of its own, unlike a bounded cache.
 */
import type { KnownState } from '@tidemark/known-state'
import { checkBatch, checkBytesMax, checkIds, checkListing, checkMap, throwIfAborted } from '../check.ts'
import type {
  Append,
  AppendOptions,
  AppendResult,
  CallOptions,
  Change,
  Generation,
  MapEntry,
  Marks,
  MergeResult,
  Opened,
  Page,
  Refused,
  Storage,
  StoredState,
  Version,
} from '../contract.ts'
import { PAGE_BYTES, RUN_BYTES_MAX } from '../contract.ts'
import { StorageError } from '../errors.ts'
import { checkId, compareIds } from '../ids.ts'
import { judgeDocument } from '../judge.ts'
import type { SynchronousStorage } from '../synchronous.ts'
import { checkVersion, compareVersions } from '../version.ts'
import { ChangeLog } from './change-log.ts'
import { Document } from './document.ts'
import { copy } from './session.ts'
import { merge } from './small-map.ts'
import { SortedMap } from './sorted-map.ts'

export interface MemoryStorageOptions {
  /** Beyond what weight, in bytes, a document is `paged`. */
  readonly pageBytes?: number
  readonly runBytesMax?: number
  /** Id of its generation, for worlds that must repeat exactly; random otherwise. */
  readonly generation?: string
}

export function memoryStorage(options: MemoryStorageOptions = {}): SynchronousStorage {
  return new MemoryStorage(options)
}

class MemoryStorage implements Storage {
  readonly #pageBytes: number
  readonly #runBytesMax: number
  readonly #generation: Generation
  readonly #documents = new SortedMap<Document>()
  readonly #changes = new ChangeLog()
  readonly #marks = new SortedMap<Uint8Array>()
  readonly #maps = new Map<string, Map<string, MapEntry>>()
  #phase: 'made' | 'open' | 'closed' = 'made'

  constructor(options: MemoryStorageOptions) {
    this.#pageBytes = options.pageBytes ?? PAGE_BYTES
    this.#runBytesMax = options.runBytesMax ?? RUN_BYTES_MAX
    this.#generation = { id: options.generation ?? randomId(), sequence: 0 }
  }

  open(options?: CallOptions): Opened {
    throwIfAborted(options)
    if (this.#phase === 'closed') throw closed(this.#phase)
    this.#phase = 'open'
    return {
      generation: this.#generation,
      writable: true,
      capabilities: { list: true, changes: true, maps: true, erase: true },
      level: 'memory',
    }
  }

  knownStates(ids: readonly string[], options?: CallOptions): readonly (StoredState | undefined)[] {
    this.#ready(options)
    checkIds(ids)
    return ids.map((id) => this.#documents.get(id)?.state)
  }

  headers(ids: readonly string[], options?: CallOptions): readonly (Uint8Array | undefined)[] {
    this.#ready(options)
    checkIds(ids)
    return ids.map((id) => this.#documents.get(id)?.header)
  }

  read(id: string, after: KnownState, options: CallOptions & { readonly bytesMax: number }): Page | undefined {
    this.#ready(options)
    checkId(id, 'document id')
    checkBytesMax(options.bytesMax)
    return this.#documents.get(id)?.read(after, { bytesMax: options.bytesMax, runBytesMax: this.#runBytesMax })
  }

  append(batch: readonly Append[], options?: AppendOptions): readonly AppendResult[] {
    this.#ready(options)
    checkBatch(batch, options?.marks)
    const results = batch.map((content) => this.#store(content))
    this.#mark(options?.marks)
    return results
  }

  verifierStates(id: string, sessions: readonly string[], options?: CallOptions): ReadonlyMap<string, Uint8Array> {
    this.#ready(options)
    checkId(id, 'document id')
    checkIds(sessions, 'session id')
    const states = new Map<string, Uint8Array>()
    for (const session of sessions) {
      const state = this.#documents.get(id)?.verifier(session)
      if (state !== undefined) states.set(session, state)
    }
    return states
  }

  marks(
    options: CallOptions & { readonly prefix: string; readonly after?: string; readonly limit: number },
  ): readonly (readonly [string, Uint8Array])[] {
    this.#ready(options)
    checkListing(options)
    const { prefix, limit } = options
    const found: (readonly [string, Uint8Array])[] = []
    const behind = options.after === undefined || compareIds(options.after, prefix) < 0
    const prefixed = this.#marks.get(prefix)
    if (behind && prefixed !== undefined && limit > 0) found.push([prefix, prefixed])
    // Keys with a prefix stand together, right behind the prefix itself.
    for (const entry of this.#marks.after(behind ? prefix : options.after)) {
      if (found.length >= limit || !entry[0].startsWith(prefix)) break
      found.push(entry)
    }
    return found
  }

  list(options: CallOptions & { readonly after?: string; readonly limit: number }): readonly string[] {
    this.#ready(options)
    checkListing(options)
    const ids: string[] = []
    for (const [id] of this.#documents.after(options.after)) {
      if (ids.length >= options.limit) break
      ids.push(id)
    }
    return ids
  }

  count(options?: CallOptions): number {
    this.#ready(options)
    return this.#documents.size
  }

  changes(options: CallOptions & { readonly since: number; readonly limit: number }): readonly Change[] {
    this.#ready(options)
    checkListing(options)
    return this.#changes.since(options.since, options.limit)
  }

  readMap(name: string, options?: CallOptions): ReadonlyMap<string, MapEntry> {
    this.#ready(options)
    checkMap(name)
    return new Map(this.#maps.get(name))
  }

  mergeMap(name: string, entries: ReadonlyMap<string, MapEntry>, options?: CallOptions): MergeResult {
    this.#ready(options)
    checkMap(name, entries)
    const map = this.#maps.get(name) ?? new Map<string, MapEntry>()
    this.#maps.set(name, map)
    return merge(map, entries)
  }

  erase(
    id: string,
    version: Version,
    options: CallOptions & { readonly keep: readonly string[] },
  ): StoredState | undefined {
    this.#ready(options)
    checkId(id, 'document id')
    checkIds(options.keep, 'session id')
    checkVersion(version, 'version')
    const document = this.#documents.get(id)
    if (document === undefined) return undefined
    if (document.erased === undefined || compareVersions(version, document.erased) > 0) {
      document.erase([version[0], version[1]], options.keep)
      this.#changes.add(id)
    }
    return document.state
  }

  close(): void {
    this.#phase = 'closed'
  }

  #store(content: Append): AppendResult {
    const held = this.#documents.get(content.id)
    const judged = judgeDocument(
      content,
      held && { kind: held.kind, erased: held.erased !== undefined, header: held.header },
      this.#runBytesMax,
    )
    if (judged.verdict === 'absent') return { state: undefined, refused: judged.refused }
    if (judged.verdict === 'headerRefused') return { state: held?.state, refused: new Map(), headerRefused: judged.why }
    if (judged.verdict === 'covered') return { state: held?.state, refused: new Map() }
    const document = held ?? this.#create(content)
    const refused = new Map<string, Refused>()
    const grown = document.store(content, this.#runBytesMax, refused)
    if (grown || held === undefined) this.#changes.add(content.id)
    return { state: document.state, refused }
  }

  #create(content: Append): Document {
    const document = new Document(content, content.header as Uint8Array, this.#pageBytes)
    this.#documents.set(content.id, document)
    return document
  }

  #mark(marks: Marks = new Map()): void {
    for (const [key, value] of marks) {
      if (value === undefined) this.#marks.delete(key)
      else this.#marks.set(key, copy(value))
    }
  }

  #ready(options: CallOptions | undefined): void {
    throwIfAborted(options)
    if (this.#phase !== 'open') throw closed(this.#phase)
  }
}

function closed(phase: 'made' | 'closed' | 'open'): StorageError {
  return new StorageError(
    'CLOSED',
    phase === 'made' ? 'memory storage: call open() first' : 'memory storage: it was closed',
  )
}

function randomId(): string {
  let id = ''
  for (const byte of crypto.getRandomValues(new Uint8Array(16))) id += byte.toString(16).padStart(2, '0')
  return id
}
