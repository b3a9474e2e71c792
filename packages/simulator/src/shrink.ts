/**
 * Shrinking: the fewest steps that still break the same law.
 *
 * Steps are left out in ever smaller groups, for as long as that helps. Every part of a world has its own chance, so what is left
 * out changes little for what stays.
 */
import type { Faults } from './faults.ts'
import { type Outcome, type Scenario, simulate } from './simulate.ts'

export interface Shrunk {
  readonly without: ReadonlySet<number>
  readonly outcome: Outcome
}

/** Tries at most `triesMax` worlds. */
export async function shrink(scenario: Scenario, failed: Outcome, faults: Faults, triesMax = 400): Promise<Shrunk> {
  let best: Shrunk = { without: new Set(), outcome: failed }
  const count = failed.world.steps.length
  let tries = 0
  for (let size = Math.ceil(count / 2); size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2)) {
    let helped = true
    while (helped && tries < triesMax) {
      helped = false
      for (let start = 0; start < count && tries < triesMax; start += size) {
        const group = Array.from({ length: size }, (_, index) => start + index).filter(
          (step) => step < count && !best.without.has(step),
        )
        if (group.length === 0) continue
        tries += 1
        const without = new Set([...best.without, ...group])
        const outcome = await simulate(scenario, failed.seed, faults, { without })
        if (outcome.failure?.checker !== failed.failure?.checker) continue
        best = { without, outcome }
        helped = true
      }
    }
  }
  return best
}
