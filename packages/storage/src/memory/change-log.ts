/**
 * Documents in the order of their latest change, each at its latest change only.
 */
import type { Change } from '../contract.ts'

export class ChangeLog {
  /** In order; an entry whose document changed later is stale and is dropped when stale ones are the majority. */
  #entries: Change[] = []
  readonly #latest = new Map<string, number>()
  #sequence = 0

  get sequence(): number {
    return this.#sequence
  }

  add(id: string): void {
    this.#sequence++
    this.#entries.push({ id, sequence: this.#sequence })
    this.#latest.set(id, this.#sequence)
    if (this.#entries.length > 2 * this.#latest.size + 16)
      this.#entries = this.#entries.filter((entry) => this.#isLatest(entry))
  }

  since(sequence: number, limit: number): readonly Change[] {
    const changes: Change[] = []
    for (let index = this.#firstAfter(sequence); index < this.#entries.length && changes.length < limit; index++) {
      const entry = this.#entries[index] as Change
      if (this.#isLatest(entry)) changes.push(entry)
    }
    return changes
  }

  #isLatest(entry: Change): boolean {
    return this.#latest.get(entry.id) === entry.sequence
  }

  #firstAfter(sequence: number): number {
    let low = 0
    let high = this.#entries.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((this.#entries[middle] as Change).sequence <= sequence) low = middle + 1
      else high = middle
    }
    return low
  }
}
