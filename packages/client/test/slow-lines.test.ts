/**
 * Slow lines and dead peers: an upload of minutes is not taken for silence, and silence after it is noticed as soon as any.
 */
import { tidemarkJson } from '@tidemark/protocol'
import type { Connect } from '@tidemark/sync/run'
import { expect, test } from 'vitest'
import { jsonPayload } from '../src/index.ts'
import { createWorld } from './world.ts'

const header = jsonPayload({ root: true })
const large = { header, session: 's', transactions: [jsonPayload('x'.repeat(3_900_000))] }

/** A line up that takes its time, and can be dead. Its buffer says what waits in it. */
async function createLine(bytesPerMs: number) {
  const world = await createWorld(tidemarkJson)
  const line = { isDead: false, attempts: 0, tells: true }
  const connect: Connect = async (signal) => {
    line.attempts += 1
    const channel = await world.server.connect(signal)
    let way = Promise.resolve()
    let unsent = 0
    return {
      ...channel,
      unsent: () => (line.tells ? unsent : 0),
      room: () => unsent < 65_536,
      send(frame) {
        unsent += frame.length
        way = way
          .then(() => world.clock.wait(Math.ceil(frame.length / bytesPerMs)))
          .then(() => {
            unsent -= frame.length
            if (!line.isDead) channel.send(frame)
          })
      },
      open: (to) =>
        channel.open({
          ...to,
          frame(frame) {
            if (!line.isDead) to.frame(frame)
          },
        }),
    }
  }
  return { ...world, line, connect }
}

test('an upload of minutes arrives although something small is heard now and then', async () => {
  const { client: newClient, clock, line, connect } = await createLine(16)
  const { client } = await newClient({ connect })
  const { client: other } = await newClient()
  const chat = await other.create('chat', { header, session: 'o', transactions: [jsonPayload(0)] })
  client.open('chat').subscribe(() => {})
  await clock.advance(45_000)
  await client.create('note', large)
  for (let minute = 0; minute < 8; minute++) {
    await chat.append('o', [jsonPayload(minute)])
    await clock.advance(60_000)
  }
  expect([client.status(), line.attempts]).toEqual([{ uploaded: true, pending: 0 }, 1])
})

test('a peer that is gone after a large upload was acknowledged is noticed as soon as any', async () => {
  const { client: newClient, clock, line, connect } = await createLine(100)
  line.tells = false
  const { client } = await newClient({ connect })
  await clock.advance(35_000)
  await client.create('note', large)
  await clock.advance(90_000)
  expect(client.status()).toEqual({ uploaded: true, pending: 0 })
  line.isDead = true
  await clock.advance(41_000)
  expect([client.connection === 'online', client.disconnected?.code]).toEqual([false, 4000])
})

test('a peer that is gone is noticed although the clock was set back', async () => {
  const { client: newClient, clock, line, connect } = await createLine(100)
  let back = 0
  const { client } = await newClient({ connect, clock: { ...clock, now: () => clock.now() - back } })
  await clock.advance(20_000)
  back = 3_600_000
  line.isDead = true
  await clock.advance(75_000)
  expect([client.connection === 'online', client.disconnected?.code]).toEqual([false, 4000])
})
