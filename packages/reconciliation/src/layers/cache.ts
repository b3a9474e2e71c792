/**
 * Layers in memory in front of durable ones: a bounded cache of contents, and nothing else.
 *
 * A cache is in no join, is never repaired, never counts for a write and is read only where it holds exactly what the durable layers do.
 * It is filled with what they stored and with what was read from them. What it does with that is its own affair.
 */
import { equals } from '@tidemark/known-state'
import {
  type Append,
  type AppendResult,
  memoryStorage,
  type Storage,
  type StoredState,
  type SynchronousStorage,
  settle,
  type Version,
} from '@tidemark/storage'
import { sizeOf } from './contents.ts'
import type { Core } from './core.ts'
import type { Layer } from './layer.ts'

/** Whether a cache can serve a document: only one that says so in the same tick is asked. */
export function cacheHolds(layer: Layer, id: string, joined: StoredState): boolean {
  let holds = false
  settle(
    () => layer.storage.knownStates([id]),
    ([state]) => {
      holds =
        state !== undefined &&
        state.erased === joined.erased &&
        equals(state.known, joined.known) &&
        sameDigests(state, joined)
    },
    () => {},
  )
  return holds
}

function sameDigests(a: StoredState, b: StoredState): boolean {
  return [...a.digests].every(([session, digest]) => b.digests.get(session) === digest)
}

/** Offers contents to the caches; what they do not take they will not serve. */
export function fillCaches(core: Core, contents: readonly Append[]): void {
  for (const layer of core.layers)
    if (layer.isCache && contents.length > 0)
      settle<readonly AppendResult[]>(
        () => layer.storage.append(contents),
        () => {},
        () => {},
      )
}

/** What is erased is not to stay in memory either. */
export function eraseInCaches(core: Core, id: string, version: Version, keep: readonly string[]): void {
  for (const layer of core.layers)
    if (layer.isCache)
      settle(
        () => layer.storage.erase(id, version, { keep }),
        () => {},
        () => {},
      )
}

/**
 * A store in memory of at most so many bytes (of headers, transactions and seals): two generations, the older of which is dropped when the younger
 * is half as large. What was dropped is not there; so it is a cache, and of no use as a store.
 */
export function cacheStorage({ bytesMax = 64 * 1024 * 1024 }: { readonly bytesMax?: number } = {}): Storage {
  let young = memoryStorage()
  let old: SynchronousStorage | undefined
  let bytes = 0

  /** The generation that has a document: all of it is in one. */
  function home(id: string): SynchronousStorage {
    return old !== undefined && young.knownStates([id])[0] === undefined && old.knownStates([id])[0] !== undefined
      ? old
      : young
  }

  function turnOver(): void {
    if (bytes <= bytesMax / 2) return
    bytes = 0
    old = young
    young = memoryStorage()
    young.open()
  }

  return {
    ...withoutDocuments(() => young),
    open: (options) => young.open(options),
    knownStates: (ids, options) => ids.map((id) => home(id).knownStates([id], options)[0]),
    headers: (ids, options) => ids.map((id) => home(id).headers([id], options)[0]),
    read: (id, after, options) => home(id).read(id, after, options),
    append: (batch, options) =>
      batch.map((content) => {
        const storage = home(content.id)
        const [result] = storage.append([content], options)
        bytes += sizeOf(content)
        turnOver()
        return result as AppendResult
      }),
    verifierStates: (id, sessions, options) => home(id).verifierStates(id, sessions, options),
    erase: (id, version, options) => home(id).erase(id, version, options),
    close() {
      young.close()
      old?.close()
    },
  }
}

/** What a cache is not asked. */
function withoutDocuments(
  young: () => Storage,
): Pick<Storage, 'marks' | 'list' | 'count' | 'changes' | 'readMap' | 'mergeMap'> {
  return {
    marks: (options) => young().marks(options),
    list: (options) => young().list(options),
    count: (options) => young().count(options),
    changes: (options) => young().changes(options),
    readMap: (name, options) => young().readMap(name, options),
    mergeMap: (name, entries, options) => young().mergeMap(name, entries, options),
  }
}
