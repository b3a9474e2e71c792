/**
 * A channel over a socket of `ws`, for both ends.
 *
 * What one turn sends leaves in one write. Room is measured in unsent bytes; reading can really be paused, so that what arrives
 * meanwhile stays with its sender. Not here: how the socket came about (`accept.ts`, `node-web-socket.ts`).
 */
import type { Socket } from 'node:net'
import type { Dialect, Frame } from '@tidemark/protocol'
import type { Channel } from '@tidemark/sync/run'
import type { WebSocket } from 'ws'
import { createDelivery } from './delivery.ts'
import { binaryInTextDialect, closeReason } from './frames.ts'
import type { LivePeer } from './liveness.ts'

export interface SocketChannel {
  readonly channel: Channel
  readonly peer: LivePeer
}

/** Reading begins with `open`. `highWaterBytes`: below that many unsent bytes there is room. */
export function createSocketChannel(
  ws: WebSocket,
  socket: Socket,
  dialect: Dialect,
  highWaterBytes: number,
): SocketChannel {
  // What already arrived is told before more is read: otherwise every pause would add a chunk to what waits.
  const delivery = createDelivery(() => read(true))
  const kindOfMessage = { binary: !dialect.text }
  let paused = true
  let pauses = 0
  /** Somebody was told that there is no room, and waits. */
  let full = false
  let corked = false
  let failure: Error | undefined

  ws.pause()
  ws.on('message', (data, isBinary) => delivery.frame(frameOf(data as Buffer, isBinary, dialect)))
  ws.on('error', (error) => {
    failure = error
    // What the peer did wrong is known now; the socket itself may take a while to close.
    const code = codeOf(error)
    if (code !== undefined) delivery.end(code, error.message)
  })
  ws.on('close', (code, reason) => delivery.end(code, failure?.message ?? reason.toString()))

  function cork(): void {
    if (corked) return
    corked = true
    socket.cork()
    queueMicrotask(() => {
      corked = false
      socket.uncork()
    })
  }

  function written(): void {
    if (!full || ws.bufferedAmount >= highWaterBytes) return
    full = false
    delivery.drained()
  }

  function read(to: boolean): void {
    if (paused !== to) return
    paused = !to
    if (to) return ws.resume()
    pauses += 1
    ws.pause()
  }

  const channel: Channel = {
    dialect,
    open(receiver) {
      delivery.open(receiver)
    },
    send(frame) {
      if (delivery.ended) return
      cork()
      ws.send(frame, kindOfMessage, written)
    },
    room() {
      const room = ws.bufferedAmount < highWaterBytes
      if (!room) full = true
      return room
    },
    unsent: () => ws.bufferedAmount,
    close(code, reason) {
      if (delivery.ended) return
      ws.close(code, closeReason(reason))
      // The answer to our close has to be read.
      ws.resume()
      delivery.abandon(code, reason)
    },
    pause() {
      delivery.pause()
      read(false)
    },
    resume: () => delivery.resume(),
  }
  const peer: LivePeer = {
    get paused() {
      return paused
    },
    get pauses() {
      return pauses
    },
    bytesRead: () => socket.bytesRead,
    bytesSent: () => socket.bytesWritten - socket.writableLength,
    bytesUnsent: () => socket.writableLength,
    ping: () => ws.ping(),
    terminate: () => ws.terminate(),
  }
  return { channel, peer }
}

/** The close code that follows from what the peer sent; `undefined` for what happened to the connection itself. */
function codeOf(error: Error): number | undefined {
  const { code } = error as NodeJS.ErrnoException
  if (code === 'WS_ERR_UNSUPPORTED_MESSAGE_LENGTH') return 1009
  if (code === 'WS_ERR_INVALID_UTF8') return 1007
  if (code === 'WS_ERR_TOO_MANY_BUFFERED_PARTS') return 1008
  return code?.startsWith('WS_ERR_') ? 1002 : undefined
}

function frameOf(data: Buffer, isBinary: boolean, dialect: Dialect): Frame {
  if (!isBinary && !dialect.text) return data.toString()
  if (isBinary && dialect.text) return binaryInTextDialect(data.length)
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
}
