/**
 * A wire: one connection between two processes, as two channels that are each other's other end.
 *
 * Frames keep their order and take their time; when the wire is cut, those under way are lost, and each end learns of it when it
 * does. A slow wire has no room until what was sent has left. Not here: who connects to whom (`network.ts`).
 */
import type { Dialect, Frame } from '@tidemark/protocol'
import type { Channel, Receiver } from '@tidemark/sync/run'
import type { Chance } from './chance.ts'
import type { Changing } from './changing.ts'
import type { NetworkFaults } from './faults.ts'
import type { Process } from './process.ts'
import type { Schedule } from './schedule.ts'

export interface WireOptions {
  readonly schedule: Schedule
  readonly chance: Chance
  readonly faults: NetworkFaults
  /** Each end's process and its dialect. */
  readonly ends: readonly [WireEnd, WireEnd]
  /** Nothing arrives before this time: a partition. */
  quietUntil(): number
}

export interface WireEnd {
  readonly process: Process
  readonly dialect: Dialect
  /** It knows that the wire is cut. */
  ended(): void
}

export interface Wire {
  readonly channels: readonly [Channel, Channel]
  readonly isCut: boolean
  /** What is under way is lost. Each end is told after its time in milliseconds, at once if it is 0. */
  cut(toldAfterMs: readonly [number, number]): void
}

/** Sent and not left: beyond it there is no room for another page. */
const ROOM_BYTES = 1_024

export function createWire({ schedule, chance, faults, ends, quietUntil }: WireOptions): Wire {
  const bytesPerMs = chance.happens(faults.slow) ? faults.slowBytesPerMs : Number.POSITIVE_INFINITY
  const halves = ends.map((end) => createHalf(end)) as [Half, Half]

  function createHalf(end: WireEnd): Half {
    let receiver: Receiver | undefined
    let arrived: Frame[] = []
    let paused = false
    let over = false
    /** It was over before anybody opened it: as a socket does, it says so then. */
    let tellLate: (() => void) | undefined
    let unsent = 0
    let leavesAt = 0
    let arrivesAt = 0
    const underWay: { readonly at: number; readonly arrive: () => void }[] = []

    function deliver(): void {
      while (receiver !== undefined && !paused && !over && end.process.alive) {
        const frame = arrived.shift()
        if (frame === undefined) return
        receiver.frame(frame)
      }
    }

    function left(bytes: number): void {
      const had = unsent < ROOM_BYTES
      unsent -= bytes
      if (!had && unsent < ROOM_BYTES && !over) receiver?.drained()
    }

    const half: Half = {
      arrive(frame) {
        arrived.push(frame)
        deliver()
      },
      finish(code, reason) {
        if (over) return
        over = true
        arrived = []
        if (!end.process.alive) return
        end.ended()
        if (receiver === undefined) tellLate = () => receiver?.closed(code, reason)
        else receiver.closed(code, reason)
      },
      channel: {
        dialect: end.dialect,
        open(to) {
          receiver = to
          end.process.after(0, tellLate ?? deliver)
        },
        send(frame) {
          if (over || !end.process.alive) return
          if (bytesPerMs !== Number.POSITIVE_INFINITY) {
            const bytes = frame.length
            unsent += bytes
            leavesAt = Math.max(leavesAt, schedule.now) + bytes / bytesPerMs
            end.process.after(leavesAt - schedule.now, () => left(bytes))
          }
          travel(() => other(half).arrive(frame))
        },
        room: () => unsent < ROOM_BYTES,
        unsent: () => unsent,
        close(code, reason) {
          if (over) return
          // What was sent before arrives before.
          travel(() => other(half).finish(code, reason))
          end.process.after(0, () => half.finish(code, reason))
        },
        pause() {
          paused = true
        },
        resume() {
          if (!paused) return
          paused = false
          end.process.after(0, deliver)
        },
      },
    }

    /** Lets something arrive at the other end, behind all that was sent before. */
    function travel(arrive: () => void): void {
      const from = Math.max(schedule.now, leavesAt, quietUntil())
      arrivesAt = Math.max(arrivesAt, from + chance.between(faults.delayMs))
      underWay.push({ at: arrivesAt, arrive })
      schedule.after(arrivesAt - schedule.now, advance)
    }

    /** What waited out a partition that ended early arrives before what was sent afterwards. */
    function advance(): void {
      if (wire.isCut) return
      const waitMs = quietUntil() - schedule.now
      if (waitMs > 0) return void schedule.after(waitMs, advance)
      for (let next = underWay[0]; next !== undefined && next.at <= schedule.now; next = underWay[0]) {
        underWay.shift()
        next.arrive()
      }
    }
    return half
  }

  const other = (half: Half): Half => (half === halves[0] ? halves[1] : halves[0])

  const wire: Changing<Wire> = {
    channels: [halves[0].channel, halves[1].channel],
    isCut: false,
    cut(toldAfterMs) {
      wire.isCut = true
      for (const [index, half] of halves.entries()) {
        const ms = toldAfterMs[index] as number
        schedule.after(ms, () => half.finish(1006, 'the connection was lost'))
      }
    },
  }
  return wire
}

interface Half {
  readonly channel: Channel
  arrive(frame: Frame): void
  finish(code: number, reason: string): void
}
