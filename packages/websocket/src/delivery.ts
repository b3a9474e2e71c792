/**
 * Delivery: what a socket brought, told to a channel's receiver in order.
 *
 * Frames that arrive before there is a receiver, or while reading is paused, wait here. Nothing is told before `open`, nothing
 * after the end, and the end is told once.
 * Not here: telling the other side to stop sending: the channels do where their socket can, and go on reading when nothing waits.
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

/** `emptied`: nothing waits any more, and what comes is told at once. */
export function createDelivery(emptied: () => void = () => {}): Delivery {
  let receiver: Receiver | undefined
  const waiting = createQueue()
  let paused = false
  let end: { readonly code: number; readonly reason: string } | undefined

  function flush(): void {
    while (receiver !== undefined && !paused && waiting.length > 0) receiver.frame(waiting.take())
    if (receiver !== undefined && !paused && end === undefined) emptied()
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
      else waiting.add(frame)
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
      else if (receiver !== undefined && end === undefined) emptied()
    },
    end(code, reason) {
      if (end !== undefined) return
      flush()
      // Telling a frame may have ended it.
      if (end !== undefined) return
      if (receiver !== undefined) waiting.clear()
      finish(code, reason)
    },
    abandon(code, reason) {
      if (end !== undefined) return
      waiting.clear()
      finish(code, reason)
    },
  }
}

interface Queue {
  readonly length: number
  add(frame: Frame): void
  take(): Frame
  clear(): void
}

/** An array that is not moved with every frame that leaves it. */
function createQueue(): Queue {
  let frames: Frame[] = []
  let taken = 0
  return {
    get length() {
      return frames.length - taken
    },
    add: (frame) => void frames.push(frame),
    take() {
      const frame = frames[taken] as Frame
      taken += 1
      if (taken >= frames.length / 2 && taken > 100) {
        frames = frames.slice(taken)
        taken = 0
      }
      return frame
    },
    clear() {
      frames = []
      taken = 0
    },
  }
}
