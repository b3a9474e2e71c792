/**
 * Frames that are never finished: bounded over all connections, at the cost of who holds most.
 */
import { createServer } from 'node:http'
import { type AddressInfo, connect, type Socket } from 'node:net'
import type { Clock } from '@tidemark/storage'
import type { Channel } from '@tidemark/sync/run'
import { describe, expect, test } from 'vitest'
import { FRAME_GROWTH_BYTES } from '../src/frame-budget.ts'
import { type AcceptOptions, acceptWebSockets } from '../src/node.ts'
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

  test('what begins behind a whole message in one chunk is held, also between pongs', () =>
    withServer(async ({ open, frames, received }) => {
      const [chatty, honest] = [await open(), await open()]
      const fragment = whole(0x02, 60_000)
      chatty.write(Buffer.concat([whole(0x82, 10), fragment]))
      await until(() => frames() === 1 && received() === 16 + fragment.length)
      chatty.write(Buffer.concat(Array.from({ length: 10 }, () => whole(0x8a, 125))))
      honest.write(unfinished(50_000))
      await until(() => chatty.destroyed)
      expect(honest.destroyed).toBe(false)
    }))

  test('a message of more fragments than ws may keep closes its connection, one of fewer is whole', () =>
    withServer(
      async ({ open, frames }) => {
        const [many, few] = [await open(), await open()]
        many.write(Buffer.concat(Array.from({ length: 65 }, (_, index) => whole(index === 0 ? 0x02 : 0x00, 1))))
        few.write(Buffer.concat(Array.from({ length: 63 }, (_, index) => whole(index === 0 ? 0x02 : 0x00, 1))))
        few.write(whole(0x80, 1))
        await until(() => many.destroyed && frames() === 1)
        expect(few.destroyed).toBe(false)
      },
      { limits: { frameBytesMax: 1024 * 1024 } },
    ))

  test('connections of one account are weighed together', () =>
    withServer(async ({ open }) => {
      const many = [await open('many'), await open('many'), await open('many')]
      const one = await open('one')
      one.write(unfinished(40_000))
      for (const socket of many) socket.write(unfinished(25_000))
      await until(() => many.some(({ destroyed }) => destroyed))
      expect(one.destroyed).toBe(false)
    }))

  test('a frame that hardly grows is not waited for; one that grows, and whole ones, are', () => {
    const { clock, pass } = steppedClock()
    return withServer(
      async ({ open, frames, received }) => {
        const [dripping, growing, honest] = [await open(), await open(), await open()]
        dripping.write(unfinished(1_000))
        growing.write(unfinished(1_000))
        honest.write(whole(0x82, 1_000))
        await until(() => frames() === 1 && received() === 2_000 + 2 * FRAME_HEADER_BYTES + 1_008)
        await pass()
        for (let count = 1; count <= 3 && !dripping.destroyed; count++) {
          expect([dripping.destroyed, growing.destroyed, honest.destroyed]).toEqual([false, false, false])
          const before = received()
          dripping.write('x')
          growing.write(Buffer.alloc(FRAME_GROWTH_BYTES))
          await until(() => received() === before + 1 + FRAME_GROWTH_BYTES)
          await pass()
          await until(() => dripping.destroyed)
        }
        honest.write(whole(0x82, 1_000))
        await until(() => frames() === 2)
        expect([growing.destroyed, honest.destroyed]).toEqual([false, false])
      },
      { unfinishedBytesMax: 10_000_000, frameGrowMs: 30_000, clock },
    )
  })

  test('who is not read from is not held to it, nor is anybody for the time that the server stood still', () => {
    const { clock, pass } = steppedClock()
    return withServer(
      async ({ open, received, channels }) => {
        const holder = await open()
        holder.write(unfinished(1_000))
        await until(() => received() > 0)
        await pass()
        channels()[0]?.pause()
        await pass()
        channels()[0]?.resume()
        await pass()
        await pass(100_000)
        holder.write('x')
        await until(() => received() === 1_001 + FRAME_HEADER_BYTES)
        expect(holder.destroyed).toBe(false)
        await pass()
        await until(() => holder.destroyed)
      },
      { unfinishedBytesMax: 10_000_000, frameGrowMs: 30_000, clock },
    )
  })
})

/** A clock whose waits of 30 s end when the test says so; all others are never over. */
function steppedClock(): { clock: Clock; pass(ms?: number): Promise<void> } {
  let now = 0
  let go: (() => void) | undefined
  const clock: Clock = {
    now: () => now,
    random: () => 0,
    wait: (ms, signal) =>
      new Promise((resolve, reject) => {
        if (ms === 30_000) go = resolve
        signal?.addEventListener('abort', () => reject(signal.reason))
      }),
  }
  return {
    clock,
    async pass(ms = 30_000) {
      now += ms
      go?.()
      await new Promise((resolve) => setImmediate(resolve))
    },
  }
}

interface World {
  open(account?: string): Promise<Socket>
  /** Whole frames that were delivered. */
  frames(): number
  /** Bytes that came of frames, whole or not. */
  received(): number
  channels(): readonly Channel[]
  connections(): number
}

/** A server whose sockets may hold 100 kB together. */
async function withServer(
  use: (world: World) => Promise<void>,
  options: Partial<AcceptOptions<string | undefined>> = {},
): Promise<void> {
  const http = createServer()
  const sockets: Socket[] = []
  const channels: Channel[] = []
  let frames = 0
  let received = 0
  const acceptor = acceptWebSockets<string | undefined>(http, {
    unfinishedBytesMax: 100_000,
    admit: ({ headers }) => ({ admitted: headers['x-account'] as string | undefined }),
    accountOf: (admitted) => admitted,
    onChannel: (channel) => {
      channels.push(channel)
      channel.open({
        frame() {
          frames += 1
        },
        drained() {},
        closed() {},
      })
    },
    ...options,
  })
  http.on('upgrade', (_request, socket) =>
    socket.on('data', (chunk: Buffer) => {
      received += chunk.length
    }),
  )
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
      received: () => received,
      channels: () => channels,
      connections: () => acceptor.connections,
    })
  } finally {
    for (const socket of sockets) socket.destroy()
    await acceptor.close(1001, 'done')
    http.close()
  }
}

const FRAME_HEADER_BYTES = 14

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
