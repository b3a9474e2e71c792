/**
 * Versions of map entries and of erasures: which of two is the greater, everywhere alike.
 */
import type { Version } from './contract.ts'
import { checkText, compareIds } from './ids.ts'

/** Negative, 0 or positive: the counter decides, then the actor (bytewise). */
export function compareVersions(a: Version, b: Version): number {
  return a[0] - b[0] || compareIds(a[1], b[1])
}

/** @throws RangeError if the counter is not a safe integer ≥ 0; TypeError or RangeError for the actor, as of an id. */
export function checkVersion(version: Version, what: string): Version {
  const [counter, actor] = version
  if (!Number.isSafeInteger(counter) || counter < 0)
    throw new RangeError(`${what}: expected a counter (safe integer ≥ 0), got ${counter}`)
  checkText(actor, `${what}, actor`)
  return version
}
