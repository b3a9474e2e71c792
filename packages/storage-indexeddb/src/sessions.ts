/**
 * The sessions of one document: found by id, and written where they are not in the document's row.
 *
 * Documents have few sessions and are searched; of many an index is made when it is first needed.
 */
import type { BlobWriter } from '@tidemark/storage/adapter'
import { numberedKey } from './keys.ts'
import { type Entry, encodeChunk, type Row } from './row.ts'
import type { Reach } from './transaction.ts'

const SEARCHED_MAX = 16
/** Beyond, the entries leave the row: it is written with every commit. */
const INLINE_ENTRIES_MAX = 24
/** Entries of one chunk: with ids of a usual length they stay below 4 KiB. */
const CHUNK_ENTRIES = 40

export class Sessions {
  /** By ascending session number. */
  readonly entries: Entry[]
  #byId: Map<string, Entry> | undefined

  constructor(entries: Entry[]) {
    this.entries = entries
  }

  get(id: string): Entry | undefined {
    if (this.entries.length <= SEARCHED_MAX) return this.entries.find((entry) => entry.id === id)
    this.#byId ??= new Map(this.entries.map((entry) => [entry.id, entry]))
    return this.#byId.get(id)
  }

  /** `entry` has the greatest session number. */
  add(entry: Entry): void {
    this.entries.push(entry)
    this.#byId?.set(entry.id, entry)
  }
}

/** Writes the entries that are not in the row: those of the chunks in `changed`, or all when they leave it. */
export function writeSessions(
  reach: Reach,
  writer: BlobWriter,
  row: Row,
  { entries }: Sessions,
  changed: ReadonlySet<number> | 'all',
): void {
  const leave = !row.chunked && entries.length > INLINE_ENTRIES_MAX
  row.chunked ||= leave
  if (!row.chunked) return
  const chunks = new Map<number, Entry[]>()
  for (const entry of entries) {
    const chunk = chunkOf(entry)
    if (changed !== 'all' && !leave && !changed.has(chunk)) continue
    const others = chunks.get(chunk)
    if (others === undefined) chunks.set(chunk, [entry])
    else others.push(entry)
  }
  for (const [chunk, some] of chunks)
    reach('sessions').put(encodeChunk(writer, some, row.kind), numberedKey(row.document, chunk))
}

/** The chunk that an entry is in, if it is in one. */
export function chunkOf({ session }: Entry): number {
  return Math.floor(session / CHUNK_ENTRIES)
}
