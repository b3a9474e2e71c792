/**
 * Known states and headers: what is answered without reading transactions (seed 001).
 *
 * A known state is one record; one of very many sessions is that record and its chunks.
 * L2: what cannot be read is thrown, it is never answered as "not here".
 */
import type { StoredState } from '@tidemark/storage'
import { DamagedBlob, stateOf as stateNamed } from '@tidemark/storage/adapter'
import { wrap } from 'idb'
import { naming, namingLater } from './errors.ts'
import { headKey, numberedRange, textKey } from './keys.ts'
import type { Large, LargeDocuments } from './large.ts'
import { decodeHead } from './records.ts'
import { decodeChunk, decodeRow, type Held, type Row } from './row.ts'
import { lookUp, lookUpEach } from './rows.ts'
import type { DocumentRecord } from './schema.ts'
import { Sessions } from './sessions.ts'
import type { Tools } from './tools.ts'
import type { Reach } from './transaction.ts'

export async function knownStates(
  reach: Reach,
  { habit, large }: Tools,
  ids: readonly string[],
  pageBytes: number,
): Promise<(StoredState | undefined)[]> {
  const records = await lookUp<DocumentRecord>(reach('documents'), ids.map(textKey), habit)
  const states: (StoredState | undefined)[] = new Array(ids.length).fill(undefined)
  const chunked: Promise<void>[] = []
  for (const [index, record] of records.entries()) {
    if (record === undefined) continue
    const id = ids[index] as string
    const held = naming(id, () => decodeRow(record.row))
    if (!held.row.chunked) states[index] = stateOf(held, pageBytes)
    else
      chunked.push(
        namingLater(id, async () => {
          const found = await withSessions(reach, large, id, record.at, held)
          states[index] = stateOf({ row: held.row, entries: found.sessions.entries }, pageBytes)
        }),
      )
  }
  await Promise.all(chunked)
  return states
}

/** A document with all its sessions, not to be changed. */
export interface Found extends Large {
  readonly row: Row
}

export async function readFound(reach: Reach, large: LargeDocuments, id: string): Promise<Found | undefined> {
  const record: DocumentRecord | undefined = await wrap(reach('documents').get(textKey(id)))
  return record && withSessions(reach, large, id, record.at, decodeRow(record.row))
}

async function withSessions(reach: Reach, large: LargeDocuments, id: string, at: number, held: Held): Promise<Found> {
  const { row, entries } = held
  if (!row.chunked) return { row, at, sessions: new Sessions(entries), state: undefined }
  const known = large.look(id, at)
  if (known !== undefined) return { ...known, row }
  await readChunks(reach, held)
  const found = { at, sessions: new Sessions(entries), state: undefined }
  large.keep(id, found)
  return { ...found, row }
}

/** As `readFound`, to be changed. */
export async function readHeld(reach: Reach, id: string): Promise<Held | undefined> {
  const record: DocumentRecord | undefined = await wrap(reach('documents').get(textKey(id)))
  if (record === undefined) return undefined
  const held = decodeRow(record.row)
  if (held.row.chunked) await readChunks(reach, held)
  return held
}

export async function readChunks(reach: Reach, { row, entries }: Held): Promise<void> {
  const chunks: Uint8Array[] = await wrap(reach('sessions').getAll(numberedRange(row.document)))
  if (chunks.length === 0 && row.sessions > 0 && row.erased === undefined)
    throw new DamagedBlob('its sessions are missing')
  for (const chunk of chunks) decodeChunk(chunk, row.kind, entries)
}

export async function headers(
  reach: Reach,
  { habit }: Tools,
  ids: readonly string[],
): Promise<(Uint8Array | undefined)[]> {
  const records = await lookUp<DocumentRecord>(reach('documents'), ids.map(textKey), habit)
  const documents = records.map((record, index) =>
    record === undefined ? undefined : naming(ids[index] as string, () => decodeRow(record.row).row.document),
  )
  // One by one: transactions stand between the headers.
  const heads = await lookUpEach<Uint8Array>(reach('content'), documents.filter(isGiven).map(headKey))
  let at = 0
  return documents.map((document, index) =>
    document === undefined ? undefined : naming(ids[index] as string, () => decodeHead(heads[at++]).header),
  )
}

/** The state as the contract has it. */
export function stateOf({ row, entries }: Held, pageBytes: number): StoredState {
  // No entry is without its name.
  return stateNamed(row, entries, pageBytes, ({ id }) => id) as StoredState
}

function isGiven(document: number | undefined): document is number {
  return document !== undefined
}
