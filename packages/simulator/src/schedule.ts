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
  /** From now on every callback has a turn of the event loop: for what waits for such turns, as SQLite does before it ends a read. */
  oneATurn(): void
  /** Lets time pass, or less of it if it is over before. @throws what a callback throws; Error if nothing comes to rest. */
  pass(ms: number, isOver?: () => boolean): Promise<void>
}

interface Entry {
  readonly at: number
  readonly order: number
  callback: (() => void) | undefined
}

/** More than any world needs that is not caught in a circle. */
const STEPS_MAX = 300_000
/** Of one turn. */
const CALLBACKS = 32

declare function setImmediate(callback: () => void): unknown

export function createSchedule(stepsMax: number = STEPS_MAX): Schedule {
  const heap: Entry[] = []
  let order = 0
  let callbacks = CALLBACKS

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
    oneATurn() {
      callbacks = 1
    },
    async pass(ms, isOver = () => false) {
      const end = schedule.now + ms
      await rest()
      const next = () => (isOver() ? undefined : nextUntil(end))
      while (next() !== undefined) await turn(callbacks, () => step(next()))
      if (!isOver()) schedule.now = end
    },
  }

  /** What was called off takes no step. */
  function nextUntil(end: number): Entry | undefined {
    for (let first = heap[0]; first !== undefined && first.at <= end; first = heap[0]) {
      if (first.callback !== undefined) return first
      pop(heap)
    }
    return undefined
  }

  function step(next: Entry | undefined): void {
    if (next === undefined) return
    pop(heap)
    if (++schedule.steps > stepsMax) throw new Error(`this world does not come to rest: ${stepsMax} steps`)
    schedule.now = next.at
    next.callback?.()
  }

  return schedule
}

/** Afterwards no promise is left that could settle by itself. */
function rest(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

/**
 * One turn of the event loop with many callbacks, each of which acts: after every one all promises settle, as at the end of the turn, and a turn
 * costs more than the rest of this file. @throws what `act` throws, which does not act again
 */
function turn(callbacks: number, act: () => void): Promise<void> {
  return new Promise((resolve, reject) => {
    let threw = false
    const one = () => {
      try {
        if (!threw) act()
      } catch (cause) {
        threw = true
        reject(cause)
      }
    }
    for (let left = callbacks; left > 0; left--) setImmediate(one)
    setImmediate(resolve)
  })
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
