/**
 * Which sessions have a tail worth folding although nobody adds to it.
 *
 * L10: bounded, the oldest goes first; and only what was appended since the store was opened. A session that is not in here is
 * folded when it grows. Not here: folding (tail.ts), when (idle.ts).
 */

export interface TailOf {
  readonly id: string
  readonly session: number
}

/** Below, a tail is some dozens of rows at most: reading it costs less than folding it again and again. */
const TAIL_WEIGHT_MIN = 4 * 1024
const TAILS_MAX = 10_000

export class Tails {
  readonly #tails = new Map<string, TailOf>()

  get size(): number {
    return this.#tails.size
  }

  /** To be told of each session that changed, with the weight of its tail now. */
  note(tail: TailOf, weight: number): void {
    const key = `${tail.session} ${tail.id}`
    if (weight < TAIL_WEIGHT_MIN) {
      this.#tails.delete(key)
      return
    }
    this.#tails.set(key, tail)
    if (this.#tails.size <= TAILS_MAX) return
    for (const oldest of this.#tails.keys()) {
      this.#tails.delete(oldest)
      return
    }
  }

  /** At most `max` of them, by document; they are forgotten. */
  take(max: number): ReadonlyMap<string, readonly number[]> {
    const taken = new Map<string, number[]>()
    let left = max
    for (const [key, { id, session }] of this.#tails) {
      if (left-- === 0) break
      this.#tails.delete(key)
      const sessions = taken.get(id)
      if (sessions === undefined) taken.set(id, [session])
      else sessions.push(session)
    }
    return taken
  }
}
