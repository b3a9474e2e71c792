/**
 * Connections for clients in Node, over `ws`: with request headers, with pings that notice a dead server, and with the server's
 * reason where it refuses. Not here: trying again (`@tidemark/client`).
 */
import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import { DEFAULT_LIMITS, type Dialect, tidemarkBinary } from '@tidemark/protocol'
import { type Clock, systemClock } from '@tidemark/storage'
import type { Channel, Connect } from '@tidemark/sync/run'
import { WebSocket } from 'ws'
import { ConnectError } from './errors.ts'
import { createLiveness, type Liveness } from './liveness.ts'
import { type Address, opening, resolveAddress } from './opening.ts'
import { CLOSE_GRACE_MS, HIGH_WATER_BYTES, OPEN_TIMEOUT_MS, PING_EVERY_MS } from './settings.ts'
import { createSocketChannel } from './socket-channel.ts'

export interface NodeWebSocketOptions {
  /** Default: `tidemark.1`. */
  readonly dialect?: Dialect
  /** Sub-protocols offered besides the dialect's own; the server has to choose the dialect's. */
  readonly protocols?: readonly string[]
  /** Of the upgrade request, for instance `Authorization`. */
  readonly headers?: Readonly<Record<string, string>>
  /** Certificates (PEM) of the authorities to trust, in place of those that Node trusts. */
  readonly ca?: string | Uint8Array
  /** A larger frame closes the connection with 1009. Default: 64 MiB. */
  readonly frameBytesMax?: number
  /** Pages are handed over while less than this is unsent. Default: 256 KiB. */
  readonly highWaterBytes?: number
  /** Default: 10 s. */
  readonly openTimeoutMs?: number
  /** A server from which nothing came for this long after a ping is given up. Default: 30 s. */
  readonly pingEveryMs?: number
  /** How long a server may take to answer a close. Default: 5 s. */
  readonly closeGraceMs?: number
  readonly clock?: Clock
}

const REFUSAL_BYTES_MAX = 200

/**
 * A `connect` for clients. It rejects with `ConnectError` `unreachable`, `refused` (with the status and `retryAfterMs`), `timeout`,
 * `dialect`, or with the reason of the signal.
 */
export function nodeWebSocket(address: Address, options: NodeWebSocketOptions = {}): Connect {
  const { clock = systemClock, openTimeoutMs = OPEN_TIMEOUT_MS, pingEveryMs = PING_EVERY_MS } = options
  const liveness = createLiveness(pingEveryMs, clock)
  return async (signal) => {
    const url = await resolveAddress(address)
    return opening<Channel>({ signal, clock, timeoutMs: openTimeoutMs, start: openSocket(url, options, liveness) })
  }
}

type Start = (done: (channel: Channel) => void, failed: (cause: unknown) => void) => () => void

function openSocket(url: string, options: NodeWebSocketOptions, liveness: Liveness): Start {
  const { dialect = tidemarkBinary, protocols = [], headers = {}, highWaterBytes = HIGH_WATER_BYTES } = options
  return (done, failed) => {
    const offered = [...(dialect.subprotocol === undefined ? [] : [dialect.subprotocol]), ...protocols]
    // `closeTimeout` is an option of ws that its types do not know yet.
    const settings = {
      headers: { ...headers },
      ...(options.ca !== undefined && { ca: Buffer.from(options.ca) }),
      perMessageDeflate: false,
      maxPayload: options.frameBytesMax ?? DEFAULT_LIMITS.frameBytesMax,
      closeTimeout: options.closeGraceMs ?? CLOSE_GRACE_MS,
    }
    const ws = new WebSocket(url, offered, settings)
    let socket: Socket | undefined
    ws.on('upgrade', (response) => {
      socket = response.socket
    })
    ws.on('unexpected-response', (request, response) => {
      readRefusal(response).then(failed, failed)
      response.once('close', () => request.destroy())
    })
    ws.on('error', (cause) => {
      const code = /subprotocol/.test(cause.message) ? 'dialect' : 'unreachable'
      failed(new ConnectError(code, `no connection: ${cause.message}`, { cause }))
    })
    ws.on('open', () => {
      const wanted = dialect.subprotocol ?? ''
      if (socket === undefined || ws.protocol !== wanted) {
        ws.terminate()
        failed(new ConnectError('dialect', `the server chose sub-protocol '${ws.protocol}', expected '${wanted}'`))
        return
      }
      const { channel, peer } = createSocketChannel(ws, socket, dialect, highWaterBytes)
      const unwatch = liveness.watch(peer)
      ws.on('close', unwatch)
      done(channel)
    })
    return () => ws.terminate()
  }
}

async function readRefusal(response: IncomingMessage): Promise<ConnectError> {
  let text = ''
  try {
    for await (const chunk of response) {
      text += chunk
      if (text.length >= REFUSAL_BYTES_MAX) break
    }
  } catch {
    // The status says enough.
  }
  const { statusCode: status } = response
  const seconds = Number(response.headers['retry-after'])
  const retryAfterMs = seconds > 0 ? seconds * 1_000 : undefined
  const reason = text.slice(0, REFUSAL_BYTES_MAX).trim()
  return new ConnectError('refused', `the server refused with ${status}: ${reason}`, { status, retryAfterMs })
}
