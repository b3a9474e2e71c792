/**
 * Turns: writes of one thing take effect in the order in which they were called, one after the other; of different things, side by side.
 */
export interface Turns {
  /** Waits for those before it that share one of `keys`. */
  take<T>(keys: readonly string[], work: () => Promise<T>): Promise<T>
  /** Resolves when everything that took a turn is done. */
  done(): Promise<void>
}

export function createTurns(): Turns {
  const last = new Map<string, Promise<unknown>>()
  return {
    take(keys, work) {
      const before = new Set(keys.flatMap((key) => last.get(key) ?? []))
      const mine = before.size === 0 ? Promise.resolve().then(work) : Promise.all(before).then(work)
      const end = mine.then(leave, leave)
      function leave(): void {
        for (const key of keys) if (last.get(key) === end) last.delete(key)
      }
      for (const key of keys) last.set(key, end)
      return mine
    },
    done: () => Promise.all(last.values()).then(() => {}),
  }
}
