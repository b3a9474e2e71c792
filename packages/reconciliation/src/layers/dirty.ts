/**
 * Dirty flags: which layer missed a write of which document. Ids, no data.
 *
 * They are marks in the durable layers that did store the write, so they survive the process; in memory there is a bounded copy.
 * A flag that is lost (a crash between a failed write and its flag) costs time, not data: the full sweep finds what it named.
 * Not here: repairing (`repair.ts`), going through them (`sweeps.ts`).
 */
import { compareIds, EMPTY_DIGEST, extendDigest, type Marks } from '@tidemark/storage'
import type { Layer } from './layer.ts'

/** What layers keep for themselves among the marks: no user of them sees keys that start so. */
export const INTERNAL = '\u{10ffff}tidemark layers '

/** No document has this id: the turns and the repair of marks go by it. */
export const MARKS = ''

/** Beyond so many flags of one layer every document counts as dirty there until it was swept. */
const FLAGS_MAX = 100_000
const PAGE = 500

const utf8 = new TextEncoder()
const text = new TextDecoder()

export interface Dirty {
  has(layer: Layer, id: string): boolean
  /** It is flagged in memory alone. */
  isUnsaid(layer: Layer, id: string): boolean
  /** Ids flagged for a layer, as far as they are remembered. */
  ids(layer: Layer): readonly string[]
  any(): boolean
  /** Flags documents in memory; the marks that make it durable are to be committed where the write is, and are given until they were. */
  add(layer: Layer, ids: Iterable<string>): Marks
  /** The marks that `add` gave for these are stored. */
  committed(layer: Layer, ids: Iterable<string>): void
  /** Grows with every flag. */
  ticks(): number
  /** The flag is no longer true; the marks that say so, or `undefined` if there was none, or if it was set again after `asOf`. */
  remove(layer: Layer, id: string, asOf?: number): Marks | undefined
  /** Everything in a layer was gone through. */
  swept(layer: Layer): void
  /** Takes up what the marks of `from` say of `layer`. */
  load(layer: Layer, from: Layer): Promise<void>
}

interface Flag {
  readonly isDurable: boolean
  readonly setAt: number
}

/** `about`: what is flagged. */
export function createDirty(about: 'dirty' | 'map'): Dirty {
  const flags = new Map<string, Map<string, Flag>>()
  const overflown = new Set<string>()
  let ticks = 0
  const of = (layer: Layer) => {
    const known = flags.get(layer.name) ?? new Map<string, Flag>()
    flags.set(layer.name, known)
    return known
  }

  function flag(layer: Layer, id: string, isDurable: boolean): void {
    const ids = of(layer)
    if (ids.has(id) || ids.size < FLAGS_MAX) ids.set(id, { isDurable, setAt: ticks })
    else overflown.add(layer.name)
  }

  return {
    ticks: () => ticks,
    has: (layer, id) => overflown.has(layer.name) || (flags.get(layer.name)?.has(id) ?? false),
    isUnsaid: (layer, id) => flags.get(layer.name)?.get(id)?.isDurable === false,
    ids: (layer) => [...(flags.get(layer.name)?.keys() ?? [])],
    any: () => overflown.size > 0 || [...flags.values()].some((ids) => ids.size > 0),
    add(layer, ids) {
      const marks = new Map<string, Uint8Array>()
      ticks += 1
      for (const id of ids) {
        const isDurable = flags.get(layer.name)?.get(id)?.isDurable === true
        flag(layer, id, isDurable)
        if (!isDurable) marks.set(keyOf(about, layer, id), utf8.encode(id))
      }
      return marks
    },
    committed(layer, ids) {
      const known = of(layer)
      for (const id of ids) {
        const flagged = known.get(id)
        if (flagged !== undefined) known.set(id, { ...flagged, isDurable: true })
      }
    },
    remove(layer, id, asOf = ticks) {
      const flagged = flags.get(layer.name)?.get(id)
      if (flagged === undefined || flagged.setAt > asOf) return undefined
      flags.get(layer.name)?.delete(id)
      return new Map([[keyOf(about, layer, id), undefined]])
    },
    swept: (layer) => overflown.delete(layer.name),
    async load(layer, from) {
      const prefix = prefixOf(about, layer)
      for (let after = prefix; ; ) {
        const page = await from.call('look', (storage) => storage.marks({ prefix, after, limit: PAGE }))
        for (const [key, id] of page) {
          if (compareIds(key, after) > 0) after = key
          flag(layer, text.decode(id), true)
        }
        if (page.length < PAGE) return
      }
    },
  }
}

/** The name's length keeps `a` and `ab` apart; an id may be as long as a key, so its digest stands for it. */
function prefixOf(about: string, { name }: Layer): string {
  return `${INTERNAL}${about} ${name.length} ${name}`
}

function keyOf(about: string, layer: Layer, id: string): string {
  return prefixOf(about, layer) + extendDigest(EMPTY_DIGEST, [utf8.encode(id)])
}
