/**
 * What a layer owes: documents of writes that are under way and that it has not said it stored.
 *
 * L3: it is not flagged for them yet, and still nobody knows whether it has them, so its silence is no vote (`race.ts`). Bounded by what is under way.
 * Not here: what it missed (`dirty.ts`), what a process was writing when it ended (`intents.ts`).
 */

/** One write of some documents. */
export interface Debt {
  stored(id: string): void
  /** The write is over everywhere: what the layer has not stored is flagged. */
  ended(): void
}

export interface Owing {
  has(id: string): boolean
  begin(ids: Iterable<string>): Debt
}

export function createOwing(): Owing {
  /** How many writes of each. */
  const debts = new Map<string, number>()

  function settle(id: string): void {
    const left = (debts.get(id) ?? 0) - 1
    if (left > 0) debts.set(id, left)
    else debts.delete(id)
  }

  return {
    has: (id) => debts.has(id),
    begin(ids) {
      const open = new Set(ids)
      for (const id of open) debts.set(id, (debts.get(id) ?? 0) + 1)
      return {
        stored(id) {
          if (open.delete(id)) settle(id)
        },
        ended() {
          for (const id of open) settle(id)
          open.clear()
        },
      }
    },
  }
}
