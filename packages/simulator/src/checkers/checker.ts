/**
 * What a checker is: it sees everything that happens, and throws a `Violation` when a law does not hold.
 */
import type { Happening } from '../happenings.ts'
import type { World } from '../world.ts'

export interface Checker {
  happened(happening: Happening): void
  /** At the end of a world that healed and came to rest. */
  judge?(): Promise<void>
  /** Afterwards, when all clients have been closed. */
  ended?(): Promise<void>
}

export type MakeChecker = (world: World) => Checker
