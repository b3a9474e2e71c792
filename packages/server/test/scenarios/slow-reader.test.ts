/**
 * A client that asks and does not read, over real sockets: it costs its window and nothing more, and loses nothing.
 */
import { connect } from 'node:net'
import { expect, test } from 'vitest'
import { metric, pause, until, withServer } from '../help.ts'
import { load } from '../jazz.ts'

const HANDSHAKE = [
  'GET / HTTP/1.1',
  'Host: x',
  'Connection: Upgrade',
  'Upgrade: websocket',
  'Sec-WebSocket-Version: 13',
  'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
]
const UNSENT_BYTES_MAX = 256 * 1024

test(
  '28: a client that does not read its answers is not read from, and everything is answered when it does',
  {
    timeout: 120_000,
  },
  () =>
    withServer({ limits: { unsentBytesMax: UNSENT_BYTES_MAX } }, async (world) => {
      const socket = connect(world.listening.port, '127.0.0.1')
      try {
        socket.write(`${HANDSHAKE.join('\r\n')}\r\n\r\n`)
        let text = ''
        const answers = () => text.split('"action":"known"').length - 1
        await new Promise((resolve) => socket.once('data', resolve))
        socket.pause()
        socket.on('data', (chunk) => {
          text += chunk.toString('latin1')
        })
        socket.pause()

        // Asks until nothing is taken any more.
        let asked = 0
        const taken = () => metric(world.server.metrics() ?? '', 'tidemark_messages_received_total{action="load"}')
        for (let before = -1; asked < 1_000_000; ) {
          while (socket.writableLength < 1024 * 1024) {
            socket.write(
              textFrame(Array.from({ length: 1_000 }, () => JSON.stringify(load(`Nobody${asked++}`))).join('\n')),
            )
          }
          await pause(50)
          if (taken() === before) break
          before = taken()
        }
        expect(taken()).toBeLessThan(asked)
        expect(world.server.health().status).toBe('ok')

        socket.resume()
        await until('every answer', () => answers() === asked, 60_000)
        expect(taken()).toBe(asked)
      } finally {
        socket.destroy()
      }
    }),
)

/** A text message as clients send it: masked, here with zeros. */
function textFrame(text: string): Buffer {
  const payload = Buffer.from(text)
  const head = Buffer.alloc(14)
  head[0] = 0x81
  head[1] = 0x80 | 127
  head.writeBigUInt64BE(BigInt(payload.length), 2)
  return Buffer.concat([head, payload])
}
