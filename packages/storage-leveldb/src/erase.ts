/**
 * Erasing a document: its content goes, its header and its tombstone sessions stay, and it will take nothing more.
 *
 * All of it in one batch; the document stands at a new sequence, so that others learn of it. LevelDB gives the space back when it
 * compacts, it does not overwrite what was there: see README.md.
 */
import type { StoredState, Version } from '@tidemark/storage'
import { compareVersions, DamagedBlob, stateOf } from '@tidemark/storage/adapter'
import { Entries } from './chunks.ts'
import { type Operation, remove } from './database.ts'
import { writeRow } from './draft.ts'
import { damaged } from './errors.ts'
import { headerKey, piecesFrom, verifierKey } from './keys.ts'
import { firstPieces, pieces } from './pieces.ts'
import type { DocumentRow, Entry } from './rows.ts'
import { type Held, headerOf, readHeld } from './states.ts'
import { type Store, write } from './store.ts'

export async function erase(
  store: Store,
  id: string,
  version: Version,
  keep: readonly string[],
): Promise<StoredState | undefined> {
  const held = await readHeld(store, id)
  if (held === undefined) return undefined
  if (held.row.erased !== undefined && compareVersions(version, held.row.erased) <= 0) return held.state
  try {
    return await performErasure(store, id, held, version, new Set(keep))
  } catch (cause) {
    throw cause instanceof DamagedBlob ? damaged(id, cause) : cause
  }
}

async function performErasure(
  store: Store,
  id: string,
  { row, entries, names }: Held,
  version: Version,
  keep: ReadonlySet<string>,
): Promise<StoredState> {
  const left = new Entries(row, entries, names)
  const operations = left.keep(keep)
  const staying = new Set(left.all)
  for (const entry of entries) if (!staying.has(entry)) operations.push(...(await removal(store, row.document, entry)))
  row.bytes = await bytesLeft(store, row, left.all)
  row.erased = [version[0], version[1]]
  left.write(operations, store)
  const sequence = store.numbers.sequence + 1
  writeRow(store, operations, id, row, sequence)
  await write(store, operations)
  store.numbers = { ...store.numbers, sequence }
  let next = 0
  return stateOf(row, left.all, store.limits.pageBytes, () => left.names[next++]) as StoredState
}

async function removal({ database }: Store, document: number, { session }: Entry): Promise<Operation[]> {
  const keys = await database.keys(piecesFrom(document, session, 0))
  return [...keys, verifierKey(document, session)].map(remove)
}

async function bytesLeft(store: Store, { document }: DocumentRow, entries: readonly Entry[]): Promise<number> {
  let bytes = headerOf(await store.database.get(headerKey(document))).length
  for (const { session, count } of entries) {
    const position = { document, session, count: 0 }
    const [first] = await firstPieces(store, [position])
    for await (const some of pieces(store, position, count, first)) for (const piece of some) bytes += piece.bytes
  }
  return bytes
}
