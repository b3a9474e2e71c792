/**
 * The first row of a document: its header, and what little content it was created with.
 *
 * Most documents are small and written once. With their first runs beside the header such a document is two rows, its own and this
 * one; what comes later, or is too large, becomes pieces (pieces.ts). Known states never touch it.
 *
 *     header     its length, its bytes
 *     runs       until the end: session reference, packed transactions from the start of the session
 *     checksum
 */
import { BlobReader, type BlobWriter, DamagedBlob, type Packable, Packed, writePacked } from '@tidemark/storage/adapter'
import type { Store } from './store.ts'

/** Runs beyond this become pieces: who asks for headers reads no more than this beside them. */
export const FIRST_RUNS_BYTES_MAX = 1024

export interface First {
  readonly header: Uint8Array
  /** By session, from count 0 on. */
  readonly runs: ReadonlyMap<number, Packed>
}

export function encodeFirst(
  writer: BlobWriter,
  header: Uint8Array,
  runs: Iterable<readonly [session: number, run: Packable]>,
): Uint8Array {
  writer.begin()
  writer.varint(header.length)
  writer.raw(header)
  for (const [session, run] of runs) {
    writer.varint(session)
    writePacked(writer, run)
  }
  return writer.end()
}

/** @throws DamagedBlob */
export function decodeFirst(blob: Uint8Array): First {
  const reader = new BlobReader(blob)
  const header = reader.view(reader.varint())
  const runs = new Map<number, Packed>()
  while (reader.left > 0) runs.set(reader.varint(), new Packed(reader))
  return { header, runs }
}

/** @throws DamagedBlob */
export function readFirst(store: Store, document: number): First {
  const blob = store.sql.first.get(document)?.[0]
  if (blob === undefined) throw new DamagedBlob('its header is missing')
  return decodeFirst(blob as Uint8Array)
}
