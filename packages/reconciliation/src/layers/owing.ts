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
  const debts = new Set<ReadonlySet<string>>()

  return {
    has: (id) => [...debts].some((open) => open.has(id)),
    begin(ids) {
      const open = new Set(ids)
      debts.add(open)
      return {
        stored(id) {
          open.delete(id)
          if (open.size === 0) debts.delete(open)
        },
        ended: () => void debts.delete(open),
      }
    },
  }
}
