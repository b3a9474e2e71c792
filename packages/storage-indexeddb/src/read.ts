/**
 * Pages: content after a known state.
 *
 * A page costs the row of the document and the pieces that are on it: each missing session is searched where the asker's count
 * ends. Sessions that are expected on the page are asked for together, not one after the other. What a page does not take of
 * what was read is left for the next one (page-memory.ts).
 * What fits on a page and where it may end (law L8) is decided by the contract's own page builder.
 */
import type { KnownState } from '@tidemark/known-state'
import { runWeight } from '@tidemark/protocol'
import type { Page } from '@tidemark/storage'
import {
  compareIds,
  DamagedBlob,
  EMPTY_DIGEST,
  type Packed,
  type PageBuilder,
  type PageLimits,
  pageBuilder,
} from '@tidemark/storage/adapter'
import { wrap } from 'idb'
import { namingLater } from './errors.ts'
import { segmentRange } from './keys.ts'
import type { PageMemory } from './page-memory.ts'
import { readHeader, readUnfolded, type Unfolded } from './pieces.ts'
import { decodeSegment } from './records.ts'
import type { Entry, Row } from './row.ts'
import { type Found, readFound } from './states.ts'
import type { Tools } from './tools.ts'
import type { Reach } from './transaction.ts'

/** Sessions asked for together, at most. */
const SESSIONS_AHEAD_MAX = 32
/** A page of the usual size ends in the second one. */
const SEGMENTS_AT_ONCE = 2

interface Missing {
  readonly entry: Entry
  readonly after: number
}

export function readPage(
  reach: Reach,
  { large, pages }: Tools,
  id: string,
  after: KnownState,
  limits: PageLimits,
): Promise<Page | undefined> {
  return namingLater(id, async () => {
    const found = await readFound(reach, large, id)
    if (found === undefined) return undefined
    const { kind, priority } = found.row
    const missing = missingOf(found, after)
    const source = new Source(reach, found, pages)
    const ahead = sessionsExpected(found, limits)
    const [header] = await Promise.all([
      after.header ? undefined : source.header(),
      source.expect(missing.slice(0, ahead), limits.bytesMax),
    ])
    const page = pageBuilder({ id, kind, priority, header }, after, limits)
    for (const [index, one] of missing.entries()) {
      if (index > 0 && index % ahead === 0) await source.expect(missing.slice(index, index + ahead), limits.bytesMax)
      if (!(await addSession(page, source, one))) break
    }
    return page.end(knownOf(found))
  })
}

/** Sessions that go on beyond `after`, in bytewise order of their ids. */
function missingOf({ sessions: { entries } }: Found, after: KnownState): Missing[] {
  const missing: Missing[] = []
  for (const entry of entries) {
    const count = after.sessions.get(entry.id) ?? 0
    if (count < entry.count) missing.push({ entry, after: count })
  }
  return missing.sort((a, b) => compareIds(a.entry.id, b.entry.id))
}

function knownOf({ sessions, state }: Found): KnownState {
  return state?.known ?? { header: true, sessions: new Map(sessions.entries.map(({ id, count }) => [id, count])) }
}

/** How many sessions a page will have, from what they have on average. */
function sessionsExpected({ row, sessions }: Found, { bytesMax }: PageLimits): number {
  const average = row.bytes / Math.max(1, sessions.entries.length) + runWeight('')
  return Math.max(1, Math.min(SESSIONS_AHEAD_MAX, Math.ceil(bytesMax / average)))
}

/** Answers whether the page has room for more sessions. */
async function addSession(page: PageBuilder, source: Source, { entry, after }: Missing): Promise<boolean> {
  let begun = false
  for (let at = after; at < entry.count; ) {
    const pieces = await source.piecesFrom(entry, at)
    for (const [index, piece] of pieces.entries()) {
      if (piece.after > at || piece.until <= at) throw new DamagedBlob('a piece of it is missing')
      if (!begun && !page.begin(entry.id, after, digestAt(piece, after))) return false
      begun = true
      if (!piece.addTo(page, at)) {
        source.leave(entry, pieces.slice(index))
        return true
      }
      at = piece.until
    }
  }
  return true
}

