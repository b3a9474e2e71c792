/**
 * Turns: writes take effect in the order in which they were called, one after the other.
 */
export interface Turns {
  take<T>(work: () => Promise<T>): Promise<T>
  /** Resolves when everything that took a turn is done. */
  done(): Promise<void>
}

export function createTurns(): Turns {
  let last: Promise<unknown> = Promise.resolve()
  return {
    take(work) {
      const mine = last.then(work)
      last = mine.catch(() => {})
      return mine
    },
    done: () => last.then(() => {}),
  }
}
