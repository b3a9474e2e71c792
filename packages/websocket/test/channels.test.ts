/**
 * Channels over real sockets, both ends: order, room, pausing, closing.
 */
import type { Socket } from 'node:net'
import { DEFAULT_LIMITS, jazz, ProtocolError, tidemarkJson } from '@tidemark/protocol'
import type { Channel } from '@tidemark/sync/run'
import { describe, expect, test, vi } from 'vitest'
import { WebSocket } from 'ws'
import { listenTo, pause, until, upgradeText, withServer } from './help.ts'

vi.setConfig({ testTimeout: 30_000 })

const utf8 = new TextEncoder()

describe('frames', () => {
  for (const dialect of [jazz, tidemarkJson])
    test(`${dialect.name}: text and bytes travel both ways as text messages, in order`, () =>
      withServer({}, async (world) => {
        const client = listenTo(await world.dial({ dialect }))
        await until('accepted', () => world.accepted.length === 1)
        const server = listenTo(world.accepted[0]?.channel as never)
        expect(server.channel.dialect).toBe(dialect)
        client.channel.send('one')
        client.channel.send(utf8.encode('zwei ü'))
        server.channel.send(utf8.encode('drei €'))
        server.channel.send('four')
        await until('all frames', () => client.frames.length + server.frames.length === 4)
        expect(server.frames).toEqual(['one', 'zwei ü'])
        expect(client.frames).toEqual(['drei €', 'four'])
      }))

  test('what arrives before a channel is opened is delivered first, and the end after it', () =>
    withServer({}, async (world) => {
      const client = await world.dial()
      await until('accepted', () => world.accepted.length === 1)
      const server = listenTo(world.accepted[0]?.channel as never)
      for (let count = 0; count < 100; count++) server.channel.send(`${count}`)
      await pause(20)
      const ear = listenTo(client)
      await until('the frames', () => ear.frames.length === 100)
      server.channel.close(1001, 'gone')
      await until('the end', () => ear.ends.length === 1)
      expect(ear.frames).toEqual(Array.from({ length: 100 }, (_, count) => `${count}`))
    }))

  test('a binary message in a text dialect is one malformed message, and the connection goes on', () =>
    withServer({}, async (world) => {
      const raw = new WebSocket(world.url)
      try {
        await new Promise((resolve) => raw.once('open', resolve))
        const server = listenTo(world.accepted[0]?.channel as never)
        raw.send(Buffer.from('{"action":"load"}\n\n{"action":"load"}'))
        raw.send('{"action":"done","id":"co_z1"}')
        await until('both frames', () => server.frames.length === 2)
        const codec = jazz.createCodec()
        const [decoded, ...rest] = [...codec.decode(server.frames[0] as string)]
        expect(rest).toEqual([])
        expect(decoded).toBeInstanceOf(ProtocolError)
        expect((decoded as ProtocolError).code).toBe('malformed')
        expect([...codec.decode(server.frames[1] as string)]).toMatchObject([{ message: { action: 'done' } }])
      } finally {
        raw.terminate()
      }
    }))

  test('an oversize frame closes its connection with 1009, before it is received, and no other', () =>
    withServer({ limits: { ...DEFAULT_LIMITS, frameBytesMax: 1_000 } }, async (world) => {
      const good = listenTo(await world.dial())
      const bad = listenTo(await world.dial())
      await until('both', () => world.accepted.length === 2)
      const [goodServer, badServer] = world.accepted.map(({ channel }) => listenTo(channel))
      bad.channel.send('x'.repeat(1_000))
      await until('the largest frame', () => badServer?.frames.length === 1)
      bad.channel.send('x'.repeat(1_001))
      await until('the end', () => bad.ends.length === 1 && badServer?.ends.length === 1)
      expect(badServer?.ends).toEqual([{ code: 1009, reason: 'Max payload size exceeded' }])
      expect(bad.ends[0]?.code).toBe(1009)
      good.channel.send('fine')
      await until('the other', () => goodServer?.frames.length === 1)
      expect(good.ends).toEqual([])
    }))

  test('a client that breaks the WebSocket protocol is closed with a code, and no other', () =>
    withServer({}, async (world) => {
      const good = listenTo(await world.dial())
      const socket = world.tcp()
      socket.write(upgradeText())
      await until('both', () => world.accepted.length === 2)
      const [goodServer, badServer] = world.accepted.map(({ channel }) => listenTo(channel))
      // A reserved opcode, unmasked.
      socket.write(Buffer.from([0x8f, 0x00]))
      await until('the end', () => badServer?.ends.length === 1)
      expect(badServer?.ends[0]?.code).toBe(1002)
      good.channel.send('fine')
      await until('the other', () => goodServer?.frames.length === 1)
    }))
})

