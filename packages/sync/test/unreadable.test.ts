/**
 * A storage that cannot be read for longer than anybody waits: nothing is lost by that, and nobody has to connect anew.
 */
import { StorageError } from '@tidemark/storage'
import { describe, expect, test } from 'vitest'
import { append, content, createWorld, JAZZ, type Node, OWN, settled, state } from './world.ts'

const broken = () => {
  throw new StorageError('IO', 'no disk')
}

const storedOf = async (node: Node) => (await node.spy.real.knownStates(['note']))[0]?.known.sessions.get('a')

describe.each([
  ['our dialect', OWN],
  ['the Jazz dialect', JAZZ],
] as const)('in %s', (_, traits) => {
  test('content that could not be judged is asked for again when the storage can be read', async () => {
    const world = createWorld()
    const server = await world.node('server', { holds: [append('note', 'a:0-1')] })
    const writer = world.peer('writer', server, traits)
    server.spy.replace = { knownStates: broken }
    writer.say(content('note', 'a:1-2', false))
    await settled()
    await world.clock.advance(60_000)
    const refused = world.trace.filter((line) => line.includes('ERROR'))
    expect(refused).toEqual(traits.errors ? ['server > writer  ERROR note failed'] : [])
    server.spy.replace = {}
    await world.clock.advance(400_000)
    expect(world.trace.filter((line) => line.startsWith('server > writer  KNOWN'))).toEqual([
      'server > writer  KNOWN! note header a:1',
    ])
    writer.say(content('note', 'a:1-2', false))
    await settled()
    expect(await storedOf(server)).toBe(2)
    expect(server.runner.sizes()).toMatchObject({ parked: 0, queued: 0 })
  })

  test('content of a peer in step that could not be judged is asked for again, too', async () => {
    const world = createWorld()
    const server = await world.node('server', { holds: [append('note', 'a:0-1')] })
    const writer = world.peer('writer', server, traits)
    writer.load('note', state('a:1'))
    await settled()
    server.spy.replace = { knownStates: broken }
    writer.say(content('note', 'a:1-2', false))
    await settled()
    await world.clock.advance(60_000)
    server.spy.replace = {}
    await world.clock.advance(400_000)
    expect(world.trace.at(-1)).toBe('server > writer  KNOWN! note header a:1')
  })

  test('a peer whose page could not be read is sent it when it can be', async () => {
    const world = createWorld()
    const server = await world.node('server', { holds: [append('note', 'a:0-1')] })
    const reader = world.peer('reader', server, traits)
    server.spy.replace = { read: broken }
    reader.load('note')
    await settled()
    await world.clock.advance(60_000)
    expect(world.trace.filter((line) => line.includes('CONTENT'))).toEqual([])
    server.spy.replace = {}
    await world.clock.advance(400_000)
    expect(world.trace.at(-1)).toBe('server > reader  CONTENT note header a:0-1')
  })
})

test('who may only write is sent nothing because its content could not be judged', async () => {
  const world = createWorld()
  const server = await world.node('server', {
    holds: [append('note', 'a:0-1')],
    hooks: { authorize: (_principal, action) => action === 'write' },
  })
  const writer = world.peer('writer', server)
  server.spy.replace = { knownStates: broken }
  writer.say(content('note', 'a:1-2', false))
  await settled()
  await world.clock.advance(60_000)
  server.spy.replace = {}
  await world.clock.advance(400_000)
  const other = world.peer('other', server)
  other.say(content('note', 'b:0-1', false))
  await settled()
  expect(writer.heard.filter(({ action }) => action === 'content')).toEqual([])
  expect(writer.heard.at(-1)).toMatchObject({ action: 'known', correction: true })
})
