/**
 * Look-ups: what a turn wants to know of the storage, asked in bulk when the turn has nothing else to do.
 *
 * Not here: turns (`run.ts`), what follows from an answer (the engine).
 */
import { inBulk, type Storage } from '@tidemark/storage'
import type { Check, Effect, Event } from './events.ts'
import type { StoredDependencies } from './run-checks.ts'

export interface LookUps {
  waiting(): boolean
  add(look: Look): void
  /** The stored header says what a document depends on. */
  addHeader(ticket: number, check: StoredDependencies): void
  ask(): void
}

type Look = Extract<Effect, { type: 'look' }>

export interface LookUpsOptions {
  readonly storage: Storage
  tell(event: Event): void
  /** What `work` tells is handled in one turn. */
  together(work: () => void): void
  answer(ticket: number, check: Check): void
}

export function createLookUps({ storage, tell, together, answer }: LookUpsOptions): LookUps {
  let looks: Look[] = []
  let headers: { readonly id: string; readonly ticket: number; readonly check: StoredDependencies }[] = []

  function askStates(): void {
    const asked = looks
    looks = []
    inBulk(
      asked,
      (ids) => storage.knownStates(ids),
      (answers) =>
        together(() => {
          for (const [{ id, ticket }, outcome] of answers) tell({ type: 'looked', id, ticket, outcome })
        }),
    )
  }

  function askHeaders(): void {
    const asked = headers
    headers = []
    inBulk(
      asked,
      (ids) => storage.headers(ids),
      (answers) =>
        together(() => {
          for (const [{ ticket, check }, outcome] of answers) {
            if ('failed' in outcome) tell({ type: 'checked', ticket, outcome })
            else answer(ticket, { ...check, header: outcome.value })
          }
        }),
    )
  }

  return {
    waiting: () => looks.length > 0 || headers.length > 0,
    add: (look) => void looks.push(look),
    addHeader: (ticket, check) => void headers.push({ id: check.id, ticket, check }),
    ask() {
      askStates()
      askHeaders()
    },
  }
}
