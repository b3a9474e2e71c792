/**
 * Erasing a document: its content goes, its header and its tombstone sessions stay, and it will take nothing more.
 *
 * All of it in one transaction; the document stands at a new sequence, so that others learn of it. Freed pages are used again,
 * they are not overwritten: what is on the disk until then is described in README.md.
 */
import type { StoredState, Version } from '@tidemark/storage'
import { compareVersions } from '@tidemark/storage/adapter'
import { naming } from './errors.ts'
import { encodeFirst, readFirst } from './first.ts'
import { decodeRow, type Entry, encodeRow } from './known-blob.ts'
import { piecesOf } from './pieces.ts'
import { SessionsHeld } from './sessions-held.ts'
import { knownStates } from './states.ts'
import { type Store, transact } from './store.ts'

export function erase(store: Store, id: string, version: Version, keep: readonly string[]): StoredState | undefined {
  const found = store.sql.document.get(id)
  if (found === undefined) return undefined
  const document = found[0] as number
  naming(id, () => {
    const row = decodeRow(found[1] as Uint8Array)
    if (row.erased !== undefined && compareVersions(version, row.erased) <= 0) return
    const kept = new Set(store.names.keys(keep).values())
    const numbers = { ...store.numbers }
    transact(store, () => {
      const sessions = new SessionsHeld(store, row)
      const left = sessions.all().filter(({ session }) => kept.has(session))
      for (const { session } of sessions.all()) if (!kept.has(session)) removeSession(store, document, session)
      sessions.replace(left)
      sessions.write(numbers)
      row.bytes = cutFirst(store, document, kept) + bytesOf(store, document, left)
      row.erased = [version[0], version[1]]
      store.sql.setDocument.run(++numbers.sequence, encodeRow(store.writer, row), id)
    })
    store.numbers = numbers
  })
  return knownStates(store, [id])[0]
}

function removeSession({ sql }: Store, document: number, session: number): void {
  sql.removeSegments.run(document, session)
  sql.removePieces.run(document, session)
  sql.removeVerifier.run(document, session)
}

/** Leaves only the header and the sessions kept in the first row; answers the length of the header. */
function cutFirst(store: Store, document: number, kept: ReadonlySet<number>): number {
  const { header, runs } = readFirst(store, document)
  const left = [...runs].filter(([session]) => kept.has(session))
  if (left.length < runs.size) store.sql.setFirst.run(encodeFirst(store.writer, header, left), document)
  return header.length
}

function bytesOf(store: Store, document: number, entries: readonly Entry[]): number {
  let bytes = 0
  for (const { session, count } of entries)
    for (const piece of piecesOf(store, { document, session }, { after: 0, until: count })) bytes += piece.bytes
  return bytes
}
