/**
 * What is stored, in order: ids, changes, marks, and the states that verifiers keep.
 *
 * Every list continues from a key, never from an offset: it costs what it answers, however long it is.
 */
import type { Change } from '@tidemark/storage'
import { textOf, viewOf } from '@tidemark/storage/adapter'
import type { Store } from './store.ts'

export function listIds({ sql }: Store, after: string | undefined, limit: number): string[] {
  // Ids are never empty: all of them come after ''.
  return sql.list.all(after ?? '', limit).map(([id]) => textOf(id as Uint8Array))
}

export function listChanges({ sql }: Store, since: number, limit: number): Change[] {
  return sql.changes
    .all(since, limit)
    .map(([id, sequence]) => ({ id: textOf(id as Uint8Array), sequence: sequence as number }))
}

export function listMarks(
  { sql }: Store,
  { prefix, after, limit }: { readonly prefix: string; readonly after?: string; readonly limit: number },
): (readonly [key: string, value: Uint8Array])[] {
  const marks: (readonly [string, Uint8Array])[] = []
  if (limit === 0) return marks
  // Keys with a prefix stand together: the first one without it ends the list.
  for (const [bytes, value] of sql.marks.iterate(prefix, after ?? '')) {
    const key = textOf(bytes as Uint8Array)
    if (!key.startsWith(prefix)) break
    marks.push([key, viewOf(value as Uint8Array)])
    if (marks.length >= limit) break
  }
  return marks
}

export function readVerifierStates(store: Store, id: string, sessions: readonly string[]): Map<string, Uint8Array> {
  const states = new Map<string, Uint8Array>()
  const document = store.sql.document.get(id)?.[0]
  if (document === undefined) return states
  for (const [name, session] of store.names.keys(sessions)) {
    const row = store.sql.verifier.get(document as number, session)
    if (row !== undefined) states.set(name, viewOf(row[0] as Uint8Array))
  }
  return states
}
