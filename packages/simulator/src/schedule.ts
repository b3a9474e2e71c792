/**
 * Virtual time: what is to happen, in order, with nothing in between but what follows from it at once.
 *
 * After every callback all promises that can settle have settled, so that the order of everything is the order of this heap.
 * Not here: how long anything takes (`network.ts`, `disk.ts`).
 */
import type { Changing } from './changing.ts'
export interface Schedule {
  /** Milliseconds since the world began. */
  readonly now: number
  /** Callbacks so far. */
  readonly steps: number
  /** When the next of them is due; `undefined` if nothing is to happen any more. */
  nextAt(): number | undefined
  /** Calls back `ms` from now; answers how to call that off. */
  after(ms: number, callback: () => void): () => void
  /** Lets time pass. @throws what a callback throws; Error if nothing comes to rest. */
  pass(ms: number): Promise<void>
}

interface Entry {
  readonly at: number
  readonly order: number
  callback: (() => void) | undefined
}

/** More than any world needs that is not caught in a circle. */
const STEPS_MAX = 300_000

declare function setImmediate(callback: () => void): unknown

export function createSchedule(stepsMax: number = STEPS_MAX): Schedule {
  const heap: Entry[] = []
  let order = 0

  const schedule: Changing<Schedule> = {
    now: 0,
    steps: 0,
    nextAt: () => heap[0]?.at,
    after(ms, callback) {
      const entry: Entry = { at: schedule.now + Math.max(0, ms), order: order++, callback }
      push(heap, entry)
      return () => {
        entry.callback = undefined
      }
    },
    async pass(ms) {
      const end = schedule.now + ms
      await rest()
      for (let first = heap[0]; first !== undefined && first.at <= end; first = heap[0]) {
        pop(heap)
        if (first.callback === undefined) continue
        if (++schedule.steps > stepsMax) throw new Error(`this world does not come to rest: ${stepsMax} steps`)
        schedule.now = first.at
        first.callback()
        await rest()
      }
      schedule.now = end
    },
  }
  return schedule
}

/** A turn of the event loop: afterwards no promise is left that could settle by itself. */
function rest(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

const before = (a: Entry, b: Entry) => a.at < b.at || (a.at === b.at && a.order < b.order)

function push(heap: Entry[], entry: Entry): void {
  let index = heap.length
  while (index > 0) {
    const parent = (index - 1) >> 1
    const above = heap[parent] as Entry
    if (!before(entry, above)) break
    heap[index] = above
    index = parent
  }
  heap[index] = entry
}

function pop(heap: Entry[]): void {
  const last = heap.pop() as Entry
  if (heap.length === 0) return
  let index = 0
  for (;;) {
    let child = 2 * index + 1
    if (child >= heap.length) break
    if (child + 1 < heap.length && before(heap[child + 1] as Entry, heap[child] as Entry)) child++
    const below = heap[child] as Entry
    if (!before(below, last)) break
    heap[index] = below
    index = child
  }
  heap[index] = last
}
