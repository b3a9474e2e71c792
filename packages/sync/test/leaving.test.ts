/**
 * Connections that are gone: what they said before is handled, and leaves nothing behind (L10).
 */
import { tidemarkBinary } from '@tidemark/protocol'
import { memoryStorage } from '@tidemark/storage'
import { expect, test } from 'vitest'
import { attach, type Receiver, run } from '../src/run.ts'
import { append, content, nextTurn, state } from './world.ts'

test('what was said over a connection that is gone is stored, also behind a question whose answer waited for room there', async () => {
  const storage = memoryStorage()
  await storage.open()
  await storage.append([append('many', Array.from({ length: 200 }, (_, at) => `s${at}:0-1`).join(' '), true, 'bytes')])
  const runner = await run({ storage, peer: 'server' })
  const codec = tidemarkBinary.createCodec()
  let receiver: Receiver | undefined
  attach(runner, {
    dialect: tidemarkBinary,
    open: (given) => {
      receiver = given
    },
    send() {},
    // Nothing that is sent leaves.
    room: () => false,
    unsent: () => 0,
    close() {},
    pause() {},
    resume() {},
  })
  const say = (...messages: Parameters<typeof codec.encode>[0]) => {
    for (const frame of codec.encode(messages, 1_000_000)) receiver?.frame(frame)
  }
  const ask = { action: 'load', id: 'many', known: state(''), probe: true } as const
  say(ask, ask, content('note', 'a:0-1', true, 'bytes'))
  for (let turns = 0; turns < 20; turns++) await nextTurn()
  say(content('late', 'a:0-1', true, 'bytes'))
  receiver?.closed(1006, 'gone')
  for (let turns = 0; turns < 50; turns++) await nextTurn()
  expect(runner.sizes()).toMatchObject({ connections: 0, parked: 0, pendingBytes: 0 })
  expect((await storage.knownStates(['note', 'late'])).map((held) => held?.known)).toEqual([state('a:1'), state('a:1')])
  await runner.close()
})
