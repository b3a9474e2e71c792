/**
 * Unfinished frames: what all sockets of a server hold of frames whose end has not come, bounded together (L10).
 *
 * One frame may be large, and a socket holds it until it is whole; many sockets that never finish theirs would fill the memory. When
 * the budget is used up, whoever holds most of it is closed, never the one who happens to send next. What a chunk completes is not
 * held, and control frames are not either. Not here: the limit of one frame (`maxPayload` of ws), silent peers (`liveness.ts`).
 */
import type { Socket } from 'node:net'
import type { WebSocket } from 'ws'

export interface FrameBudget {
  /** Connections of one account are weighed together, against one that belongs to none. */
  watch(ws: WebSocket, socket: Socket, account?: string): void
}

interface Holder {
  readonly ws: WebSocket
  readonly account: string | undefined
  bytes: number
}

/** Type, length and mask of a control frame from a client. */
const CONTROL_HEADER_BYTES = 6

export function createFrameBudget(bytesMax: number): FrameBudget {
  /** Those that hold something. */
  const holders = new Set<Holder>()
  let unfinished = 0

  function set(holder: Holder, bytes: number): void {
    unfinished += bytes - holder.bytes
    holder.bytes = bytes
    if (bytes > 0) holders.add(holder)
    else holders.delete(holder)
  }

  function closeLargest(): void {
    const largest = largestOf(holders)
    if (largest === undefined) return
    set(largest, 0)
    largest.ws.close(1013, 'too much is being received: try again later')
    largest.ws.terminate()
  }

  return {
    watch(ws, socket, account) {
      const holder: Holder = { ws, account, bytes: 0 }
      const release = () => set(holder, 0)
      // What came at the end of the same chunk may already be released.
      const releaseControl = (data: Buffer) =>
        set(holder, Math.max(0, holder.bytes - data.length - CONTROL_HEADER_BYTES))
      // Before ws takes the bytes: what they finish is released while it does.
      socket.prependListener('data', (chunk: Buffer) => set(holder, holder.bytes + chunk.length))
      ws.on('message', release)
      ws.on('ping', releaseControl)
      ws.on('pong', releaseControl)
      ws.on('close', release)
      // After it did.
      socket.on('data', () => {
        while (unfinished > bytesMax) closeLargest()
      })
    },
  }
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
