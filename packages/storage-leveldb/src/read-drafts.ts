/**
 * What a commit must know before it judges: the documents of its contents, in three reads however many they are.
 *
 * First rows and the references of sessions; then headers (where a content brings one) and chunks; then the names of sessions that
 * are not remembered. L2: a document that cannot be read fails for itself, it is not taken for absent.
 */
import { type Append, StorageError } from '@tidemark/storage'
import type { Value } from './database.ts'
import { Draft } from './draft.ts'
import { naming, storageError } from './errors.ts'
import { chunkKey, documentKey, headerKey, type Key } from './keys.ts'
import type { Large } from './large.ts'
import { type DocumentRow, decodeRow } from './rows.ts'
import { type Held, headerOf, largeHeld, namedHeld } from './states.ts'
import type { Store } from './store.ts'

export interface Drafts {
  /** By id; absent documents are not named, those that cannot be read have their failure. */
  readonly drafts: Map<string, Draft | StorageError>
  /** Of all sessions that the contents name and the store knows. */
  readonly references: Map<string, number>
}

interface Wanted {
  readonly id: string
  readonly row: DocumentRow
  readonly needsHeader: boolean
  /** What is remembered of it as it stands: then its chunks are not read. */
  readonly large: Large | undefined
}

export async function readDrafts(store: Store, contents: readonly Append[]): Promise<Drafts> {
  try {
    return await readTogether(store, contents)
  } catch {
    return readApart(store, contents)
  }
}

/** One by one, after reading all together failed: whichever document it was fails alone. */
async function readApart(store: Store, contents: readonly Append[]): Promise<Drafts> {
  const all: Drafts = { drafts: new Map(), references: new Map() }
  for (const id of new Set(contents.map((content) => content.id))) {
    const some = contents.filter((content) => content.id === id)
    try {
      const { drafts, references } = await readTogether(store, some)
      for (const [found, draft] of drafts) all.drafts.set(found, draft)
      for (const [session, reference] of references) all.references.set(session, reference)
    } catch (cause) {
      all.drafts.set(id, storageError(cause, `reading document ${JSON.stringify(id)}`))
    }
  }
  return all
}

async function readTogether(store: Store, contents: readonly Append[]): Promise<Drafts> {
  const drafts = new Map<string, Draft | StorageError>()
  const [wanted, references] = await Promise.all([
    readRows(store, contents, drafts),
    store.names.references(sessionsOf(contents)),
  ])
  const values = await store.database.getMany(wanted.flatMap(keysOf))
  let at = 0
  for (const document of wanted) {
    const until = at + keysOf(document).length
    const draft = draftOf(store, document, values.slice(at, until))
    at = until
    drafts.set(document.id, draft instanceof Promise ? await draft : draft)
  }
  return { drafts, references }
}

async function readRows(store: Store, contents: readonly Append[], drafts: Drafts['drafts']): Promise<Wanted[]> {
  const headers = new Map<string, boolean>()
  for (const { id, header } of contents) headers.set(id, header !== undefined || headers.get(id) === true)
  const ids = [...headers.keys()]
  const values = await store.database.getMany(ids.map(documentKey))
  const wanted: Wanted[] = []
  for (const [index, value] of values.entries()) {
    if (value === undefined) continue
    const id = ids[index] as string
    const row = orDamaged(() => naming(id, () => decodeRow(value)))
    if (row instanceof StorageError) drafts.set(id, row)
    else wanted.push({ id, row, needsHeader: headers.get(id) as boolean, large: rememberedOf(store, id, row) })
  }
  return wanted
}

function rememberedOf({ large }: Store, id: string, row: DocumentRow): Large | undefined {
  const remembered = row.chunks.length > 0 ? large.get(id) : undefined
  return remembered?.sequence === row.sequence ? remembered : undefined
}

/** The header if it is needed, then the chunks. */
function keysOf({ row, needsHeader, large }: Wanted): Key[] {
  const keys = needsHeader ? [headerKey(row.document)] : []
  if (large === undefined) for (const first of row.chunks) keys.push(chunkKey(row.document, first))
  return keys
}

/** `values`: what stands at its keys. At once, if all session ids are remembered. */
function draftOf(
  store: Store,
  { id, row, needsHeader, large }: Wanted,
  values: readonly Value[],
): Draft | StorageError | Promise<Draft | StorageError> {
  const header = orDamaged(() => naming(id, () => (needsHeader ? headerOf(values[0]) : undefined)))
  if (header instanceof StorageError) return header
  const withHeld = (held: Held) => new Draft(store, id, { ...held, header, isNew: false })
  if (large !== undefined) return withHeld({ row, ...large })
  if (row.chunks.length > 0)
    return largeHeld(store, id, row, needsHeader ? values.slice(1) : values).then(withHeld, asDamaged)
  const held = namedHeld(store, id, row, row.entries)
  return held instanceof Promise ? held.then(withHeld, asDamaged) : withHeld(held as Held)
}

function orDamaged<T>(read: () => T): T | StorageError {
  try {
    return read()
  } catch (cause) {
    return asDamaged(cause)
  }
}

/** Damage is the document's own; what else fails may be the disk's, and concern all. */
function asDamaged(cause: unknown): StorageError {
  if (cause instanceof StorageError && cause.code === 'CORRUPT') return cause
  throw cause
}

function sessionsOf(contents: readonly Append[]): Set<string> {
  return new Set(contents.flatMap(({ runs }) => runs.map(({ session }) => session)))
}
