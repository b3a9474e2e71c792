/**
 * What is stored, in order: ids, changes, marks, and the states that verifiers keep.
 *
 * Every list continues from a key, never from an offset: it costs what it answers, however long it is.
 */
import type { Change } from '@tidemark/storage'
import { textOf } from '@tidemark/storage/adapter'
import { wrap } from 'idb'
import { namingLater } from './errors.ts'
import { numberedKey, textOfKey, textRange } from './keys.ts'
import { lookUpEach, recordsIn } from './rows.ts'
import { BY_SEQUENCE, type DocumentRecord } from './schema.ts'
import { readFound } from './states.ts'
import type { Tools } from './tools.ts'
import type { Reach } from './transaction.ts'

/** The most that can be asked for at once; 0 would mean no limit. */
const LIMIT_MAX = 2 ** 32 - 1

export async function listIds(reach: Reach, after: string | undefined, limit: number): Promise<string[]> {
  if (limit === 0) return []
  const keys = await wrap(reach('documents').getAllKeys(textRange('', after), Math.min(limit, LIMIT_MAX)))
  return keys.map(textOfKey)
}

export async function listChanges(reach: Reach, since: number, limit: number): Promise<Change[]> {
  if (limit === 0) return []
  const index = reach('documents').index(BY_SEQUENCE)
  const range = IDBKeyRange.lowerBound(since, true)
  const count = Math.min(limit, LIMIT_MAX)
  const [ids, records] = await Promise.all([
    wrap(index.getAllKeys(range, count)),
    wrap(index.getAll(range, count)) as Promise<DocumentRecord[]>,
  ])
  return ids.map((id, at) => ({ id: textOfKey(id), sequence: (records[at] as DocumentRecord).at }))
}

export async function listMarks(
  reach: Reach,
  { prefix, after, limit }: { readonly prefix: string; readonly after?: string; readonly limit: number },
): Promise<(readonly [key: string, value: Uint8Array])[]> {
  const records = await recordsIn<Uint8Array>(reach('marks'), textRange(prefix, after), Math.min(limit, LIMIT_MAX))
  return records.map(({ key, value }) => [textOf(key), value])
}

export async function readVerifierStates(
  reach: Reach,
  { large }: Tools,
  id: string,
  sessions: readonly string[],
): Promise<Map<string, Uint8Array>> {
  const found = await namingLater(id, () => readFound(reach, large, id))
  if (found === undefined) return new Map()
  const entries = sessions.map((session) => found.sessions.get(session)).filter((entry) => entry !== undefined)
  const keys = entries.map(({ session }) => numberedKey(found.row.document, session))
  const records = await lookUpEach<Uint8Array>(reach('verifiers'), keys)
  const states = new Map<string, Uint8Array>()
  for (const [index, state] of records.entries())
    if (state !== undefined) states.set(entries[index]?.id as string, state)
  return states
}
