/**
 * Fairness over real sockets, in every dialect: what one connection sends delays another's request by a bounded number of turns.
 * What is counted is how many messages of the one were handled while the other waited, never time.
 */
import { type Dialect, dialects, type Message } from '@tidemark/protocol'
import { describe, expect, test, vi } from 'vitest'
import { metric, untilAtOnce, type World, withServer } from '../help.ts'
import { type AnyClient, anyClient } from '../hostile/clients.ts'

vi.setConfig({ testTimeout: 120_000 })

/** 50 MB in a dialect of JSON. */
const FLOOD_MESSAGES = 500_000
/** Turns of the event loop for one trip there and back in one process, with some to spare. */
const TURNS_MAX = 12
/** 128 KiB of work, in small messages. */
const MESSAGES_PER_TURN = 512
const LOADS = 30

const small = (index: number): Message => ({
  action: 'known',
  id: 'co_zSomebodyElse',
  known: { header: true, sessions: new Map([[`co_zSomebody_session_z${'0'.repeat(20)}${index % 10}`, index + 1]]) },
  correction: false,
})

/** Frames as large as they may be. */
function flood(client: AnyClient, frameBytes: number): void {
  const group = Array.from({ length: 10_000 }, (_, index) => small(index))
  for (let sent = 0; sent < FLOOD_MESSAGES; ) {
    const frames = client.codec.encode(group, frameBytes)
    // Of a dialect that remembers nothing one frame can say it many times.
    const [frame] = frames
    const times = frames.length === 1 && typeof frame === 'string' ? 25 : 1
    if (times > 1) client.send(`${frame}\n`.repeat(times))
    else for (const one of frames) client.send(one)
    sent += group.length * times
  }
}

async function measure(world: World, dialect: Dialect, frameBytes: number): Promise<number[]> {
  const handled = () => metric(world.server.metrics() ?? '', 'tidemark_messages_received_total{action="known"}')
  const [flooder, other] = [await anyClient(world.url, dialect, 'f'), await anyClient(world.url, dialect, 'o')]
  flood(flooder, frameBytes)
  await untilAtOnce('the flood has begun', () => handled() > 0)
  const delays: number[] = []
  for (let count = 0; count < LOADS; count++) {
    const before = handled()
    other.say({ action: 'load', id: `co_zMine${count}`, known: { header: false, sessions: new Map() } })
    await untilAtOnce('an answer', () => other.heard.length === count + 1)
    delays.push(handled() - before)
  }
  // All of that happened in the middle of it.
  const seen = handled()
  await untilAtOnce('more of the flood', () => handled() > seen)
  for (const client of [flooder, other]) client.close()
  return delays
}

for (const dialect of dialects)
  describe(dialect.name, () => {
    for (const [how, frameBytes] of [
      ['many frames', 16 * 1024],
      ['few large frames', 64 * 1024 * 1024],
    ] as const)
      test(`half a million small messages in ${how} delay a LOAD of another connection by a few turns`, () =>
        withServer({}, async (world) => {
          const delays = await measure(world, dialect, frameBytes)
          expect(Math.max(...delays)).toBeLessThanOrEqual(TURNS_MAX * MESSAGES_PER_TURN)
          // And those turns are full: nobody pays for the fairness by standing still.
          expect(Math.max(...delays)).toBeGreaterThan(0)
        }))
  })
