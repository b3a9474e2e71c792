/**
 * The conformance kit: what every adapter, every wrapper of adapters and anybody's own storage must do.
 *
 * Plain cases, no test runner and no assertion library:
 *
 *     for (const { name, run } of storageCases) test(name, async () => report(await run(() => myStorage())))
 *
 * `run` makes fresh stores, opens and closes them itself, rejects with an `Error` that says what was expected, and resolves to
 * `'passed'` or to what it lacked: never skipped in silence. Here too: `faults`, to make a storage fail in tests, and `delayed`.
 */
import { append } from './conformance/cases/append.ts'
import { disk } from './conformance/cases/disk.ts'
import { erase } from './conformance/cases/erase.ts'
import { ids } from './conformance/cases/ids.ts'
import { many, manyInFull } from './conformance/cases/large.ts'
import { changes, lists } from './conformance/cases/lists.ts'
import { maps } from './conformance/cases/maps.ts'
import { marks, verifier } from './conformance/cases/marks.ts'
import { aborting, closing, opening } from './conformance/cases/opening.ts'
import { order } from './conformance/cases/order.ts'
import { overlap } from './conformance/cases/overlap.ts'
import { paged } from './conformance/cases/paged.ts'
import { pages, seals, sizes } from './conformance/cases/pages.ts'
import { reopen } from './conformance/cases/reopen.ts'
import { digests, states } from './conformance/cases/states.ts'
import type { StorageCase } from './conformance/subject.ts'

export { delayed } from './conformance/delayed.ts'
export { type Call, type Calls, type Fault, type FaultyStorage, faults, type Plan } from './conformance/faults.ts'
export type { MakeStorage, Need, Outcome, StorageCase, Subject } from './conformance/subject.ts'

const small: readonly StorageCase[] = [
  opening,
  states,
  paged,
  digests,
  append,
  overlap,
  seals,
  pages,
  sizes,
  ids,
  lists,
  changes,
  marks,
  verifier,
  maps,
  erase,
  order,
  closing,
  aborting,
  reopen,
  disk,
].flat()

/** Every case, the large ones at a tenth of their size: for the test command. */
export const storageCases: readonly StorageCase[] = [...small, ...many]

/** The large cases in full (10,000 sessions, 100,000 documents): for a nightly run. */
export const largeStorageCases: readonly StorageCase[] = manyInFull
