/**
 * Known states and headers: what is answered without reading content (seed 001).
 *
 * A known state is one row; a known state of very many sessions is that row and its chunks. Any number of ids is one query.
 * L2: what cannot be read is thrown, it is never answered as "not here".
 */
import type { StoredState } from '@tidemark/storage'
import { compareIds, DamagedBlob, stateOf } from '@tidemark/storage/adapter'
import { naming } from './errors.ts'
import { decodeFirst } from './first.ts'
import type { Heavy, Named } from './heavy.ts'
import { type DocumentRow, decodeRow, type Entry } from './known-blob.ts'
import { readChunk } from './sessions-held.ts'
import type { Store } from './store.ts'

export function knownStates(store: Store, ids: readonly string[]): (StoredState | undefined)[] {
  const states: (StoredState | undefined)[] = new Array(ids.length).fill(undefined)
  const unnamed: { readonly index: number; readonly row: DocumentRow }[] = []
  for (const [index, blob, sequence] of stateRows(store, ids)) {
    const id = ids[index] as string
    const row = naming(id, () => decodeRow(blob))
    if (row.chunks.length > 0) states[index] = heavyOf(store, id, row, sequence).state
    else states[index] = stateOf(row, row.entries, store.limits.pageBytes, ({ session }) => store.names.name(session))
    if (states[index] === undefined) unnamed.push({ index, row })
  }
  if (unnamed.length === 0) return states
  const names = store.names.names(unnamed.flatMap(({ row }) => row.entries.map((entry) => entry.session)))
  for (const { index, row } of unnamed) states[index] = namedState(store, ids[index] as string, row, row.entries, names)
  return states
}

/** The state of a document, and its sessions in bytewise order of their ids. */
export function orderedState(
  store: Store,
  id: string,
  row: DocumentRow,
  sequence: number,
): { readonly state: StoredState; readonly ordered: readonly Named[] } {
  if (row.chunks.length === 0) {
    const { state, named } = readState(store, id, row, row.entries)
    return { state, ordered: inOrder(named) }
  }
  const { state, named, ordered } = heavyOf(store, id, row, sequence)
  if (ordered !== undefined) return { state, ordered }
  const heavy = { sequence, state, ordered: inOrder(named ?? readState(store, id, row, allEntries(store, row)).named) }
  store.heavy.set(id, heavy)
  return heavy
}

function inOrder(named: readonly Named[]): readonly Named[] {
  return named.length > 1 ? named.toSorted((a, b) => compareIds(a.name, b.name)) : named
}

/** The state of a document with these sessions, whose names are looked up. */
function readState(
  store: Store,
  id: string,
  row: DocumentRow,
  entries: readonly Entry[],
): { readonly state: StoredState; readonly named: readonly Named[] } {
  const names = store.names.names(entries.map((entry) => entry.session))
  const state = namedState(store, id, row, entries, names)
  return { state, named: entries.map(({ session }) => ({ name: names.get(session) as string, session })) }
}

/** The state of a document whose entries are in chunks. */
function heavyOf(store: Store, id: string, row: DocumentRow, sequence: number): Heavy {
  const known = store.heavy.get(id, sequence)
  if (known !== undefined) return known
  return naming(id, () => {
    const heavy = { sequence, ...readState(store, id, row, allEntries(store, row)), ordered: undefined }
    // Within a commit this sequence may be that of a change which is rolled back.
    if (!store.isWriting) store.heavy.set(id, heavy)
    return heavy
  })
}

/** The state as the contract has it, where all names were looked up. @throws StorageError `CORRUPT` */
export function namedState(
  store: Store,
  id: string,
  row: DocumentRow,
  entries: readonly Entry[],
  names: ReadonlyMap<number, string>,
): StoredState {
  const state = stateOf(row, entries, store.limits.pageBytes, ({ session }) => names.get(session))
  if (state !== undefined) return state
  return naming(id, () => {
    throw new DamagedBlob('it names a session that is not in the file')
  })
}

export function headers(store: Store, ids: readonly string[]): (Uint8Array | undefined)[] {
  const found: (Uint8Array | undefined)[] = new Array(ids.length).fill(undefined)
  if (ids.length === 0) return found
  for (const [index, blob] of store.sql.firsts.all(JSON.stringify(ids)))
    found[index as number] = naming(ids[index as number] as string, () => decodeFirst(blob as Uint8Array).header)
  return found
}

function allEntries(store: Store, row: DocumentRow): Entry[] {
  return row.chunks.flatMap(({ key }) => readChunk(store, key, row))
}

type StateRow = readonly [index: number, state: Uint8Array, sequence: number]

function stateRows(store: Store, ids: readonly string[]): Iterable<StateRow> {
  if (ids.length === 0) return []
  if (ids.length > 1) return store.sql.states.all(JSON.stringify(ids)) as Iterable<unknown> as Iterable<StateRow>
  const row = store.sql.state.get(ids[0] as string)
  return row === undefined ? [] : [[0, row[0] as Uint8Array, row[1] as number]]
}
