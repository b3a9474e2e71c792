/**
 * Places: the order in which documents leave, taken before it is known what they depend on.
 *
 * L9: a document leaves behind the dependencies it named, and waits for nothing else; it may leave as soon as it is known what it
 * names. Whoever closes a cycle does not wait for it. Not here: finding out what a document names, what leaving means.
 */
export interface Places {
  size(): number
  has(id: string): boolean
  /** From now on whoever names this document waits for it. */
  take(id: string): void
  /** It is known what a document names; those of it that have no place are not waited for. Answers who may leave now, in order. */
  name(id: string, dependencies: Iterable<string>): string[]
}

export function createPlaces(): Places {
  /** Who has not left yet, and what each waits for: `undefined` until that is known. */
  const waiting = new Map<string, ReadonlySet<string> | undefined>()
  const dependents = new Map<string, Set<string>>()

  function mayLeave(id: string): boolean {
    const names = waiting.get(id)
    if (names === undefined) return false
    for (const name of names) if (waiting.has(name) && !waitsFor(name, id)) return false
    return true
  }

  /** Whether one waits for another, directly or not: the end of a cycle. */
  function waitsFor(id: string, other: string): boolean {
    const seen = new Set([id])
    // A set that is walked while it grows: chains may be longer than the call stack.
    for (const next of seen) {
      if (next === other) return true
      for (const name of waiting.get(next) ?? []) if (waiting.has(name)) seen.add(name)
    }
    return false
  }

  function leaveFrom(id: string): string[] {
    const left: string[] = []
    const looking = [id]
    for (const next of looking) {
      if (!mayLeave(next)) continue
      waiting.delete(next)
      left.push(next)
      looking.push(...(dependents.get(next) ?? []))
      dependents.delete(next)
    }
    return left
  }

  return {
    size: () => waiting.size,
    has: (id) => waiting.has(id),
    take: (id) => void waiting.set(id, undefined),
    name(id, dependencies) {
      const names = new Set([...dependencies].filter((name) => name !== id && waiting.has(name)))
      waiting.set(id, names)
      for (const name of names) dependents.set(name, (dependents.get(name) ?? new Set()).add(id))
      return leaveFrom(id)
    },
  }
}
