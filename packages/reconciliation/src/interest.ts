/**
 * Interest: which documents are asked for on a new connection, in pages.
 *
 * Those that are open and those that are only stored, each once, in bytewise order, so that a page is all there is to remember.
 * Not here: what is held of them (`look-ups.ts`).
 */
import type { KnownState } from '@tidemark/known-state'
import { compareIds, type Storage, unlessAborted } from '@tidemark/storage'

/** The documents that are open in memory. A `Map` of known states is one. */
export interface Live {
  /** Ids of all that are open, also of those of which nothing is known yet. */
  keys(): Iterable<string>
  /** What memory holds of a document; `undefined` if it is not open, or not loaded. */
  get(id: string): KnownState | undefined
}

export interface InterestOptions {
  readonly storage: Pick<Storage, 'list'>
  readonly live?: Live
  /** Documents that are asked for beside the open ones. Default: all that are stored. */
  readonly ids?: Iterable<string>
  /** Documents that are looked up together, and most that are kept in mind. Default 1,000. */
  readonly pageSize?: number
  readonly signal?: AbortSignal
}

export const PAGE_SIZE = 1_000

/** @throws StorageError if the storage cannot say what it holds; RangeError for a page without room; the signal's reason. */
export async function* pagesOf(options: InterestOptions): AsyncGenerator<readonly string[], void, undefined> {
  const { storage, live, ids, pageSize = PAGE_SIZE, signal } = options
  if (!(pageSize >= 1)) throw new RangeError(`pageSize: expected at least 1, got ${pageSize}`)
  const given = sorted([...(live?.keys() ?? []), ...(ids ?? [])])
  let passed = 0
  let after: string | undefined
  while (ids === undefined) {
    signal?.throwIfAborted()
    const asked = { limit: pageSize, ...(after !== undefined && { after }), ...(signal !== undefined && { signal }) }
    const found = await unlessAborted(storage.list(asked), signal)
    after = found.at(-1)
    if (after === undefined) break
    const from = passed
    while (passed < given.length && compareIds(given[passed] as string, after) <= 0) passed += 1
    yield* slices(sorted([...found, ...given.slice(from, passed)]), pageSize)
  }
  signal?.throwIfAborted()
  yield* slices(given.slice(passed), pageSize)
}

function sorted(ids: readonly string[]): string[] {
  return [...new Set(ids)].sort(compareIds)
}

/** In pages. */
export function* slices(ids: readonly string[], size: number): Generator<readonly string[]> {
  for (let from = 0; from < ids.length; from += size) yield ids.slice(from, from + size)
}
