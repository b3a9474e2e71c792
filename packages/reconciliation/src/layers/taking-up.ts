/**
 * Taking up what an earlier process left noted in a layer: which layers missed what, and what it was writing when it ended.
 *
 * L3: until a layer has said that, nobody knows what others lack, and none of them is excused for being silent (`race.ts`). Each layer is read on its own: one
 * that cannot be read keeps nothing from the others, and is asked again. Not here: when (`taking-in.ts`, `sweeps.ts`).
 */
import { type Core, readers } from './core.ts'
import { readLeft, recover } from './intents.ts'
import type { Layer } from './layer.ts'

/** @throws StorageError if it cannot be read now. */
export function takeUp(core: Core, layer: Layer): Promise<void> {
  if (layer.takenUp === 'yes') return Promise.resolve()
  if (layer.takenUp !== 'no') return layer.takenUp
  const taking = readAll(core, layer).then(
    () => {
      layer.takenUp = 'yes'
    },
    (cause) => {
      layer.takenUp = 'no'
      throw cause
    },
  )
  layer.takenUp = taking
  return taking
}

async function readAll(core: Core, layer: Layer): Promise<void> {
  if (!layer.keepsMarks || layer.isCache) return
  const others = readers(core).filter((other) => other !== layer)
  for (const other of others) for (const dirty of [core.dirty, core.dirtyMaps]) await dirty.load(other, layer)
  await recover(core, await readLeft(core, layer))
}

/** Whether all others have said what they know of a layer. One that keeps no notes has nothing to say. */
export function isSpokenOf(core: Core, layer: Layer): boolean {
  return core.layers.every((other) => other === layer || other.takenUp === 'yes' || isMute(other))
}

function isMute(layer: Layer): boolean {
  return layer.remote || (layer.opened !== undefined && !layer.keepsMarks)
}
