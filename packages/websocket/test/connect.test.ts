/**
 * Connecting: from Node over `ws`, and over whatever WebSocket the platform has.
 */
import { createServer } from 'node:net'
import { tidemarkBinary, tidemarkJson } from '@tidemark/protocol'
import type { Channel } from '@tidemark/sync/run'
import { describe, expect, test, vi } from 'vitest'
import { WebSocketServer, WebSocket as Ws } from 'ws'
import { webSocket } from '../src/index.ts'
import { nodeWebSocket } from '../src/node.ts'
import { listenTo, pause, until, withServer } from './help.ts'

vi.setConfig({ testTimeout: 30_000 })

const anyTime = new AbortController().signal

describe('opening', () => {
  for (const [name, connect] of [
    ['nodeWebSocket', nodeWebSocket],
    ['webSocket', webSocket],
  ] as const) {
    test(`${name}: nobody there is 'unreachable'`, async () => {
      await expect(connect('ws://127.0.0.1:9')(anyTime)).rejects.toMatchObject({ code: 'unreachable' })
    })

    test(`${name}: a server that does not answer is 'timeout', and an abort is its reason`, async () => {
      const silent = createServer()
      await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve))
      const open = new Set<{ destroy(): void }>()
      silent.on('connection', (socket) => open.add(socket.on('error', () => {})))
      try {
        const url = `ws://127.0.0.1:${(silent.address() as { port: number }).port}`
        await expect(connect(url, { openTimeoutMs: 30 })(anyTime)).rejects.toMatchObject({ code: 'timeout' })
        const abort = new AbortController()
        const opening = connect(url)(abort.signal)
        await pause(10)
        abort.abort(new Error('not any more'))
        await expect(opening).rejects.toThrow('not any more')
        await expect(connect(url)(abort.signal)).rejects.toThrow('not any more')
      } finally {
        for (const socket of open) socket.destroy()
        await new Promise((resolve) => silent.close(resolve))
      }
    })

    test(`${name}: the address may be asked for at every attempt`, () =>
      withServer({}, async (world) => {
        let asked = 0
        const connectAgain = connect(async () => `${world.url}/?attempt=${++asked}`)
        const channels = [await connectAgain(anyTime), await connectAgain(anyTime)]
        for (const channel of channels) channel.close(1000, '')
        expect(world.accepted.map(({ request }) => request.url)).toEqual(['/?attempt=1', '/?attempt=2'])
      }))
  }

  test('a server that chooses none of the offered dialects is an error, not a connection', async () => {
    const other = new WebSocketServer({ port: 0, host: '127.0.0.1', handleProtocols: () => false })
    await new Promise((resolve) => other.once('listening', resolve))
    try {
      const url = `ws://127.0.0.1:${(other.address() as { port: number }).port}`
      await expect(nodeWebSocket(url)(anyTime)).rejects.toMatchObject({ code: 'dialect' })
      await expect(webSocket(url)(anyTime)).rejects.toMatchObject({ name: 'ConnectError' })
    } finally {
      for (const socket of other.clients) socket.terminate()
      await new Promise((resolve) => other.close(resolve))
    }
  })
})

describe('the platform’s WebSocket', () => {
  const constructors = { global: {}, 'handed in': { WebSocket: Ws } }
  for (const [name, options] of Object.entries(constructors)) {
    test(`${name}: frames travel both ways as text, in order, and closing is told`, () =>
      withServer({}, async (world) => {
        const channel = await webSocket(world.url, { ...options, dialect: tidemarkJson })(anyTime)
        expect(channel.dialect).toBe(tidemarkJson)
        const client = listenTo(channel)
        const server = listenTo(world.accepted[0]?.channel as never)
        client.channel.send('one')
        client.channel.send(new TextEncoder().encode('zwei ü'))
        server.channel.send('three')
        await until('frames', () => server.frames.length === 2 && client.frames.length === 1)
        expect(server.frames).toEqual(['one', 'zwei ü'])
        server.channel.close(1001, 'going')
        await until('the end', () => client.ends.length === 1)
        expect(client.ends).toEqual([{ code: 1001, reason: 'going' }])
      }))

    test(`${name}: the binary dialect is spoken unless another is asked for, and its frames are binary messages`, () =>
      withServer({}, async (world) => {
        const channel = await webSocket(world.url, options)(anyTime)
        expect(channel.dialect).toBe(tidemarkBinary)
        const server = world.accepted[0]?.channel
        expect(server?.dialect).toBe(tidemarkBinary)
        const heard: unknown[] = []
        server?.open({ frame: (frame) => heard.push(frame), drained() {}, closed() {} })
        channel.open({ frame: (frame) => heard.push(frame), drained() {}, closed() {} })
        const frame = Uint8Array.of(0, 255, 10, 200)
        channel.send(frame)
        await until('there', () => heard.length === 1)
        server?.send(frame)
        await until('back', () => heard.length === 2)
        expect(heard).toEqual([frame, frame])
        channel.close(1000, '')
      }))

    test(`${name}: room ends at the high-water mark and comes back`, () =>
      withServer({}, async (world) => {
        const channel = await webSocket(world.url, { ...options, highWaterBytes: 64 * 1024 })(anyTime)
        const client = listenTo(channel)
        const server = listenTo(world.accepted[0]?.channel as never)
        server.channel.pause()
        let sent = 0
        for (; channel.room() && sent < 20_000; sent++) {
          channel.send('x'.repeat(16 * 1024))
          if (sent % 64 === 0) await pause(1)
        }
        expect(sent).toBeLessThan(20_000)
        server.channel.resume()
        await until('room', () => client.drained > 0)
        expect(channel.room()).toBe(true)
        channel.close(1000, '')
      }))
  }

  test('codes that a script may not use go out as 4xxx, and are told here as they were', () =>
    withServer({}, async (world) => {
      const client = listenTo(await webSocket(world.url)(anyTime))
      const server = listenTo(world.accepted[0]?.channel as never)
      client.channel.close(1008, 'they sent nonsense')
      expect(client.ends).toEqual([{ code: 1008, reason: 'they sent nonsense' }])
      await until('the end', () => server.ends.length === 1)
      expect(server.ends).toEqual([{ code: 4008, reason: 'they sent nonsense' }])
    }))

  test('while paused nothing is delivered, and afterwards everything', () =>
    withServer({}, async (world) => {
      const client = listenTo(await webSocket(world.url)(anyTime))
      const server = listenTo(world.accepted[0]?.channel as never)
      client.channel.pause()
      for (const text of ['a', 'b', 'c']) server.channel.send(text)
      await pause(30)
      expect(client.frames).toEqual([])
      client.channel.resume()
      await until('all', () => client.frames.length === 3)
      expect(client.frames).toEqual(['a', 'b', 'c'])
      client.channel.close(1000, '')
    }))

  test('without any WebSocket it says what to do', async () => {
    const { WebSocket: kept } = globalThis
    try {
      Object.assign(globalThis, { WebSocket: undefined })
      await expect(webSocket('ws://127.0.0.1:9')(anyTime) as Promise<Channel>).rejects.toThrow('hand one in')
    } finally {
      Object.assign(globalThis, { WebSocket: kept })
    }
  })
})
