/**
 * A bounded memory of what was looked up: adapters remember session ids in it.
 *
 * L10: at most `2 * size` entries, the most recently used among them. Two generations of a map; when the young one is full the
 * old one is dropped, so that nothing is moved while an entry is young.
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

  clear(): void {
    this.#young = new Map()
    this.#old = new Map()
  }
}
