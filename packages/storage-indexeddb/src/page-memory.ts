/**
 * What one page leaves for the next of the same document, so that nothing is read twice.
 *
 * What stands at a count of a session never changes, so a piece stays true whatever another tab does; the rest of a document is
 * true of the change that it was read at. L10: little is remembered, and nothing large.
 */
import { type Packed, Remembered } from '@tidemark/storage/adapter'
import type { Unfolded } from './pieces.ts'

/** Of each that is remembered there may be twice so many. */
const SESSIONS_REMEMBERED = 4
const DOCUMENTS_REMEMBERED = 1
/** Larger pieces are read again. */
const PIECES_BYTES_MAX = 256 * 1024

export class PageMemory {
  /** Of documents by number, as they are after the change `at`. */
  readonly unfolded: Remembered<number, { readonly at: number; readonly unfolded: Unfolded }> = new Remembered(
    DOCUMENTS_REMEMBERED,
  )
  readonly #left = new Remembered<string, readonly Packed[]>(SESSIONS_REMEMBERED)

  /** Pieces that a page has read and not taken, in order; `session` names the document, too. */
  leave(session: string, pieces: readonly Packed[]): void {
    let bytes = 0
    for (const piece of pieces) bytes += piece.bytes
    this.#left.set(session, bytes <= PIECES_BYTES_MAX ? pieces : [])
  }

  left(session: string): readonly Packed[] {
    return this.#left.get(session) ?? []
  }
}
