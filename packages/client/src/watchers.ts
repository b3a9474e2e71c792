/**
 * Watchers: "something about this changed; look at it". Called once per turn, however much changed in it.
 *
 * What a watcher throws is its own: it reaches nobody else here. Not here: what changed, which is read from the thing itself.
 */
export interface Watchers {
  add(watcher: () => void): () => void
  /** Calls all watchers soon, once. */
  notify(): void
  clear(): void
}

export function createWatchers(): Watchers {
  const watchers = new Set<() => void>()
  let due = false

  function callAll(): void {
    due = false
    for (const watcher of [...watchers]) queueMicrotask(() => watchers.has(watcher) && watcher())
  }

  return {
    add(watcher) {
      // Its own function, so that one function added twice is two watchers.
      const added = () => watcher()
      watchers.add(added)
      return () => watchers.delete(added)
    },
    notify() {
      if (due || watchers.size === 0) return
      due = true
      queueMicrotask(callAll)
    },
    clear: () => watchers.clear(),
  }
}
