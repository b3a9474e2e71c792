/**
 * Chance from a seed: the same seed and the same questions give the same answers, on every machine.
 *
 * Every part of a world has a branch of its own, so that leaving out one step disturbs the luck of the others as little as
 * possible. Not here: how likely anything is (`faults.ts`).
 */
export interface Chance {
  /** At least 0, less than 1. */
  next(): number
  /** A whole number, at least 0, less than `end`. */
  below(end: number): number
  between(range: Range): number
  happens(probability: number): boolean
  pick<T>(list: readonly T[]): T
  /** How often something happens that is expected to happen `mean` times, evenly spread. */
  times(mean: number): number
  /** An independent chance, decided by the seed and these names alone. */
  branch(...names: readonly (string | number)[]): Chance
}

/** From the first (inclusive) to the second (exclusive). */
export type Range = readonly [least: number, end: number]

export function createChance(seed: number): Chance {
  let state = seed >>> 0
  // Mulberry32: small, seeded, good enough to choose with.
  function next(): number {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
  const chance: Chance = {
    next,
    below: (end) => Math.floor(next() * end),
    between: ([least, end]) => least + next() * (end - least),
    happens: (probability) => probability > 0 && next() < probability,
    pick<T>(list: readonly T[]) {
      return list[Math.floor(next() * list.length)] as T
    },
    times: (mean) => Math.floor(next() * (2 * mean + 1)),
    branch: (...names) => createChance(names.reduce<number>((hash, name) => mix(hash, String(name)), mix(seed, ''))),
  }
  return chance
}

/** FNV-1a over a text, begun with a number. */
function mix(start: number, text: string): number {
  let hash = (start ^ 0x811c9dc5) >>> 0
  for (let index = 0; index < text.length; index++) hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193)
  return Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d) >>> 0
}
