/**
 * Intents: which documents are being written, noted in each layer by the very commit that writes them.
 *
 * L3: a process may end when one layer has stored a write and another has not, and then nobody is left to flag that. What it was writing is found here at
 * the next start, and flagged. An intent is taken back by a later commit, once its write has ended in every layer; so it costs no commit of
 * its own, and a document that is written again soon costs nothing. Decision 030. Not here: flags (`dirty.ts`).
 */
import { EMPTY_DIGEST, extendDigest, type Marks } from '@tidemark/storage'
import { type Core, writers } from './core.ts'
import { INTERNAL } from './dirty.ts'
import { setDirty } from './flags.ts'
import type { Layer } from './layer.ts'

const PREFIX = `${INTERNAL}writing `
const PAGE = 500
/** Documents of ended writes whose intents are not taken back yet. */
const IDS_KEPT = 256

const utf8 = new TextEncoder()
const text = new TextDecoder()

interface Entry {
  readonly key: string
  readonly ids: readonly string[]
  readonly layers: WeakSet<Layer>
  writes: number
}

/** One write. */
export interface Intent {
  /** To be committed with it. */
  readonly marks: Marks
  stored(layer: Layer): void
  /** Every layer has stored it, or was flagged. */
  ended(): void
}

export interface Intents {
  /** A write of `ids` to `layers` begins. `run` is the same during one opening of the whole, and never again. */
  begin(run: string, ids: readonly string[], layers: readonly Layer[]): Intent
  /** All writes have ended: marks that take everything back. */
  end(): Marks
}

/** `isFlagged`: of every layer that lacks something of the document that is durably said elsewhere. */
export function createIntents(isFlagged: (id: string) => boolean): Intents {
  /** Of ended writes, in the order in which they ended. */
  const ended = new Set<Entry>()
  const latest = new Map<string, Entry>()
  /** Documents of ended writes. */
  let kept = 0
  let made = 0

  /** The oldest of what has ended, until so many documents are left. */
  function takeBack(idsMax: number): Map<string, Uint8Array | undefined> {
    const marks = new Map<string, Uint8Array | undefined>()
    for (const entry of ended) {
      if (kept <= idsMax) break
      if (!entry.ids.every(isFlagged)) continue
      forget(entry)
      for (const id of entry.ids) if (latest.get(id) === entry) latest.delete(id)
      marks.set(entry.key, undefined)
    }
    return marks
  }

  function forget(entry: Entry): void {
    if (ended.delete(entry)) kept -= entry.ids.length
  }

  function end(entry: Entry): void {
    entry.writes -= 1
    if (entry.writes > 0) return
    ended.add(entry)
    kept += entry.ids.length
  }

  return {
    begin(run, ids, layers) {
      const covering = (id: string) => {
        const entry = latest.get(id)
        return entry !== undefined && layers.every((layer) => entry.layers.has(layer)) ? entry : undefined
      }
      const used = new Set(ids.flatMap((id) => covering(id) ?? []))
      const uncovered = ids.filter((id) => covering(id) === undefined)
      for (const entry of used) {
        entry.writes += 1
        forget(entry)
      }
      const marks = takeBack(kept > 2 * IDS_KEPT ? IDS_KEPT : Number.POSITIVE_INFINITY)
      const fresh: Entry = { key: `${prefixOf(run)}${made++}`, ids: uncovered, layers: new WeakSet(), writes: 1 }
      if (uncovered.length > 0) {
        for (const id of uncovered) latest.set(id, fresh)
        marks.set(fresh.key, utf8.encode(JSON.stringify(uncovered)))
        used.add(fresh)
      }
      return {
        marks,
        stored: (layer) => void fresh.layers.add(layer),
        ended: () => {
          for (const entry of used) end(entry)
        },
      }
    },
    end: () => takeBack(0),
  }
}

function prefixOf(run: string): string {
  return `${PREFIX}${run} `
}

/** What an earlier process was writing, as one layer noted it. */
export interface Left {
  readonly layer: Layer
  readonly keys: readonly string[]
  readonly ids: ReadonlySet<string>
}

export async function readLeft(core: Core, layer: Layer): Promise<Left> {
  const keys: string[] = []
  const ids = new Set<string>()
  const own = prefixOf(runOf(core))
  for (let after: string | undefined; layer.keepsMarks && layer.write !== 'none'; ) {
    const position = after === undefined ? {} : { after }
    const page = await layer.call('look', (storage) => storage.marks({ prefix: PREFIX, limit: PAGE, ...position }))
    for (const [key, value] of page) {
      if (key.startsWith(own)) continue
      keys.push(key)
      for (const id of JSON.parse(text.decode(value)) as readonly string[]) ids.add(id)
    }
    if (page.length < PAGE) break
    after = page.at(-1)?.[0]
  }
  return { layer, keys, ids }
}

/** Any other layer may lack these documents: they are flagged, and the intents taken back when that is durable. */
export async function recover(core: Core, { layer, keys, ids }: Left): Promise<void> {
  const others = writers(core).filter((other) => other !== layer)
  for (const other of others) await setDirty(core, other, ids)
  if (keys.length === 0 || others.some((other) => [...ids].some((id) => core.dirty.isUnsaid(other, id)))) return
  const marks = new Map(keys.map((key) => [key, undefined]))
  // What is not taken back is flagged once more at the next start.
  await layer.call('append', (storage) => storage.append([], { marks })).catch(() => {})
}

/** Everything has ended: nothing is to be looked at at the next start. */
export async function takeBackAll(core: Core): Promise<void> {
  const marks = core.intents.end()
  if (marks.size === 0) return
  const keepers = writers(core).filter((layer) => layer.keepsMarks && layer.available && layer.condition === 'up')
  await Promise.allSettled(keepers.map((layer) => layer.call('append', (storage) => storage.append([], { marks }))))
}

/** Each opening of a store has a generation of its own. */
export function runOf({ home }: Core): string {
  const { id = '', sequence = 0 } = home.opened?.generation ?? {}
  return extendDigest(EMPTY_DIGEST, [utf8.encode(`${sequence} ${id}`)])
}
