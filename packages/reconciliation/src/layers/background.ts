/**
 * Repairs in the background: a bounded queue of documents by priority, a few at a time, each not too often.
 *
 * What may pass with time is tried again after a back-off; what is stuck waits for the next sweep. Time is the clock that is handed in.
 * Not here: repairing (`repair.ts`), finding what is to be repaired (`sweeps.ts`).
 */
import { equals, type KnownState } from '@tidemark/known-state'
import type { Clock } from '@tidemark/storage'
import { Remembered } from '@tidemark/storage/adapter'
import { backoffMs } from './breaker.ts'
import type { LayersLimits } from './options.ts'

export type Urgency = 'load' | 'write' | 'sweep'

export interface Background {
  /** Has a document repaired when its turn comes. */
  want(id: string, urgency: Urgency): void
  /** As `want`, if a layer lacks something of it or was silent. */
  consider(id: string, urgency: Urgency): void
  /** Resolves when nothing that can be repaired now is waiting or under way; what waits for a back-off does not count. */
  settled(id?: string): Promise<void>
  readonly waiting: number
}

export interface BackgroundOptions {
  readonly clock: Clock
  readonly limits: LayersLimits
  readonly signal: AbortSignal
  repair(id: string): Promise<void>
  needed(id: string): boolean
  stateOf(id: string): KnownState | undefined
}

const ORDER: readonly Urgency[] = ['load', 'write', 'sweep']

interface Past {
  readonly atMs: number
  readonly known: KnownState | undefined
}

export function createBackground({ clock, limits, signal, repair, needed, stateOf }: BackgroundOptions): Background {
  const queues = { load: new Set<string>(), write: new Set<string>(), sweep: new Set<string>() }
  const running = new Set<string>()
  /** Wanted again while running. */
  const again = new Set<string>()
  const delayed = new Set<string>()
  const tries = new Remembered<string, number>(limits.rememberedMax)
  const past = new Remembered<string, Past>(limits.rememberedMax)
  const watchers = new Set<() => void>()

  const isQueued = (id: string) => ORDER.some((urgency) => queues[urgency].has(id))

  function want(id: string, urgency: Urgency): void {
    if (signal.aborted || delayed.has(id)) return
    if (running.has(id)) {
      again.add(id)
      return
    }
    const waiting = ORDER.reduce((sum, one) => sum + queues[one].size, 0)
    if (isQueued(id)) {
      if (urgency === 'sweep') return
      for (const one of ORDER) queues[one].delete(id)
    } else if (waiting >= limits.repairsQueuedMax) return
    queues[urgency].add(id)
    // Not within the call that wanted it: that one is still at work with what it saw.
    queueMicrotask(next)
  }

  function next(): void {
    while (!signal.aborted && running.size < limits.repairsMax) {
      const id = take()
      if (id === undefined) break
      const leftMs = tooSoonMs(id)
      if (leftMs > 0) delay(id, leftMs)
      else void perform(id)
    }
    for (const watcher of [...watchers]) watcher()
  }

  function take(): string | undefined {
    for (const urgency of ORDER)
      for (const id of queues[urgency]) {
        queues[urgency].delete(id)
        return id
      }
    return undefined
  }

  function tooSoonMs(id: string): number {
    const last = past.get(id)
    const known = stateOf(id)
    if (last === undefined) return 0
    const same = last.known === known || (last.known !== undefined && known !== undefined && equals(last.known, known))
    return same ? last.atMs + limits.repairIntervalMs - clock.now() : 0
  }

  /** L10: what is too much to wait is left to the next sweep, or to the return of the layer that it waits for. */
  function delay(id: string, ms: number): void {
    if (delayed.size >= limits.repairsQueuedMax) return
    delayed.add(id)
    clock.wait(ms, signal).then(
      () => {
        delayed.delete(id)
        want(id, 'sweep')
      },
      () => delayed.delete(id),
    )
  }

  async function perform(id: string): Promise<void> {
    running.add(id)
    try {
      await repair(id)
      tries.set(id, 0)
      past.set(id, { atMs: clock.now(), known: stateOf(id) })
    } catch {
      const failures = tries.get(id) ?? 0
      tries.set(id, failures + 1)
      if (!signal.aborted) delay(id, backoffMs(limits, failures, clock.random()))
    }
    running.delete(id)
    if (again.delete(id)) {
      past.set(id, { atMs: Number.NEGATIVE_INFINITY, known: undefined })
      if (needed(id)) want(id, 'write')
    }
    next()
  }

  return {
    want,
    consider(id, urgency) {
      if (needed(id)) want(id, urgency)
    },
    settled(id) {
      const busy = () =>
        !signal.aborted &&
        (id === undefined
          ? running.size > 0 || ORDER.some((one) => queues[one].size > 0)
          : running.has(id) || isQueued(id))
      return new Promise((resolve) => {
        const watcher = () => {
          if (busy()) return
          watchers.delete(watcher)
          resolve()
        }
        watchers.add(watcher)
        watcher()
      })
    },
    get waiting() {
      return delayed.size + ORDER.reduce((sum, one) => sum + queues[one].size, 0)
    },
  }
}
