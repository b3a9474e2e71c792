/**
 * Unfinished frames: what all sockets of a server hold of frames whose end has not come, bounded together and in time (L10).
 *
 * One frame may be large, and a socket holds it until it is whole; many sockets that never finish theirs would fill the memory. When
 * the budget is used up, whoever holds most of it is closed, never the one who happens to send next. A frame that hardly grows is not
 * waited for: nobody keeps a part of the budget by a byte now and then. What a chunk completes is not held, and control frames are not
 * either. Not here: the limit of one frame (`maxPayload` of ws), silent peers (`liveness.ts`).
 */
import type { Socket } from 'node:net'
import type { Clock } from '@tidemark/storage'
import type { WebSocket } from 'ws'
import { createFrameMeter } from './frame-meter.ts'
import type { LivePeer } from './liveness.ts'

export interface FrameBudget {
  /** Connections of one account are weighed together, against one that belongs to none. */
  watch(ws: WebSocket, socket: Socket, peer: Pick<LivePeer, 'pauses' | 'paused'>, account?: string): void
}

interface Holder {
  readonly ws: WebSocket
  readonly peer: Pick<LivePeer, 'pauses' | 'paused'>
  readonly account: string | undefined
  bytes: number
  /** What it held of this frame, and how often it had been paused, when it was looked at last. */
  mark: { readonly bytes: number; readonly pauses: number } | undefined
  /** It was closed: what still comes of it is dropped. */
  gone: boolean
}

export interface FrameBudgetOptions {
  /** Of all sockets together. */
  readonly bytesMax: number
  /** In this time a frame has to become whole, or grow by `FRAME_GROWTH_BYTES`. */
  readonly growMs: number
  readonly clock: Clock
}

/** As much as a decent sender puts into one frame. */
export const FRAME_GROWTH_BYTES: number = 128 * 1024

export function createFrameBudget({ bytesMax, growMs, clock }: FrameBudgetOptions): FrameBudget {
  /** Those that hold something. */
  const holders = new Set<Holder>()
  let unfinished = 0
  let open = 0
  let walking: AbortController | undefined

  function set(holder: Holder, bytes: number): void {
    unfinished += bytes - holder.bytes
    holder.bytes = bytes
    if (bytes > 0) {
      holders.add(holder)
      return
    }
    holder.mark = undefined
    holders.delete(holder)
  }

  function close(holder: Holder, code: number, reason: string): void {
    set(holder, 0)
    holder.gone = true
    holder.ws.close(code, reason)
    holder.ws.terminate()
  }

  function closeLargest(): void {
    const largest = largestOf(holders)
    if (largest !== undefined) close(largest, 1013, 'too much is being received: try again later')
  }

  /** One timer for all sockets. */
  async function walk(signal: AbortSignal): Promise<void> {
    for (;;) {
      const since = clock.now()
      await clock.wait(growMs, signal)
      // We stood still ourselves: what came meanwhile is not read yet.
      const late = clock.now() - since > growMs * 1.5
      for (const holder of holders) {
        const { bytes, peer } = holder
        if (!late && hardlyGrew(holder)) close(holder, 1008, 'a frame takes too long')
        else holder.mark = peer.paused ? undefined : { bytes, pauses: peer.pauses }
      }
    }
  }

  function enter(): void {
    open += 1
    if (open > 1) return
    walking = new AbortController()
    // It ends only by being aborted, when nobody is left to watch.
    walk(walking.signal).catch(() => {})
  }

  function leave(): void {
    open -= 1
    if (open === 0) walking?.abort()
  }

  return {
    watch(ws, socket, peer, account) {
      const holder: Holder = { ws, peer, account, bytes: 0, mark: undefined, gone: false }
      const meter = createFrameMeter()
      enter()
      socket.on('data', (chunk: Buffer) => {
        if (meter.take(chunk)) holder.mark = undefined
        if (!holder.gone) set(holder, meter.bytes)
        while (unfinished > bytesMax) closeLargest()
      })
      ws.on('close', () => {
        set(holder, 0)
        leave()
      })
    },
  }
}

/** Who is not read, or was not for a while, cannot send. */
function hardlyGrew({ bytes, mark, peer }: Holder): boolean {
  if (mark === undefined || peer.paused || peer.pauses !== mark.pauses) return false
  return bytes - mark.bytes < FRAME_GROWTH_BYTES
}

/** The largest holder of the account that holds most. */
function largestOf(holders: Iterable<Holder>): Holder | undefined {
  const together = new Map<string, number>()
  for (const { account, bytes } of holders)
    if (account !== undefined) together.set(account, (together.get(account) ?? 0) + bytes)
  const weightOf = ({ account, bytes }: Holder) => (account === undefined ? bytes : (together.get(account) ?? 0))
  let largest: Holder | undefined
  for (const holder of holders) {
    const more = largest === undefined ? 1 : weightOf(holder) - weightOf(largest) || holder.bytes - largest.bytes
    if (more > 0) largest = holder
  }
  return largest
}
