/**
 * The row of a document: what is held of it, in one blob, so that a known state is one read.
 *
 *     flags      bit 0: payloads are bytes; bits 1–3: priority; bit 4: erased; bit 5: sessions are in chunks
 *     bytes      varint: of header, transactions and seals
 *     erasure    if erased: counter, length of the actor, the actor as UTF-8
 *     sessions   entries by ascending session reference, or in chunks: per chunk its key and its first reference
 *     checksum
 *     entry      reference (less the one before), count, bytes in its tail, then for bytes documents the digest (8 bytes),
 *                for json documents how many transactions the last sealed run has (0: never sealed)
 *
 * A document with thousands of sessions keeps its entries in chunks of their own, a few KiB each, and a directory of them here:
 * one transaction rewrites one chunk, not a hundred kilobytes. Not here: the names of sessions (session-names.ts), SQL.
 */
import type { PayloadKind, Priority } from '@tidemark/protocol'
import type { Version } from '@tidemark/storage'
import { BlobReader, type BlobWriter } from '@tidemark/storage/adapter'

/** What is held of one session. */
export interface Entry {
  readonly session: number
  count: number
  /** Weight of what was appended since the session was last folded, see tail.ts. */
  tail: number
  /** At `count`; for `bytes` documents. */
  digest: string | undefined
  /** Where the last sealed run begins. */
  lastRun: number | undefined
}

/** Where a chunk of entries is. */
export interface ChunkPlace {
  readonly key: number
  /** Sessions from this reference on, up to the next chunk's; the first chunk also has all below. */
  readonly first: number
}

export interface DocumentRow {
  readonly kind: PayloadKind
  readonly priority: Priority
  bytes: number
  erased: Version | undefined
  /** By ascending session; empty where there are chunks. */
  entries: Entry[]
  /** By ascending `first`; empty while the entries fit here. */
  chunks: ChunkPlace[]
}

const BYTES_KIND = 1
const ERASED = 16
const CHUNKED = 32

export function encodeRow(writer: BlobWriter, row: DocumentRow): Uint8Array {
  const kind = row.kind === 'bytes' ? BYTES_KIND : 0
  const erased = row.erased === undefined ? 0 : ERASED
  const chunked = row.chunks.length === 0 ? 0 : CHUNKED
  writer.begin()
  writer.byte(kind | (row.priority << 1) | erased | chunked)
  writer.varint(row.bytes)
  if (row.erased !== undefined) {
    writer.varint(row.erased[0])
    writer.text(row.erased[1])
  }
  if (chunked) encodePlaces(writer, row.chunks)
  else writeEntries(writer, row.entries, row.kind)
  return writer.end()
}

export function decodeRow(blob: Uint8Array): DocumentRow {
  const reader = new BlobReader(blob)
  const flags = reader.byte()
  const kind = flags & BYTES_KIND ? 'bytes' : 'json'
  const priority = ((flags >> 1) & 7) as Priority
  const bytes = reader.varint()
  let erased: Version | undefined
  if (flags & ERASED) {
    const counter = reader.varint()
    erased = [counter, reader.text()]
  }
  const chunks = flags & CHUNKED ? decodePlaces(reader) : []
  const entries = flags & CHUNKED ? [] : readEntries(reader, kind)
  return { kind, priority, bytes, erased, entries, chunks }
}

export function encodeChunk(writer: BlobWriter, entries: readonly Entry[], kind: PayloadKind): Uint8Array {
  writer.begin()
  writeEntries(writer, entries, kind)
  return writer.end()
}

export function decodeChunk(blob: Uint8Array, kind: PayloadKind): Entry[] {
  return readEntries(new BlobReader(blob), kind)
}

function writeEntries(writer: BlobWriter, entries: readonly Entry[], kind: PayloadKind): void {
  let before = 0
  for (const entry of entries) {
    writer.varint(entry.session - before)
    writer.varint(entry.count)
    writer.varint(entry.tail)
    if (kind === 'bytes') writer.digest(entry.digest as string)
    else writer.varint(entry.lastRun === undefined ? 0 : entry.count - entry.lastRun)
    before = entry.session
  }
}

function readEntries(reader: BlobReader, kind: PayloadKind): Entry[] {
  const entries: Entry[] = []
  let session = 0
  while (reader.left > 0) {
    session += reader.varint()
    const count = reader.varint()
    const tail = reader.varint()
    if (kind === 'bytes') entries.push({ session, count, tail, digest: reader.digest(), lastRun: undefined })
    else {
      const last = reader.varint()
      entries.push({ session, count, tail, digest: undefined, lastRun: last === 0 ? undefined : count - last })
    }
  }
  return entries
}

function encodePlaces(writer: BlobWriter, chunks: readonly ChunkPlace[]): void {
  for (const chunk of chunks) {
    writer.varint(chunk.key)
    writer.varint(chunk.first)
  }
}

function decodePlaces(reader: BlobReader): ChunkPlace[] {
  const chunks: ChunkPlace[] = []
  while (reader.left > 0) chunks.push({ key: reader.varint(), first: reader.varint() })
  return chunks
}
