/**
 * Deadlines as data: what is to be looked at again, and when. A binary heap, ordered by time, then by age.
 *
 * A deadline is never cancelled; what it finds when it is due decides whether it still means something. Not here: clocks.
 */
export interface Deadlines {
  add(at: number, due: () => void): void
  size(): number
  /** The next time at which something is due, `undefined` if nothing is. */
  next(): number | undefined
  /** Runs everything due at `now`, in order. */
  run(now: number): void
}

interface Entry {
  readonly at: number
  readonly order: number
  readonly due: () => void
}

export function createDeadlines(): Deadlines {
  const heap: Entry[] = []
  let order = 0

  const before = (a: Entry, b: Entry) => a.at < b.at || (a.at === b.at && a.order < b.order)

  function rise(entry: Entry, from: number): void {
    let index = from
    while (index > 0) {
      const parent = (index - 1) >> 1
      const above = heap[parent] as Entry
      if (!before(entry, above)) break
      heap[index] = above
      index = parent
    }
    heap[index] = entry
  }

  function sink(entry: Entry): void {
    let index = 0
    for (;;) {
      let child = 2 * index + 1
      if (child >= heap.length) break
      if (child + 1 < heap.length && before(heap[child + 1] as Entry, heap[child] as Entry)) child++
      const below = heap[child] as Entry
      if (!before(below, entry)) break
      heap[index] = below
      index = child
    }
    heap[index] = entry
  }

  function take(): Entry {
    const first = heap[0] as Entry
    const last = heap.pop() as Entry
    if (heap.length > 0) sink(last)
    return first
  }

  return {
    add(at, due) {
      const entry = { at, order: order++, due }
      heap.push(entry)
      rise(entry, heap.length - 1)
    },
    size: () => heap.length,
    next: () => heap[0]?.at,
    run(now) {
      while (heap[0] !== undefined && heap[0].at <= now) take().due()
    },
  }
}
