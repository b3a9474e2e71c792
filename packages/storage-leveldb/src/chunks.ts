/**
 * The entries of a document within a commit: where each stands, and which chunks must be written again.
 *
 * All entries are in memory, also those of a document in chunks: whoever appends is answered with all of them. What is written is
 * the row and the chunks that changed: a commit writes as much for a document with 10,000 sessions as for one with 200.
 * Not here: what an entry says (rows.ts).
 */
import { type Operation, put, remove } from './database.ts'
import { chunkKey } from './keys.ts'
import { type DocumentRow, type Entry, encodeChunk } from './rows.ts'
import type { Store } from './store.ts'

/** Beyond, the entries leave the row. */
const INLINE_ENTRIES_MAX = 40
/** A chunk of full entries (8 bytes of digest, large numbers) is about 4 KiB. */
const CHUNK_ENTRIES_MAX = 160

export class Entries {
  /** By ascending session, and the session ids beside them. */
  #all: Entry[]
  #names: readonly string[]
  /** The names are ours, since one was added. */
  #ownNames: string[] | undefined
  readonly #row: DocumentRow
  /** First sessions of chunks that changed. */
  #changed: Set<number> | undefined

  constructor(row: DocumentRow, all: readonly Entry[], names: readonly string[]) {
    this.#row = row
    this.#all = [...all]
    this.#names = names
  }

  get all(): readonly Entry[] {
    return this.#all
  }

  /** The same array as before, while no session was added. */
  get names(): readonly string[] {
    return this.#names
  }

  add(entry: Entry, name: string): void {
    const index = this.#indexOf(entry.session)
    this.#all.splice(index, 0, entry)
    this.#ownNames ??= [...this.#names]
    this.#ownNames.splice(index, 0, name)
    this.#names = this.#ownNames
  }

  /** Puts a copy in the place of an entry: what was read may be remembered, and is not changed. */
  replace(entry: Entry): void {
    this.#all[this.#indexOf(entry.session)] = entry
  }

  /** To be called after an entry was changed or added. */
  changed(session: number): void {
    const { chunks } = this.#row
    if (chunks.length === 0) return
    let index = chunks.length - 1
    while (index > 0 && (chunks[index] as number) > session) index--
    this.#changed ??= new Set()
    this.#changed.add(chunks[index] as number)
  }

  /** Leaves only those entries whose id is in `kept`; answers what removes the chunks that there were. */
  keep(kept: ReadonlySet<string>): Operation[] {
    const { document, chunks } = this.#row
    this.#row.chunks = []
    this.#changed = undefined
    this.#all = this.#all.filter((_, index) => kept.has(this.#names[index] as string))
    this.#names = this.#names.filter((name) => kept.has(name))
    return chunks.map((first) => remove(chunkKey(document, first)))
  }

  /** Puts the entries into the row, or into chunks, and adds what writes those that changed. The row is written afterwards. */
  write(operations: Operation[], store: Store): void {
    const row = this.#row
    if (row.chunks.length === 0 && this.#all.length <= INLINE_ENTRIES_MAX) {
      row.entries = this.#all
      return
    }
    row.entries = []
    if (row.chunks.length === 0) {
      const first = (this.#all[0] as Entry).session
      row.chunks = [first]
      this.#changed = new Set([first])
    }
    for (const first of this.#changed ?? []) this.#writeChunk(operations, store, first)
  }

  #writeChunk(operations: Operation[], store: Store, first: number): void {
    const { document, kind, chunks } = this.#row
    const place = chunks.indexOf(first)
    const start = place === 0 ? 0 : this.#indexOf(first)
    const next = chunks[place + 1]
    const entries = this.#all.slice(start, next === undefined ? this.#all.length : this.#indexOf(next))
    const parts = divided(entries, next === undefined)
    const firsts = parts.map((part, index) => (index === 0 ? first : (part[0] as Entry).session))
    chunks.splice(place, 1, ...firsts)
    for (const [index, part] of parts.entries())
      operations.push(put(chunkKey(document, firsts[index] as number), encodeChunk(store.writer, part, kind)))
  }

  /** Where `session` stands or would stand. */
  #indexOf(session: number): number {
    let low = 0
    let high = this.#all.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((this.#all[middle] as Entry).session < session) low = middle + 1
      else high = middle
    }
    return low
  }
}

/** New sessions have the greatest references: the last chunk is left full, and what follows goes into new ones. */
function divided(entries: readonly Entry[], last: boolean): readonly (readonly Entry[])[] {
  const count = Math.ceil(entries.length / CHUNK_ENTRIES_MAX)
  const size = last ? CHUNK_ENTRIES_MAX : Math.ceil(entries.length / Math.max(1, count))
  const parts: (readonly Entry[])[] = []
  for (let at = 0; at < entries.length; at += size) parts.push(entries.slice(at, at + size))
  return parts
}
