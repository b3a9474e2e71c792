/**
 * Sweeps: what guarantees that every layer gets everything, whatever else was missed.
 *
 * While there are dirty flags they are gone through every few minutes; once a day everything is, a slice at a time; and a layer that was
 * away is gone through when it is back. A layer that is left alone is asked now and then whether it answers again.
 */
import type { KnownState } from '@tidemark/known-state'
import { EMPTY } from '@tidemark/known-state'
import { compareIds } from '@tidemark/storage'
import { backoffMs } from './breaker.ts'
import { type Core, readers, writers } from './core.ts'
import { MARKS } from './dirty.ts'
import { joinOf } from './join.ts'
import { codeOf, type Layer } from './layer.ts'
import { namesOf } from './map-names.ts'
import { mendMap } from './maps.ts'
import { needsRepair } from './needed.ts'
import { nextSweepMs, noteProgress, type Progress, readProgress } from './progress.ts'
import { ask, completed, isInStep, silentLayers, stateOf } from './race.ts'
import { takeUp } from './taking-up.ts'

/** Between two slices of the full sweep. */
const SLICE_PAUSE_MS = 1_000
const PROBE_ID = 'tidemark: does this layer answer'

/** Runs until the layers are closed. What is overdue is begun, or gone on with, soon after a start: there may not be a long one. */
export async function sweepForever(core: Core): Promise<void> {
  const { clock, limits, closing } = core
  let progress = await readProgress(core)
  while (!closing.signal.aborted) {
    const untilDueMs = Math.max(progress.dueAtMs - clock.now(), SLICE_PAUSE_MS)
    await clock.wait(Math.min(limits.sweepMs * (0.5 + clock.random() / 2), untilDueMs), closing.signal)
    sweepDirty(core)
    if (clock.now() < progress.dueAtMs) continue
    await sweepOnce(core, progress)
    progress = { dueAtMs: nextSweepMs(core) }
    await noteProgress(core, progress)
  }
}

/** What ends one sweep early ends none of the next. */
async function sweepOnce(core: Core, { dueAtMs, after: start }: Progress): Promise<void> {
  try {
    await sweepAll(core, start, (after) => noteProgress(core, { dueAtMs, after }))
  } catch (cause) {
    if (!core.closing.signal.aborted) core.events.emit({ kind: 'unswept', code: codeOf(cause) })
  }
}

export function sweepDirty(core: Core): void {
  for (const layer of core.layers) if (layer.takenIn && layer.available) takeUp(core, layer).catch(() => {})
  core.background.consider(MARKS, 'sweep')
  for (const layer of core.layers) {
    if (!layer.available) continue
    // Of one that cannot store, this shows whether it can again.
    if (layer.unstored !== undefined) core.background.want(layer.unstored, 'sweep')
    else for (const id of core.dirty.ids(layer)) core.background.consider(id, 'sweep')
  }
  const behind = core.layers.flatMap((layer) => (layer.available ? core.dirtyMaps.ids(layer) : []))
  mendMaps(core, new Set(behind)).catch(() => {})
}

/** Brings layers together that keep small maps, one after the other. */
export async function mendMaps(core: Core, names: Iterable<string>): Promise<void> {
  for (const name of names) await mendMap(core, name)
}

/** Every document of every layer that can list its own, after one if it is gone on with; `passed` is told of each slice. */
export async function sweepAll(
  core: Core,
  start?: string,
  passed: (after: string) => Promise<void> = async () => {},
): Promise<void> {
  const swept = readers(core).filter((layer) => layer.available)
  let isWhole = start === undefined
  for (let after = start; ; ) {
    const { ids, isWhole: isListed } = await slice(core, swept, after)
    isWhole &&= isListed
    if (ids.length > 0) await sweepIds(core, ids)
    // A slice is repaired before the next is looked at: there may be many more than the queue holds.
    await core.background.settled()
    if (ids.length < sliceOf(core)) break
    after = ids.at(-1) as string
    await passed(after)
    await core.clock.wait(SLICE_PAUSE_MS * core.clock.random(), core.closing.signal)
  }
  if (isWhole) for (const layer of swept) core.dirty.swept(layer)
  await mendMaps(core, await namesOf(core))
}

