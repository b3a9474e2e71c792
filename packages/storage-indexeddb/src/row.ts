/**
 * The row of a document: what is held of it, in one record, so that a known state is one read.
 *
 *     flags      bit 0: payloads are bytes; bits 1–3: priority; bit 4: erased; bit 5: entries are in chunks;
 *                bit 6: there are segments; bit 7: the head has runs
 *     numbers    of the document; bytes of header, transactions and seals; sessions that were given a number; then of the
 *                tail its number, records, sessions, weight
 *     erasure    if erased: counter, actor
 *     entries    unless in chunks
 *     entry      id of the session, its number, count, the tail it was last in, then for bytes documents the digest (8 bytes),
 *                for json documents how many transactions the last sealed run has (0: never sealed)
 *
 * Session ids stand in the row itself: there is no table of them that tabs would have to agree on, and a known state needs no
 * second look-up. A document of many sessions keeps its entries in chunks, by session number: one transaction rewrites one
 * chunk, not a hundred kilobytes. Not here: reading and writing rows.
 */
import type { PayloadKind, Priority } from '@tidemark/protocol'
import type { Version } from '@tidemark/storage'
import { BlobReader, type BlobWriter } from '@tidemark/storage/adapter'

/** What is held of one session. */
export interface Entry {
  readonly id: string
  /** Its number in this document; sessions are numbered in the order in which they came. */
  readonly session: number
  count: number
  /** Number of the tail that its latest transactions went to; it may have been folded since. */
  tail: number
  /** At `count`; of `bytes` documents. */
  digest: string | undefined
  /** Where the last sealed run begins; of `json` documents. */
  lastRun: number | undefined
}

export interface Row {
  readonly document: number
  readonly kind: PayloadKind
  readonly priority: Priority
  bytes: number
  /** Sessions that were given a number, those that were erased included. */
  sessions: number
  erased: Version | undefined
  /** Entries are in chunks, and not here. */
  chunked: boolean
  /** Something was folded into segments. */
  hasSegments: boolean
  /** Runs stand beside the header. */
  headHasRuns: boolean
  readonly tail: Tail
}

/** What was appended since the document was last folded, see fold.ts. */
export interface Tail {
  /** Tails are numbered from 1. */
  number: number
  records: number
  sessions: number
  weight: number
}

/** A row and all its entries, by ascending session number. */
export interface Held {
  readonly row: Row
  readonly entries: Entry[]
}

const BYTES_KIND = 1
const ERASED = 16
const CHUNKED = 32
const SEGMENTS = 64
const HEAD_RUNS = 128

export function encodeRow(writer: BlobWriter, { row, entries }: Held): Uint8Array {
  let flags = (row.kind === 'bytes' ? BYTES_KIND : 0) | (row.priority << 1)
  if (row.erased !== undefined) flags |= ERASED
  if (row.chunked) flags |= CHUNKED
  if (row.hasSegments) flags |= SEGMENTS
  if (row.headHasRuns) flags |= HEAD_RUNS
  writer.begin().byte(flags).varint(row.document).varint(row.bytes).varint(row.sessions)
  writer.varint(row.tail.number).varint(row.tail.records).varint(row.tail.sessions).varint(row.tail.weight)
  if (row.erased !== undefined) writer.varint(row.erased[0]).text(row.erased[1])
  if (!row.chunked) for (const entry of entries) writeEntry(writer, entry, row.kind)
  return writer.end().slice()
}

/** `entries` are empty where they are in chunks. @throws DamagedBlob */
export function decodeRow(record: Uint8Array): Held {
  const reader = new BlobReader(record)
  const flags = reader.byte()
  const kind = flags & BYTES_KIND ? 'bytes' : 'json'
  const [document, bytes, sessions] = [reader.varint(), reader.varint(), reader.varint()]
  const tail = {
    number: reader.varint(),
    records: reader.varint(),
    sessions: reader.varint(),
    weight: reader.varint(),
  }
  const row: Row = {
    document,
    kind,
    priority: ((flags >> 1) & 7) as Priority,
    bytes,
    sessions,
    erased: flags & ERASED ? [reader.varint(), reader.text()] : undefined,
    chunked: (flags & CHUNKED) !== 0,
    hasSegments: (flags & SEGMENTS) !== 0,
    headHasRuns: (flags & HEAD_RUNS) !== 0,
    tail,
  }
  const entries: Entry[] = []
  while (reader.left > 0) entries.push(readEntry(reader, kind))
  return { row, entries }
}

export function encodeChunk(writer: BlobWriter, entries: readonly Entry[], kind: PayloadKind): Uint8Array {
  writer.begin()
  for (const entry of entries) writeEntry(writer, entry, kind)
  return writer.end().slice()
}

/** @throws DamagedBlob */
export function decodeChunk(bytes: Uint8Array, kind: PayloadKind, into: Entry[]): void {
  const reader = new BlobReader(bytes)
  while (reader.left > 0) into.push(readEntry(reader, kind))
}

function writeEntry(writer: BlobWriter, { id, session, count, tail, digest, lastRun }: Entry, kind: PayloadKind): void {
  writer.text(id).varint(session).varint(count).varint(tail)
  if (kind === 'bytes') writer.digest(digest as string)
  else writer.varint(lastRun === undefined ? 0 : count - lastRun)
}

function readEntry(reader: BlobReader, kind: PayloadKind): Entry {
  const id = reader.text()
  const session = reader.varint()
  const count = reader.varint()
  const tail = reader.varint()
  if (kind === 'bytes') return { id, session, count, tail, digest: reader.digest(), lastRun: undefined }
  const last = reader.varint()
  return { id, session, count, tail, digest: undefined, lastRun: last === 0 ? undefined : count - last }
}
