/**
 * Accepting connections: the WebSocket half of an HTTP server.
 *
 * Whether a client is let in is decided before the socket is opened, so that a refusal is an HTTP status that any client
 * understands, and costs no connection. Any path and any query are taken: they are the application's.
 * Not here: who is let in (`admit`), what is said afterwards (`onChannel`), plain requests.
 */
import type { Server as HttpServer, IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { dialects as allDialects, DEFAULT_LIMITS, type Dialect, type Limits, selectDialect } from '@tidemark/protocol'
import { type Clock, systemClock } from '@tidemark/storage'
import type { Channel } from '@tidemark/sync/run'
import { type WebSocket, WebSocketServer } from 'ws'
import { createFrameBudget } from './frame-budget.ts'
import { createLiveness } from './liveness.ts'
import { refuse } from './refuse.ts'
import { CLOSE_GRACE_MS, HIGH_WATER_BYTES, PING_EVERY_MS } from './settings.ts'
import { createSocketChannel } from './socket-channel.ts'
import type { Admission, Refusal, UpgradeRequest } from './upgrade.ts'

export interface AcceptOptions<T> {
  /** Default: all that `@tidemark/protocol` knows. */
  readonly dialects?: readonly Dialect[]
  /** `frameBytesMax`: a larger frame closes the connection with 1009. */
  readonly limits?: Partial<Limits>
  /** Decides about a client; a rejection is answered with 503. */
  admit(request: UpgradeRequest): Admission<T> | PromiseLike<Admission<T>>
  onChannel(channel: Channel, admitted: T, request: UpgradeRequest): void
  /** A client was let in, but there will be no channel: it went away meanwhile, or was told 503 because `admit` took too long. */
  onLost?(admitted: T): void
  /** Connections of one account are weighed together where `unfinishedBytesMax` is used up. */
  accountOf?(admitted: T): string | undefined
  /** Upgrades that are being decided at one time; more are answered with 503. Default: 1,000. */
  readonly upgradesMax?: number
  /** How long a decision may take; after that the answer is 503. Default: 10 s. */
  readonly admitTimeoutMs?: number
  /** Bytes of frames that are not whole yet, over all connections; beyond it who holds most is closed. Default: 256 MiB. */
  readonly unfinishedBytesMax?: number
  /** A frame has to become whole in this time, or grow by 128 KiB; else its connection is closed. Default: 30 s. */
  readonly frameGrowMs?: number
  /** Pages are handed over while less than this is unsent. Default: 256 KiB. */
  readonly highWaterBytes?: number
  /** A peer from which nothing came for this long after a ping is given up. Default: 30 s. */
  readonly pingEveryMs?: number
  /** How long a peer may take to answer a close. Default: 5 s. */
  readonly closeGraceMs?: number
  readonly clock?: Clock
}

export interface Acceptor {
  /** Open sockets, also those that are being closed. */
  readonly connections: number
  /** Takes no more upgrades, closes all connections and waits until the last socket is gone. */
  close(code: number, reason: string): Promise<void>
}

const UPGRADES_MAX = 1_000
const UNFINISHED_BYTES_MAX = 256 * 1024 * 1024
const FRAME_GROW_MS = 30_000
const ADMIT_TIMEOUT_MS = 10_000
/** What Node reads at one time: ws keeps all of it for each fragment of a message, however small. */
const CHUNK_BYTES = 64 * 1024
/** Some browsers cut large messages into a few fragments. */
const FRAGMENTS_MIN = 64
const NO_HANDSHAKE: Refusal = { status: 400, message: 'this is no WebSocket handshake of version 13' }
const TOO_MANY: Refusal = { status: 503, message: 'too many clients at one time', retryAfterMs: 5_000 }

/** Takes over the upgrades of an HTTP server. The server stays the caller's: its plain requests, and closing it. */
export function acceptWebSockets<T>(http: HttpServer, options: AcceptOptions<T>): Acceptor {
  const { clock = systemClock, dialects = allDialects, upgradesMax = UPGRADES_MAX } = options
  const { closeGraceMs = CLOSE_GRACE_MS, pingEveryMs = PING_EVERY_MS, highWaterBytes = HIGH_WATER_BYTES } = options
  const liveness = createLiveness(pingEveryMs, clock)
  const { unfinishedBytesMax: bytesMax = UNFINISHED_BYTES_MAX, frameGrowMs: growMs = FRAME_GROW_MS } = options
  const budget = createFrameBudget({ bytesMax, growMs, clock })
  const chosen = new WeakMap<IncomingMessage, Dialect>()
  const open = new Map<WebSocket, Channel>()
  let upgrades = 0
  let closing = false
  let emptied: (() => void) | undefined

  const { frameBytesMax = DEFAULT_LIMITS.frameBytesMax } = options.limits ?? {}
  // `closeTimeout` and `maxFragments` are options of ws that its types do not know yet.
  const settings = {
    noServer: true,
    clientTracking: false,
    perMessageDeflate: false,
    maxPayload: frameBytesMax,
    maxFragments: Math.max(FRAGMENTS_MIN, Math.ceil(frameBytesMax / CHUNK_BYTES)),
    closeTimeout: closeGraceMs,
    handleProtocols: (_offered: Set<string>, request: IncomingMessage) => chosen.get(request)?.subprotocol ?? false,
  }
  const wss = new WebSocketServer(settings)

  function onUpgrade(request: IncomingMessage, stream: Duplex, head: Buffer): void {
    const socket = stream as Socket
    // A client that goes away while it is decided about.
    socket.on('error', () => socket.destroy())
    if (!isHandshake(request)) return refuse(socket, NO_HANDSHAKE)
    if (upgrades >= upgradesMax) return refuse(socket, TOO_MANY)
    const dialect = dialectOf(request, dialects)
    if (dialect === undefined) return refuse(socket, { status: 400, message: unknownDialect(request, dialects) })
    chosen.set(request, dialect)
    upgrades += 1
    const asked = describe(request)
    decide(asked, options, clock)
      .then((admission) => {
        upgrades -= 1
        if ('status' in admission) return refuse(socket, admission)
        const { admitted } = admission
        let ws: WebSocket | undefined
        if (closing) refuse(socket, { status: 503, message: 'the server is closing' })
        // It calls back at once, or never: the client is gone.
        else
          wss.handleUpgrade(request, socket, head, (opened) => {
            ws = opened
          })
        if (ws === undefined) options.onLost?.(admitted)
        else begin(ws, socket, dialect, admitted, asked)
      })
      // What throws here is the server's own `onChannel`: the socket goes, the process stays.
      .catch(() => socket.destroy())
  }

  function begin(ws: WebSocket, socket: Socket, dialect: Dialect, admitted: T, asked: UpgradeRequest): void {
    const { channel, peer } = createSocketChannel(ws, socket, dialect, highWaterBytes)
    budget.watch(ws, socket, peer, options.accountOf?.(admitted))
    const unwatch = liveness.watch(peer)
    open.set(ws, channel)
    ws.on('close', () => {
      unwatch()
      open.delete(ws)
      if (open.size === 0) emptied?.()
    })
    options.onChannel(channel, admitted, asked)
  }

  http.on('upgrade', onUpgrade)
  return {
    get connections() {
      return open.size
    },
    async close(code, reason) {
      closing = true
      http.off('upgrade', onUpgrade)
      for (const channel of open.values()) channel.close(code, reason)
      if (open.size > 0)
        await new Promise<void>((resolve) => {
          emptied = resolve
        })
    },
  }
}

async function decide<T>(asked: UpgradeRequest, options: AcceptOptions<T>, clock: Clock): Promise<Admission<T>> {
  const { admitTimeoutMs = ADMIT_TIMEOUT_MS } = options
  const decided = new AbortController()
  let tooLate = false
  const late = clock.wait(admitTimeoutMs, decided.signal).then((): Refusal => {
    tooLate = true
    return { status: 503, message: 'the server could not decide in time' }
  })
  const decision = async () => {
    const admission = await options.admit(asked)
    if (tooLate && 'admitted' in admission) options.onLost?.(admission.admitted)
    return admission
  }
  try {
    return await Promise.race([decision(), late])
  } catch {
    return { status: 503, message: 'the server could not decide' }
  } finally {
    decided.abort()
  }
}

/** Who is none must not cost a decision, nor hold what comes with one. */
function isHandshake({ method, headers }: IncomingMessage): boolean {
  const key = headers['sec-websocket-key']
  return method === 'GET' && headers['sec-websocket-version'] === '13' && key !== undefined && HANDSHAKE_KEY.test(key)
}

const HANDSHAKE_KEY = /^[+/0-9A-Za-z]{22}==$/

function describe({ url = '/', headers, socket }: IncomingMessage): UpgradeRequest {
  return { url, headers, remoteAddress: socket.remoteAddress }
}

function offeredBy(request: IncomingMessage): string[] {
  const header = request.headers['sec-websocket-protocol'] ?? ''
  return header
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '')
}

/** Offered ones that this server does not speak are passed over, like unknown ones. */
function dialectOf(request: IncomingMessage, spoken: readonly Dialect[]): Dialect | undefined {
  const offered = offeredBy(request)
  const known = offered.filter((name) => spoken.some(({ subprotocol }) => subprotocol === name))
  if (offered.length > 0 && known.length === 0) return undefined
  const dialect = selectDialect(known)
  return dialect !== undefined && spoken.includes(dialect) ? dialect : undefined
}

function unknownDialect(request: IncomingMessage, spoken: readonly Dialect[]): string {
  const names = spoken.map(({ subprotocol }) => subprotocol ?? 'none (the Jazz dialect)').join(', ')
  return offeredBy(request).length > 0
    ? `none of the offered sub-protocols is known; this server speaks: ${names}`
    : `a sub-protocol has to be offered; this server speaks: ${names}`
}
