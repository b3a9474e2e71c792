/**
 * Peers that are gone without a word are found by pings; slow, busy and paused ones are left alone.
 */
import { describe, expect, test, vi } from 'vitest'
import { createLiveness, type LivePeer } from '../src/liveness.ts'
import { listenTo, pause, until, upgradeText, withServer } from './help.ts'

vi.setConfig({ testTimeout: 30_000 })

describe('over sockets', () => {
  test('a peer that answers pings stays, one that does not is cut off', () =>
    withServer({ pingEveryMs: 40 }, async (world) => {
      const living = listenTo(await world.dial())
      const dead = world.tcp()
      dead.write(upgradeText())
      await until('both', () => world.accepted.length === 2)
      const [, deadServer] = world.accepted.map(({ channel }) => listenTo(channel))
      await until('found', () => deadServer?.ends.length === 1)
      expect(deadServer?.ends[0]?.code).toBe(1006)
      await pause(150)
      expect(living.ends).toEqual([])
      expect(world.acceptor.connections).toBe(1)
    }))

  test('a peer that is in the middle of a long frame is alive', () =>
    withServer({ pingEveryMs: 40 }, async (world) => {
      const slow = world.tcp()
      slow.write(upgradeText())
      await until('accepted', () => world.accepted.length === 1)
      const server = listenTo(world.accepted[0]?.channel as never)
      // A masked text message of 100 bytes, masked with zeros, one byte at a time.
      slow.write(Buffer.from([0x81, 0x80 | 100, 0, 0, 0, 0]))
      for (let count = 0; count < 30; count++) {
        await pause(10)
        slow.write('x')
      }
      expect(server.ends).toEqual([])
      slow.write('x'.repeat(70))
      await until('the frame', () => server.frames.length === 1)
    }))

  test('a paused connection is not checked, and has a full period when it goes on', () =>
    withServer({ pingEveryMs: 40 }, async (world) => {
      listenTo(await world.dial())
      await until('accepted', () => world.accepted.length === 1)
      const server = listenTo(world.accepted[0]?.channel as never)
      server.channel.pause()
      await pause(200)
      server.channel.resume()
      await pause(200)
      expect(server.ends).toEqual([])
    }))

  test('a client notices a dead server', () =>
    withServer({ pingEveryMs: 60_000 }, async (world) => {
      const client = listenTo(await world.dial({ dialect: (await import('@tidemark/protocol')).jazz, pingEveryMs: 40 }))
      await until('accepted', () => world.accepted.length === 1)
      // Nobody opens the server's channel: its socket is not read, so no ping is answered.
      await until('found', () => client.ends.length === 1)
      expect(client.ends[0]?.code).toBe(1006)
    }))
})

describe('the walk', () => {
  test('many peers share one timer, and it stops with the last of them', async () => {
    let waits = 0
    let aborted = 0
    const clock = {
      now: () => 0,
      random: () => 0,
      wait: (_ms: number, signal?: AbortSignal) => {
        waits += 1
        return new Promise<void>((_resolve, reject) =>
          signal?.addEventListener('abort', () => {
            aborted += 1
            reject(signal.reason)
          }),
        )
      },
    }
    const liveness = createLiveness(30_000, clock)
    const stops = Array.from({ length: 1_000 }, () => liveness.watch(peer({})))
    expect(waits).toBe(1)
    for (const stop of stops) stop()
    expect(aborted).toBe(1)
  })

  test('a peer is alive while an old backlog towards it gets smaller', async () => {
    const { at, liveness } = manual(1_000)
    let sent = 0
    let ended = false
    liveness.watch(peer({ bytesSent: () => sent, bytesUnsent: () => 100_000 - sent, terminate: () => (ended = true) }))
    for (let second = 1; second <= 5; second++) {
      sent += 10
      await at(second * 1_000)
    }
    expect(ended).toBe(false)
    await at(6_000)
    expect(ended).toBe(true)
  })

  test('a peer that reads nothing of what waits for it is given up after four periods, paused or not', async () => {
    const { at, liveness } = manual(1_000)
    let ended = 0
    liveness.watch(peer({ paused: true, pauses: 1, bytesUnsent: () => 1, terminate: () => (ended += 1) }))
    for (let second = 1; second <= 4; second++) await at(second * 1_000)
    expect(ended).toBe(0)
    await at(5_000)
    expect(ended).toBe(1)
  })

  test('after the process itself stood still nobody is given up before there was time to read', async () => {
    const { at, jump, liveness } = manual(1_000)
    let ended = 0
    let read = 0
    liveness.watch(peer({ bytesRead: () => read, terminate: () => (ended += 1) }))
    await at(1_000)
    await jump(60_000)
    expect(ended).toBe(0)
    read += 2
    await at(61_500)
    expect(ended).toBe(0)
    await at(62_000)
    expect(ended).toBe(1)
  })

  test('a peer that was paused since its ping need not have answered it', async () => {
    const { at, liveness } = manual(1_000)
    let ended = 0
    const unwatch = liveness.watch(peer({ terminate: () => (ended += 1) }))
    await at(1_000)
    expect(ended).toBe(0)
    await at(2_000)
    expect(ended).toBe(1)
    unwatch()
    ended = 0
    const other = { ...peer({ terminate: () => (ended += 1) }), pauses: 0 }
    liveness.watch(other)
    await at(3_000)
    other.pauses = 1
    await at(4_000)
    expect(ended).toBe(0)
    await at(5_000)
    expect(ended).toBe(1)
  })
})

function peer(facts: Partial<LivePeer>): LivePeer {
  return {
    paused: false,
    pauses: 0,
    bytesRead: () => 0,
    bytesSent: () => 0,
    bytesUnsent: () => 0,
    ping() {},
    terminate() {},
    ...facts,
  }
}

/** A liveness whose walks happen when told; `at` goes there step by step, `jump` as a machine that was suspended does. */
function manual(everyMs: number) {
  let now = 0
  let ring = () => {}
  const clock = {
    now: () => now,
    random: () => 0,
    wait: () =>
      new Promise<void>((resolve) => {
        ring = resolve
      }),
  }
  async function jump(time: number) {
    now = time
    ring()
    await pause(0)
  }
  return {
    liveness: createLiveness(everyMs, clock),
    jump,
    async at(time: number) {
      while (now < time) await jump(now + everyMs / 10)
    },
  }
}
