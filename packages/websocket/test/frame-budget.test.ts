/**
 * Frames that are never finished: bounded over all connections, whoever else is served.
 */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { connect } from 'node:net'
import { expect, test } from 'vitest'
import { acceptWebSockets } from '../src/node.ts'

test('who sends more of unfinished frames than all may hold together is closed, and others are not', {
  timeout: 20_000,
}, async () => {
  const http = createServer()
  const acceptor = acceptWebSockets(http, {
    unfinishedBytesMax: 100_000,
    admit: () => ({ admitted: undefined }),
    onChannel: (channel) => channel.open({ frame() {}, drained() {}, closed() {} }),
  })
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve))
  const { port } = http.address() as AddressInfo
  const sockets = await Promise.all([open(port), open(port), open(port)])
  try {
    for (const socket of sockets.slice(0, 2)) {
      // A masked text frame that announces 1 MB, and 60 kB of it.
      socket.write(Buffer.from([0x81, 0xff, 0, 0, 0, 0, 0, 0x0f, 0x42, 0x40, 0, 0, 0, 0]))
      socket.write(Buffer.alloc(60_000, 'a'))
    }
    await until(() => sockets.some((socket) => socket.closed || socket.destroyed))
    expect(sockets.map((socket) => socket.destroyed).filter(Boolean)).toHaveLength(1)
    expect(sockets[2]?.destroyed).toBe(false)
    expect(acceptor.connections).toBe(2)
  } finally {
    for (const socket of sockets) socket.destroy()
    await acceptor.close(1001, 'done')
    http.close()
  }
})

/** A socket that was upgraded to a WebSocket, by hand. */
function open(port: number) {
  const socket = connect(port, '127.0.0.1')
  socket.on('error', () => {})
  const key = Buffer.alloc(16).toString('base64')
  socket.write(
    `GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${key}\r\n\r\n`,
  )
  return new Promise<typeof socket>((resolve) => socket.once('data', () => resolve(socket.on('data', () => {}))))
}

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, 10))
}
