/**
 * A pipe: two channels in one process that are each other's other end. What one sends the other receives in a microtask of its own, as
 * it would from a socket. Not here: delay and loss (that is the simulator's).
 */
import type { Dialect, Frame } from '@tidemark/protocol'
import type { Channel, Receiver } from './run-channel.ts'

/** Two connected channels; closing one closes the other. */
export function createPipe(dialect: Dialect): readonly [Channel, Channel] {
  const a = createEnd(dialect)
  const b = createEnd(dialect)
  a.other = b
  b.other = a
  return [a.channel, b.channel]
}

interface End {
  other: End | undefined
  readonly channel: Channel
  deliver(frame: Frame): void
  finish(code: number, reason: string): void
}

function createEnd(dialect: Dialect): End {
  let receiver: Receiver | undefined
  let waiting: Frame[] = []
  let paused = false
  let closed: { readonly code: number; readonly reason: string } | undefined

  const flush = () => {
    while (receiver !== undefined && !paused && closed === undefined) {
      const frame = waiting.shift()
      if (frame === undefined) return
      receiver.frame(frame)
    }
  }
  const end: End = {
    other: undefined,
    deliver(frame) {
      waiting.push(frame)
      if (waiting.length === 1) queueMicrotask(flush)
    },
    finish(code, reason) {
      if (closed !== undefined) return
      flush()
      closed = { code, reason }
      waiting = []
      receiver?.closed(code, reason)
    },
    channel: {
      dialect,
      open(to) {
        receiver = to
        const ended = closed
        // It may have been closed before anybody listened.
        if (ended !== undefined) queueMicrotask(() => to.closed(ended.code, ended.reason))
        else if (waiting.length > 0) queueMicrotask(flush)
      },
      send(frame) {
        if (closed === undefined) end.other?.deliver(frame)
      },
      room: () => true,
      unsent: () => 0,
      close(code, reason) {
        end.finish(code, reason)
        queueMicrotask(() => end.other?.finish(code, reason))
      },
      pause() {
        paused = true
      },
      resume() {
        paused = false
        queueMicrotask(flush)
      },
    },
  }
  return end
}