function sliceOf({ limits }: Core): number {
  return Math.min(limits.sweepSlice, limits.repairsQueuedMax)
}

interface Slice {
  readonly ids: readonly string[]
  /** Every layer answered. */
  readonly isWhole: boolean
}

async function slice(core: Core, layers: readonly Layer[], after: string | undefined): Promise<Slice> {
  const limit = sliceOf(core)
  const options = after === undefined ? { limit } : { after, limit }
  const lists = await Promise.allSettled(
    layers
      .filter((layer) => layer.opened?.capabilities.list)
      .map((layer) => layer.call('look', (storage) => storage.list(options), true)),
  )
  const ids = new Set(lists.flatMap((list) => (list.status === 'fulfilled' ? list.value : [])))
  const isWhole = lists.every(({ status }) => status === 'fulfilled')
  return { ids: [...ids].sort(compareIds).slice(0, limit), isWhole }
}

async function sweepIds(core: Core, ids: readonly string[]): Promise<void> {
  await core.seen.hold(ids, async () => {
    await ask(core, ids, true)
    for (const id of ids) if (needsRepair(core, id)) core.background.want(id, 'sweep')
  })
}

/**
 * A layer that was not there, or new, is: what it adds is told to whoever was answered without it, what it lacks it gets. What others
 * have and it lacks is found by their lists. Answers whether it has everything now, and the others what it has.
 */
export async function sweepReturned(core: Core, layer: Layer): Promise<boolean> {
  let isWhole = true
  const others = () => readers(core).filter((other) => other !== layer)
  for (let after: string | undefined; ; ) {
    // What was put off until it is back has its turn first: there is room for a slice only.
    await core.background.settled()
    const { ids, isWhole: isListed } = await slice(core, readers(core), after)
    const isDone = await core.seen.hold(ids, async () => {
      await ask(core, ids, true)
      for (const id of ids) {
        if (needsRepair(core, id)) core.background.want(id, 'sweep')
        if (silentLayers(core, id).length === 0) tellAdded(core, id, others())
      }
      await core.background.settled()
      return ids.every((id) => writers(core).every((one) => one.remote || isInStep(core, id, one)))
    })
    isWhole &&= isListed && isDone
    if (core.closing.signal.aborted) return false
    if (ids.length < sliceOf(core)) return isWhole
    after = ids.at(-1)
  }
}

/** Whoever was answered by the others has something to learn if the join is more than theirs. */
function tellAdded(core: Core, id: string, others: readonly Layer[]): void {
  const sight = core.seen.of(id)
  // What was answered is known: whoever was told less has been told of more by the look-up.
  if (sight?.told !== undefined) return completed(core, id)
  const states = others.flatMap((layer) => sight?.states.get(layer) ?? [])
  const before: KnownState = joinOf(states, core.forks.of(id))?.known ?? EMPTY
  const now = stateOf(core, id)?.known
  if (now === undefined || (before.header === now.header && sameCounts(before, now))) return
  core.seen.unsure.delete(id)
  core.changed(id, before)
}

function sameCounts(a: KnownState, b: KnownState): boolean {
  return (
    a.sessions.size === b.sessions.size &&
    [...b.sessions].every(([session, count]) => a.sessions.get(session) === count)
  )
}

/** Asks a layer that is silent until it answers. */
export async function askUntilBack(core: Core, layer: Layer): Promise<void> {
  for (let tries = 0; ; tries++) {
    // Two waits after each other would be longer than any of them is meant to be.
    const leftMs = layer.breaker.leftMs(core.clock.now())
    const waitMs = leftMs > 0 ? leftMs : backoffMs(core.limits, tries, core.clock.random())
    await core.clock.wait(waitMs, core.closing.signal)
    if (!layer.silent || layer.detached) return
    try {
      await layer.call('look', (storage) => storage.knownStates([PROBE_ID]))
    } catch {
      // Its own events say what it fails with.
    }
  }
}
