/**
 * Making dirty flags durable, and taking them back: in every durable layer but the one they are about.
 *
 * What these layers cannot store at the moment is told by their own events; the full sweep does without flags.
 */
import type { Marks } from '@tidemark/storage'
import { type Core, writers } from './core.ts'
import type { Layer } from './layer.ts'

/** Flags documents that a layer missed, and makes it durable. */
export async function setDirty(core: Core, layer: Layer, ids: Iterable<string>): Promise<void> {
  const flagged = [...ids]
  if (await commit(core, layer, core.dirty.add(layer, flagged))) core.dirty.committed(layer, flagged)
}

export async function clearDirty(core: Core, layer: Layer, id: string): Promise<void> {
  await commit(core, layer, core.dirty.remove(layer, id))
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
