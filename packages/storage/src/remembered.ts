/**
 * Bounded memories of what was looked up. For adapters.
 *
 * L10: `Remembered` is bounded by entries, for many small ones that are asked for all the time; `RememberedWithin` by what they
 * weigh together, for few large ones.
 */

/**
 * At most `2 * size` entries, the most recently used among them. Two generations of a map; when the young one is full the old one
 * is dropped, so that nothing is moved while an entry is young.
 */
export class Remembered<K, V> {
  readonly #size: number
  #young = new Map<K, V>()
  #old = new Map<K, V>()

  constructor(size: number) {
    this.#size = Math.max(1, size)
  }

  get(key: K): V | undefined {
    const young = this.#young.get(key)
    if (young !== undefined) return young
    const old = this.#old.get(key)
    if (old !== undefined) this.set(key, old)
    return old
  }

  set(key: K, value: V): void {
    if (this.#young.size >= this.#size && !this.#young.has(key)) {
      this.#old = this.#young
      this.#young = new Map()
    }
    this.#young.set(key, value)
  }

  delete(key: K): void {
    this.#young.delete(key)
    this.#old.delete(key)
  }

  clear(): void {
    this.#young = new Map()
    this.#old = new Map()
  }
}

/** Entries that weigh at most `weightMax` together, and the last one however heavy it is; the longest unused goes first. */
export class RememberedWithin<K, V> {
  readonly #weightMax: number
  readonly #weigh: (value: V) => number
  readonly #entries = new Map<K, V>()
  #newest: K | undefined
  #weight = 0

  constructor(weightMax: number, weigh: (value: V) => number) {
    this.#weightMax = weightMax
    this.#weigh = weigh
  }

  get(key: K): V | undefined {
    const value = this.#entries.get(key)
    if (value !== undefined) this.#put(key, value)
    return value
  }

  set(key: K, value: V): void {
    const before = this.#entries.get(key)
    if (before !== undefined) this.#weight -= this.#weigh(before)
    this.#weight += this.#weigh(value)
    this.#put(key, value)
    for (const [longestUnused] of this.#entries) {
      if (this.#weight <= this.#weightMax || longestUnused === key) return
      this.delete(longestUnused)
    }
  }

  delete(key: K): void {
    const value = this.#entries.get(key)
    if (value === undefined) return
    this.#weight -= this.#weigh(value)
    this.#entries.delete(key)
  }

  clear(): void {
    this.#entries.clear()
    this.#weight = 0
  }

  /**
   * Behind all others: a map keeps the order in which it was filled. Where it is there already it stays, since every few removals
   * make V8 a new table to which the old one leads: an old one that was not collected yet keeps all that come after it.
   */
  #put(key: K, value: V): void {
    if (key !== this.#newest) this.#entries.delete(key)
    this.#entries.set(key, value)
    this.#newest = key
  }
}
