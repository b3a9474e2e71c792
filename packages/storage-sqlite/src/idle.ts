/**
 * What is done when nobody writes: tails become segments, and what stands in the log goes to the file.
 *
 * None of it is needed, so none of it may be in the way: it begins when nothing was written for a while, goes in slices that take
 * some milliseconds, and ends at the first append. What fails is left to the next append or read, which can tell somebody.
 * Folding changes no answer: a document keeps its sequence. Not here: which tails (tails.ts), how they are folded (tail.ts).
 */
import type { Clock } from '@tidemark/storage'
import { DamagedBlob } from '@tidemark/storage/adapter'
import { decodeRow, encodeRow } from './known-blob.ts'
import { SessionsHeld } from './sessions-held.ts'
import { endReading, type Numbers, type Store, transact } from './store.ts'
import { fold } from './tail.ts'

/** Without an append for so long, nobody writes. */
export const IDLE_MS = 1000
/** Between two slices: whoever wants to write comes first. */
export const PAUSE_MS = 10
/** Each reads and writes at most about 64 KiB. */
const FOLDS_PER_SLICE = 8

export class Idle {
  readonly #store: Store
  readonly #clock: Clock
  readonly #closing = new AbortController()
  /** When something was written last. */
  #writtenAt = 0
  #isWatching = false

  constructor(store: Store, clock: Clock) {
    this.#store = store
    this.#clock = clock
  }

  /** To be called whenever something is to be written: from now on it waits again. */
  written(): void {
    this.#writtenAt = this.#clock.now()
    if (!this.#isWatching) void this.#watch()
  }

  /** Leaves no timer and touches nothing any more. */
  close(): void {
    this.#closing.abort()
  }

  async #watch(): Promise<void> {
    const { signal } = this.#closing
    this.#isWatching = true
    try {
      for (;;) {
        const left = this.#writtenAt + IDLE_MS - this.#clock.now()
        if (left <= 0 && !slice(this.#store)) return
        // A clock of a machine may be set back.
        await this.#clock.wait(left > 0 ? Math.min(left, IDLE_MS) : PAUSE_MS, signal)
      }
    } catch {
      // Closed.
    } finally {
      this.#isWatching = false
    }
  }
}

/** Some of what there is to do; answers whether there is more. */
function slice(store: Store): boolean {
  try {
    if (store.tails.size === 0) {
      checkpoint(store)
      return false
    }
    foldSome(store)
    return true
  } catch (cause) {
    // Damage concerns one document; a full disk or another writer concerns all of them.
    return cause instanceof DamagedBlob
  }
}

function foldSome(store: Store): void {
  const numbers = { ...store.numbers }
  const taken = store.tails.take(FOLDS_PER_SLICE)
  transact(store, () => {
    for (const [id, sessions] of taken) foldDocument(store, numbers, id, sessions)
  })
  store.numbers = numbers
}

function foldDocument(store: Store, numbers: Numbers, id: string, sessions: readonly number[]): void {
  const found = store.sql.document.get(id)
  if (found === undefined) return
  const [document, state, sequence] = found as readonly [number, Uint8Array, number]
  const row = decodeRow(state)
  const held = new SessionsHeld(store, row)
  for (const session of sessions) {
    const entry = held.get(session)
    // Erased meanwhile, or folded by an append.
    if (entry === undefined || entry.tail === 0) continue
    fold(store, numbers, { document, session }, [])
    entry.tail = 0
    held.changed(session)
  }
  held.write(numbers)
  store.sql.setDocument.run(sequence, encodeRow(store.writer, row), id)
}

/** As far as others let it: who reads an older state of the file keeps what came after it in the log. */
function checkpoint(store: Store): void {
  endReading(store)
  store.sql.checkpoint.get()
}
