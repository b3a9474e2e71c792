/**
 * How far the full sweep is, over restarts: a mark of the home layer that nobody else sees.
 *
 * Processes that never run for a day would otherwise never come to an end of it. A time that the clock cannot mean (it was set back, or counts from
 * its start) is as good as none. Not here: the sweep (`sweeps.ts`).
 */
import type { Core } from './core.ts'
import { INTERNAL } from './dirty.ts'

export interface Progress {
  /** When the next sweep begins, or the one under way began. */
  readonly dueAtMs: number
  /** The last id that was gone through, of one under way. */
  readonly after?: string | undefined
}

const KEY = `${INTERNAL}sweep`

const utf8 = new TextEncoder()
const text = new TextDecoder()

export async function readProgress(core: Core): Promise<Progress> {
  const noted = await lastNoted(core).catch(() => undefined)
  const latestMs = core.clock.now() + core.limits.fullSweepMs
  if (noted !== undefined && noted.dueAtMs <= latestMs) return noted
  const first = { dueAtMs: nextSweepMs(core) }
  await noteProgress(core, first)
  return first
}

export function nextSweepMs({ clock, limits }: Core): number {
  return clock.now() + limits.fullSweepMs * (0.5 + clock.random() / 2)
}

/** What cannot be noted is gone through again after a restart. */
export async function noteProgress({ home }: Core, progress: Progress): Promise<void> {
  if (!home.keepsMarks || home.write === 'none') return
  const marks = new Map([[KEY, utf8.encode(JSON.stringify(progress))]])
  await home.call('append', (storage) => storage.append([], { marks }), true).catch(() => {})
}

async function lastNoted({ home }: Core): Promise<Progress | undefined> {
  if (!home.keepsMarks) return undefined
  const [found] = await home.call('look', (storage) => storage.marks({ prefix: KEY, limit: 1 }), true)
  return found?.[0] === KEY ? (JSON.parse(text.decode(found[1])) as Progress) : undefined
}
