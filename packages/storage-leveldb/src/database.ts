/**
 * The database below: any abstract-level database, in bytes, at once where it can.
 *
 * Reads answer a value where the database offers `getSync` and few keys are asked for, since a turn through the thread pool costs
 * ten times what the read costs; everything else is a promise. Keys and values are bytes, whatever the database was made with.
 * What is answered is the database's own memory in some engines: it is never changed.
 * Not here: which keys there are (keys.ts), what a failure means (errors.ts).
 */
import type { Awaitable } from '@tidemark/storage'
import type { AbstractLevel } from 'abstract-level'
import type { Key, KeyRange } from './keys.ts'

/** Any database of the abstract-level family that keeps bytes. */
export type LevelDatabase = AbstractLevel<unknown, unknown, unknown>

/** One change of a batch; made by `put` and `remove`, with the encodings, so that abstract-level has nothing to add. */
export type Operation = Put | Removal

export interface Put extends Encoded {
  readonly type: 'put'
  readonly key: Key
  readonly value: Uint8Array
}

interface Removal extends Encoded {
  readonly type: 'del'
  readonly key: Key
}

interface Encoded {
  readonly keyEncoding: 'view'
  readonly valueEncoding: 'view'
}

export function put(key: Key, value: Uint8Array): Put {
  return { type: 'put', key, value, keyEncoding: 'view', valueEncoding: 'view' }
}

export function remove(key: Key): Operation {
  return { type: 'del', key, keyEncoding: 'view', valueEncoding: 'view' }
}

export type Value = Uint8Array | undefined

interface Listing {
  readonly reverse?: boolean
  readonly limit?: number
}

export interface DatabaseOptions {
  /** A write is on the disk when it resolves. */
  readonly sync: boolean
  /** It was opened here, so it may be closed and opened again here. */
  readonly owned: boolean
}

const BYTES = { keyEncoding: 'view', valueEncoding: 'view' } as const
/** Beyond, a turn through the thread pool is cheaper than reading one by one; and the disk may be slow, all others wait meanwhile. */
const AT_ONCE_MAX = 128
/** More keys are looked up in parallel: by half of the threads that Node has for such work. */
const KEYS_PER_THREAD = 32
const THREADS = 2
/** LevelDB's iterators read ahead so much at a time; its own default is made for small values. */
const READ_AHEAD_BYTES = 256 * 1024
const SCANNED_AT_ONCE = 1000
/** LevelDB counts in 32 bits; what is more is all there is. */
const LIMIT_MAX = 2 ** 31 - 1

export class Database {
  readonly #level: LevelDatabase
  readonly #options: DatabaseOptions
  readonly #atOnce: boolean
  #reopening: Promise<void> | undefined
  /** Nothing opens it again. */
  #closed = false

  constructor(level: LevelDatabase, options: DatabaseOptions) {
    this.#level = level
    this.#options = options
    // Not among the types of the manifest yet.
    this.#atOnce = (level.supports as { readonly getSync?: boolean }).getSync === true
  }

  /** Whether `get`, and `getMany` of few keys, answer values now. */
  get answersAtOnce(): boolean {
    return this.#atOnce && this.#level.status === 'open'
  }

  get(key: Key): Awaitable<Value> {
    return this.answersAtOnce ? this.#getSync(key) : this.#get(key)
  }

