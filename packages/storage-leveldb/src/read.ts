/**
 * Pages: content after a known state.
 *
 * A page costs the row of the document and the pieces that are on it; small sessions are read many at a time. It shows one moment:
 * what was appended after its row was read is left for the next page, and a document that was folded or erased meanwhile is
 * read again. What fits on a page and where it may end (law L8) is decided by the contract's own page builder.
 */
import type { KnownState } from '@tidemark/known-state'
import { runWeight } from '@tidemark/protocol'
import type { Page } from '@tidemark/storage'
import { compareIds, DamagedBlob, EMPTY_DIGEST, type PageBuilder, pageBuilder } from '@tidemark/storage/adapter'
import { damaged } from './errors.ts'
import { headerKey } from './keys.ts'
import { type FirstPiece, firstPieces, type Position, pieces, rememberPiece } from './pieces.ts'
import type { DocumentRow, Entry } from './rows.ts'
import { type Held, headerOf, readHeld, readRow } from './states.ts'
import type { Store } from './store.ts'

/** A session that goes on beyond what the asker has. */
interface Missing extends Position {
  readonly name: string
  /** What is held of it at the moment of this page. */
  readonly until: number
}

interface Reading {
  readonly store: Store
  readonly row: DocumentRow
  readonly bytesMax: number
}

/** Sessions of which the first pieces are read together, at most. */
const SESSIONS_AT_ONCE_MAX = 64

export async function readPage(
  store: Store,
  id: string,
  after: KnownState,
  bytesMax: number,
): Promise<Page | undefined> {
  for (;;) {
    const held = await readHeld(store, id)
    if (held === undefined) return undefined
    try {
      return await pageOf(store, id, held, after, bytesMax)
    } catch (cause) {
      if (!(cause instanceof DamagedBlob)) throw cause
      const now = await readRow(store, id)
      if (now?.sequence === held.row.sequence) throw damaged(id, cause)
    }
  }
}

async function pageOf(store: Store, id: string, held: Held, after: KnownState, bytesMax: number): Promise<Page> {
  const { row } = held
  const { known } = held.state
  const header = after.header ? undefined : headerOf(await store.database.get(headerKey(row.document)))
  const limits = { bytesMax, runBytesMax: store.limits.runBytesMax }
  const page = pageBuilder({ id, kind: row.kind, priority: row.priority, header }, after, limits)
  const reading = { store, row, bytesMax }
  const missing = missingOf(held, after)
  const atOnce = sessionsAtOnce(held, bytesMax)
  for (let some = take(missing, atOnce); some.length > 0; some = take(missing, atOnce)) {
    const firsts = await firstPieces(store, some)
    for (const [index, session] of some.entries())
      if (!(await addSession(page, reading, session, firsts[index]))) return page.end(known)
  }
  return page.end(known)
}

/** Sessions that go on beyond `after`, in bytewise order of their ids. */
function* missingOf({ row, entries, names }: Held, after: KnownState): Generator<Missing> {
  for (const index of orderOf(names)) {
    const { session, count: until } = entries[index] as Entry
    const name = names[index] as string
    const count = after.sessions.get(name) ?? 0
    if (count < until) yield { document: row.document, sequence: row.sequence, session, name, count, until }
  }
}

/** The next ones, up to so many. */
function take(missing: Generator<Missing>, count: number): Missing[] {
  const some: Missing[] = []
  while (some.length < count) {
    const { done, value } = missing.next()
    if (done) break
    some.push(value)
  }
  return some
}

/** Of documents with many sessions: sorting them takes longer than reading a page. */
const orders = new WeakMap<readonly string[], readonly number[]>()

/** Places of `names` in bytewise order of what stands there. */
function orderOf(names: readonly string[]): readonly number[] {
  const known = orders.get(names)
  if (known !== undefined) return known
  const order = [...names.keys()].sort((a, b) => compareIds(names[a] as string, names[b] as string))
  if (names.length > SESSIONS_AT_ONCE_MAX) orders.set(names, order)
  return order
}

/** As many sessions as fill a page, if they are all alike: reading the beginnings of more would be in vain. */
function sessionsAtOnce({ row, entries }: Held, bytesMax: number): number {
  const alike = Math.ceil(bytesMax / (row.bytes / Math.max(1, entries.length) + runWeight('')))
  return Math.max(1, Math.min(alike, SESSIONS_AT_ONCE_MAX))
}

/** A page ends with a piece rather than within one. */
function isNearlyFull(page: PageBuilder, bytesMax: number): boolean {
  return !page.fits(bytesMax / 4)
}

/** Whether the page has room for more sessions. */
async function addSession(
  page: PageBuilder,
  { store, row: { kind }, bytesMax }: Reading,
  session: Missing,
  first: FirstPiece,
): Promise<boolean> {
  const { name, count, until } = session
  // The digest of a session at its start is known; anywhere else it is that of the piece there.
  let begun = count === 0 || kind === 'json'
  if (begun && !page.begin(name, count, kind === 'json' ? undefined : EMPTY_DIGEST)) return false
  for await (const some of pieces(store, session, until, first)) {
    for (const piece of some) {
      if (!begun && !page.begin(name, count, piece.digestAt(count))) return false
      begun = true
      // Where the next page begins nothing must be read or digested twice.
      const waits = isNearlyFull(page, bytesMax) && !page.fits(piece.bytes, piece.sizes.length)
      if (!waits && piece.addTo(page, count, until)) continue
      rememberPiece(store, session, piece)
      return !waits
    }
  }
  return true
}
