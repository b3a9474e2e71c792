/**
 * Versions of marks: what tells which layers have all of them, across crashes, layers that were away, and backups.
 *
 * Every commit of marks carries the version that it makes, so a layer says itself how new its marks are. Those with the highest are right. A version is a
 * count and the run that made it: two of one count and different runs were made by layers that did not know of each other, as is one that a
 * late layer brings and that is newer than what this run began with. Those have strayed. Decision 031. Not here: reading and copying (`marks.ts`).
 */
import type { Layer } from './layer.ts'

export interface Version {
  readonly count: number
  readonly run: string
}

/** There are no marks. */
export const NO_MARKS: Version = { count: -1, run: '' }

/** There are marks, and nobody knows of when. */
export const undated = (layer: Layer): Version => ({ count: 0, run: `of ${layer.name}` })

export interface Versions {
  /** What a layer has, or had before what is unknown; `undefined` if it was never read. */
  of(layer: Layer): Version | undefined
  /** Whether that is what it has. */
  isCertain(layer: Layer): boolean
  isStrayed(layer: Layer): boolean
  /** The layer said that it has this. */
  read(layer: Layer, version: Version): void
  /** It has this now. */
  wrote(layer: Layer, version: Version): void
  /** It failed: what it has is to be read again. */
  doubt(layer: Layer): void
  /** What it alone had, others have too. */
  joined(layer: Layer): void
  /** A commit of marks begins; the version that it makes: at least the time, so that a later run is newer than one it did not know of. */
  begin(run: string, now: number): Version
  /** How many have begun. */
  readonly begun: number
  /** The highest that one of these has. */
  latest(layers: readonly Layer[]): Version | undefined
}

export function createVersions(): Versions {
  const known = new Map<Layer, Version>()
  const doubted = new Set<Layer>()
  const strayed = new Set<Layer>()
  const own = new Set<string>()
  /** The highest when the first commit of this run began: whatever is newer and of another run, it did not know of. */
  let base: Version | undefined
  let highest = NO_MARKS
  let begun = 0

  function note(layer: Layer, version: Version): void {
    known.set(layer, version)
    doubted.delete(layer)
    if (version.count > highest.count) highest = version
  }

  return {
    of: (layer) => known.get(layer),
    isCertain: (layer) => known.has(layer) && !doubted.has(layer),
    isStrayed: (layer) => strayed.has(layer),
    read(layer, version) {
      const { count, run } = version
      const isOlder =
        base === undefined || own.has(run) || count < base.count || (count === base.count && run === base.run)
      if (!isOlder) strayed.add(layer)
      note(layer, version)
    },
    wrote(layer, version) {
      strayed.delete(layer)
      note(layer, version)
    },
    doubt: (layer) => void doubted.add(layer),
    joined: (layer) => void strayed.delete(layer),
    begin(run, now) {
      base ??= highest
      begun += 1
      own.add(run)
      highest = { count: Math.max(highest.count + 1, Math.floor(now), 1), run }
      return highest
    },
    get begun() {
      return begun
    },
    latest(layers) {
      let latest: Version | undefined
      for (const layer of layers) {
        const version = strayed.has(layer) ? undefined : known.get(layer)
        if (version !== undefined && version.count > (latest?.count ?? -2)) latest = version
      }
      return latest
    },
  }
}

export function isSame(a: Version | undefined, b: Version | undefined): boolean {
  return a !== undefined && b !== undefined && a.count === b.count && a.run === b.run
}
