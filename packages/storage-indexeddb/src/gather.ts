/**
 * What a commit must know before it can judge its contents: read at the start of its transaction, all documents at once.
 *
 * Rows first, then of each document what its contents ask for: the header if they bring one, and what they overlap. Judging
 * then needs no further reading (work.ts). A document that is damaged fails for itself.
 */
import { type Append, StorageError, type StoredState } from '@tidemark/storage'
import { type Overlap, overlapOf } from '@tidemark/storage/adapter'
import { namingLater } from './errors.ts'
import { textKey } from './keys.ts'
import type { LargeDocuments } from './large.ts'
import { overlapIn, readHeader, readSegments, readUnfolded } from './pieces.ts'
import { decodeRow, type Entry, type Row } from './row.ts'
import { lookUp } from './rows.ts'
import type { DocumentRecord } from './schema.ts'
import { Sessions } from './sessions.ts'
import { readChunks } from './states.ts'
import type { Tools } from './tools.ts'
import type { Reach } from './transaction.ts'

type Run = Append['runs'][number]

/** A document that is stored, as far as its contents need it. */
export interface Gathered {
  readonly row: Row
  /** Sequence of its latest change. */
  readonly at: number
  readonly sessions: Sessions
  /** Its state, if it is known already. */
  readonly state: StoredState | undefined
  readonly header: Uint8Array | undefined
  /** Of runs that begin below what is stored: the stored part of what they overlap. */
  readonly overlaps: ReadonlyMap<Run, Overlap>
}

/** By id; `undefined`: not stored, an error: damaged. */
export type GatheredDocuments = ReadonlyMap<string, Gathered | undefined | StorageError>

export async function gather(
  reach: Reach,
  { habit, large }: Tools,
  contents: readonly Append[],
): Promise<GatheredDocuments> {
  const byId = new Map<string, Append[]>()
  for (const content of contents) {
    const same = byId.get(content.id)
    if (same === undefined) byId.set(content.id, [content])
    else same.push(content)
  }
  const ids = [...byId.keys()]
  const records = await lookUp<DocumentRecord>(reach('documents'), ids.map(textKey), habit)
  const gathered = new Map<string, Gathered | undefined | StorageError>()
  await Promise.all(
    ids.map(async (id, index) => {
      const record = records[index]
      gathered.set(id, record && (await gatherDocument(reach, large, id, record, byId.get(id) as Append[])))
    }),
  )
  return gathered
}

async function gatherDocument(
  reach: Reach,
  large: LargeDocuments,
  id: string,
  record: DocumentRecord,
  contents: readonly Append[],
): Promise<Gathered | StorageError> {
  try {
    return await namingLater(id, () => gatherHeld(reach, large, record, contents))
  } catch (cause) {
    // What IndexedDB throws has ended the transaction: only damage that we found ourselves leaves the commit usable.
    if (cause instanceof StorageError) return cause
    throw cause
  }
}

async function gatherHeld(
  reach: Reach,
  large: LargeDocuments,
  { at, row: bytes }: DocumentRecord,
  contents: readonly Append[],
): Promise<Gathered> {
  const held = decodeRow(bytes)
  const { row } = held
  const known = row.chunked ? large.take((contents[0] as Append).id, at) : undefined
  if (row.chunked && known === undefined) await readChunks(reach, held)
  const { sessions, state } = known ?? { sessions: new Sessions(held.entries), state: undefined }
  // An erased document covers everything.
  const overlapping = row.erased === undefined ? overlapsOf(row, sessions, contents) : []
  const wanted = row.erased === undefined && contents.some(({ header }) => header !== undefined)
  return { row, at, sessions, state, ...(await gatherContent(reach, row, overlapping, wanted)) }
}

async function gatherContent(
  reach: Reach,
  row: Row,
  overlapping: readonly Overlapping[],
  header: boolean,
): Promise<Pick<Gathered, 'header' | 'overlaps'>> {
  const overlaps = new Map<Run, Overlap>()
  if (overlapping.length === 0) return { header: header ? await readHeader(reach, row) : undefined, overlaps }
  const unfolded = readUnfolded(reach, row, { header })
  await Promise.all([
    unfolded,
    ...overlapping.map(async ({ run, entry, range }) => {
      const segments = await readSegments(reach, row, entry.session, range)
      const pieces = [...segments, ...((await unfolded).pieces.get(entry.session) ?? [])]
      overlaps.set(run, overlapIn(pieces, range, run.digest !== undefined))
    }),
  ])
  return { header: (await unfolded).header, overlaps }
}

interface Overlapping {
  readonly run: Run
  readonly entry: Entry
  readonly range: NonNullable<ReturnType<typeof overlapOf>>
}

function overlapsOf(row: Row, sessions: Sessions, contents: readonly Append[]): Overlapping[] {
  const found: Overlapping[] = []
  for (const { kind, runs } of contents) {
    if (kind !== row.kind) continue
    for (const run of runs) {
      // Most runs begin where a session ends: nothing of them is looked for.
      const entry = sessions.get(run.session)
      const range = entry && overlapOf(run, kind, entry.count)
      if (entry !== undefined && range !== undefined) found.push({ run, entry, range })
    }
  }
  return found
}
