/**
 * Known states and headers: what is answered without reading content (seed 001).
 *
 * A known state is one row; that of a document with very many sessions is its row and its chunks (large.ts). Any number of ids is
 * one read; one id is answered at once where the database can. L2: what cannot be read is thrown, never answered as "not here".
 */
import type { Awaitable, StoredState } from '@tidemark/storage'
import { DamagedBlob, stateOf } from '@tidemark/storage/adapter'
import { damaged, naming } from './errors.ts'
import { chunkKey, documentKey, headerKey } from './keys.ts'
import { type DocumentRow, decodeChunk, decodeRow, type Entry } from './rows.ts'
import { type Store, unsealed } from './store.ts'

/** A document without its content, all of it of one moment. */
export interface Held {
  readonly row: DocumentRow
  /** By ascending session, also those in chunks. Not to be changed. */
  readonly entries: readonly Entry[]
  /** The session ids, in the order of the entries. */
  readonly names: readonly string[]
  readonly state: StoredState
}

export function knownStates(store: Store, ids: readonly string[]): Awaitable<readonly (StoredState | undefined)[]> {
  const [id] = ids
  if (ids.length !== 1 || id === undefined || !store.database.answersAtOnce) return manyStates(store, ids)
  const blob = store.database.get(documentKey(id)) as Uint8Array | undefined
  if (blob === undefined) return [undefined]
  const row = naming(id, () => decodeRow(blob))
  const state = stateAtOnce(store, id, row)
  return state === undefined ? manyStates(store, ids) : [state]
}

async function manyStates(store: Store, ids: readonly string[]): Promise<(StoredState | undefined)[]> {
  const blobs = await store.database.getMany(ids.map(documentKey))
  const states: (StoredState | undefined)[] = new Array(ids.length).fill(undefined)
  const unfinished: number[] = []
  for (const [index, blob] of blobs.entries()) {
    if (blob === undefined) continue
    const id = ids[index] as string
    states[index] = stateAtOnce(
      store,
      id,
      naming(id, () => decodeRow(blob)),
    )
    if (states[index] === undefined) unfinished.push(index)
  }
  // Sessions that are not remembered, and chunks: one document after the other, so that memory is bounded.
  for (const index of unfinished) states[index] = (await readHeld(store, ids[index] as string))?.state
  return states
}

/** If everything that it needs beside the row is remembered. */
function stateAtOnce({ large, names, limits }: Store, id: string, row: DocumentRow): StoredState | undefined {
  if (row.chunks.length === 0) return stateOf(row, row.entries, limits.pageBytes, ({ session }) => names.name(session))
  const remembered = large.get(id)
  return remembered?.sequence === row.sequence ? remembered.state : undefined
}

/** A document without its content; `undefined` if it is not stored. */
export async function readHeld(store: Store, id: string): Promise<Held | undefined> {
  for (let row = await readRow(store, id); row !== undefined; ) {
    if (row.chunks.length === 0) return namedHeld(store, id, row, row.entries)
    const remembered = store.large.get(id)
    if (remembered?.sequence === row.sequence) return { row, ...remembered }
    const keys = row.chunks.map((first) => chunkKey((row as DocumentRow).document, first))
    const values = await store.database.getMany(keys)
    // A commit may have divided chunks between the two reads; then the row stands at another sequence.
    const now = await readRow(store, id)
    if (now?.sequence === row.sequence) return largeHeld(store, id, row, values)
    row = now
  }
  return undefined
}

export async function readRow(store: Store, id: string): Promise<DocumentRow | undefined> {
  const blob = await store.database.get(documentKey(id))
  return blob === undefined ? undefined : naming(id, () => decodeRow(blob))
}

/** `values`: what stands at the keys of the row's chunks. */
export async function largeHeld(
  store: Store,
  id: string,
  row: DocumentRow,
  values: readonly (Uint8Array | undefined)[],
): Promise<Held> {
  const entries = naming(id, () => entriesOf(row, values))
  const held = await namedHeld(store, id, row, entries)
  store.large.set(id, { sequence: row.sequence, entries, names: held.names, state: held.state })
  return held
}

/** At once, if all session ids are remembered. @throws StorageError `CORRUPT` */
export function namedHeld(store: Store, id: string, row: DocumentRow, entries: readonly Entry[]): Awaitable<Held> {
  const references = entries.map((entry) => entry.session)
  const remembered = store.names.remembered(references)
  if (remembered !== undefined) return heldOf(store, row, entries, remembered)
  const found = store.names.names(references)
  return found.then(
    (names) => heldOf(store, row, entries, names),
    (cause) => {
      throw cause instanceof DamagedBlob ? damaged(id, cause) : cause
    },
  )
}

/** @throws DamagedBlob */
function entriesOf({ kind, chunks }: DocumentRow, values: readonly (Uint8Array | undefined)[]): Entry[] {
  return chunks.flatMap((first, index) => {
    const value = values[index]
    if (value === undefined) throw new DamagedBlob(`the chunk of its known state from ${first} on is missing`)
    return decodeChunk(value, kind)
  })
}

export async function headers(store: Store, ids: readonly string[]): Promise<(Uint8Array | undefined)[]> {
  const rows = await store.database.getMany(ids.map(documentKey))
  const documents = rows.map((row, index) => row && naming(ids[index] as string, () => decodeRow(row).document))
  const present = documents.flatMap((document, index) => (document === undefined ? [] : [{ document, index }]))
  const values = await store.database.getMany(present.map(({ document }) => headerKey(document)))
  const found: (Uint8Array | undefined)[] = new Array(ids.length).fill(undefined)
  for (const [at, { index }] of present.entries())
    found[index] = naming(ids[index] as string, () => headerOf(values[at]))
  return found
}

/** What stands at the header's key of a document that is stored. @throws DamagedBlob */
export function headerOf(value: Uint8Array | undefined): Uint8Array {
  if (value === undefined) throw new DamagedBlob('its header is missing')
  return unsealed(value)
}

function heldOf({ limits }: Store, row: DocumentRow, entries: readonly Entry[], names: readonly string[]): Held {
  let next = 0
  // The name of every session was found: there is a state.
  const state = stateOf(row, entries, limits.pageBytes, () => names[next++]) as StoredState
  return { row, entries, names, state }
}