function digestAt(piece: Packed, count: number): string | undefined {
  return piece.digest === undefined || count > 0 ? piece.digestAt(count) : EMPTY_DIGEST
}

/** The pieces of one document, within one transaction. */
class Source {
  readonly #reach: Reach
  readonly #row: Row
  readonly #at: number
  readonly #memory: PageMemory
  /** First segments of sessions, asked for before their turn, by session number. */
  readonly #expected = new Map<number, Promise<Packed[]>>()
  #unfolded: Promise<Unfolded> | undefined

  constructor(reach: Reach, { row, at }: Found, memory: PageMemory) {
    this.#reach = reach
    this.#row = row
    this.#at = at
    this.#memory = memory
  }

  async header(): Promise<Uint8Array> {
    if (this.#row.headHasRuns) return (await this.#readUnfolded()).header as Uint8Array
    return readHeader(this.#reach, this.#row)
  }

  /** Asks for what the next sessions begin with, all at once; waits for none of it. */
  expect(missing: readonly Missing[], bytesMax: number): void {
    const { hasSegments, tail } = this.#row
    const inTail = missing.some(({ entry }) => entry.tail === tail.number)
    // A heavy tail is read when it is certain that this page comes to it.
    if (inTail && (!hasSegments || tail.weight <= bytesMax)) this.#readUnfolded().catch(() => {})
    for (const { entry, after } of hasSegments ? missing : []) {
      if (this.#remembered(entry, after) !== undefined) continue
      const segments = this.#segments(entry, after)
      // Where a page ends before them nobody waits for them.
      segments.catch(() => {})
      this.#expected.set(entry.session, segments)
    }
  }

  /** Some of the pieces of a session from the one that count `at` lies in, in order; at least that one. */
  async piecesFrom(entry: Entry, at: number): Promise<readonly Packed[]> {
    // Asked for at the start of the session: true of no other count, also if another page has left what is wanted now.
    const expected = this.#expected.get(entry.session)
    this.#expected.delete(entry.session)
    const remembered = this.#remembered(entry, at)
    if (remembered !== undefined) return remembered
    const segments = await (expected ?? this.#segments(entry, at))
    if (segments.length > 0) return segments
    const unfolded = (await this.#readUnfolded()).pieces.get(entry.session)?.filter(({ until }) => until > at) ?? []
    if (unfolded.length === 0) throw new DamagedBlob('the end of a session is missing')
    return unfolded
  }

  /** What the page has not taken is for the next one. */
  leave(entry: Entry, pieces: readonly Packed[]): void {
    this.#memory.leave(this.#nameOf(entry), pieces.slice(0, SEGMENTS_AT_ONCE))
  }

  async #readUnfolded(): Promise<Unfolded> {
    const known = this.#memory.unfolded.get(this.#row.document)
    if (known?.at === this.#at) return known.unfolded
    this.#unfolded ??= readUnfolded(this.#reach, this.#row, { header: false })
    const unfolded = await this.#unfolded
    this.#memory.unfolded.set(this.#row.document, { at: this.#at, unfolded })
    return unfolded
  }

  async #segments({ session }: Entry, at: number): Promise<Packed[]> {
    if (!this.#row.hasSegments) return []
    const range = segmentRange(this.#row.document, session, at + 1)
    const found: Uint8Array[] = await wrap(this.#reach('content').getAll(range, SEGMENTS_AT_ONCE))
    return found.map(decodeSegment)
  }

  #remembered(entry: Entry, at: number): readonly Packed[] | undefined {
    const pieces = this.#memory.left(this.#nameOf(entry)).filter(({ until }) => until > at)
    return pieces[0] !== undefined && pieces[0].after <= at ? pieces : undefined
  }

  #nameOf({ session }: Entry): string {
    return `${this.#row.document}/${session}`
  }
}
