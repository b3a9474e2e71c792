/**
 * A map whose keys can be walked in bytewise order. They are sorted only when somebody looks, so that writing stays cheap.
 */
import { compareIds } from '../ids.ts'

export class SortedMap<V> {
  readonly #values = new Map<string, V>()
  /** `undefined`: to be sorted again. */
  #keys: string[] | undefined = []

  get size(): number {
    return this.#values.size
  }

  get(key: string): V | undefined {
    return this.#values.get(key)
  }

  set(key: string, value: V): void {
    if (!this.#values.has(key)) this.#added(key)
    this.#values.set(key, value)
  }

  delete(key: string): boolean {
    const deleted = this.#values.delete(key)
    if (deleted) this.#keys = undefined
    return deleted
  }

  /** All entries, in the order in which they were added: does not sort. */
  entries(): IterableIterator<[key: string, value: V]> {
    return this.#values.entries()
  }

  /** Entries whose key comes after `key` (exclusive), or all; to be walked before anything is set or deleted. */
  *after(key?: string): Generator<readonly [key: string, value: V]> {
    const keys = this.#sorted()
    for (let index = key === undefined ? 0 : firstAfter(keys, key); index < keys.length; index++) {
      const next = keys[index] as string
      yield [next, this.#values.get(next) as V]
    }
  }

  #added(key: string): void {
    const last = this.#keys?.at(-1)
    if (last === undefined || compareIds(last, key) < 0) this.#keys?.push(key)
    else this.#keys = undefined
  }

  #sorted(): readonly string[] {
    this.#keys ??= [...this.#values.keys()].sort(compareIds)
    return this.#keys
  }
}

function firstAfter(keys: readonly string[], key: string): number {
  let low = 0
  let high = keys.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (compareIds(keys[middle] as string, key) <= 0) low = middle + 1
    else high = middle
  }
  return low
}
