/**
 * Making dirty flags durable, and taking them back: in every durable layer but the one they are about.
 *
 * What these layers cannot store at the moment is told by their own events; the full sweep does without flags.
 */
import type { Marks } from '@tidemark/storage'
import { type Core, writers } from './core.ts'
import type { Dirty } from './dirty.ts'
import type { Layer } from './layer.ts'

/** Flags documents that a layer missed, and makes it durable. */
export async function setDirty(
  core: Core,
  layer: Layer,
  ids: Iterable<string>,
  dirty: Dirty = core.dirty,
): Promise<void> {
  const flagged = [...ids]
  if (await commit(core, layer, dirty.add(layer, flagged))) dirty.committed(layer, flagged)
}

/** Unless it was flagged once more after `asOf`. */
export async function clearDirty(
  core: Core,
  layer: Layer,
  id: string,
  dirty: Dirty = core.dirty,
  asOf: number = dirty.ticks(),
): Promise<void> {
  await commit(core, layer, dirty.remove(layer, id, asOf))
}

/** Whether one of them stored it. */
async function commit(core: Core, about: Layer, marks: Marks | undefined): Promise<boolean> {
  if (marks === undefined || marks.size === 0) return false
  const keepers = writers(core).filter((layer) => layer !== about && layer.keepsMarks && layer.available)
  const kept = await Promise.allSettled(
    keepers.map((layer) => layer.call('append', (storage) => storage.append([], { marks }))),
  )
  return kept.some(({ status }) => status === 'fulfilled')
}

const PAGE = 500

/** Marks that layers keep for themselves, in pages. */
export async function* readInternal(layer: Layer, prefix: string): AsyncGenerator<readonly [string, Uint8Array]> {
  for (let after: string | undefined; ; ) {
    const position = after === undefined ? {} : { after }
    const page = await layer.call('look', (storage) => storage.marks({ prefix, limit: PAGE, ...position }))
    yield* page
    if (page.length < PAGE) return
    after = page.at(-1)?.[0]
  }
}
