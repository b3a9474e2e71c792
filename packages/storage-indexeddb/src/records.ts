/**
 * Records of content: heads, entries of a tail, segments.
 *
 *     head       length of the header, the header, then runs
 *     tail       runs: what one commit appended to a document, of any number of its sessions, in one record
 *     segment    one run
 *     run        session number, packed transactions
 *
 * Most documents are small and written once: with their first runs beside the header they are one record of content. Known states
 * never touch any of these. Not here: where records are (keys.ts), when a tail becomes segments (fold.ts).
 */
import { BlobReader, type BlobWriter, DamagedBlob, type Packable, Packed, writePacked } from '@tidemark/storage/adapter'

/** Runs beyond this leave the head: who asks for headers reads no more than this beside them. */
export const HEAD_RUNS_BYTES_MAX = 1024

/** Pieces of sessions by number, each in order. */
export type Pieces = Map<number, Packed[]>

export interface Head {
  readonly header: Uint8Array
  readonly pieces: Pieces
}

export type Runs = Iterable<readonly [session: number, pieces: readonly Packable[]]>

export function encodeHead(writer: BlobWriter, header: Uint8Array, runs: Runs): Uint8Array {
  writer.begin().varint(header.length).raw(header)
  writeRuns(writer, runs)
  return writer.end().slice()
}

export function encodeTail(writer: BlobWriter, runs: Runs): Uint8Array {
  writer.begin()
  writeRuns(writer, runs)
  return writer.end().slice()
}

export function encodeSegment(writer: BlobWriter, session: number, piece: Packable): Uint8Array {
  return encodeTail(writer, [[session, [piece]]])
}

/** @throws DamagedBlob */
export function decodeHead(bytes: Uint8Array | undefined): Head {
  if (bytes === undefined) throw new DamagedBlob('its header is missing')
  const reader = new BlobReader(bytes)
  const header = reader.view(reader.varint())
  const pieces: Pieces = new Map()
  readRuns(reader, pieces)
  return { header, pieces }
}

/** Adds the runs of a record that is no head. @throws DamagedBlob */
export function decodeRuns(bytes: Uint8Array, into: Pieces): void {
  readRuns(new BlobReader(bytes), into)
}

/** @throws DamagedBlob */
export function decodeSegment(bytes: Uint8Array): Packed {
  const reader = new BlobReader(bytes)
  reader.varint()
  return new Packed(reader)
}

/**
 * Of `pieces` those from the one that count `from` lies in to the one that has the count before `until`. What comes behind them is
 * not looked at: between two segments and a tail there may be others that nobody asked for.
 *
 * @throws DamagedBlob where one does not follow the one before it, or they end before `until`.
 */
export function continuous(pieces: readonly Packed[], from: number, until: number): readonly Packed[] {
  const found: Packed[] = []
  let at = from
  for (const piece of pieces) {
    if (piece.until <= from) continue
    if (found.length > 0 && at >= until) break
    if (found.length === 0 ? piece.after > from : piece.after !== at) throw new DamagedBlob('a piece of it is missing')
    found.push(piece)
    at = piece.until
  }
  if (at < until) throw new DamagedBlob('the end of a session is missing')
  return found
}

function writeRuns(writer: BlobWriter, runs: Runs): void {
  for (const [session, pieces] of runs) {
    for (const piece of pieces) {
      writer.varint(session)
      writePacked(writer, piece)
    }
  }
}

function readRuns(reader: BlobReader, into: Pieces): void {
  while (reader.left > 0) {
    const session = reader.varint()
    const piece = new Packed(reader)
    const before = into.get(session)
    if (before === undefined) into.set(session, [piece])
    else before.push(piece)
  }
}
