/**
 * Names of small maps that were written, noted in every durable layer near by: storages list no maps, and a layer that is new or was made anew is to
 * get all of them. Names, no keys and no values. Not here: the maps (`maps.ts`).
 */
import { EMPTY_DIGEST, extendDigest } from '@tidemark/storage'
import { type Core, readers, writers } from './core.ts'
import { INTERNAL } from './dirty.ts'
import { readInternal } from './flags.ts'
import type { Layer } from './layer.ts'

const PREFIX = `${INTERNAL}named `

const utf8 = new TextEncoder()
const text = new TextDecoder()

/** Once per opening: layers come and go. It is enough that one has it; what could not be noted by all is noted with the next write. */
export async function noteName(core: Core, name: string): Promise<void> {
  if (core.mapNames.get(name) === true) return
  const value = utf8.encode(name)
  const marks = new Map([[PREFIX + extendDigest(EMPTY_DIGEST, [value]), value]])
  const keepers = writers(core).filter((layer) => layer.keepsMarks && layer.available)
  core.mapNames.set(name, true)
  const noting = keepers.map((layer) => layer.call('append', (storage) => storage.append([], { marks })))
  Promise.all(noting).catch(() => core.mapNames.delete(name))
  await Promise.any(noting).catch(() => {})
}

/** Names that any layer that answers has noted; what another one alone knows is found by the next sweep. */
export async function namesOf(core: Core): Promise<ReadonlySet<string>> {
  const names = new Set<string>()
  const keepers = readers(core).filter((layer) => layer.keepsMarks && layer.available)
  await Promise.allSettled(keepers.map((layer) => addNames(names, layer)))
  return names
}

async function addNames(names: Set<string>, layer: Layer): Promise<void> {
  for await (const [, value] of readInternal(layer, PREFIX)) names.add(text.decode(value))
}
