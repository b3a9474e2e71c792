/**
 * Whom our own LOADs are for: what is owed is asked for until it is confirmed, what nobody waits for is not asked for ever (L10).
 *
 * Not here: how many are in flight (`window.test.ts`).
 */
import { expect, test } from 'vitest'
import { append, content, createWorld, settled, state, type World } from './world.ts'

const loads = (world: World, id: string) => world.trace.filter((line) => line.startsWith(`edge > core  LOAD ${id} `))
const known = (id: string, text = '') => ({ action: 'known', id, known: state(text), correction: false }) as const

async function edgeOf(...held: string[]) {
  const world = createWorld()
  const holds = held.map((id) => append(id, 'a:0-1'))
  const edge = await world.node('edge', { upstreamExpected: true, limits: { loadsInFlightMax: 2 }, holds })
  const core = world.peer('core', edge, { upstream: true })
  return { world, edge, core }
}

test('what is opened, written and closed while the window is full is asked for when there is room', async () => {
  const { world, edge, core } = await edgeOf('note')
  const others = world.peer('others', edge)
  for (const id of ['d1', 'd2']) others.load(id)
  const writer = world.peer('writer', edge)
  writer.load('note', state('a:1'))
  writer.say(content('note', 'a:1-2', false))
  await settled()
  writer.link.closed()
  await settled()
  expect(loads(world, 'note')).toEqual([])
  core.say(known('d1'))
  await settled()
  expect(loads(world, 'note')).toEqual(['edge > core  LOAD note header a:2'])
})

test('what is to be uploaded is asked for before what is only compared', async () => {
  const { world, core } = await edgeOf('d1', 'd2', 'd3', 'd4', 'note')
  core.link.ask(['d1', 'd2', 'd3', 'd4'])
  core.link.ask(['note'], 'outbox')
  await settled()
  core.say(known('d1', 'a:1'))
  await settled()
  expect([loads(world, 'note').length, loads(world, 'd3').length]).toEqual([1, 0])
})

test('a LOAD that is not answered is said again on the same connection for as long as somebody waits', async () => {
  const { world, edge } = await edgeOf()
  const client = world.peer('client', edge)
  client.load('note')
  await settled()
  await world.clock.advance(75_000)
  expect(loads(world, 'note')).toHaveLength(3)
  client.link.closed()
  await settled()
  expect(world.trace.at(-1)).toBe('edge > core  DONE note')
  await world.clock.advance(600_000)
  expect(loads(world, 'note')).toHaveLength(3)
  expect(edge.runner.sizes()).toMatchObject({ subscriptions: 0, parked: 0 })
})

test('an upstream that cannot say is not asked for ever for clients that are gone', async () => {
  const { world, edge, core } = await edgeOf()
  const client = world.peer('client', edge)
  client.load('note')
  await settled()
  core.say({ action: 'error', id: 'note', code: 'unavailable', message: 'my own core is away' })
  await world.clock.advance(5_000)
  expect(loads(world, 'note')).toHaveLength(2)
  core.say({ action: 'error', id: 'note', code: 'unavailable', message: 'my own core is away' })
  await settled()
  client.link.closed()
  await world.clock.advance(600_000)
  expect(loads(world, 'note')).toHaveLength(2)
  expect(edge.runner.sizes().subscriptions).toBe(0)
})

test('what was written here is asked for again although its writer is gone', async () => {
  const { world, edge, core } = await edgeOf('note')
  const writer = world.peer('writer', edge)
  writer.say(content('note', 'a:1-2', false))
  await settled()
  writer.link.closed()
  core.say({ action: 'error', id: 'note', code: 'unavailable', message: 'the disk is busy' })
  await world.clock.advance(5_000)
  expect(loads(world, 'note')).toHaveLength(2)
  core.say(known('note', 'a:1'))
  await settled()
  expect(world.trace.filter((line) => line.startsWith('edge > core  CONTENT note'))).toHaveLength(1)
  core.say(known('note', 'a:2'))
  await settled()
  expect([world.trace.at(-1), edge.runner.sizes().subscriptions]).toEqual(['edge > core  DONE note', 0])
})
