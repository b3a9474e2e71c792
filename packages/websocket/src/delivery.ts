/**
 * Delivery: what a socket brought, told to a channel's receiver in order.
 *
 * Frames that arrive before there is a receiver, or while reading is paused, wait here. Nothing is told before `open`, nothing
 * after the end, and the end is told once.
 * Not here: telling the other side to stop sending (the channels do where their socket can).
 */
import type { Frame } from '@tidemark/protocol'
import type { Receiver } from '@tidemark/sync/run'

export interface Delivery {
  readonly ended: boolean
  open(receiver: Receiver): void
  frame(frame: Frame): void
  drained(): void
  pause(): void
  resume(): void
  /** The socket is closed, and this is the first to be heard of it; what waits and may be told is told before. */
  end(code: number, reason: string): void
  /** We close it: what waits is not wanted any more. */
  abandon(code: number, reason: string): void
}

export function createDelivery(): Delivery {
  let receiver: Receiver | undefined
  let waiting: Frame[] = []
  let paused = false
  let end: { readonly code: number; readonly reason: string } | undefined

  function flush(): void {
    while (receiver !== undefined && !paused && waiting.length > 0) receiver.frame(waiting.shift() as Frame)
  }

  function finish(code: number, reason: string): void {
    end = { code, reason }
    receiver?.closed(code, reason)
  }

  return {
    get ended() {
      return end !== undefined
    },
    open(to) {
      receiver = to
      flush()
      if (end !== undefined) to.closed(end.code, end.reason)
    },
    frame(frame) {
      if (end !== undefined) return
      if (receiver !== undefined && !paused && waiting.length === 0) receiver.frame(frame)
      else waiting.push(frame)
    },
    drained() {
      if (end === undefined) receiver?.drained()
    },
    pause() {
      paused = true
    },
    resume() {
      paused = false
      // Whoever resumes is in the middle of something; what waits is told when that is done.
      if (waiting.length > 0) queueMicrotask(flush)
    },
    end(code, reason) {
      if (end !== undefined) return
      flush()
      // Telling a frame may have ended it.
      if (end !== undefined) return
      if (receiver !== undefined) waiting = []
      finish(code, reason)
    },
    abandon(code, reason) {
      if (end !== undefined) return
      waiting = []
      finish(code, reason)
    },
  }
}
