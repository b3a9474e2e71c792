/**
 * Connections over the platform's own WebSocket: browsers, workers, Node, Deno, Bun; or over a constructor handed in.
 *
 * Such a socket cannot be told to stop reading, says nothing when its buffer empties (it is looked at while somebody waits for
 * room), and does not show pings. Not here: sockets of Node with headers and pings (`node-web-socket.ts`), trying again.
 */
import { type Dialect, type Frame, tidemarkBinary } from '@tidemark/protocol'
import { type Clock, systemClock } from '@tidemark/storage'
import type { Channel, Connect } from '@tidemark/sync/run'
import { createDelivery } from './delivery.ts'
import { ConnectError } from './errors.ts'
import { binaryInTextDialect, closeReason } from './frames.ts'
import { type Address, opening, resolveAddress } from './opening.ts'
import { HIGH_WATER_BYTES, OPEN_TIMEOUT_MS } from './settings.ts'

/** What is needed of a WebSocket; the platform's and that of `ws` are such. */
export interface WebSocketLike {
  binaryType: string
  readonly bufferedAmount: number
  readonly protocol: string
  onopen: ((event: never) => void) | null
  onmessage: ((event: never) => void) | null
  onclose: ((event: never) => void) | null
  onerror: ((event: never) => void) | null
  send(data: string | Uint8Array<ArrayBuffer>): void
  close(code?: number, reason?: string): void
}

export type WebSocketConstructor = new (url: string, protocols?: string[]) => WebSocketLike

export interface WebSocketOptions {
  /** Default: `tidemark.1`. */
  readonly dialect?: Dialect
  /** Sub-protocols offered besides the dialect's own; the server has to choose the dialect's. */
  readonly protocols?: readonly string[]
  /** Default: the global one. */
  readonly WebSocket?: WebSocketConstructor
  /** Pages are handed over while less than this is unsent. Default: 256 KiB. */
  readonly highWaterBytes?: number
  /** Default: 10 s. */
  readonly openTimeoutMs?: number
  readonly clock?: Clock
}

const ROOM_POLL_MS = 20

/**
 * A `connect` for clients. It rejects with `ConnectError` `unreachable` (browsers say no more than that, also of a refusal),
 * `timeout`, `dialect`, or with the reason of the signal.
 */
export function webSocket(address: Address, options: WebSocketOptions = {}): Connect {
  const { clock = systemClock, openTimeoutMs = OPEN_TIMEOUT_MS } = options
  return async (signal) => {
    const url = await resolveAddress(address)
    return opening<Channel>({ signal, clock, timeoutMs: openTimeoutMs, start: openSocket(url, options, clock) })
  }
}

type Start = (done: (channel: Channel) => void, failed: (cause: unknown) => void) => () => void

function openSocket(url: string, options: WebSocketOptions, clock: Clock): Start {
  const { dialect = tidemarkBinary, protocols = [], highWaterBytes = HIGH_WATER_BYTES } = options
  const Socket = options.WebSocket ?? (globalThis.WebSocket as WebSocketConstructor | undefined)
  if (Socket === undefined) throw new TypeError('webSocket: there is no global WebSocket; hand one in as `WebSocket`')
  return (done, failed) => {
    const offered = [...(dialect.subprotocol === undefined ? [] : [dialect.subprotocol]), ...protocols]
    const socket = offered.length > 0 ? new Socket(url, offered) : new Socket(url)
    socket.binaryType = 'arraybuffer'
    const unreachable = () => failed(new ConnectError('unreachable', 'the server could not be reached, or refused'))
    socket.onerror = unreachable
    socket.onclose = unreachable
    socket.onopen = () => {
      const wanted = dialect.subprotocol ?? ''
      if (socket.protocol === wanted) return done(channelOf(socket, dialect, highWaterBytes, clock))
      socket.close(1000, 'another dialect was expected')
      failed(new ConnectError('dialect', `the server chose sub-protocol '${socket.protocol}', expected '${wanted}'`))
    }
    return () => socket.close()
  }
}

function channelOf(socket: WebSocketLike, dialect: Dialect, highWaterBytes: number, clock: Clock): Channel {
  const delivery = createDelivery()
  const decoder = new TextDecoder()
  let watching = false

  const hasRoom = () => socket.bufferedAmount < highWaterBytes
  async function watchRoom(): Promise<void> {
    watching = true
    while (!delivery.ended && !hasRoom()) await clock.wait(ROOM_POLL_MS)
    watching = false
    delivery.drained()
  }

  socket.onmessage = ({ data }: { data: string | ArrayBuffer }) => delivery.frame(frameOf(data, dialect))
  // An error is followed by a close, which says as much.
  socket.onerror = () => {}
  socket.onclose = ({ code, reason }: { code: number; reason: string }) => delivery.end(code, reason)
  return {
    dialect,
    open: (receiver) => delivery.open(receiver),
    send(frame) {
      if (!delivery.ended) socket.send(dialect.text ? textOf(frame, decoder) : bytesOf(frame))
    },
    room() {
      if (hasRoom()) return true
      // A wait of the clock fails only if it is aborted, and this one is not.
      if (!watching) watchRoom().catch(() => {})
      return false
    },
    unsent: () => socket.bufferedAmount,
    close(code, reason) {
      if (delivery.ended) return
      socket.close(scriptCode(code), closeReason(reason))
      delivery.abandon(code, reason)
    },
    pause: () => delivery.pause(),
    resume: () => delivery.resume(),
  }
}

function frameOf(data: string | ArrayBuffer, dialect: Dialect): Frame {
  if (typeof data === 'string') return data
  return dialect.text ? binaryInTextDialect(data.byteLength) : new Uint8Array(data)
}

function textOf(frame: Frame, decoder: TextDecoder): string {
  return typeof frame === 'string' ? frame : decoder.decode(frame)
}

function bytesOf(frame: Frame): Uint8Array<ArrayBuffer> {
  return typeof frame === 'string' ? new TextEncoder().encode(frame) : (frame as Uint8Array<ArrayBuffer>)
}

/** Scripts may close with 1000 and from 3000 on only: 1008 goes out as 4008. */
function scriptCode(code: number): number {
  return code === 1000 || code >= 3000 ? code : 4000 + (code % 1000)
}
