/**
 * The row of a document: what is held of it, in one record, so that a known state is one read.
 *
 *     document   its number: where its header and its content are
 *     sequence   where it stands among the changes
 *     flags      bit 0: payloads are bytes; bits 1–3: priority; bit 4: erased; bit 5: sessions are in chunks
 *     bytes      of header, transactions and seals
 *     erasure    if erased: counter and actor
 *     sessions   entries by ascending session reference; or in chunks: the first reference of each
 *     checksum
 *     entry      reference (less the one before), count, transactions that may still be folded, weight of the tail, then for bytes
 *                documents the digest, for json documents how many transactions the last sealed run has (0: never sealed)
 *
 * A document with thousands of sessions keeps its entries in chunks of their own, a few KiB each: one transaction rewrites one
 * chunk, not a hundred kilobytes. Not here: the names of sessions (session-names.ts), when chunks are divided (draft-sessions.ts).
 */
import type { PayloadKind, Priority } from '@tidemark/protocol'
import type { Version } from '@tidemark/storage'
import { BlobReader, type BlobWriter } from '@tidemark/storage/adapter'

/** What is held of one session. */
export interface Entry {
  readonly session: number
  count: number
  /** Transactions at the end that may still be folded: those since the last full segment, see tail.ts. */
  open: number
  /** Weight of what was appended since the session was last folded. */
  tail: number
  /** At `count`; for `bytes` documents. */
  digest: string | undefined
  /** Where the last sealed run begins; for `json` documents. */
  lastRun: number | undefined
}

export interface DocumentRow {
  readonly document: number
  sequence: number
  readonly kind: PayloadKind
  readonly priority: Priority
  bytes: number
  erased: Version | undefined
  /** By ascending session; empty where there are chunks. */
  entries: Entry[]
  /** First session of each chunk, ascending; the first chunk also has all below. Empty while the entries fit here. */
  chunks: number[]
}

const BYTES_KIND = 1
const ERASED = 16
const CHUNKED = 32

export function encodeRow(writer: BlobWriter, row: DocumentRow): Uint8Array {
  const kind = row.kind === 'bytes' ? BYTES_KIND : 0
  const erased = row.erased === undefined ? 0 : ERASED
  const chunked = row.chunks.length === 0 ? 0 : CHUNKED
  writer.begin().varint(row.document).varint(row.sequence)
  writer.byte(kind | (row.priority << 1) | erased | chunked).varint(row.bytes)
  if (row.erased !== undefined) writer.varint(row.erased[0]).text(row.erased[1])
  if (chunked) for (const first of row.chunks) writer.varint(first)
  else writeEntries(writer, row.entries, row.kind)
  return writer.keep()
}

/** @throws DamagedBlob */
export function decodeRow(blob: Uint8Array): DocumentRow {
  const reader = new BlobReader(blob)
  const document = reader.varint()
  const sequence = reader.varint()
  const flags = reader.byte()
  const kind = flags & BYTES_KIND ? 'bytes' : 'json'
  const priority = ((flags >> 1) & 7) as Priority
  const bytes = reader.varint()
  const erased: Version | undefined = flags & ERASED ? [reader.varint(), reader.text()] : undefined
  const chunks: number[] = []
  if (flags & CHUNKED) while (reader.left > 0) chunks.push(reader.varint())
  const entries = flags & CHUNKED ? [] : readEntries(reader, kind)
  return { document, sequence, kind, priority, bytes, erased, entries, chunks }
}

export function encodeChunk(writer: BlobWriter, entries: readonly Entry[], kind: PayloadKind): Uint8Array {
  writer.begin()
  writeEntries(writer, entries, kind)
  return writer.keep()
}

/** @throws DamagedBlob */
export function decodeChunk(blob: Uint8Array, kind: PayloadKind): Entry[] {
  return readEntries(new BlobReader(blob), kind)
}

function writeEntries(writer: BlobWriter, entries: readonly Entry[], kind: PayloadKind): void {
  let before = 0
  for (const entry of entries) {
    writer
      .varint(entry.session - before)
      .varint(entry.count)
      .varint(entry.open)
      .varint(entry.tail)
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
    const open = reader.varint()
    const tail = reader.varint()
    if (kind === 'bytes') entries.push({ session, count, open, tail, digest: reader.digest(), lastRun: undefined })
    else {
      const last = reader.varint()
      entries.push({ session, count, open, tail, digest: undefined, lastRun: last === 0 ? undefined : count - last })
    }
  }
  return entries
}
