/**
 * Frames that are never finished: bounded over all connections, at the cost of who holds most.
 */
import { createServer } from 'node:http'
import { type AddressInfo, connect, type Socket } from 'node:net'
import { describe, expect, test } from 'vitest'
import { acceptWebSockets } from '../src/node.ts'
import { upgradeText } from './help.ts'

describe('frames that are never finished', { timeout: 20_000 }, () => {
  test('of several that hold too much together one is closed, and others are not', () =>
    withServer(async ({ open, connections }) => {
      const sockets = [await open(), await open(), await open()]
      for (const socket of sockets.slice(0, 2)) socket.write(unfinished(60_000))
      await until(() => sockets.some(({ destroyed }) => destroyed))
      expect(sockets.map(({ destroyed }) => destroyed).filter(Boolean)).toHaveLength(1)
      expect(sockets[2]?.destroyed).toBe(false)
      expect(connections()).toBe(2)
    }))

  test('whoever sends next is served; who begins a frame where there is no room left has the largest holder closed', () =>
    withServer(async ({ open, frames }) => {
      const [holder, honest] = [await open(), await open()]
      holder.write(unfinished(99_900))
      await until(() => holder.writableLength === 0)
      for (let count = 1; count <= 3; count++) {
        honest.write(whole(0x82, 1_000))
        await until(() => frames() === count)
      }
      expect([holder.destroyed, honest.destroyed]).toEqual([false, false])
      honest.write(unfinished(1_000))
      await until(() => holder.destroyed)
      expect(honest.destroyed).toBe(false)
    }))

  test('pings and pongs are held by nobody', () =>
    withServer(async ({ open, frames }) => {
      const [chatty, honest] = [await open(), await open()]
      // More pings at once than ws answers end the connection.
      chatty.write(Buffer.concat(Array.from({ length: 10 }, () => whole(0x89, 125))))
      chatty.write(Buffer.concat(Array.from({ length: 1_000 }, () => whole(0x8a, 125))))
      chatty.write(whole(0x82, 10))
      await until(() => frames() === 1)
      honest.write(unfinished(90_000))
      chatty.write(Buffer.concat(Array.from({ length: 1_000 }, () => whole(0x8a, 125))))
      chatty.write(whole(0x82, 10))
      await until(() => frames() === 2)
      expect([chatty.destroyed, honest.destroyed]).toEqual([false, false])
    }))

  test('connections of one account are weighed together', () =>
    withServer(async ({ open }) => {
      const many = [await open('many'), await open('many'), await open('many')]
      const one = await open('one')
      one.write(unfinished(40_000))
      for (const socket of many) socket.write(unfinished(25_000))
      await until(() => many.some(({ destroyed }) => destroyed))
      expect(one.destroyed).toBe(false)
    }))
})

interface World {
  open(account?: string): Promise<Socket>
  /** Whole frames that were delivered. */
  frames(): number
  connections(): number
}

/** A server whose sockets may hold 100 kB together. */
async function withServer(use: (world: World) => Promise<void>): Promise<void> {
  const http = createServer()
  const sockets: Socket[] = []
  let frames = 0
  const acceptor = acceptWebSockets<string | undefined>(http, {
    unfinishedBytesMax: 100_000,
    admit: ({ headers }) => ({ admitted: headers['x-account'] as string | undefined }),
    accountOf: (admitted) => admitted,
    onChannel: (channel) =>
      channel.open({
        frame() {
          frames += 1
        },
        drained() {},
        closed() {},
      }),
  })
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve))
  const { port } = http.address() as AddressInfo
  try {
    await use({
      async open(account) {
        const socket = connect(port, '127.0.0.1').on('error', () => {})
        sockets.push(socket)
        const lines = [
          'Sec-WebSocket-Protocol: tidemark.1',
          ...(account === undefined ? [] : [`X-Account: ${account}`]),
        ]
        socket.write(upgradeText(...lines))
        await new Promise((resolve) => socket.once('data', resolve))
        return socket.on('data', () => {})
      },
      frames: () => frames,
      connections: () => acceptor.connections,
    })
  } finally {
    for (const socket of sockets) socket.destroy()
    await acceptor.close(1001, 'done')
    http.close()
  }
}

/** A frame that announces 1 MB, and so much of it. */
function unfinished(bytes: number): Buffer {
  return Buffer.concat([Buffer.from([0x82, 0xff, 0, 0, 0, 0, 0, 0x0f, 0x42, 0x40, 0, 0, 0, 0]), Buffer.alloc(bytes)])
}

function whole(opcode: number, bytes: number): Buffer {
  const length = bytes < 126 ? [0x80 | bytes] : [0xfe, bytes >> 8, bytes & 255]
  return Buffer.concat([Buffer.from([opcode, ...length, 0, 0, 0, 0]), Buffer.alloc(bytes)])
}

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, 10))
}
