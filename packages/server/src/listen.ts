/**
 * A server behind HTTP or HTTPS: `GET /health`, `GET /metrics`, WebSocket upgrades on any path, and whatever else the embedder serves.
 *
 * Not here: what the server does (`server.ts`), who is let in (its hooks), certificates (put a proxy before it, or hand in a server of `node:https`).
 */
import {
  createServer as createHttpServer,
  type Server as HttpServer,
  type IncomingMessage,
  type ServerOptions,
  type ServerResponse,
} from 'node:http'
import type { Server as HttpsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { Server as TlsServer } from 'node:tls'
import { type AcceptOptions, acceptWebSockets } from '@tidemark/websocket/node'
import { accountOf } from './accounts.ts'
import type { Who } from './connections.ts'
import { type Log, silent } from './log.ts'
import { processMetrics } from './process-metrics.ts'
import { PROMETHEUS_CONTENT_TYPE } from './registry.ts'
import type { Server } from './server.ts'

export interface ListenOptions
  extends Pick<AcceptOptions<Who>, 'dialects' | 'highWaterBytes' | 'pingEveryMs' | 'closeGraceMs' | 'frameGrowMs'> {
  /** Default: 127.0.0.1, this machine only. */
  readonly host?: string
  /** Default: 0, any that is free. */
  readonly port?: number
  /**
   * A server of `node:http` or `node:https` that does not listen yet, for TLS and settings of one's own; closing takes it along.
   * Default: one of `node:http`.
   */
  readonly http?: HttpServer | HttpsServer
  readonly log?: Log
  /** Answers every plain request but those for `/health` and `/metrics`; without it they are 404. */
  onRequest?(request: IncomingMessage, response: ServerResponse): void | Promise<void>
}

export interface Listening {
  /** `ws://HOST:PORT`, or `wss://`, with the real port. */
  readonly url: string
  readonly port: number
  /** Takes nobody any more, closes the server (see `Server.close`), then the sockets. */
  close(): Promise<void>
}

/** @throws Error of `node:net`: `EADDRINUSE`, `EACCES`, `EADDRNOTAVAIL`, `ENOTFOUND`. The server is then still the caller's. */
export async function listen(server: Server, options: ListenOptions = {}): Promise<Listening> {
  const { host = '127.0.0.1', port = 0, log = silent } = options
  const http = options.http ?? createHttpServer(HTTP_OPTIONS)
  http.on('request', (request, response) => {
    respond(server, options, request, response).catch(() => fail(response))
  })
  await bind(http, host, port)
  // No file descriptor left, for instance: that client is lost, the others stay.
  http.on('error', (cause) => log('error', 'a client could not be accepted', { cause }))
  const acceptor = acceptWebSockets<Who>(http, {
    ...options,
    limits: server.limits,
    unfinishedBytesMax: Math.min(UNFINISHED_BYTES_MAX, server.limits.memoryBytesMax / 4),
    admit: (request) => server.admit(request),
    accountOf: ({ principal }) => accountOf(principal),
    onChannel: (channel, who) => server.accept(channel, who),
    onLost: ({ pass }) => pass?.giveBack(),
  })
  const { port: realPort } = http.address() as AddressInfo
  let closing: Promise<void> | undefined

  async function close(): Promise<void> {
    const closed = new Promise((resolve) => http.close(resolve))
    try {
      await server.close()
    } finally {
      await acceptor.close(1001, 'the server is going away')
      http.closeAllConnections()
      await closed
    }
  }

  return {
    url: `${http instanceof TlsServer ? 'wss' : 'ws'}://${host.includes(':') ? `[${host}]` : host}:${realPort}`,
    port: realPort,
    close() {
      closing ??= close()
      return closing
    },
  }
}

/** Frames that are not whole yet, beside what the memory budget counts. */
const UNFINISHED_BYTES_MAX = 256 * 1024 * 1024

/**
 * Other upgrades than to WebSocket (HTTP/2 in the clear) are not meant for us: they are plain requests. An option of newer Nodes that
 * the types do not know yet.
 */
const HTTP_OPTIONS: ServerOptions = Object.assign({} as ServerOptions, {
  shouldUpgradeCallback: ({ headers }: IncomingMessage) => headers.upgrade?.toLowerCase() === 'websocket',
})

function bind(http: HttpServer | HttpsServer, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    http.once('error', reject)
    http.listen({ host, port }, () => {
      http.off('error', reject)
      resolve()
    })
  })
}

async function respond(
  server: Server,
  { onRequest }: ListenOptions,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const path = request.url?.replace(/\?.*$/, '')
  const readable = request.method === 'GET' || request.method === 'HEAD'
  if (readable && path === '/health') {
    const health = server.health()
    return answer(response, health.status === 'ok' ? 200 : 503, 'application/json', `${JSON.stringify(health)}\n`)
  }
  const metrics = readable && path === '/metrics' ? server.metrics() : undefined
  if (metrics !== undefined) return answer(response, 200, PROMETHEUS_CONTENT_TYPE, metrics + processMetrics())
  if (onRequest !== undefined) return onRequest(request, response)
  answer(response, 404, 'text/plain; charset=utf-8', 'there is nothing here; sync clients connect by WebSocket\n')
}

function answer(response: ServerResponse, status: number, type: string, body: string): void {
  response.writeHead(status, { 'content-type': type, 'cache-control': 'no-store' })
  response.end(body)
}

function fail(response: ServerResponse): void {
  if (response.headersSent) response.destroy()
  else answer(response, 500, 'text/plain; charset=utf-8', 'internal error\n')
}
