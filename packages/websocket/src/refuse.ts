/**
 * Refusing an upgrade: one short HTTP answer, and the socket is closed.
 */
import { STATUS_CODES } from 'node:http'
import type { Socket } from 'node:net'
import type { Refusal } from './upgrade.ts'

export function refuse(socket: Socket, { status, message, retryAfterMs }: Refusal): void {
  const body = `${message}\n`
  const lines = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
    'Connection: close',
    'Content-Type: text/plain; charset=utf-8',
    `Content-Length: ${Buffer.byteLength(body)}`,
    ...(status === 401 ? ['WWW-Authenticate: Bearer'] : []),
    ...(retryAfterMs === undefined ? [] : [`Retry-After: ${Math.ceil(retryAfterMs / 1_000)}`]),
  ]
  if (!socket.writable) return void socket.destroy()
  socket.once('finish', () => socket.destroy())
  socket.end(`${lines.join('\r\n')}\r\n\r\n${body}`)
}