  /** As many values as keys, in their order. */
  getMany(keys: readonly Key[]): Awaitable<Value[]> {
    if (keys.length <= AT_ONCE_MAX && this.answersAtOnce) return keys.map((key) => this.#getSync(key))
    return keys.length === 0 ? [] : this.#getMany(keys)
  }

  /** Everything in `range`, or its first `limit` entries. */
  async entries(range: KeyRange, listing: Listing = {}): Promise<[key: Key, value: Uint8Array][]> {
    await this.#ready()
    return this.#level.iterator<Uint8Array, Uint8Array>(listed(range, listing)).all()
  }

  async values(range: KeyRange): Promise<Uint8Array[]> {
    await this.#ready()
    return this.#level.values<Uint8Array, Uint8Array>(listed(range, {})).all()
  }

  async keys(range: KeyRange, listing: Listing = {}): Promise<Key[]> {
    await this.#ready()
    return this.#level.keys<Uint8Array>(listed(range, listing)).all()
  }

  /** What is in `range`, about `bytes` at a time: for who does not know beforehand how much is needed. */
  async *scan(range: KeyRange, bytes: number): AsyncGenerator<readonly Uint8Array[]> {
    await this.#ready()
    const iterator = this.#level.values<Uint8Array, Uint8Array>(listed(range, {}, bytes))
    try {
      for (;;) {
        const values = await iterator.nextv(SCANNED_AT_ONCE)
        if (values.length === 0) return
        yield values
      }
    } finally {
      await iterator.close()
    }
  }

  /** All of `operations` or none of them; on the disk when it resolves, if that was asked for. */
  async write(operations: readonly Operation[]): Promise<void> {
    if (operations.length === 0) return
    await this.#ready()
    const { sync, owned } = this.#options
    // Keys and values are views of something larger. LevelDB copies what they show; other engines keep them, or all that is behind them.
    const own = owned ? operations : operations.map(copied)
    await this.#level.batch<Uint8Array, Uint8Array>(own as Operation[], { sync } as object)
  }

  /**
   * Closes the database and opens it again; reads wait meanwhile. A database that was handed in is left as it is.
   *
   * LevelDB's log cannot be trusted after a failed write: what is written behind a torn record is lost at the next start, and
   * after a failed sync it takes no more writes at all. Opening anew begins a new log behind the last whole record.
   */
  async reopen(): Promise<void> {
    if (!this.#options.owned || this.#closed) return
    this.#reopening ??= (async () => {
      try {
        await this.#level.close()
        await this.#level.open()
      } finally {
        this.#reopening = undefined
      }
    })()
    await this.#reopening
  }

  async close(): Promise<void> {
    this.#closed = true
    await this.#reopening?.catch(() => {})
    if (this.#options.owned) await this.#level.close()
  }

  /** A database that could not be opened again is tried again by whoever needs it next. */
  async #ready(): Promise<void> {
    if (this.#reopening !== undefined || this.#level.status === 'closed') await this.reopen()
  }

  #getSync(key: Key): Value {
    return this.#level.getSync<Uint8Array, Uint8Array>(key, BYTES)
  }

  async #get(key: Key): Promise<Value> {
    await this.#ready()
    return this.#level.get<Uint8Array, Uint8Array>(key, BYTES)
  }

  async #getMany(keys: readonly Key[]): Promise<Value[]> {
    await this.#ready()
    if (keys.length < 2 * KEYS_PER_THREAD) return this.#level.getMany<Uint8Array, Uint8Array>(keys as Key[], BYTES)
    const size = Math.max(KEYS_PER_THREAD, Math.ceil(keys.length / THREADS))
    const parts: Promise<Value[]>[] = []
    for (let at = 0; at < keys.length; at += size)
      parts.push(this.#level.getMany<Uint8Array, Uint8Array>(keys.slice(at, at + size), BYTES))
    return (await Promise.all(parts)).flat()
  }
}

function copied(operation: Operation): Operation {
  const key = new Uint8Array(operation.key)
  return operation.type === 'del' ? remove(key) : put(key, new Uint8Array(operation.value))
}

function listed(range: KeyRange, { reverse = false, limit = -1 }: Listing, readAheadBytes: number = READ_AHEAD_BYTES) {
  // The last one is not an option of every engine: those that do not know it do without.
  return {
    ...range,
    ...BYTES,
    reverse,
    limit: limit > LIMIT_MAX ? -1 : limit,
    highWaterMarkBytes: readAheadBytes,
  }
}
