/**
 * Where a document stands: asking, present, absent or failed, and who said so.
 *
 * L1, L2: absent and failed are different answers, and both name their reason. Not here: who is asked (the engine).
 */
import type { DocState } from './doc.ts'
import type { Failure } from './errors.ts'
import { createWaiters } from './waiters.ts'

export interface Standing {
  state(): DocState
  absentBy(): readonly string[]
  failure(): Failure | undefined
  become(state: 'asking' | 'present'): void
  becomeAbsent(by: readonly string[]): void
  fail(failure: Failure): void
  /** The first state other than `asking`. */
  settled(signal?: AbortSignal): Promise<DocState>
  /** Nobody will answer any more. */
  end(error: unknown): void
}

/** `changed` is called after every change. */
export function createStanding(changed: () => void): Standing {
  const settling = createWaiters<DocState>()
  let state: DocState = 'asking'
  let absentBy: readonly string[] = []
  let failure: Failure | undefined
  let ended: { readonly error: unknown } | undefined

  function set(next: DocState, by: readonly string[] = [], why?: Failure): void {
    state = next
    absentBy = by
    failure = why
    if (next !== 'asking') settling.resolve(next)
    changed()
  }

  return {
    state: () => state,
    absentBy: () => absentBy,
    failure: () => failure,
    become(next) {
      if (state !== next) set(next)
    },
    becomeAbsent: (by) => set('absent', by),
    fail(why) {
      // What the upstream said is more to the point than that nobody answered.
      if (state !== 'failed' || why.code !== 'unavailable') set('failed', [], why)
    },
    settled(signal) {
      if (signal?.aborted) return Promise.reject(signal.reason)
      if (state !== 'asking') return Promise.resolve(state)
      return ended === undefined ? settling.add(signal) : Promise.reject(ended.error)
    },
    end(error) {
      ended = { error }
      settling.reject(error)
    },
  }
}
