/**
 * Whether a document needs to be repaired: a layer lacks something, was silent, or missed a write.
 *
 * A layer that does not take what it lacks (it is stuck) is left to the sweeps: looking at a document is no reason to try again. Not here: when (`background.ts`),
 * repairing (`repair.ts`).
 */
import { EMPTY, equals } from '@tidemark/known-state'
import { type Core, writers } from './core.ts'
import { MARKS } from './dirty.ts'
import type { Layer } from './layer.ts'
import { lacksMarks } from './marks.ts'
import { isBehind, silentLayers, stateOf } from './race.ts'

/**
 * Whether a repair may find something to do, `besides` what waits for these layers. What is stuck is no reason where `isSwept` does not
 * say that everything is gone through.
 */
export function needsRepair(core: Core, id: string, besides: readonly Layer[] = [], isSwept = true): boolean {
  if (id === MARKS) return lacksMarks(core)
  const spared = isSwept ? besides : [...besides, ...writers(core).filter((layer) => isStuck(core, id, layer))]
  if (spared.length > 0)
    return core.seen.of(id) !== undefined && awaitedFor(core, id).some((layer) => !spared.includes(layer))
  return (
    core.seen.unsure.has(id) ||
    silentLayers(core, id).length > 0 ||
    writers(core).some((layer) => isBehind(core, id, layer) || core.dirty.has(layer, id))
  )
}

/** Layers that are silent, or lack something. */
function awaitedFor(core: Core, id: string): readonly Layer[] {
  const behind = writers(core).filter((layer) => isBehind(core, id, layer))
  return [...new Set([...silentLayers(core, id), ...behind])]
}

/** It did not grow when it was given what it lacks. */
export function noteStuck(core: Core, id: string, layer: Layer): void {
  const sight = core.seen.of(id)
  const [held, joined] = [sight?.states.get(layer)?.known ?? EMPTY, stateOf(core, id)?.known ?? EMPTY]
  sight?.stuck.set(layer, { held, joined })
}

/** Nothing changed since it did not grow. */
function isStuck(core: Core, id: string, layer: Layer): boolean {
  const sight = core.seen.of(id)
  const stuck = sight?.stuck.get(layer)
  if (stuck === undefined) return false
  const [held, joined] = [sight?.states.get(layer)?.known ?? EMPTY, stateOf(core, id)?.known ?? EMPTY]
  return equals(stuck.held, held) && equals(stuck.joined, joined)
}
