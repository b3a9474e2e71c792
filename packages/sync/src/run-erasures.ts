/**
 * Erasures outlive the process that began them: a mark says so before the tombstone is stored, until the document is erased.
 *
 * Without it a process that dies between the two leaves the document whole for ever: nobody sends a tombstone twice. What an earlier process
 * left is looked for with the first connection, not at the start. L2: a tombstone whose append failed may be stored all the same, also where nobody answers
 * just then: it is looked for until that is known. Not here: erasing (`erasures.ts`), what a tombstone is.
 */
import {
  type AppendResult,
  type Awaitable,
  andThen,
  type Clock,
  EMPTY_DIGEST,
  extendDigest,
  type Marks,
  type Storage,
  type StoredState,
  settle,
} from '@tidemark/storage'
import type { Event } from './events.ts'

/** A document and those of its sessions that are tombstones. */
export interface Erasing {
  readonly id: string
  readonly keep: readonly string[]
}

type Store = () => Awaitable<readonly AppendResult[]>

export interface Erasures {
  /** Marks what `store` erases, then stores it; what failed is looked for afterwards. */
  mark(erases: readonly Erasing[], store: Store): ReturnType<Store>
  /** It is erased. */
  done(id: string): void
  /** Tells, once, what an earlier process left; tries until the storage says it. */
  findLeft(): void
}

export interface ErasuresOptions {
  readonly storage: Storage
  readonly clock: Clock
  readonly closed: AbortSignal
  /** Whether tombstones are known here at all. */
  readonly isUsed: boolean
  readonly tell: (event: Event) => void
}

const PREFIX = '\u{10ffff}tidemark erasing '
const PAGE = 1_000
const AGAIN_MS = 1_000
const AGAIN_MAX_MS = 300_000

const utf8 = new TextEncoder()
const text = new TextDecoder()

export function createErasures({ storage, clock, closed, isUsed, tell }: ErasuresOptions): Erasures {
  const marked = new Map<string, Set<string>>()
  let looked = !isUsed

  function mark(erases: readonly Erasing[], store: Store): ReturnType<Store> {
    if (erases.length === 0) return store()
    const marks = new Map<string, Uint8Array>()
    for (const { id, keep } of erases) {
      const all = new Set([...(marked.get(id) ?? []), ...keep])
      marked.set(id, all)
      marks.set(keyOf(id), utf8.encode(JSON.stringify({ id, keep: [...all] })))
    }
    return andThen(storage.append([], { marks }), () => storeAndFind(erases, store))
  }

  function storeAndFind(erases: readonly Erasing[], store: Store): ReturnType<Store> {
    const failed = () => {
      for (const { id } of erases) {
        const keep = marked.get(id) ?? new Set()
        // Somebody may have written it again since, or it is done.
        const isCurrent = () => marked.get(id) === keep
        untilKnown(() => find({ id, keep: [...keep] }, isCurrent)).catch(() => {})
      }
    }
    try {
      const stored = store()
      settle(
        () => stored,
        (results) => results.some((result) => 'failed' in result) && failed(),
        failed,
      )
      return stored
    } catch (cause) {
      failed()
      throw cause
    }
  }

  async function remove(key: string): Promise<void> {
    const marks: Marks = new Map([[key, undefined]])
    try {
      await storage.append([], { marks })
    } catch {
      // A mark that stays costs a look at the next start.
    }
  }

  /** Answers whether each was found, or found to be done. */
  async function findAll(): Promise<boolean> {
    let isWhole = true
    for (let after: string | undefined; ; ) {
      const page = await storage.marks({ prefix: PREFIX, limit: PAGE, ...(after !== undefined && { after }) })
      for (const [, value] of page) isWhole = (await findOne(JSON.parse(text.decode(value)))) && isWhole
      if (page.length < PAGE) return isWhole
      after = page.at(-1)?.[0]
    }
  }

  const findOne = (left: Erasing) => find(left, () => !marked.has(left.id))

  async function find({ id, keep }: Erasing, isCurrent: () => boolean): Promise<boolean> {
    if (!isCurrent()) return true
    const [state] = await storage.knownStates([id])
    // Who is silent may have the tombstone, or lack the erasure.
    if (state?.partial) return false
    if (isCurrent()) await conclude(id, keep, state)
    return true
  }

  async function conclude(id: string, keep: readonly string[], state: StoredState | undefined): Promise<void> {
    const stored = keep.filter((session) => state?.known.sessions.has(session))
    // The tombstone was not stored, or all is done.
    if (state === undefined || state.erased !== undefined || stored.length === 0) {
      marked.delete(id)
      return remove(keyOf(id))
    }
    marked.set(id, new Set(stored))
    tell({ type: 'unerased', id, keep: stored })
  }

  /** Tries until the storage says it. */
  async function untilKnown(work: () => Promise<boolean>): Promise<void> {
    for (let waitMs = AGAIN_MS; !closed.aborted; waitMs = Math.min(2 * waitMs, AGAIN_MAX_MS)) {
      if (await work().catch(() => false)) return
      await clock.wait(waitMs, closed)
    }
  }

  return {
    mark,
    done(id) {
      if (marked.delete(id)) void remove(keyOf(id))
    },
    findLeft() {
      if (looked) return
      looked = true
      untilKnown(findAll).catch(() => {})
    },
  }
}

/** A document id may be as long as a key. */
const keyOf = (id: string): string => PREFIX + extendDigest(EMPTY_DIGEST, [utf8.encode(id)])
