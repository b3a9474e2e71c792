/**
 * All checkers, one file each.
 */
import { absence } from './absence.ts'
import { bounds } from './bounds.ts'
import type { MakeChecker } from './checker.ts'
import { convergence } from './convergence.ts'
import { dependencies } from './dependencies.ts'
import { durability } from './durability.ts'
import { forks } from './forks.ts'
import { frozen } from './frozen.ts'
import { handles } from './handles.ts'
import { layers } from './layers.ts'
import { once } from './once.ts'
import { secrecy } from './secrecy.ts'
import { shrinking } from './shrinking.ts'
import { subscriptions } from './subscriptions.ts'
import { uploads } from './uploads.ts'
import { writes } from './writes.ts'

export type { Checker, MakeChecker } from './checker.ts'

export const checkers: readonly MakeChecker[] = [
  forks,
  frozen,
  layers,
  convergence,
  durability,
  absence,
  once,
  handles,
  dependencies,
  shrinking,
  secrecy,
  bounds,
  subscriptions,
  uploads,
  writes,
]
