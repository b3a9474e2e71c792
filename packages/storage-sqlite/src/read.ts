/**
 * Pages: content after a known state.
 *
 * A page costs the row of the document, and the pieces that are on it: each missing session is searched where the asker's count
 * ends, and nothing is read behind the end of the page but the piece that did not fit. A small document that was written at
 * once is two look-ups.
 * What fits on a page and where it may end (law L8) is decided by the contract's own page builder.
 */
import type { KnownState } from '@tidemark/known-state'
import type { Page, StoredState } from '@tidemark/storage'
import { EMPTY_DIGEST, type PageBuilder, pageBuilder } from '@tidemark/storage/adapter'
import { naming } from './errors.ts'
import { type First, readFirst } from './first.ts'
import type { Named } from './heavy.ts'
import { type DocumentRow, decodeRow } from './known-blob.ts'
import { piecesOf } from './pieces.ts'
import { orderedState } from './states.ts'
import type { Store } from './store.ts'

interface Missing extends Named {
  /** Among all sessions, in their order. */
  readonly place: number
  readonly after: number
  readonly until: number
}

/** A document as one page reads it. */
interface Source {
  readonly store: Store
  readonly document: number
  readonly row: DocumentRow
  /** Read where the header is wanted, which is in the same row. */
  readonly first: First | undefined
}

export function readPage(store: Store, id: string, after: KnownState, bytesMax: number): Page | undefined {
  const found = store.sql.document.get(id)
  if (found === undefined) return undefined
  return naming(id, () => {
    const [document, blob, sequence] = found as readonly [number, Uint8Array, number]
    const row = decodeRow(blob)
    const { state, ordered } = orderedState(store, id, row, sequence)
    const first = after.header ? undefined : readFirst(store, document)
    const { kind, priority } = row
    const limits = { bytesMax, runBytesMax: store.limits.runBytesMax }
    const page = pageBuilder({ id, kind, priority, header: first?.header }, after, limits)
    const offered: Missing[] = []
    for (const missing of missingOf(ordered, state, after, beginOf(store, document, sequence, after))) {
      offered.push(missing)
      if (!addSession(page, { store, document, row, first }, missing)) break
    }
    const ended = page.end(state.known)
    if (row.chunks.length > 0 && !store.isWriting) {
      const open = offered.find(({ name, until }) => (ended.end.sessions.get(name) ?? 0) < until)
      if (open !== undefined) store.pageEnds.set(ended.end, { document, sequence, place: open.place })
    }
    return ended
  })
}

/** Whoever comes back with the end of a page is not compared again in all the sessions that stand before. */
function beginOf(store: Store, document: number, sequence: number, after: KnownState): number {
  const end = store.pageEnds.get(after)
  return end?.document === document && end.sequence === sequence ? end.place : 0
}

/** Sessions that go on beyond `after`, in order, from place `begin` on. */
function* missingOf(
  ordered: readonly Named[],
  { known }: StoredState,
  after: KnownState,
  begin: number,
): Generator<Missing> {
  for (let place = begin; place < ordered.length; place++) {
    const { name, session } = ordered[place] as Named
    const count = after.sessions.get(name) ?? 0
    const until = known.sessions.get(name) as number
    if (count < until) yield { name, session, place, after: count, until }
  }
}

/** Answers whether the page has room for more sessions. */
function addSession(
  page: PageBuilder,
  { store, document, row, first }: Source,
  { name, session, after, until }: Missing,
): boolean {
  // The digest at the start of a session is known; anywhere else the piece there must be read first.
  const digest = row.kind === 'bytes' && after === 0 ? EMPTY_DIGEST : undefined
  let begun = row.kind === 'json' || digest !== undefined
  if (begun && !page.begin(name, after, digest)) return false
  for (const piece of piecesOf(store, { document, session }, { after, until }, first)) {
    if (!begun && !page.begin(name, after, piece.digestAt(after))) return false
    begun = true
    if (!piece.addTo(page, after)) return true
  }
  return true
}