describe('room', () => {
  test('ends at the high-water mark of a reader that does not read, and returns once when it reads again', () =>
    withServer({ highWaterBytes: 64 * 1024 }, async (world) => {
      const client = listenTo(await world.dial())
      await until('accepted', () => world.accepted.length === 1)
      const server = listenTo(world.accepted[0]?.channel as never)
      client.channel.pause()
      const frame = 'x'.repeat(16 * 1024)
      let sent = 0
      // Until the kernel takes no more either.
      for (let refusals = 0; refusals < 5 && sent < 10_000; refusals = server.channel.room() ? 0 : refusals + 1) {
        for (; server.channel.room(); sent++) server.channel.send(frame)
        await pause(10)
      }
      expect(sent).toBeLessThan(10_000)
      const drainedBefore = server.drained
      await pause(50)
      expect(server.channel.room()).toBe(false)
      expect(server.drained).toBe(drainedBefore)
      client.channel.resume()
      await until('room', () => server.drained > drainedBefore)
      expect(server.channel.room()).toBe(true)
      await until('all', () => client.frames.length === sent)
      expect(server.drained).toBe(drainedBefore + 1)
    }))
})

describe('pausing', () => {
  test('again and again, as somebody does who takes a few frames a turn, reads no more than was taken', () =>
    withServer({}, async (world) => {
      const sockets: Socket[] = []
      world.http.on('connection', (socket) => sockets.push(socket))
      const client = listenTo(await world.dial())
      await until('accepted', () => world.accepted.length === 1)
      const server = world.accepted[0]?.channel as Channel
      let taken = 0
      server.open({
        frame() {
          taken += 1
          if (taken % 10 !== 0) return
          server.pause()
          setImmediate(() => server.resume())
        },
        drained() {},
        closed() {},
      })
      const frame = 'x'.repeat(100)
      for (let count = 0; count < 200_000; count++) client.channel.send(frame)
      await until('1,000 pauses', () => taken >= 10_000)
      // Chunks of the socket are 64 KiB: one is being taken, one may wait behind it.
      expect((sockets[0]?.bytesRead ?? 0) - taken * frame.length).toBeLessThan(4 * 64 * 1024)
    }))

  test('keeps what arrives out of memory, with its sender, and loses nothing', () =>
    withServer({}, async (world) => {
      const client = listenTo(await world.dial({ dialect: jazz, highWaterBytes: 64 * 1024 }))
      await until('accepted', () => world.accepted.length === 1)
      const server = listenTo(world.accepted[0]?.channel as never)
      server.channel.pause()
      const frame = 'x'.repeat(64 * 1024)
      let sent = 0
      for (; client.channel.room() && sent < 1_000; sent++) {
        client.channel.send(`${sent} ${frame}`)
        await pause(1)
      }
      // Whatever the kernel buffers, the sender is held up long before everything is taken.
      expect(sent).toBeLessThan(1_000)
      expect(server.frames).toEqual([])
      server.channel.resume()
      await until('all', () => server.frames.length === sent)
      expect(server.frames.map((text) => Number.parseInt(text, 10))).toEqual(Array.from({ length: sent }, (_, n) => n))
    }))

  test('may begin and end while frames are being delivered', () =>
    withServer({}, async (world) => {
      const client = listenTo(await world.dial())
      await until('accepted', () => world.accepted.length === 1)
      const { channel } = world.accepted[0] as (typeof world.accepted)[0]
      const heard: string[] = []
      channel.open({
        frame(text) {
          heard.push(new TextDecoder().decode(text as Uint8Array))
          channel.pause()
          setTimeout(() => channel.resume(), 1)
        },
        drained() {},
        closed() {},
      })
      for (let count = 0; count < 20; count++) client.channel.send(`${count}`)
      await until('all', () => heard.length === 20)
      expect(heard).toEqual(Array.from({ length: 20 }, (_, count) => `${count}`))
    }))
})

