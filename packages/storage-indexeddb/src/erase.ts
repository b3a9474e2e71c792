/**
 * Erasing a document: its content goes, its header and its tombstone sessions stay, and it will take nothing more.
 *
 * All of it in one transaction; the document stands at a new sequence, so that others learn of it. What an engine keeps on the disk
 * of removed records until it compacts them is its own.
 */
import type { StoredState, Version } from '@tidemark/storage'
import { type BlobWriter, compareVersions } from '@tidemark/storage/adapter'
import { wrap } from 'idb'
import { namingLater } from './errors.ts'
import { folding, writeChanges } from './fold.ts'
import { numberedKey, numberedRange, segmentRange, textKey } from './keys.ts'
import { readNumbers, writeNumbers } from './numbers.ts'
import { readHeader } from './pieces.ts'
import { decodeSegment } from './records.ts'
import { type Entry, encodeRow, type Held } from './row.ts'
import type { DocumentRecord } from './schema.ts'
import { Sessions, writeSessions } from './sessions.ts'
import { readHeld, stateOf } from './states.ts'
import type { Reach } from './transaction.ts'

export function erase(
  reach: Reach,
  writer: BlobWriter,
  id: string,
  version: Version,
  keep: readonly string[],
  pageBytes: number,
): Promise<StoredState | undefined> {
  return namingLater(id, async () => {
    const held = await readHeld(reach, id)
    if (held === undefined) return undefined
    const { row, entries } = held
    if (row.erased !== undefined && compareVersions(version, row.erased) <= 0) return stateOf(held, pageBytes)
    const names = new Set(keep)
    const kept = entries.filter((entry) => names.has(entry.id))
    await removeContent(reach, writer, held, kept)
    row.bytes = await bytesOf(reach, held, kept)
    row.erased = [version[0], version[1]]
    row.chunked = false
    reach('sessions').delete(numberedRange(row.document))
    writeSessions(reach, writer, row, new Sessions(kept), 'all')
    const numbers = await readNumbers(reach)
    const at = numbers.sequence + 1
    writeNumbers(reach, { ...numbers, sequence: at })
    const record: DocumentRecord = { at, row: encodeRow(writer, { row, entries: kept }) }
    reach('documents').put(record, textKey(id))
    return stateOf({ row, entries: kept }, pageBytes)
  })
}

async function removeContent(reach: Reach, writer: BlobWriter, { row, entries }: Held, kept: Entry[]): Promise<void> {
  const numbers = new Set(kept.map(({ session }) => session))
  const { hasSegments } = row
  writeChanges(reach, await folding(reach, writer, row, new Map(), (session) => numbers.has(session)))
  for (const { session } of entries) {
    if (numbers.has(session)) continue
    reach('verifiers').delete(numberedKey(row.document, session))
    if (hasSegments) reach('content').delete(segmentRange(row.document, session, 0))
  }
}

/** Of the header and of what is kept, all of which is in segments now. */
async function bytesOf(reach: Reach, { row }: Held, kept: readonly Entry[]): Promise<number> {
  let bytes = (await readHeader(reach, row)).length
  for (const { session } of kept) {
    const segments: Uint8Array[] = await wrap(reach('content').getAll(segmentRange(row.document, session, 0)))
    for (const segment of segments) bytes += decodeSegment(segment).bytes
  }
  return bytes
}
