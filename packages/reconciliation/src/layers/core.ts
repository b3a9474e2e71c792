/**
 * What the parts of one composite share. Not here: behaviour; each file of this folder keeps one concern.
 */
import type { KnownState } from '@tidemark/known-state'
import type { Changed, Clock, MapEntry, StoredState } from '@tidemark/storage'
import type { Remembered } from '@tidemark/storage/adapter'
import type { Background } from './background.ts'
import type { Dirty } from './dirty.ts'
import type { Events } from './events.ts'
import type { Forks } from './forks.ts'
import type { Intents } from './intents.ts'
import type { Layer } from './layer.ts'
import type { Marking } from './marks.ts'
import type { LayersLimits, WritePolicy } from './options.ts'
import type { Seen } from './seen.ts'
import type { Turns } from './turns.ts'

export interface Core {
  readonly clock: Clock
  readonly limits: LayersLimits
  readonly policy: WritePolicy
  readonly usable: (state: StoredState) => boolean
  readonly events: Events
  readonly seen: Seen
  readonly forks: Forks
  readonly dirty: Dirty
  readonly intents: Intents
  readonly marking: Marking
  /** Which small maps layers missed entries of, by name. */
  readonly dirtyMaps: Dirty
  /** Small maps whose names are noted. */
  readonly mapNames: Remembered<string, true>
  /** Of small maps with entries in layers alone of which no earlier answer was made: by key, the versions that were answered or told. */
  readonly mapNews: Remembered<string, ReadonlyMap<string, Pick<MapEntry, 'version'>>>
  readonly background: Background
  readonly closing: AbortController
  /** Writes of one document take turns, as do those of marks, and those of one small map. */
  readonly documents: Turns
  readonly maps: Turns
  /** In order of preference; changed by attaching and detaching. */
  layers: readonly Layer[]
  /** The layer whose generation, changes and marks are those of the whole: the first that every write must reach. */
  home: Layer
  /** What is held of a document grew, or became certain, by something else than a write: `before` was answered. */
  changed(id: string, before: KnownState | undefined, storeWith?: Changed['storeWith']): void
}

/** Layers that are asked what they hold: the join is made of them. */
export function readers(core: Core): readonly Layer[] {
  return core.layers.filter((layer) => !layer.isCache)
}

/** Layers that are written and repaired. */
export function writers(core: Core): readonly Layer[] {
  return core.layers.filter((layer) => layer.write !== 'none' && !layer.detached)
}

/** Layers near by that have what they have from here: who missed something of it is flagged. A remote one has other writers. */
export function vouching(core: Core): readonly Layer[] {
  return writers(core).filter((layer) => !layer.remote)
}

/** Layers whose word counts for the write policy: the durable ones, if there are any. */
export function voters(core: Core): readonly Layer[] {
  return votersAmong(core, writers(core))
}

/** As `voters`, where not all layers are asked. */
export function votersAmong(core: Core, all: readonly Layer[]): readonly Layer[] {
  const chosen =
    core.policy === 'all-required' && all.some((layer) => layer.required) ? all.filter((layer) => layer.required) : all
  const durable = chosen.filter((layer) => layer.durable || layer.opened === undefined)
  return durable.length > 0 ? durable : chosen
}

/** How many of the voters must have stored something before it is acknowledged. */
export function votesNeeded(core: Core, voting: number): number {
  if (core.policy === 'all-required') return voting
  return core.policy === 'any-durable' ? 1 : core.policy.quorum
}