describe('closing', () => {
  test('tells both ends the code and the reason, once, and nothing afterwards', () =>
    withServer({}, async (world) => {
      const client = listenTo(await world.dial())
      await until('accepted', () => world.accepted.length === 1)
      const server = listenTo(world.accepted[0]?.channel as never)
      client.channel.send('late')
      server.channel.close(1008, 'too many malformed messages')
      server.channel.close(1001, 'again')
      server.channel.send('nobody hears this')
      await until('the end', () => client.ends.length === 1)
      await until('the socket', () => world.acceptor.connections === 0)
      expect(server.ends).toEqual([{ code: 1008, reason: 'too many malformed messages' }])
      expect(client.ends).toEqual([{ code: 1008, reason: 'too many malformed messages' }])
      expect(client.frames).toEqual([])
      expect(server.frames).toEqual([])
    }))

  test('a reason is cut to what a close frame holds, between characters', () =>
    withServer({}, async (world) => {
      const client = listenTo(await world.dial())
      await until('accepted', () => world.accepted.length === 1)
      const server = listenTo(world.accepted[0]?.channel as never)
      server.channel.close(1008, '€'.repeat(100))
      await until('the end', () => client.ends.length === 1)
      expect(client.ends).toEqual([{ code: 1008, reason: '€'.repeat(41) }])
    }))

  test('a connection that breaks off is 1006', () =>
    withServer({}, async (world) => {
      const socket = world.tcp()
      socket.write(upgradeText())
      await until('accepted', () => world.accepted.length === 1)
      const server = listenTo(world.accepted[0]?.channel as never)
      socket.destroy()
      await until('the end', () => server.ends.length === 1)
      expect(server.ends[0]?.code).toBe(1006)
    }))

  test('a peer that does not answer a close is cut off after the grace time', () =>
    withServer({ closeGraceMs: 50 }, async (world) => {
      const socket = world.tcp()
      socket.write(upgradeText())
      await until('accepted', () => world.accepted.length === 1)
      const server = listenTo(world.accepted[0]?.channel as never)
      server.channel.close(1001, 'going')
      expect(server.ends).toEqual([{ code: 1001, reason: 'going' }])
      expect(world.acceptor.connections).toBe(1)
      await until('cut off', () => world.acceptor.connections === 0)
    }))

  test('a paused connection can be closed', () =>
    withServer({ closeGraceMs: 5_000 }, async (world) => {
      const client = listenTo(await world.dial())
      await until('accepted', () => world.accepted.length === 1)
      const server = listenTo(world.accepted[0]?.channel as never)
      server.channel.pause()
      client.channel.send('x'.repeat(100_000))
      await pause(10)
      const began = Date.now()
      server.channel.close(1001, 'going')
      await until('closed', () => world.acceptor.connections === 0)
      expect(Date.now() - began).toBeLessThan(4_000)
      expect(client.ends).toEqual([{ code: 1001, reason: 'going' }])
    }))

  test('the acceptor closes every connection, waits for the last one, and takes no more', () =>
    withServer({}, async (world) => {
      const clients = await Promise.all([world.dial(), world.dial(), world.dial()])
      const ears = clients.map(listenTo)
      await until('accepted', () => world.accepted.length === 3)
      await world.acceptor.close(1001, 'going away')
      expect(world.acceptor.connections).toBe(0)
      await until('all told', () => ears.every(({ ends }) => ends.length === 1))
      expect(ears.map(({ ends }) => ends[0])).toEqual(Array(3).fill({ code: 1001, reason: 'going away' }))
      await expect(world.dial()).rejects.toMatchObject({ name: 'ConnectError' })
    }))
})
