/**
 * Looking up many keys at once.
 *
 * A `get` costs several times what a further record of a `getAll` costs, so keys that stand together are read as one range and
 * searched, and keys that are scattered one by one. Which it is shows as we go: a range that brings few of the keys asked for is
 * not read on. All keys of a call are read in one transaction, so the answers belong together.
 */
import { wrap } from 'idb'
import { compareBytes } from './keys.ts'

/** Fewer keys than this are not worth a range. */
const RANGE_KEYS_MIN = 8
/** Keys of the first range, and of those behind one that was worth it. */
const RANGE_KEYS = 64
const RANGE_KEYS_MAX = 512
/** A `get` costs as much as so many further records of a range, about (measured in Chromium: 40 µs and 8 µs). */
const RECORDS_PER_GET = 4
/** The same where ranges were worth it: several of them are under way together, and less is to be read in vain. */
const RECORDS_PER_GET_LATER = 1.5
/** After ranges that were not worth it, at most so many calls do without; not those of many keys, where one costs little. */
const CALLS_WITHOUT_MAX = 64
const MANY_KEYS = 256

/** What earlier calls found, so that not every one has to find it out: only how fast we are depends on it. */
export class Habit {
  /** Ranges were worth it the last time. */
  dense = false
  /** Calls to come that do without ranges. */
  #without = 0
  #next = 1

  mayUseRange(keys: number): boolean {
    if (keys < RANGE_KEYS_MIN) return false
    if (this.#without === 0 || keys >= MANY_KEYS) return true
    this.#without--
    return false
  }

  learn(dense: boolean): void {
    this.dense = dense
    this.#without = dense ? 0 : this.#next
    this.#next = dense ? 1 : Math.min(2 * this.#next, CALLS_WITHOUT_MAX)
  }
}

export interface Found<T> {
  readonly key: Uint8Array
  readonly value: T
}

/** The values of `keys`, in their order; `undefined` where there is none. */
export async function lookUp<T>(
  store: IDBObjectStore,
  keys: readonly Uint8Array<ArrayBuffer>[],
  habit: Habit,
): Promise<(T | undefined)[]> {
  if (!habit.mayUseRange(keys.length)) return lookUpEach(store, keys)
  const values: (T | undefined)[] = new Array(keys.length).fill(undefined)
  const sorted = allOf(keys).sort((a, b) => compareBytes(keyAt(keys, a), keyAt(keys, b)))
  const first = habit.dense ? [] : sorted.slice(0, RANGE_KEYS)
  const left = first.length > 0 ? [...(await getRange(store, keys, first, values, RECORDS_PER_GET))] : []
  const rest = sorted.slice(first.length)
  if (left.length > 0) left.push(...rest)
  else for (const some of await getRanges(store, keys, rest, values)) left.push(...some)
  habit.learn(left.length === 0)
  await getEach(store, keys, left, values)
  return values
}

/** All under way together. */
function getRanges<T>(
  store: IDBObjectStore,
  keys: readonly Uint8Array<ArrayBuffer>[],
  indexes: readonly number[],
  values: (T | undefined)[],
): Promise<(readonly number[])[]> {
  const ranges: Promise<readonly number[]>[] = []
  for (let at = 0; at < indexes.length; at += RANGE_KEYS_MAX)
    ranges.push(getRange(store, keys, indexes.slice(at, at + RANGE_KEYS_MAX), values, RECORDS_PER_GET_LATER))
  return Promise.all(ranges)
}

/** As `lookUp`, where nothing but the values of `keys` is to be read. */
export async function lookUpEach<T>(
  store: IDBObjectStore,
  keys: readonly Uint8Array<ArrayBuffer>[],
): Promise<(T | undefined)[]> {
  const values: (T | undefined)[] = new Array(keys.length).fill(undefined)
  await getEach(store, keys, allOf(keys), values)
  return values
}

/** Reads the range of the keys at `window`; answers those that it did not come to, because too much stands between them. */
async function getRange<T>(
  store: IDBObjectStore,
  keys: readonly Uint8Array<ArrayBuffer>[],
  window: readonly number[],
  values: (T | undefined)[],
  recordsPerKey: number,
): Promise<readonly number[]> {
  const range = IDBKeyRange.bound(keyAt(keys, window[0]), keyAt(keys, window.at(-1)))
  const limit = Math.ceil(recordsPerKey * window.length)
  const found = await recordsIn<T>(store, range, limit)
  let at = 0
  for (const { key, value } of found) {
    while (at < window.length && compareBytes(keyAt(keys, window[at]), key) < 0) at++
    // A key may have been asked for twice.
    for (; at < window.length && compareBytes(keyAt(keys, window[at]), key) === 0; at++)
      values[window[at] as number] = value
  }
  return found.length < limit ? [] : window.slice(at)
}

/** Gets the keys at `indexes`, all under way together. */
function getEach<T>(
  store: IDBObjectStore,
  keys: readonly Uint8Array<ArrayBuffer>[],
  indexes: readonly number[],
  values: (T | undefined)[],
): Promise<void> {
  return new Promise((resolve, reject) => {
    if (indexes.length === 0) resolve()
    // Requests are answered in order: the last one ends it. Without a promise each, hundreds cost noticeably less.
    for (const [position, index] of indexes.entries()) {
      const request = store.get(keyAt(keys, index))
      request.onsuccess = () => {
        values[index] = request.result
        if (position === indexes.length - 1) resolve()
      }
      request.onerror = () => reject(request.error)
    }
  })
}

/** Keys and values of a range, in order, at most `limit`. */
export async function recordsIn<T>(store: IDBObjectStore, range: IDBKeyRange, limit?: number): Promise<Found<T>[]> {
  if (limit === 0) return []
  if (hasAllRecords(store)) {
    const records = await wrap(store.getAllRecords({ query: range, ...(limit === undefined ? {} : { count: limit }) }))
    return records.map(({ key, value }) => ({ key: new Uint8Array(key as ArrayBuffer), value: value as T }))
  }
  const [keys, values] = await Promise.all([wrap(store.getAllKeys(range, limit)), wrap(store.getAll(range, limit))])
  return keys.map((key, index) => ({ key: new Uint8Array(key as ArrayBuffer), value: values[index] as T }))
}

interface AllRecords {
  getAllRecords(options: { query: IDBKeyRange; count?: number }): IDBRequest<{ key: IDBValidKey; value: unknown }[]>
}

/** Both at once, where the browser has it (Chromium 141): half the work of asking for keys and values apart. */
function hasAllRecords(store: IDBObjectStore): store is IDBObjectStore & AllRecords {
  return 'getAllRecords' in store
}

function allOf(keys: readonly unknown[]): number[] {
  return keys.map((_, index) => index)
}

function keyAt(keys: readonly Uint8Array<ArrayBuffer>[], index: number | undefined): Uint8Array<ArrayBuffer> {
  return keys[index as number] as Uint8Array<ArrayBuffer>
}
