/**
 * The sessions held of one document, wherever their entries are: in the document's row, or in chunks of their own.
 *
 * Looking at one session of thousands reads one chunk and changing it writes one: a commit costs the same for a document with
 * 10,000 sessions as for one with 200. Not here: what an entry says (known-blob.ts), sessions' names (session-names.ts).
 */
import { DamagedBlob } from '@tidemark/storage/adapter'
import { type DocumentRow, decodeChunk, type Entry, encodeChunk } from './known-blob.ts'
import type { Numbers, Store } from './store.ts'

/** Beyond, the entries leave the row: it must stay well below what SQLite keeps on one page with three others. */
const INLINE_ENTRIES_MAX = 40
/** A chunk of full entries (8 bytes digest, large numbers) stays below the 4 KiB of a page. */
const CHUNK_ENTRIES_MAX = 160

interface Chunk {
  readonly key: number
  first: number
  entries: Entry[]
  changed: boolean
}

export class SessionsHeld {
  readonly #store: Store
  readonly #row: DocumentRow
  /** By key; those that were read. */
  readonly #chunks = new Map<number, Chunk>()

  constructor(store: Store, row: DocumentRow) {
    this.#store = store
    this.#row = row
  }

  get(session: number): Entry | undefined {
    const entries = this.#around(session)?.entries ?? this.#row.entries
    const entry = entries[indexOf(entries, session)]
    return entry?.session === session ? entry : undefined
  }

  /** To be called after an entry was changed. */
  changed(session: number): void {
    const chunk = this.#around(session)
    if (chunk !== undefined) chunk.changed = true
  }

  add(entry: Entry): void {
    const chunk = this.#around(entry.session)
    const entries = chunk?.entries ?? this.#row.entries
    entries.splice(indexOf(entries, entry.session), 0, entry)
    if (chunk !== undefined) chunk.changed = true
  }

  /** Every entry, by ascending session. */
  all(): readonly Entry[] {
    if (this.#row.chunks.length === 0) return this.#row.entries
    return this.#row.chunks.flatMap(({ key, first }) => this.#read(key, first).entries)
  }

  /** Makes `entries` all that is held, inline again if they are few; what the chunks took is free. */
  replace(entries: Entry[]): void {
    for (const { key } of this.#row.chunks) this.#store.sql.removeChunk.run(key)
    this.#chunks.clear()
    this.#row.chunks = []
    this.#row.entries = entries
  }

  /** Writes the chunks that changed, before the row is written; divides what has become too large. */
  write(numbers: Numbers): void {
    if (this.#row.chunks.length === 0 && this.#row.entries.length <= INLINE_ENTRIES_MAX) return
    if (this.#row.chunks.length === 0) this.#moveOut(numbers)
    for (const chunk of [...this.#chunks.values()]) if (chunk.changed) this.#writeChunk(chunk, numbers)
  }

  #moveOut(numbers: Numbers): void {
    const entries = this.#row.entries
    const chunk = { key: ++numbers.chunk, first: (entries[0] as Entry).session, entries, changed: true }
    this.#chunks.set(chunk.key, chunk)
    this.#row.chunks = [{ key: chunk.key, first: chunk.first }]
    this.#row.entries = []
  }

  #writeChunk(chunk: Chunk, numbers: Numbers): void {
    while (chunk.entries.length > CHUNK_ENTRIES_MAX) this.#divide(chunk, numbers)
    const { sql, writer } = this.#store
    sql.setChunk.run(chunk.key, encodeChunk(writer, chunk.entries, this.#row.kind))
    chunk.changed = false
  }

  #divide(chunk: Chunk, numbers: Numbers): void {
    const { chunks } = this.#row
    const place = chunks.findIndex(({ key }) => key === chunk.key)
    // New sessions have the greatest references: the last chunk is left full, and only what follows goes into a new one.
    const at = place === chunks.length - 1 ? CHUNK_ENTRIES_MAX : chunk.entries.length >> 1
    const entries = chunk.entries.splice(at)
    const next = { key: ++numbers.chunk, first: (entries[0] as Entry).session, entries, changed: true }
    this.#chunks.set(next.key, next)
    chunks.splice(place + 1, 0, { key: next.key, first: next.first })
    this.#writeChunk(next, numbers)
  }

  /** The chunk that `session` is in or would be in; `undefined` if entries are in the row. */
  #around(session: number): Chunk | undefined {
    const { chunks } = this.#row
    if (chunks.length === 0) return undefined
    let index = chunks.length - 1
    while (index > 0 && (chunks[index] as { first: number }).first > session) index--
    const { key, first } = chunks[index] as { key: number; first: number }
    return this.#read(key, first)
  }

  #read(key: number, first: number): Chunk {
    const known = this.#chunks.get(key)
    if (known !== undefined) return known
    const chunk = { key, first, entries: readChunk(this.#store, key, this.#row), changed: false }
    this.#chunks.set(key, chunk)
    return chunk
  }
}

/** @throws DamagedBlob */
export function readChunk(store: Store, key: number, { kind }: DocumentRow): Entry[] {
  const blob = store.sql.chunk.get(key)?.[0]
  if (blob === undefined) throw new DamagedBlob(`chunk ${key} of its known state is missing`)
  return decodeChunk(blob as Uint8Array, kind)
}

/** Where `session` stands or would stand. */
function indexOf(entries: readonly Entry[], session: number): number {
  let low = 0
  let high = entries.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((entries[middle] as Entry).session < session) low = middle + 1
    else high = middle
  }
  return low
}
