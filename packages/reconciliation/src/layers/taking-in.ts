/**
 * Taking a layer in once it is open: what it noted of others, whether it is the one that others noted, and what it lacks.
 *
 * Not here: opening (`storage.ts`), notes of generations (`generations.ts`), flags (`dirty.ts`).
 */
import { type Core, readers } from './core.ts'
import { isRecreated, noteGeneration, refillMarks } from './generations.ts'
import type { Layer } from './layer.ts'
import { sweepReturned } from './sweeps.ts'
import { homeOf, noteCache } from './whole.ts'

/** `isNew`: it was attached, so nobody knows what it adds. */
export async function takeIn(core: Core, layer: Layer, isNew: boolean): Promise<void> {
  // Memory that was all there was is a cache from now on.
  for (const one of core.layers) noteCache(core, one)
  if (core.home.isCache) core.home = homeOf(core)
  await readFlags(core, layer)
  await compare(core, layer, isNew)
}

/** Flags that cannot be read cost a sweep, not data. */
export async function readFlags(core: Core, from: Layer): Promise<void> {
  if (!from.keepsMarks || from.isCache) return
  const others = readers(core).filter((layer) => layer !== from)
  await Promise.all(others.map((layer) => core.dirty.load(layer, from).catch(() => {})))
}

/** A layer that was made anew is refilled: marks at once, documents in the background. */
export async function compare(core: Core, layer: Layer, isNew: boolean): Promise<void> {
  if (layer.isCache) return
  const recreated = await isRecreated(core, layer)
  if (recreated) {
    core.events.emit({ kind: 'layer', layer: layer.name, condition: 'recreated' })
    await refillMarks(core, layer).catch(() => {})
  }
  void noteGeneration(core, layer)
  if (recreated || isNew) sweepReturned(core, layer).catch(() => {})
}
