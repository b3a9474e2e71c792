/**
 * Layers in memory in front of durable ones: a bounded cache of contents, and nothing else.
 *
 * A cache is in no join, is never repaired, never counts for a write, and is filled with what the durable layers stored and with what was
 * read from them. L13: all that it has of a document is from one of them, and it is read in place of that one alone, where both hold the
 * same: so it is never a history of its own. Where that one is not known, or was taken out, it may be another that was seen to hold exactly the same, by
 * its header and its digests. What it does with what it is given is its own affair.
 */
import { equals } from '@tidemark/known-state'
import {
  type Append,
  type AppendResult,
  type Awaitable,
  memoryStorage,
  type Storage,
  type StoredState,
  type SynchronousStorage,
  settle,
} from '@tidemark/storage'
import { bytesEqual } from '@tidemark/storage/adapter'
import { sizeOf } from './contents.ts'
import { type Core, readers } from './core.ts'
import type { Layer } from './layer.ts'

/** The cache that holds of a document what this layer does, and has it from there. */
export function cacheOf(core: Core, layer: Layer, id: string): Layer | undefined {
  const state = core.seen.of(id)?.states.get(layer)
  return state && core.layers.find((cache) => cache.isCache && isFrom(cache, id, layer) && holdsSame(cache, id, state))
}

function isFrom(cache: Layer, id: string, layer: Layer): boolean {
  return cache.origins.get(id)?.deref() === layer
}

/** From where it has it is not known any more, or not read any more. */
function isOrphan(core: Core, cache: Layer, id: string): boolean {
  const origin = cache.origins.get(id)?.deref()
  return origin === undefined || !readers(core).includes(origin)
}

/** Whether what a cache has is known to be what this layer has, of which `content` is the beginning. */
function isAlike(core: Core, cache: Layer, layer: Layer, { id, kind, header }: Append): boolean {
  const state = core.seen.of(id)?.states.get(layer)
  const held = heldIn(cache, id)
  if (kind !== 'bytes' || held?.kind !== kind || header === undefined || state === undefined) return false
  // A session without a digest says nothing about what is in it.
  const isDigested = [...held.known.sessions.keys()].every((session) => held.digests.has(session))
  if (!isDigested || !holdsSame(cache, id, state)) return false
  const [mine] = now(() => cache.storage.headers([id])) ?? []
  return mine !== undefined && bytesEqual(mine, header)
}

function holdsSame(cache: Layer, id: string, other: StoredState): boolean {
  const state = heldIn(cache, id)
  if (state === undefined || state.erased !== other.erased) return false
  return equals(state.known, other.known) && sameDigests(state, other)
}

function heldIn(cache: Layer, id: string): StoredState | undefined {
  return now(() => cache.storage.knownStates([id]))?.[0]
}

/** Only a cache that says so in the same tick holds anything. */
function now<T>(ask: () => Awaitable<T>): T | undefined {
  let said: T | undefined
  settle(
    ask,
    (answer) => {
      said = answer
    },
    () => {},
  )
  return said
}

function sameDigests(a: StoredState, b: StoredState): boolean {
  return [...a.digests].every(([session, digest]) => b.digests.get(session) === digest)
}

/** Offers the caches what these layers hold, in order of preference; what they do not take they will not serve. */
export function fillCaches(core: Core, content: Append, from: readonly Layer[]): void {
  const [first] = from
  if (first === undefined) return
  for (const cache of core.layers) {
    if (!cache.isCache) continue
    const isNew = heldIn(cache, content.id) === undefined
    if (isNew || (isOrphan(core, cache, content.id) && isAlike(core, cache, first, content)))
      cache.origins.set(content.id, new WeakRef(first))
    if (!from.some((layer) => isFrom(cache, content.id, layer))) continue
    settle<readonly AppendResult[]>(
      () => cache.storage.append([content]),
      () => {},
      () => {},
    )
  }
}

/** What some layer says is erased is not to stay in memory either. */
export function eraseInCaches(core: Core, id: string, { erased, known }: StoredState): void {
  if (erased === undefined) return
  for (const cache of core.layers)
    if (cache.isCache)
      settle(
        () => cache.storage.erase(id, erased, { keep: [...known.sessions.keys()] }),
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
