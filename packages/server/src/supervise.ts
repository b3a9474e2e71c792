/**
 * One connection as the server sees it: a channel that is counted, slowed down to its rate, and judged when it ends.
 *
 * L14: whatever goes wrong while a frame is handled costs the connection that sent it, nobody else. A connection closed for cause
 * shuts its client out for a while. Not here: what frames say (the engine), the set of connections (`connections.ts`).
 */
import type { Frame } from '@tidemark/protocol'
import type { Clock } from '@tidemark/storage'
import type { Channel, Receiver } from '@tidemark/sync/run'
import type { Who } from './connections.ts'
import type { Counters } from './counters.ts'
import type { Log } from './log.ts'
import type { Penalties } from './penalties.ts'
import type { Rates } from './rates.ts'

export interface Supervised {
  /** The channel as the engine sees it. */
  readonly channel: Channel
  ended(): boolean
  sentAtMs(): number
  /** Sends a keep-alive. */
  send(frame: Frame): void
  /** Whether anything was heard of it since this was asked last. */
  heardSomething(): boolean
  /** For good. */
  stopReading(): void
}

export interface SuperviseOptions {
  readonly who: Who
  readonly account: string | undefined
  readonly counters: Counters
  readonly penalties: Penalties
  readonly rates: Rates
  readonly clock: Clock
  readonly log: Log
}

/** Close codes that say that the client did something wrong. */
const CAUSES: ReadonlySet<number> = new Set([1002, 1003, 1007, 1008, 1009])

export function supervise(
  channel: Channel,
  { who: { key }, account, counters, penalties, rates, clock, log }: SuperviseOptions,
  told: (code: number, reason: string) => void,
): Supervised {
  const rate = rates.join(account)
  const reading = createGate(channel)
  const closed = new AbortController()
  let sentAtMs = clock.now()
  // It has not had the time to say anything.
  let heard = true

  function send(frame: Frame): void {
    sentAtMs = clock.now()
    counters.bytesOut(bytesOf(frame))
    channel.send(frame)
  }

  function take(receiver: Receiver, frame: Frame): void {
    heard = true
    const bytes = bytesOf(frame)
    counters.bytesIn(bytes)
    const waitMs = rate.take(bytes)
    if (waitMs > 0) slowDown(waitMs)
    try {
      receiver.frame(frame)
    } catch (cause) {
      log('error', 'a frame could not be handled', { cause })
      channel.close(1011, 'internal error')
    }
  }

  function slowDown(waitMs: number): void {
    reading.hold('rate')
    clock.wait(waitMs, closed.signal).then(
      () => reading.release('rate'),
      // It was closed.
      () => {},
    )
  }

  function end(code: number, reason: string): void {
    closed.abort()
    rate.leave()
    if (CAUSES.has(code) && key !== undefined) {
      const forMs = penalties.punish(key)
      log('info', 'closed for cause', { code, reason, shutOutMs: forMs })
    }
    told(code, reason)
  }

  return {
    ended: () => closed.signal.aborted,
    sentAtMs: () => sentAtMs,
    send(frame) {
      counters.pinged()
      send(frame)
    },
    heardSomething() {
      const before = heard
      heard = false
      return before
    },
    stopReading: () => reading.hold('stopped'),
    channel: {
      dialect: channel.dialect,
      open(receiver) {
        channel.open({
          frame: (frame) => take(receiver, frame),
          drained: () => receiver.drained(),
          closed(code, reason) {
            end(code, reason)
            receiver.closed(code, reason)
          },
        })
      },
      send,
      room: () => channel.room(),
      unsent: () => channel.unsent(),
      close: (code, reason) => channel.close(code, reason),
      pause: () => reading.hold('engine'),
      resume: () => reading.release('engine'),
    },
  }
}

/** A character of a text has up to three bytes in UTF-8. */
function bytesOf(frame: Frame): number {
  return typeof frame === 'string' ? Buffer.byteLength(frame) : frame.length
}

type Hold = 'engine' | 'rate' | 'stopped'

/** Reads while nothing holds it. Frames of one turn may each ask for a wait: the longest counts. */
function createGate(channel: Channel) {
  const holds = new Map<Hold, number>()
  return {
    hold(why: Hold) {
      if (holds.size === 0) channel.pause()
      holds.set(why, why === 'rate' ? (holds.get(why) ?? 0) + 1 : 1)
    },
    release(why: Hold) {
      const left = (holds.get(why) ?? 0) - 1
      if (left > 0) holds.set(why, left)
      else if (holds.delete(why) && holds.size === 0) channel.resume()
    },
  }
}
