/**
 * Inflow: what one connection brought and what room it has, handed to the engine in fair turns.
 *
 * Frames are decoded as far as they are handled, so a frame of a million messages costs its bytes and no more. While something of
 * it waits, the connection is not read. What came before a peer closed is still handled; what came before we closed is not.
 * Not here: what a message means, who is next (`run-turns.ts`).
 */
import { type Decoded, PASSED_BYTES, ProtocolError } from '@tidemark/protocol'
import { STEP_BYTES, type Turns } from './run-turns.ts'
import { heldBeside } from './weights.ts'

/** Why nothing is read or handled: what is not durable or answered yet; others are served first; answers that are not read. */
export type Hold = 'pending' | 'turn' | 'unsent'

export interface Inflow {
  /** `bytes`: of the frame, which stays in memory until the last message of it was taken. */
  receive(decoded: Iterable<Decoded | undefined>, bytes: number): void
  /** So much was said, which is of its turn like what it says. */
  sent(bytes: number): void
  /** There is room for another page, or large state. */
  drained(): void
  /** The peer is gone: ends when what it brought before is handled. */
  end(): void
  /** Handles nothing while it is held, because too much is under way, or unsent. */
  hold(why: Hold): void
  release(why: Hold): void
  /** Drops what is not handled yet. */
  drop(): void
  /** Something is not handled yet. */
  waits(): boolean
  /** Of frames of which something is not handled yet. */
  bytes(): number
}

export interface InflowOptions {
  readonly turns: Turns
  /** What this process itself says is handled at once. */
  readonly immediate: boolean
  /** A message with the bytes that it takes in memory. */
  take(one: Decoded): void
  /** Handles what was taken. */
  flush(): void
  drained(): void
  ended(): void
  pause(): void
  resume(): void
}

export function createInflow(options: InflowOptions): Inflow {
  const { take, flush } = options
  const turn = options.turns.create(work)
  let frames: { readonly messages: Iterator<Decoded | undefined>; readonly bytes: number }[] = []
  let waitingBytes = 0
  let paused = false
  let room = false
  const holds = new Set<Hold>()
  let ending = false
  let over = false

  const mayGo = () => options.immediate || !turn.spent()

  function work(): void {
    handleFrames()
    if (room && mayGo()) {
      room = false
      options.drained()
    }
    if (over) return
    if (room || (frames.length > 0 && holds.size === 0)) turn.ask()
    setPaused(frames.length > 0)
    if (ending && frames.length === 0) options.ended()
  }

  function handleFrames(): void {
    let taken = false
    for (;;) {
      const [frame] = frames
      if (frame === undefined || !mayGo() || (holds.size > 0 && !options.immediate)) break
      const next = frame.messages.next()
      turn.spend(STEP_BYTES)
      if (next.done === true) {
        frames.shift()
        waitingBytes -= frame.bytes
      } else if (next.value === undefined) turn.spend(PASSED_BYTES)
      else {
        take(weighed(next.value))
        taken = true
      }
    }
    if (taken) flush()
  }

  /** Many small things are as much work as they take room, and wait as that. */
  function weighed(one: Decoded): Decoded {
    if (one instanceof ProtocolError) return one
    const bytes = one.bytes + heldBeside(one.message)
    turn.spend(bytes)
    return { message: one.message, bytes }
  }

  function setPaused(to: boolean): void {
    if (paused === to || ending) return
    paused = to
    if (to) options.pause()
    else options.resume()
  }

  function drop(): void {
    over = true
    frames = []
    waitingBytes = 0
    turn.leave()
  }

  return {
    receive(decoded, bytes) {
      if (over) return
      frames.push({ messages: decoded[Symbol.iterator](), bytes })
      waitingBytes += bytes
      if (turn.waits()) setPaused(true)
      else if (frames.length === 1) work()
    },
    sent: (bytes) => turn.spend(bytes),
    drained() {
      room = true
      if (!turn.waits() && !over) work()
    },
    end() {
      ending = true
      if (frames.length === 0) options.ended()
    },
    hold: (why) => void holds.add(why),
    release(why) {
      if (holds.delete(why) && holds.size === 0 && frames.length > 0 && !over) turn.ask()
    },
    drop,
    waits: () => frames.length > 0 || room,
    bytes: () => waitingBytes,
  }
}
