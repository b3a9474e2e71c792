/**
 * Reconcile: the LOADs of a new connection, one after the other, for clients that have a loop of their own.
 *
 * Seed 000: with what memory holds, else with what the storage holds, with nothing only where there is nothing or where the
 * storage failed (with a warning). L9: dependencies first; a slow look-up holds up only those who named it.
 * Memory: two pages of documents at most, and the ids that others depend on. Not here: how many LOADs are in flight (whoever reads
 * slowly slows this down), answers.
 */
import type { LoadMessage } from '@tidemark/protocol'
import type { Awaitable, Storage } from '@tidemark/storage'
import { type InterestOptions, PAGE_SIZE, pagesOf } from './interest.ts'
import { planned } from './plan.ts'
import { createTurns } from './turns.ts'

export interface ReconcileOptions extends InterestOptions {
  readonly storage: Pick<Storage, 'list' | 'knownStates' | 'headers'>
  /** What a document depends on, from its stored header (if there is one) and the ids of its sessions. */
  dependenciesOf?(header: Uint8Array | undefined, sessionIds: readonly string[]): Awaitable<readonly string[]>
  /** Something could not be found out, and was done without. */
  warn?(warning: Warning): void
}

/** `look`: the document is asked for with nothing. `dependencies`: it may be asked for before what it depends on. */
export interface Warning {
  readonly id: string
  readonly failed: 'look' | 'dependencies'
  readonly cause: unknown
}

/**
 * The LOADs to say on a new connection, in the order in which they are to leave. To be read for one connection; two that are read at
 * once share their look-ups.
 *
 * Dependencies of these documents are asked for too, whether they are among them or not.
 *
 * @throws StorageError if the storage cannot list its documents; RangeError for a page size below 1; the reason of the signal, with
 * which nothing more is yielded.
 */
export async function* reconcile(options: ReconcileOptions): AsyncGenerator<LoadMessage, void, undefined> {
  const { live, pageSize = PAGE_SIZE, signal, warn } = options
  const over = new AbortController()
  const pages = pagesOf(options)
  const bell = createBell()
  const turns = createTurns(options, over.signal, bell.ring)
  let reading = false
  let ended = false
  let failure: { readonly cause: unknown } | undefined

  async function readPage(): Promise<void> {
    reading = true
    try {
      const { value, done } = await pages.next()
      ended = done === true
      if (value !== undefined) turns.takePage(value)
    } catch (cause) {
      failure = { cause }
    }
    reading = false
    bell.ring()
  }

  signal?.addEventListener('abort', bell.ring)
  try {
    for (;;) {
      for (let turn = turns.next(); turn !== undefined; turn = turns.next()) {
        const { known, digests, from, cause } = planned(turn.id, live, turn.state)
        if (from === 'failed') warn?.({ id: turn.id, failed: 'look', cause })
        yield { action: 'load', id: turn.id, known, ...(digests && { digests }) }
        signal?.throwIfAborted()
      }
      signal?.throwIfAborted()
      if (failure !== undefined) throw failure.cause
      if (ended && turns.waiting() === 0) return
      if (!ended && !reading && turns.waiting() < pageSize) void readPage()
      await bell.rung()
    }
  } finally {
    signal?.removeEventListener('abort', bell.ring)
    over.abort()
    void pages.return()
  }
}

/** Wakes whoever waits; a ring that nobody waited for is not lost. */
function createBell() {
  let waiting: (() => void) | undefined
  let rang = false
  return {
    ring() {
      rang = true
      waiting?.()
    },
    async rung() {
      if (!rang)
        await new Promise<void>((resolve) => {
          waiting = resolve
        })
      rang = false
      waiting = undefined
    },
  }
}
