/**
 * Connections of a server: channels attached to the engine, counted, kept alive, closed together.
 *
 * L14: whatever goes wrong while a frame is handled costs the connection that sent it, nobody else. A connection closed for cause
 * shuts its client out for a while. Not here: sockets, who is admitted (`admission.ts`).
 */
import type { Limits } from '@tidemark/protocol'
import type { Clock } from '@tidemark/storage'
import { attach, type Channel, type Receiver, type Runner } from '@tidemark/sync/run'
import type { Counters } from './counters.ts'
import type { KeepAlive } from './keep-alive.ts'
import type { Log } from './log.ts'
import type { ServerLimits } from './options.ts'
import type { Penalties } from './penalties.ts'

export interface Who {
  /** Handed to `authorize`. */
  readonly principal?: unknown
  /** By what the client is recognised when it comes again. */
  readonly key?: string | undefined
}

export interface Connections {
  readonly size: number
  accept(channel: Channel, who: Who): void
  /** Stops reading from all of them, for good. */
  pauseAll(): void
  closeAll(code: number, reason: string): void
}

export interface ConnectionsOptions {
  readonly runner: Runner
  readonly counters: Counters
  readonly keepAlive: KeepAlive
  readonly penalties: Penalties
  readonly limits: Partial<Limits> & ServerLimits
  readonly clock: Clock
  readonly log: Log
}

/** Close codes that say that the client did something wrong. */
const CAUSES: ReadonlySet<number> = new Set([1002, 1003, 1007, 1008, 1009])

export function createConnections(options: ConnectionsOptions): Connections {
  const { runner, counters, keepAlive, limits, log } = options
  const open = new Set<Supervised>()
  return {
    get size() {
      return open.size
    },
    accept(channel, who) {
      counters.opened(channel.dialect.name)
      const supervised = supervise(channel, who, options, (code, reason) => {
        open.delete(supervised)
        stopPinging?.()
        counters.closed(code)
        log('debug', 'connection closed', { code, reason })
      })
      open.add(supervised)
      const stopPinging = channel.dialect.traits.hello ? undefined : keepAlive.watch(supervised)
      const { principal } = who
      attach(runner, supervised.channel, { principal, limits, unsentBytesMax: limits.unsentBytesMax })
    },
    pauseAll() {
      for (const { stopReading } of open) stopReading()
    },
    closeAll(code, reason) {
      for (const { channel } of open) channel.close(code, reason)
    },
  }
}

interface Supervised {
  /** The channel as the engine sees it. */
  readonly channel: Channel
  readonly sentAtMs: number
  /** Sends a keep-alive. */
  send(frame: string | Uint8Array): void
  stopReading(): void
}

function supervise(
  channel: Channel,
  { key }: Who,
  { counters, penalties, clock, log }: ConnectionsOptions,
  ended: (code: number, reason: string) => void,
): Supervised {
  let sentAtMs = clock.now()
  let stopped = false

  function send(frame: string | Uint8Array): void {
    sentAtMs = clock.now()
    counters.bytesOut(frame.length)
    channel.send(frame)
  }

  function take(receiver: Receiver, frame: string | Uint8Array): void {
    counters.bytesIn(frame.length)
    try {
      receiver.frame(frame)
    } catch (cause) {
      log('error', 'a frame could not be handled', { cause })
      channel.close(1011, 'internal error')
    }
  }

  function end(code: number, reason: string): void {
    if (CAUSES.has(code) && key !== undefined) {
      const forMs = penalties.punish(key)
      log('info', 'closed for cause', { code, reason, shutOutMs: forMs })
    }
    ended(code, reason)
  }

  return {
    get sentAtMs() {
      return sentAtMs
    },
    send(frame) {
      counters.pinged()
      send(frame)
    },
    stopReading() {
      stopped = true
      channel.pause()
    },
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
      pause: () => channel.pause(),
      resume() {
        if (!stopped) channel.resume()
      },
    },
  }
}
