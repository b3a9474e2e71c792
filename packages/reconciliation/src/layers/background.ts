/**
 * Repairs in the background: a bounded queue of documents by priority, a few at a time, each not too often.
 *
 * What may pass with time is tried again after a back-off; what waits for a layer, when that is back. What does not fit, and what is stuck, is
 * found by the next full sweep. Time is the clock that is handed in.
 * Not here: repairing (`repair.ts`), what is put off (`put-off.ts`), finding what is to be repaired (`sweeps.ts`).
 */
import { equals, type KnownState } from '@tidemark/known-state'
import type { Clock } from '@tidemark/storage'
import { Remembered } from '@tidemark/storage/adapter'
import { backoffMs } from './breaker.ts'
import { isFull, type Layer } from './layer.ts'
import type { LayersLimits } from './options.ts'
import { createPutOff } from './put-off.ts'

export type Urgency = 'load' | 'write' | 'sweep'

export interface Background {
  /** Has a document repaired when its turn comes, also one that waits for a layer. */
  want(id: string, urgency: Urgency): void
  /** As `want`, if a layer lacks something of it or was silent; of one that waits for layers, if another one does. */
  consider(id: string, urgency: Urgency): void
  /** A layer is back, or gone: what waits for it is repaired, what it missed first. Answers whether that is all. */
  resume(layer: Layer): boolean
  /** Resolves when the next layer is back or gone, or everything ends. */
  resumed(): Promise<void>
  /** Resolves when nothing that can be repaired now is waiting or under way; what is put off does not count. */
  settled(id?: string): Promise<void>
}

export interface BackgroundOptions {
  readonly clock: Clock
  readonly limits: LayersLimits
  readonly signal: AbortSignal
  /** Answers which layers it waits for; it is done if there are none. Fails with what may pass with time. */
  repair(id: string): Promise<readonly Layer[]>
  /** Whether there is something to do, besides what waits for these layers, and what is stuck if it is for a load. */
  needed(id: string, besides: readonly Layer[], urgency: Urgency): boolean
  /** Whether a layer missed a write of it. */
  missed(id: string): boolean
  stateOf(id: string): KnownState | undefined
}

const ORDER: readonly Urgency[] = ['load', 'write', 'sweep']

interface Past {
  readonly atMs: number
  readonly known: KnownState | undefined
}

export function createBackground(options: BackgroundOptions): Background {
  const { clock, limits, signal, repair, needed, missed, stateOf } = options
  const queues = { load: new Set<string>(), write: new Set<string>(), sweep: new Set<string>() }
  const running = new Set<string>()
  /** Wanted again while running. */
  const again = new Set<string>()
  /** A layer came back while they were running. */
  const overtaken = new Set<string>()
  /** How often in a row each failed, and was put off until a layer is back. */
  const failures = new Remembered<string, number>(limits.rememberedMax)
  const returns = new Remembered<string, number>(limits.rememberedMax)
  const past = new Remembered<string, Past>(limits.rememberedMax)
  const watchers = new Set<() => void>()
  const resumers = new Set<() => void>()
  const putOff = createPutOff({ clock, signal, max: limits.repairsQueuedMax, due: (id) => want(id, 'sweep') })

  const isQueued = (id: string) => ORDER.some((urgency) => queues[urgency].has(id))

  /** Answers whether there was room. */
  function want(id: string, urgency: Urgency): boolean {
    if (signal.aborted || putOff.isTimed(id)) return true
    if (running.has(id)) {
      again.add(id)
      return true
    }
    const waiting = ORDER.reduce((sum, one) => sum + queues[one].size, 0)
    if (isQueued(id)) {
      if (urgency === 'sweep') return true
      for (const one of ORDER) queues[one].delete(id)
    } else if (waiting >= limits.repairsQueuedMax) return false
    putOff.delete(id)
    queues[urgency].add(id)
    // Not within the call that wanted it: that one is still at work with what it saw.
    queueMicrotask(next)
    return true
  }

  function next(): void {
    while (!signal.aborted && running.size < limits.repairsMax) {
      const id = take()
      if (id === undefined) break
      const leftMs = tooSoonMs(id)
      if (leftMs > 0) putOff.forMs(id, leftMs)
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

  async function perform(id: string): Promise<void> {
    running.add(id)
    try {
      const awaited = await repair(id)
      failures.set(id, 0)
      if (!awaited.some((layer) => layer.troubled)) past.set(id, { atMs: clock.now(), known: stateOf(id) })
      if (awaited.length === 0) returns.set(id, 0)
      else wait(id, awaited)
    } catch (cause) {
      if (!signal.aborted) putOff.forMs(id, pauseMs(id, cause))
    }
    running.delete(id)
    overtaken.delete(id)
    if (again.delete(id)) {
      past.set(id, { atMs: Number.NEGATIVE_INFINITY, known: undefined })
      consider(id, 'write')
    }
    next()
  }

  function wait(id: string, awaited: readonly Layer[]): void {
    // A layer may fail and come back in turns, in no time.
    if (overtaken.has(id)) putOff.forMs(id, backoffMs(limits, increased(returns, id), clock.random()))
    else putOff.untilBack(id, awaited)
  }

  /** A store that is full, or may not be written, is so for long. */
  function pauseMs(id: string, cause: unknown): number {
    if (isFull(cause)) return limits.sweepMs * (0.5 + clock.random() / 2)
    return backoffMs(limits, increased(failures, id), clock.random())
  }

  function consider(id: string, urgency: Urgency): void {
    if (needed(id, putOff.layersOf(id) ?? [], urgency)) want(id, urgency)
  }

  function tellResumed(): void {
    for (const resumed of resumers) resumed()
    resumers.clear()
  }
  signal.addEventListener('abort', tellResumed)

  return {
    want,
    consider,
    resume(layer) {
      for (const id of running) overtaken.add(id)
      let isAll = !putOff.overflown()
      for (const id of putOff.take(layer)) {
        const before = increased(returns, id)
        // One that a layer does not answer, while it does others, is no reason to ask it without end.
        if (before > 0) putOff.forMs(id, backoffMs(limits, before - 1, clock.random()))
        else if (!want(id, missed(id) ? 'write' : 'sweep')) isAll = false
      }
      tellResumed()
      return isAll
    },
    resumed: () => new Promise((resolve) => (signal.aborted ? resolve() : void resumers.add(resolve))),
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
  }
}

/** Answers what was counted before. */
function increased(counts: Remembered<string, number>, id: string): number {
  const before = counts.get(id) ?? 0
  counts.set(id, before + 1)
  return before
}
