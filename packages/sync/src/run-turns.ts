/**
 * Turns: work of many connections in fair portions, with the event loop let in between.
 *
 * Each may do a portion at once, so that a single request never waits behind somebody's flood. Who wants more queues up; after
 * every turn of the event loop a round of portions is done, in order of waiting, and who still wants more goes to the end.
 * What is counted is bytes, and for each step what it costs beside them; never time. Not here: what the work is (`run-inflow.ts`).
 */

/** What a connection may do in one turn of the event loop. */
export const PORTION_BYTES: number = 128 * 1024
/** What a message, or a frame, costs beside its bytes: a LOAD looked up and answered takes as long as 250 bytes of content. */
export const STEP_BYTES = 128
/** Portions of one round. */
const ROUND_PORTIONS_MAX = 4

export interface Turns {
  /** `go` does one portion; it asks again if there is more to do. */
  create(go: () => void): Turn
}

export interface Turn {
  /** Nothing is left of this portion. */
  spent(): boolean
  waits(): boolean
  spend(bytes: number): void
  /** `go` will be called when it is our turn. */
  ask(): void
  leave(): void
}

export function createTurns(soon: (callback: () => void) => void): Turns {
  const begun = new Set<{ spentBytes: number }>()
  const waiting = new Map<object, () => void>()
  let scheduled = false

  function schedule(): void {
    if (scheduled) return
    scheduled = true
    soon(round)
  }

  function round(): void {
    scheduled = false
    for (const portion of begun) portion.spentBytes = 0
    begun.clear()
    for (const [portion, go] of [...waiting].slice(0, ROUND_PORTIONS_MAX)) {
      // It may have left meanwhile.
      if (waiting.delete(portion)) go()
    }
    if (waiting.size > 0) schedule()
  }

  return {
    create(go) {
      const portion = { spentBytes: 0 }
      return {
        spent: () => portion.spentBytes >= PORTION_BYTES,
        waits: () => waiting.has(portion),
        spend(bytes) {
          portion.spentBytes += bytes
          begun.add(portion)
          schedule()
        },
        ask() {
          waiting.set(portion, go)
          schedule()
        },
        leave() {
          waiting.delete(portion)
          begun.delete(portion)
        },
      }
    },
  }
}
