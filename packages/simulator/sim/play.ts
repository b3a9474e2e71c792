/**
 * Plays seeds of the scenario that the engine is tested with: one after the other, whatever they throw.
 */

import { type Faults, households, type Outcome, profiles, type Scenario, simulate } from '@tidemark/simulator'
import type { Scene } from './arguments.ts'

/** Three clients, two documents with dependencies and what they depend on, forty operations; unless plain, what is spoken, carried and judged differs. */
export function scenarioOn({ disks, policy, plain = false }: Scene): Scenario {
  const server = disks === undefined || policy === undefined ? {} : { disks, policy }
  return households({ clients: 3, operations: 40, server, varied: !plain })
}

export interface Played extends Scene {
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

/** One of them, and what it is like. */
export interface Wanted extends Scene {
  readonly seed: number
  readonly profile: string
  readonly without?: ReadonlySet<number>
}

export async function playOne({ seed, profile, without, ...scene }: Wanted): Promise<Outcome> {
  rejected = undefined
  const options = without === undefined ? {} : { without }
  const outcome = await simulate(scenarioOn(scene), seed, profileOf(profile), options)
  if (outcome.failure !== undefined || rejected === undefined) return outcome
  return { ...outcome, failure: { checker: 'error', cause: rejected } }
}

export interface Portion extends Scene {
  readonly from: number
  readonly until: number
  readonly profile: string
}

export async function playSome({ from, until, ...each }: Portion): Promise<Played[]> {
  const failed: Played[] = []
  for (let seed = from; seed <= until; seed++) {
    const { failure } = await playOne({ seed, ...each })
    if (failure !== undefined) failed.push({ seed, ...each, checker: failure.checker, text: String(failure.cause) })
  }
  return failed
}
