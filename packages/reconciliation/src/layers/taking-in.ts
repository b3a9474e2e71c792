/**
 * Taking a layer in once it is open: what it noted of others, whether it is the one that others noted, and what it lacks.
 *
 * Memory that was all there was becomes a cache only when the durable layers have all that it holds (L2, L3).
 * Not here: opening (`storage.ts`), notes of generations (`generations.ts`), what was noted of others (`taking-up.ts`).
 */
import { type Core, readers, votesNeeded } from './core.ts'
import { MARKS } from './dirty.ts'
import { forgetGeneration, noteGeneration, standingOf } from './generations.ts'
import type { Layer } from './layer.ts'
import { namesOf } from './map-names.ts'
import { bringMarks } from './mark-copies.ts'
import { learn } from './marks.ts'
import { mendMaps, sweepReturned } from './sweeps.ts'
import { takeUp } from './taking-up.ts'
import { homeOf, isMemoryBesideDurable, noteCache } from './whole.ts'

/** A layer that was added to others is filled a little after the start, when much else is asked for. */
const PATIENCE_MS = 1_000

/** `isNew`: it was attached, so nobody knows what it adds. */
export async function takeIn(core: Core, layer: Layer, isNew: boolean): Promise<void> {
  if (layer.opened?.level === 'memory') noteCache(core, layer)
  const memory = retiring(core)
  await remember(core, layer)
  if (layer.durable && memory.includes(core.home)) await inTurn(core, () => bringMarks(core, layer))
  if (memory.includes(core.home)) core.home = homeOf(core)
  await compare(core, layer, isNew || memory.length > 0)
  core.background.consider(MARKS, 'load')
}

/** Those that are open when the whole is opened. */
export async function takeInAll(core: Core, layers: readonly Layer[]): Promise<void> {
  await Promise.all(layers.map((layer) => remember(core, layer)))
  await Promise.all(layers.map((layer) => compare(core, layer, false)))
  core.background.consider(MARKS, 'load')
}

/** What it keeps for the layers. One that cannot be read now is asked again: when it returns, by each sweep, and when marks are needed. */
async function remember(core: Core, layer: Layer): Promise<void> {
  const works = [takeUp(core, layer), ...(layer.keepsMarks ? [learn(core, layer)] : [])]
  await Promise.allSettled(works)
}

/** It was taken out, opened or not: what is written from now on it misses, so it is new when it comes back. */
export async function forgetLayer(core: Core, layer: Layer): Promise<void> {
  if (!layer.remote) await forgetGeneration(core, layer)
}

/** No marks are written meanwhile. */
function inTurn(core: Core, work: () => Promise<void>): Promise<void> {
  return core.documents.take([MARKS], work)
}

/** Opens layers; as many as a write needs must open, and the others are asked again. @throws StorageError why one did not. */
export async function openEnough(core: Core, awaited: readonly Layer[]): Promise<void> {
  const outcomes = await Promise.allSettled(awaited.map((layer) => layer.open()))
  const failed = outcomes.find((outcome) => outcome.status === 'rejected')
  if (failed === undefined) return
  if (awaited.filter((layer) => layer.durable).length < votesNeeded(core, awaited.length)) throw failed.reason
}

/**
 * A layer that is new, or was made anew, is filled in the background. It is noted when it has them all: what ended with
 * its process begins again.
 */
async function compare(core: Core, layer: Layer, isNew: boolean): Promise<void> {
  layer.takenIn = true
  if (layer.isCache) return
  const standing = await standingOf(core, layer)
  layer.refilling = isNew || (standing !== 'known' && standing !== 'first')
  if (standing === 'recreated') {
    core.events.emit({ kind: 'layer', layer: layer.name, condition: 'recreated' })
  }
  if (isNew || standing === 'recreated' || standing === 'new')
    fill(core, layer, isNew || standing === 'recreated' ? 0 : PATIENCE_MS).catch(() => {})
  else void noteGeneration(core, layer)
}

/** Goes through everything until the layer has it, with ever longer pauses in which what failed may pass. */
async function fill(core: Core, layer: Layer, patienceMs: number): Promise<void> {
  if (patienceMs > 0) await core.clock.wait(patienceMs, core.closing.signal)
  const { sweepMs, fullSweepMs } = core.limits
  for (let pauseMs = sweepMs; !(await sweepReturned(core, layer)); pauseMs = Math.min(pauseMs * 2, fullSweepMs)) {
    if (core.closing.signal.aborted || layer.detached) return
    // What others may have that are silent is found when they are back, not before.
    if (core.layers.some((one) => one.troubled)) await core.background.resumed()
    else await core.clock.wait(pauseMs, core.closing.signal)
  }
  await mendMaps(core, await namesOf(core))
  layer.refilling = false
  await noteGeneration(core, layer)
  for (const one of retiring(core)) noteCache(core, one)
}

/** Memory that is still read, although there are durable layers. */
function retiring(core: Core): readonly Layer[] {
  return readers(core).filter((layer) => isMemoryBesideDurable(core, layer))
}
