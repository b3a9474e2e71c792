/**
 * What is stored, in order: ids, changes, marks, and the states that verifiers keep.
 *
 * Every list continues from a key, never from an offset: it costs what it answers, however long it is.
 */
import type { Change } from '@tidemark/storage'
import { BlobReader, textOf } from '@tidemark/storage/adapter'
import { changesAfter, documentsAfter, idIn, marksAfter, numberIn, verifierKey } from './keys.ts'
import { readRow } from './states.ts'
import { type Store, unsealed } from './store.ts'

export async function listIds({ database }: Store, after: string | undefined, limit: number): Promise<string[]> {
  const keys = await database.keys(documentsAfter(after), { limit })
  return keys.map((key) => textOf(idIn(key)))
}

export async function listChanges({ database }: Store, since: number, limit: number): Promise<Change[]> {
  const entries = await database.entries(changesAfter(since), { limit })
  return entries.map(([key, value]) => ({ id: new BlobReader(value).text(), sequence: numberIn(key) }))
}

export async function listMarks(
  { database }: Store,
  { prefix, after, limit }: { readonly prefix: string; readonly after?: string; readonly limit: number },
): Promise<(readonly [key: string, value: Uint8Array])[]> {
  const entries = await database.entries(marksAfter(prefix, after), { limit })
  return entries.map(([key, value]) => [textOf(idIn(key)), unsealed(value)])
}

export async function readVerifierStates(
  store: Store,
  id: string,
  sessions: readonly string[],
): Promise<Map<string, Uint8Array>> {
  const states = new Map<string, Uint8Array>()
  const row = await readRow(store, id)
  if (row === undefined) return states
  const references = [...(await store.names.references(sessions))]
  const values = await store.database.getMany(references.map(([, session]) => verifierKey(row.document, session)))
  for (const [index, value] of values.entries())
    if (value !== undefined) states.set((references[index] as [string, number])[0], unsealed(value))
  return states
}
