/**
 * A process: one run of a node, from its start to its end or crash. What it waits for ends with it.
 *
 * Its clock may be wrong and may jump; what it waits for takes as long as it takes in the world.
 */
import type { Clock } from '@tidemark/storage'
import type { Chance } from './chance.ts'
import type { Changing } from './changing.ts'
import type { Schedule } from './schedule.ts'

export interface Process {
  readonly alive: boolean
  readonly clock: Clock
  /** Calls back `ms` from now, if the process lives then. */
  after(ms: number, callback: () => void): () => void
  /** Calls back after the present turn of its event loop. */
  soon(callback: () => void): void
  /** Ends it in the middle of whatever it does. */
  kill(): void
  /** Calls back when it was killed. */
  died(callback: () => void): void
}

/** Of the world that every clock begins with; no clock reads 0. */
const EPOCH_MS = 1_000_000
/** A turn of an event loop. */
const TURN_MS = 0.2

/** `wrongMs` is how far its clock is off, now. */
export function createProcess(schedule: Schedule, chance: Chance, wrongMs: () => number): Process {
  const mourners: (() => void)[] = []

  const process: Changing<Process> = {
    alive: true,
    clock: {
      now: () => EPOCH_MS + schedule.now + wrongMs(),
      random: () => chance.next(),
      wait: (ms, signal) =>
        new Promise((resolve, reject) => {
          if (signal?.aborted) return reject(signal.reason)
          const cancel = process.after(ms, () => {
            signal?.removeEventListener('abort', abort)
            resolve()
          })
          const abort = () => {
            cancel()
            reject(signal?.reason)
          }
          signal?.addEventListener('abort', abort, { once: true })
        }),
    },
    after: (ms, callback) =>
      schedule.after(ms, () => {
        if (process.alive) callback()
      }),
    soon: (callback) => void process.after(chance.next() * TURN_MS, callback),
    kill() {
      if (!process.alive) return
      process.alive = false
      for (const mourn of mourners) mourn()
    },
    died: (callback) => void mourners.push(callback),
  }
  return process
}

const AGAIN_MS = 1_000
/** So often fails a start that never works, and hardly ever one on a disk that fails nine times in ten. */
export const TRIES_MAX = 1_000

export interface Starting<T> {
  start(): Promise<T>
  /** Whether it is no wonder that a try fails now, however often that happens. */
  excused(): boolean
  /** It failed so often that it never will start. */
  gaveUp(cause: unknown): void
}

/** Tries again for as long as the process lives, as whoever starts it would; `undefined` if it gave up. */
export async function persist<T>(process: Process, { start, excused, gaveUp }: Starting<T>): Promise<T | undefined> {
  let failed = 0
  for (;;) {
    try {
      return await start()
    } catch (cause) {
      if (!excused()) failed += 1
      if (failed === TRIES_MAX) return void gaveUp(cause)
      await process.clock.wait(AGAIN_MS)
    }
  }
}
