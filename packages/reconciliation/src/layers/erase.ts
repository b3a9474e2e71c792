/**
 * Erasing a document in all layers; those that cannot now are repaired to it later.
 *
 * Not here: appending (`writes.ts`).
 */
import { StorageError, type StoredState, type Version } from '@tidemark/storage'
import { type Core, voters, votesNeeded, writers } from './core.ts'
import { answerOf, isInStep, sightOf, silentLayers, stateOf, unknown } from './race.ts'
import { miss, noteMissed, unfulfilled } from './votes.ts'
import { lift, look } from './writes.ts'

/** Erases in all layers; those that cannot now are repaired to it later. */
export async function erase(
  core: Core,
  id: string,
  version: Version,
  keep: readonly string[],
): Promise<StoredState | undefined> {
  await look(core, [id])
  if (stateOf(core, id) === undefined) {
    if (silentLayers(core, id).length > 0) throw unknown(id, [])
    return undefined
  }
  await lift(core, [id])
  const isUnsure = sightOf(core, id) === undefined
  const outcomes = await Promise.all(
    writers(core).map(async (layer) => {
      // It keeps what it has: nobody can take it away there.
      if (layer.opened?.capabilities.erase === false)
        return { layer, unable: true, cause: new StorageError('IO', `layer ${layer.name}: it cannot erase`) }
      try {
        // What a layer lacks of the tombstones it could not be given afterwards. What it missed a silent one may have, and nobody else.
        if (!layer.available || !isInStep(core, id, layer) || (isUnsure && core.dirty.has(layer, id)))
          throw new StorageError('IO', `layer ${layer.name}: it is not there`)
        const asked = core.seen.tick()
        const state = await layer.call('append', (storage) => storage.erase(id, version, { keep }))
        core.seen.heard(id, layer, state, asked)
        return { layer, unable: false }
      } catch (cause) {
        await miss(core, layer, new Set([id]))
        return { layer, unable: false, cause }
      }
    }),
  )
  for (const { layer, cause, unable } of outcomes)
    if (cause !== undefined && !unable) await noteMissed(core, layer, [id])
  const voting = voters(core)
  const stored = outcomes.filter(({ layer, cause }) => cause === undefined && voting.includes(layer))
  if (stored.length < votesNeeded(core, voting.length))
    throw unfulfilled(
      core,
      outcomes.map((one) => ({ ...one, results: new Map(), isMarked: false })),
      stored.map(({ layer }) => layer),
    )
  return answerOf(core, id)
}
