/**
 * How a document stands in the layers, and how the layers are: for people.
 */
import { count, missing } from '@tidemark/known-state'
import type { Opened, StoredState } from '@tidemark/storage'
import { type Core, readers } from './core.ts'
import { MARKS } from './dirty.ts'
import type { LayerCondition } from './events.ts'
import { inStep, without } from './join.ts'
import type { Layer } from './layer.ts'
import { markKeepers, wholeKeepers } from './marks.ts'
import { answerOf, ask, isSafe, sightOf, silentLayers } from './race.ts'

/**
 * `everywhere`: every layer that is written has all of it. `here`: as many as the write policy wants, and some are behind. `incomplete`: a layer did
 * not answer, there may be more. `at risk`: fewer have it than the write policy wants.
 */
export type StatusWord = 'everywhere' | 'here' | 'incomplete' | 'at risk' | 'absent'

export interface LayersStatus {
  readonly word: StatusWord
  /** Layers that lack something. */
  readonly pending: number
  readonly layers: readonly LayerStatus[]
}

export interface LayerStatus {
  readonly name: string
  /** Transactions that it lacks, 1 where that is the header or the erasure alone; `undefined` if it did not answer. */
  readonly behind: number | undefined
}

export async function statusOf(core: Core, id: string): Promise<LayersStatus> {
  if (sightOf(core, id) === undefined) await ask(core, [id])
  const state = answerOf(core, id)
  const layers = readers(core).map((layer) => ({ name: layer.name, behind: behindBy(core, id, layer, state) }))
  const pending = layers.filter(({ behind }) => behind === undefined || behind > 0).length
  return { word: wordFor(core, id, state, pending), pending, layers }
}

function wordFor(core: Core, id: string, state: StoredState | undefined, pending: number): StatusWord {
  if (state !== undefined && !isSafe(core, id, state)) return 'at risk'
  if (silentLayers(core, id).length > 0) return 'incomplete'
  if (state === undefined) return 'absent'
  return pending > 0 ? 'here' : 'everywhere'
}

function behindBy(core: Core, id: string, layer: Layer, joined: StoredState | undefined): number | undefined {
  const sight = core.seen.of(id)
  if (sight === undefined || !sight.states.has(layer)) return undefined
  if (joined === undefined) return 0
  const held = sight.states.get(layer)
  const wanted = without(joined.known, core.forks.of(id))
  const lacks = missing(held?.known ?? { header: false, sessions: new Map() }, wanted)
  const sessions = new Map([...lacks.sessions].map(([session, { after, until }]) => [session, until - after]))
  const isOne = lacks.header || (joined.erased !== undefined && !inStep(held, joined))
  return Math.max(count({ header: false, sessions }), isOne ? 1 : 0)
}

export interface LayerHealth {
  readonly name: string
  readonly condition: LayerCondition
  readonly role: 'required' | 'best-effort' | 'none' | 'cache'
  readonly level: Opened['level'] | undefined
  /** Documents that it missed something of, or may have, such as those that were being written when a process ended: until they were looked at. */
  readonly dirty: number
  /** Small maps of which it is known to lack entries. */
  readonly dirtyMaps: number
  /**
   * Whether it has all marks. `unsettled`: a write of marks that was given up there has not ended, so it is given none until it has. `none`: it keeps none.
   */
  readonly marks: 'all' | 'behind' | 'unsettled' | 'none'
  /** Documents that were found damaged there, as far as they are remembered; not those that it answers again. */
  readonly damaged: number
}

export function healthOf(core: Core): readonly LayerHealth[] {
  return core.layers.map((layer) => ({
    name: layer.name,
    condition: layer.condition,
    role: layer.isCache ? 'cache' : layer.write,
    level: layer.opened?.level,
    dirty: core.dirty.ids(layer).filter((id) => id !== MARKS).length,
    dirtyMaps: core.dirtyMaps.ids(layer).length,
    marks: marksIn(core, layer),
    damaged: layer.corrupt.size,
  }))
}

function marksIn(core: Core, layer: Layer): LayerHealth['marks'] {
  if (!markKeepers(core).includes(layer)) return 'none'
  if (core.marking.unsettled.has(layer.storage)) return 'unsettled'
  return wholeKeepers(core).includes(layer) ? 'all' : 'behind'
}
