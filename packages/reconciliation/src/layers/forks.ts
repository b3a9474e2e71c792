/**
 * Forks between layers: two of them hold different transactions of one session, or different headers of one document.
 *
 * L13: reported once, frozen, never decided by length, never merged. Remembered within bounds: a fork that was forgotten is found
 * again by its digests, or by the next repair.
 */
import { Remembered } from '@tidemark/storage/adapter'
import type { Events } from './events.ts'
import type { Frozen } from './join.ts'

export interface Forks {
  of(id: string): Frozen | undefined
  /** `session` undefined: the headers differ, so nothing of the document is copied. */
  freeze(id: string, session: string | undefined, layers: readonly string[]): void
}

export function createForks(events: Events, rememberedMax: number): Forks {
  const frozen = new Remembered<string, Frozen>(rememberedMax)
  return {
    of: (id) => frozen.get(id),
    freeze(id, session, layers) {
      const known = frozen.get(id)
      if (known === 'document' || (session !== undefined && known?.has(session))) return
      frozen.set(id, session === undefined ? 'document' : new Set([...(known ?? []), session]))
      events.emit({ kind: 'fork', id, session, layers })
    },
  }
}
