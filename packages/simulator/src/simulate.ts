/**
 * One seed, played: a scenario in a world, until it ends or a law does not hold.
 */
import type { Faults } from './faults.ts'
import { createWorld, type World, type WorldOptions } from './world.ts'

/** What happens in a world besides its troubles. It takes its chances from the world, and passes time. */
export type Scenario = (world: World) => Promise<void>

export interface Outcome {
  readonly seed: number
  /** A `Violation`, or whatever else was thrown; `undefined` if all went well. */
  readonly failure: Failure | undefined
  readonly world: World
}

export interface Failure {
  /** The checker, or `error` if something else was thrown. */
  readonly checker: string
  readonly cause: unknown
}

/** @throws TypeError for a seed that is none, and for a profile that lacks something; what the scenario throws is the outcome. */
export async function simulate(
  scenario: Scenario,
  seed: number,
  faults: Faults,
  options: WorldOptions = {},
): Promise<Outcome> {
  const world = createWorld(seed, faults, options)
  try {
    await scenario(world)
    return { seed, failure: undefined, world }
  } catch (cause) {
    return { seed, failure: { checker: checkerOf(cause), cause }, world }
  }
}

/** As `simulate`, and throws with the trace what went wrong: for a test that plays one seed. */
export async function replay(scenario: Scenario, seed: number, faults: Faults, options?: WorldOptions): Promise<World> {
  const { failure, world } = await simulate(scenario, seed, faults, options)
  if (failure === undefined) return world
  throw new Error(`seed ${seed}, ${faults.name}: ${String(failure.cause)}\n${world.trace.join('\n')}`, {
    cause: failure.cause,
  })
}

function checkerOf(cause: unknown): string {
  // Anything can be thrown, also nothing.
  const checker = (cause as { readonly checker?: unknown } | null | undefined)?.checker
  return typeof checker === 'string' ? checker : 'error'
}
