/**
 * What each layer was last seen to hold of the documents that are in use. Bounded (L10); what is not remembered is asked again.
 *
 * One rule for whatever a layer answers, to a look-up or to a write: what was asked before it last answered, or failed to store something, was on its way
 * for longer. It may add to what was seen since and takes nothing of it back, and it ends neither a silence nor a doubt. L2, L12: so an erasure that
 * was told stays told, and no late answer looks like a loss.
 */
import { covers, EMPTY, type KnownState } from '@tidemark/known-state'
import { compareVersions, type StoredState } from '@tidemark/storage'
import { Remembered } from '@tidemark/storage/adapter'
import type { Events } from './events.ts'
import { joinOf } from './join.ts'
import type { Layer } from './layer.ts'

/** Of one document. A layer that was taken out leaves nothing behind. */
export interface Sight {
  readonly states: WeakMap<Layer, StoredState | undefined>
  /** What layers held that do not answer any more. An erasure among it still counts: it is not taken back by silence. */
  readonly stood: WeakMap<Layer, StoredState>
  /** Of `json` sessions, up to which count a layer holds the same as another one that holds more. */
  readonly compared: WeakMap<Layer, WeakMap<Layer, Map<string, number>>>
  /** Layers that did not grow when they were given what they lack: what they held, and what there was. */
  readonly stuck: WeakMap<Layer, { readonly held: KnownState; readonly joined: KnownState }>
  /** Layers that may hold more than was seen: a write failed there. */
  readonly doubtful: WeakSet<Layer>
  /** The tick of what each layer answered last, or failed to store. Silence takes none of it away. */
  readonly heard: WeakMap<Layer, number>
  /** The tick at which this was begun: what was asked before may be older than what was forgotten. */
  readonly begun: number
  /** What whoever asked or wrote knows of the join; what is more is told to watchers before it is answered. */
  told: KnownState | undefined
  /** What watchers were told to ask for since. */
  announced: KnownState | undefined
}

export interface Seen {
  /** While `work` is under way nothing that is seen of `ids` is forgotten: half a sight would look like a whole one. */
  hold<T>(ids: readonly string[], work: () => Promise<T>): Promise<T>
  /** Taken before a layer is asked or given something, handed in with its answer. */
  tick(): number
  of(id: string): Sight | undefined
  /** It answered what it was asked, or given, at `asked`. Answers whether it is known now what it holds: it may have fallen silent since. */
  heard(id: string, layer: Layer, state: StoredState | undefined, asked: number): boolean
  /** It was asked and did not answer; `answered` is what the others say. */
  silent(id: string, layer: Layer): void
  noteUnsure(id: string, answered: KnownState): void
  /** This was answered. */
  tell(id: string, answered: KnownState): void
  /** Watchers were told that there is more. */
  announce(id: string, known: KnownState): void
  /** A look-up failed, so nothing was answered: what was told stands, and watchers are told once more. */
  failed(id: string): void
  /** A write failed: it is unknown whether it holds more than it did. */
  doubt(id: string, layer: Layer): void
  /** Documents of which a partial answer was given, and what was answered last: until all layers have answered. */
  readonly unsure: Map<string, KnownState>
}

/** Beyond so many unsure documents the longest unsure are left to the sweep that follows when a layer returns. */
const UNSURE_MAX = 10_000

/** `erased` is told of every answer that a document is. */
export function createSeen(
  events: Events,
  rememberedMax: number,
  erased: (id: string, state: StoredState) => void,
): Seen {
  const sights = new Remembered<string, Sight>(rememberedMax)
  const held = new Map<string, { readonly sight: Sight; holders: number }>()
  const unsure = new Map<string, KnownState>()
  let ticks = 0

  const of = (id: string) => held.get(id)?.sight ?? sights.get(id)

  function release(id: string): void {
    const holding = held.get(id)
    if (holding === undefined || --holding.holders > 0) return
    held.delete(id)
    sights.set(id, holding.sight)
  }

  function sight(id: string): Sight {
    const known = of(id)
    if (known !== undefined) return known
    const fresh: Sight = {
      states: new WeakMap(),
      stood: new WeakMap(),
      compared: new WeakMap(),
      stuck: new WeakMap(),
      doubtful: new WeakSet(),
      heard: new WeakMap(),
      begun: ticks,
      told: undefined,
      announced: undefined,
    }
    sights.set(id, fresh)
    return fresh
  }

  function note(seen: Sight, id: string, layer: Layer, state: StoredState | undefined): void {
    const before = seen.states.get(layer)
    seen.states.set(layer, state)
    seen.stood.delete(layer)
    seen.doubtful.delete(layer)
    seen.heard.set(layer, ++ticks)
    // L12: only a tombstone deletes; a store that shrank otherwise has lost something, and is refilled.
    if (before === undefined || state?.erased !== undefined) return
    if (state === undefined || !covers(state.known, before.known))
      events.emit({ kind: 'regressed', id, layer: layer.name })
  }

  /** What of a late answer is more than was seen. */
  function add(seen: Sight, layer: Layer, late: StoredState | undefined): void {
    const shown: WeakMap<Layer, StoredState | undefined> = seen.states.has(layer) ? seen.states : seen.stood
    const before = shown.get(layer)
    if (late === undefined || contains(before, late)) return
    shown.set(layer, before === undefined ? late : joinOf([late, before]))
    seen.heard.set(layer, ++ticks)
  }

  function noteUnsure(id: string, answered: KnownState): void {
    if (unsure.has(id)) return
    unsure.set(id, answered)
    for (const longest of unsure.keys()) {
      if (unsure.size <= UNSURE_MAX) return
      unsure.delete(longest)
    }
  }

  return {
    tick: () => ticks,
    of,
    async hold(ids, work) {
      for (const id of ids) {
        const holding = held.get(id)
        if (holding === undefined) held.set(id, { sight: sight(id), holders: 1 })
        else holding.holders += 1
      }
      try {
        return await work()
      } finally {
        for (const id of ids) release(id)
      }
    },
    unsure,
    heard(id, layer, state, asked) {
      const seen = sight(id)
      const isLate = (seen.heard.get(layer) ?? seen.begun) > asked
      if (isLate) add(seen, layer, state)
      else note(seen, id, layer, state)
      if (state?.erased !== undefined) erased(id, state)
      return seen.states.has(layer)
    },
    silent(id, layer) {
      const seen = of(id)
      const held = seen?.states.get(layer)
      if (held !== undefined) seen?.stood.set(layer, held)
      seen?.states.delete(layer)
    },
    noteUnsure,
    tell(id, answered) {
      Object.assign(sight(id), { told: answered, announced: undefined })
      if (unsure.has(id)) unsure.set(id, answered)
    },
    announce(id, known) {
      sight(id).announced = known
    },
    failed(id) {
      const seen = of(id)
      noteUnsure(id, seen?.told ?? EMPTY)
      if (seen !== undefined) seen.announced = undefined
    },
    doubt(id, layer) {
      const seen = sight(id)
      seen.heard.set(layer, ++ticks)
      seen.doubtful.add(layer)
    },
  }
}

/** Whether a layer that held `state` may have come to hold `later`, with no loss. */
function contains(later: StoredState | undefined, state: StoredState | undefined): boolean {
  if (state === undefined) return true
  if (later === undefined) return false
  if (state.erased !== undefined) return later.erased !== undefined && compareVersions(later.erased, state.erased) >= 0
  return later.erased !== undefined || covers(later.known, state.known)
}
