/**
 * Versions of marks: what tells which layers have all of them, across crashes, layers that were away, and backups.
 *
 * Every commit of marks carries the version that it makes, so a layer says itself how new its marks are, and of which it was made. Those with the newest
 * are right. Whatever is not among what the newest was made of has strayed: layers that did not know of it wrote the newest, so what it has is joined to
 * that and not written over. Decision 031. Not here: reading and copying (`marks.ts`, `mark-copies.ts`).
 */
import type { Layer } from './layer.ts'

/** A count, and the run (the opening) that made it. */
interface Point {
  readonly count: number
  readonly run: string
}

export interface Version extends Point {
  /** What earlier runs had when this was made of theirs, the latest first: the last of each run. */
  readonly of?: readonly Point[]
  /** The layer has a part of a copy: nothing that others lack. */
  readonly isPart?: true
}

/** There are no marks. */
export const NO_MARKS: Version = { count: -1, run: '' }

/** There are marks, and nobody knows of when. */
export const undated = (layer: Layer): Version => ({ count: 0, run: `of ${layer.name}` })

export const partial = (layer: Layer): Version => ({ count: 0, run: `in ${layer.name}`, isPart: true })

/** What was made of older points than so many runs had is taken for an ancestor: counts go with the time. */
const POINTS_MAX = 8

export interface Versions {
  /** What a layer has, or had before what is unknown; `undefined` if it was never read. */
  of(layer: Layer): Version | undefined
  /** Whether that is what it has. */
  isCertain(layer: Layer): boolean
  /** The layer has this: it said so, or stored it. */
  has(layer: Layer, version: Version): void
  /** It failed: what it has is to be read again. */
  doubt(layer: Layer): void
  /** A commit of marks begins; the version that it makes of others: at least the time, so that a later run is newer than one it did not know of. */
  begin(run: string, now: number, of: readonly Version[]): Version
  /** How many have begun. */
  readonly begun: number
  /** The newest that one of these has: of this process, if it wrote any. */
  latest(layers: readonly Layer[]): Version | undefined
}

export function createVersions(): Versions {
  // A layer that was taken out leaves nothing behind.
  const known = new WeakMap<Layer, Version>()
  const doubted = new WeakSet<Layer>()
  const own = new Set<string>()
  let highest = 0
  let begun = 0

  return {
    of: (layer) => known.get(layer),
    isCertain: (layer) => known.has(layer) && !doubted.has(layer),
    has(layer, version) {
      known.set(layer, version)
      doubted.delete(layer)
      highest = Math.max(highest, version.count)
    },
    doubt: (layer) => void doubted.add(layer),
    begin(run, now, of) {
      begun += 1
      own.add(run)
      highest = Math.max(highest + 1, Math.floor(now))
      return { count: highest, run, of: pointsOf(of, run) }
    },
    get begun() {
      return begun
    },
    latest(layers) {
      const all = layers.flatMap((layer) => known.get(layer) ?? [])
      const ours = all.filter(({ run }) => own.has(run))
      let latest: Version | undefined
      for (const version of ours.length > 0 ? ours : all)
        if (latest === undefined || version.count > latest.count) latest = version
      return latest
    },
  }
}

function pointsOf(versions: readonly Version[], run: string): readonly Point[] {
  const latest = new Map<string, Point>()
  for (const version of versions.filter(({ count, isPart }) => count >= 0 && !isPart))
    for (const point of [version, ...(version.of ?? [])])
      if (point.run !== run && point.count >= (latest.get(point.run)?.count ?? 0))
        latest.set(point.run, { count: point.count, run: point.run })
  return [...latest.values()].sort((a, b) => b.count - a.count).slice(0, POINTS_MAX)
}

/** Whether nothing is lost where `version` is written over by what `latest` has. */
export function isBefore(version: Version, latest: Version): boolean {
  if (version.count < 0 || (version.isPart && !latest.isPart)) return true
  const { of = [] } = latest
  const same = [latest, ...of].find(({ run }) => run === version.run)
  if (same !== undefined) return version.count <= same.count
  const oldest = of.length < POINTS_MAX ? undefined : of.at(-1)
  return oldest !== undefined && version.count > 0 && version.count < oldest.count
}

export function isSame(a: Version | undefined, b: Version | undefined): boolean {
  return a !== undefined && b !== undefined && a.count === b.count && a.run === b.run
}
