/**
 * Unfinished frames: what all sockets of a server hold of frames whose end has not come, bounded together (L10).
 *
 * One frame may be large, and a socket holds it until it is whole; many sockets that never finish theirs would fill the memory. Who
 * sends more when the budget is used up is closed. Not here: the limit of one frame (`maxPayload` of ws).
 */
import type { Socket } from 'node:net'
import type { WebSocket } from 'ws'

export interface FrameBudget {
  watch(ws: WebSocket, socket: Socket): void
}

export function createFrameBudget(bytesMax: number): FrameBudget {
  let unfinished = 0
  return {
    watch(ws, socket) {
      let own = 0
      const release = () => {
        unfinished -= own
        own = 0
      }
      // Before ws takes the bytes: what they finish is released right after.
      socket.prependListener('data', (chunk: Buffer) => {
        own += chunk.length
        unfinished += chunk.length
        if (unfinished <= bytesMax) return
        ws.close(1013, 'too much is being received: try again later')
        ws.terminate()
      })
      ws.on('message', release)
      ws.on('close', release)
    },
  }
}
