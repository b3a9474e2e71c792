/**
 * Help for tests with real sockets: a server on a free port, channels that note what they are told, raw requests.
 */
import { createServer, type Server as HttpServer } from 'node:http'
import { type AddressInfo, connect as connectTcp, type Socket } from 'node:net'
import { jazz } from '@tidemark/protocol'
import type { Channel } from '@tidemark/sync/run'
import { type AcceptOptions, type Acceptor, acceptWebSockets, nodeWebSocket } from '../src/node.ts'
import type { Admission, UpgradeRequest } from '../src/upgrade.ts'

export interface Ear {
  readonly channel: Channel
  readonly frames: string[]
  drained: number
  readonly ends: { code: number; reason: string }[]
}

/** Opens a channel and notes what it is told. */
export function listenTo(channel: Channel): Ear {
  const ear: Ear = { channel, frames: [], drained: 0, ends: [] }
  channel.open({
    frame: (frame) => ear.frames.push(typeof frame === 'string' ? frame : new TextDecoder().decode(frame)),
    drained: () => {
      ear.drained += 1
    },
    closed: (code, reason) => ear.ends.push({ code, reason }),
  })
  return ear
}

export interface World {
  readonly http: HttpServer
  readonly acceptor: Acceptor
  readonly url: string
  readonly port: number
  /** Channels as the server got them, in order. */
  readonly accepted: { channel: Channel; admitted: unknown; request: UpgradeRequest }[]
  readonly dial: (options?: Parameters<typeof nodeWebSocket>[1], path?: string) => Promise<Channel>
  /** What a raw client is answered until the server ends, or 400 ms passed. */
  readonly raw: (text: string) => Promise<string>
  readonly tcp: () => Socket
}

export type WorldOptions = Partial<AcceptOptions<unknown>>

/** Runs `use` against a server on a free port and takes everything down again, whatever happens. */
export async function withServer(options: WorldOptions, use: (world: World) => Promise<void>): Promise<void> {
  const http = createServer((_request, response) => response.end('plain'))
  const accepted: World['accepted'] = []
  const sockets: Socket[] = []
  const channels: Channel[] = []
  const acceptor = acceptWebSockets<unknown>(http, {
    admit: (): Admission<unknown> => ({ admitted: 'anybody' }),
    onChannel: (channel, admitted, request) => accepted.push({ channel, admitted, request }),
    closeGraceMs: 200,
    ...options,
  })
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve))
  const { port } = http.address() as AddressInfo
  const url = `ws://127.0.0.1:${port}`
  const tcp = () => {
    const socket = connectTcp(port, '127.0.0.1')
    socket.on('error', () => {})
    sockets.push(socket)
    return socket
  }
  try {
    await use({
      http,
      acceptor,
      url,
      port,
      accepted,
      tcp,
      async dial(dialOptions = { dialect: jazz }, path = '') {
        const channel = await nodeWebSocket(url + path, dialOptions)(new AbortController().signal)
        channels.push(channel)
        return channel
      },
      raw: (text) => readAll(tcp(), text),
    })
  } finally {
    for (const channel of channels) channel.close(1000, 'the test is over')
    for (const socket of sockets) socket.destroy()
    await acceptor.close(1001, 'the test is over')
    http.closeAllConnections()
    await new Promise((resolve) => http.close(resolve))
  }
}

function readAll(socket: Socket, text: string): Promise<string> {
  return new Promise((resolve) => {
    let heard = ''
    const timer = setTimeout(() => resolve(`${heard}(still open)`), 400)
    socket.on('data', (chunk) => {
      heard += chunk
    })
    socket.on('close', () => {
      clearTimeout(timer)
      resolve(heard)
    })
    socket.write(text)
  })
}

/** A well-formed upgrade request with further header lines. */
export function upgradeText(...lines: string[]): string {
  return [
    'GET / HTTP/1.1',
    'Host: x',
    'Connection: Upgrade',
    'Upgrade: websocket',
    'Sec-WebSocket-Version: 13',
    'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
    ...lines,
    '',
    '',
  ].join('\r\n')
}

/** Waits until something is so; fails after 20 s, saying what was waited for. */
export async function until(what: string, isSo: () => boolean): Promise<void> {
  for (const start = Date.now(); !isSo(); await pause(5))
    if (Date.now() - start > 20_000) throw new Error(`waited in vain: ${what}`)
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
