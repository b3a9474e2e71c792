/**
 * Forks between layers: two of them hold different transactions of one session, or different headers of one document, or different values of one version
 * in a small map.
 *
 * L13: reported once, frozen, never decided by length, never merged. Remembered within bounds: a fork that was forgotten is found
 * again by its digests, or by the next repair; a conflict in a small map, by the next reading.
 */
import { compareVersions, type Version } from '@tidemark/storage'
import { Remembered } from '@tidemark/storage/adapter'
import type { Events } from './events.ts'
import type { Frozen } from './join.ts'

export interface Forks {
  of(id: string): Frozen | undefined
  /** `session` undefined: the headers differ, so nothing of the document is copied. */
  freeze(id: string, session: string | undefined, layers: readonly string[]): void
  /** Layers hold different values of this version. */
  conflict(map: string, key: string, version: Version): void
}

export function createForks(events: Events, rememberedMax: number): Forks {
  const frozen = new Remembered<string, Frozen>(rememberedMax)
  /** By map and key, the newest version of which it was told. */
  const conflicts = new Remembered<string, Map<string, Version>>(rememberedMax)
  return {
    of: (id) => frozen.get(id),
    freeze(id, session, layers) {
      const known = frozen.get(id)
      if (known === 'document' || (session !== undefined && known?.has(session))) return
      frozen.set(id, session === undefined ? 'document' : new Set([...(known ?? []), session]))
      events.emit({ kind: 'fork', id, session, layers })
    },
    conflict(map, key, version) {
      const told = conflicts.get(map) ?? new Map<string, Version>()
      const last = told.get(key)
      if (last !== undefined && compareVersions(version, last) <= 0) return
      conflicts.set(map, told.set(key, version))
      events.emit({ kind: 'conflict', map, key })
    },
  }
}
