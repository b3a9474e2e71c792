/**
 * The outbox: documents that hold what the upstream has not confirmed, remembered by the storage itself.
 *
 * L3: a mark commits together with the transactions that are owed, or before them, so there is no instant at which a crash could forget them; it
 * is removed when the upstream confirmed the document, and a crash before that costs one question on the next connection.
 * A mark has a key made up anew each time a document enters: a removal that is under way cannot meet the mark of a later write.
 * Not here: asking upstreams (`comparison.ts`, the engine), whether a document is uploaded (the engine).
 */
import type { Append, AppendResult, Awaitable, Clock, Marks, Storage } from '@tidemark/storage'
import { andThen, randomToken } from '@tidemark/storage'
import { fromBytes, readMarks, toBytes } from './marks.ts'

export interface Outbox {
  size(): number
  has(id: string): boolean
  ids(): readonly string[]
  /** Performs an append of the engine; `owed` are those of its documents that enter the outbox with it. */
  append(batch: readonly Append[], owed: readonly string[]): Awaitable<readonly AppendResult[]>
  /** Puts documents in that are stored already. Answers their marks that are not known to be stored yet: they will be. */
  add(ids: readonly string[]): Marks
  /** Takes a document out: the upstream has confirmed all that is stored of it. */
  remove(id: string): void
  /** An append failed: what it may have stored nevertheless is marked. Answers what that is: the upstream has to be asked for it again. */
  markAgain(): readonly string[]
  /** Resolves when all that is owed is marked; rejects if that failed. */
  marked(): Promise<void>
  /** Resolves when no mark is being written. */
  flushed(): Promise<void>
}

interface Entry {
  readonly id: string
  /** More than one where two openers of one store wrote the document. */
  readonly keys: string[]
}

const PREFIX = 'tidemark outbox '

/** Reads what an earlier run, or a crash, has left. The storage must be open. `left` is told of each document that is removed. */
export async function loadOutbox(storage: Storage, clock: Clock, left: (id: string) => void): Promise<Outbox> {
  const entries = new Map<string, Entry>()
  for await (const [key, value] of readMarks(storage, PREFIX)) {
    const id = fromBytes(value) as string
    const entry = entries.get(id) ?? { id, keys: [] }
    entry.keys.push(key)
    entries.set(id, entry)
  }
  return createOutbox(storage, clock, left, entries)
}

function createOutbox(storage: Storage, clock: Clock, left: (id: string) => void, entries: Map<string, Entry>): Outbox {
  /** Entries whose mark is not known to be stored. */
  const unmarked = new Set<Entry>()
  /** Keys of marks that are not known to be removed. */
  const stale = new Set<string>()
  const taken = new Set([...entries.values()].flatMap(({ keys }) => keys))
  let run: string | undefined
  let made = 0
  let writing: Promise<void> | undefined

  /** Of this run, so that two openers of one store do not remove each other's marks. */
  function freshKey(): string {
    run ??= randomToken(clock)
    let key: string
    do key = `${PREFIX}${run}${(made++).toString(36)}`
    while (taken.has(key))
    taken.add(key)
    return key
  }

  function enter(ids: readonly string[]): void {
    for (const id of ids) {
      if (entries.has(id)) continue
      const entry: Entry = { id, keys: [freshKey()] }
      entries.set(id, entry)
      unmarked.add(entry)
    }
  }

  function marksOf(marked: readonly Entry[], removed: readonly string[] = []): Map<string, Uint8Array | undefined> {
    const marks = new Map<string, Uint8Array | undefined>(removed.map((key) => [key, undefined]))
    for (const { id, keys } of marked) for (const key of keys) marks.set(key, toBytes(id))
    return marks
  }

  /** Writes and removes what is left to be, in one commit. */
  async function write(): Promise<void> {
    await Promise.resolve()
    const [marked, removed] = [[...unmarked], [...stale]]
    await storage.append([], { marks: marksOf(marked, removed) })
    for (const entry of marked) unmarked.delete(entry)
    for (const key of removed) {
      stale.delete(key)
      taken.delete(key)
    }
  }

  /** What fails stays to be written with the next. */
  function writeSoon(): void {
    writing ??= write()
      .then(
        () => true,
        () => false,
      )
      .then((written) => {
        writing = undefined
        if (written && unmarked.size + stale.size > 0) writeSoon()
      })
  }

  return {
    size: () => entries.size,
    has: (id) => entries.has(id),
    ids: () => [...entries.keys()],
    append(batch, owed) {
      enter(owed)
      if (unmarked.size === 0) return storage.append(batch)
      const marked = [...unmarked]
      const marks = marksOf(marked)
      const done = (results: readonly AppendResult[]) => {
        for (const entry of marked) unmarked.delete(entry)
        return results
      }
      // One document that cannot be stored leaves the others without the marks of their commit: where there are others, marks go first.
      return batch.length > 1
        ? andThen(storage.append([], { marks }), () => andThen(storage.append(batch), done))
        : andThen(storage.append(batch, { marks }), (results) =>
            results.some((result) => 'failed' in result) ? results : done(results),
          )
    },
    add(ids) {
      enter(ids)
      const added = ids.flatMap((id) => entries.get(id) ?? []).filter((entry) => unmarked.has(entry))
      if (added.length > 0) writeSoon()
      return marksOf(added)
    },
    remove(id) {
      const entry = entries.get(id)
      if (entry === undefined) return
      entries.delete(id)
      unmarked.delete(entry)
      for (const key of entry.keys) stale.add(key)
      writeSoon()
      left(id)
    },
    markAgain() {
      if (unmarked.size > 0) writeSoon()
      return [...unmarked].map(({ id }) => id)
    },
    async marked() {
      if (unmarked.size > 0) await write()
    },
    async flushed() {
      while (writing !== undefined) await writing
    },
  }
}
