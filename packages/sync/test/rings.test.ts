/**
 * Two servers that are each other's upstream, which nobody sets up on purpose: what each wants for the other alone nobody wants, so they come to
 * rest (L10), and a document is absent when both have said so (L1).
 */
import { expect, test } from 'vitest'
import { append, content, createWorld, OWN, settled, state } from './world.ts'

async function createRing() {
  const world = createWorld()
  const one = await world.node('one', { upstreamExpected: true, holds: [append('held', 'a:0-2')] })
  const two = await world.node('two', { upstreamExpected: true })
  const traits = { ...OWN, hello: true }
  world.connect(one, two, traits)
  world.connect(two, one, traits)
  await settled()
  const subscriptions = () => [one, two].map(({ runner }) => runner.sizes().subscriptions)
  return { world, one, two, subscriptions }
}

test("two servers that are each other's upstream say what neither has, and ask each other no more", async () => {
  const { world, one, two, subscriptions } = await createRing()
  const clients = [world.peer('client', one), world.peer('other', two)]
  for (const client of clients) client.load('note')
  await settled()
  expect(world.trace.filter((line) => line.includes('> client') || line.includes('> other'))).toEqual([
    'one > client  KNOWN note ∅',
    'two > other  KNOWN note ∅',
  ])
  for (const client of clients) client.link.closed()
  await settled()
  const said = world.trace.length
  await world.clock.advance(600_000)
  expect([world.trace.length - said, subscriptions()]).toEqual([0, [0, 0]])
})

test('in a ring content reaches both, and whoever is subscribed', async () => {
  const { world, one, two, subscriptions } = await createRing()
  const reader = world.peer('reader', two)
  reader.load('held')
  reader.load('note')
  await settled()
  const writer = world.peer('writer', one)
  writer.say(content('note', 'b:0-1'))
  await world.clock.advance(60_000)
  const heard = world.trace.filter((line) => line.startsWith('two > reader  CONTENT'))
  expect(heard).toEqual(['two > reader  CONTENT held header a:0-2', 'two > reader  CONTENT note header b:0-1'])
  for (const peer of [reader, writer]) peer.link.closed()
  await world.clock.advance(600_000)
  const said = world.trace.length
  await world.clock.advance(600_000)
  expect([world.trace.length - said, subscriptions()]).toEqual([0, [0, 0]])
  for (const { spy } of [one, two])
    expect((await spy.real.knownStates(['note', 'held'])).map((stored) => stored?.known)).toEqual([
      state('b:1'),
      state('a:2'),
    ])
})
