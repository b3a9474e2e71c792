/**
 * Plays seeds of the scenario that the engine is tested with: one after the other, whatever they throw.
 */
import { type Faults, households, type Outcome, profiles, type Scenario, simulate } from '@tidemark/simulator'

/** Three clients, two documents with dependencies and what they depend on, forty operations; what is spoken, carried and judged differs. */
export const scenario: Scenario = households({ clients: 3, operations: 40, varied: true })

export interface Played {
  readonly seed: number
  readonly profile: string
  readonly checker: string
  readonly text: string
}

/** @throws RangeError for a profile that there is not. */
export function profileOf(name: string): Faults {
  const found = profiles.find((profile) => profile.name === name)
  if (found === undefined) throw new RangeError(`profiles are ${profiles.map((profile) => profile.name).join(', ')}`)
  return found
}

/** Promises that reject and that nobody waits for are failures too. */
let rejected: unknown
process.on('unhandledRejection', (cause) => {
  rejected ??= cause
})

export async function playOne(seed: number, profile: string, without?: ReadonlySet<number>): Promise<Outcome> {
  rejected = undefined
  const outcome = await simulate(scenario, seed, profileOf(profile), without === undefined ? {} : { without })
  if (outcome.failure !== undefined || rejected === undefined) return outcome
  return { ...outcome, failure: { checker: 'error', cause: rejected } }
}

export async function playSome(from: number, until: number, profile: string): Promise<Played[]> {
  const failed: Played[] = []
  for (let seed = from; seed <= until; seed++) {
    const { failure } = await playOne(seed, profile)
    if (failure !== undefined) failed.push({ seed, profile, checker: failure.checker, text: String(failure.cause) })
  }
  return failed
}
