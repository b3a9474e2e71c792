/**
 * Too many sessions of one document (L10): the new session is refused with a code, never the document, nor what it holds already.
 */
import { expect, test } from 'vitest'
import { append, content, createWorld, JAZZ, settled, state } from './world.ts'

const limits = { documentSessionsMax: 2 }

test('a session too many is refused with a code; what came with it for other sessions is stored', async () => {
  const world = createWorld()
  const server = await world.node('server', { limits, holds: [append('note', 'a:0-1 b:0-1')] })
  const peer = world.peer('peer', server)
  peer.say(content('note', 'a:1-2 c:0-1', false))
  await settled()
  expect((await server.spy.real.knownStates(['note']))[0]?.known).toEqual(state('a:2 b:1'))
  expect(world.trace).toContain('server > peer  ERROR note limit')
  expect(world.trace).toContain('server > peer  KNOWN note header a:2')
})

test('where errors cannot be said, its writer is told plainly what is held, and sent it', async () => {
  const world = createWorld()
  const server = await world.node('server', { limits, holds: [append('note', 'a:0-1 b:0-1')] })
  const peer = world.peer('peer', server, JAZZ)
  peer.say(content('note', 'c:0-1', false))
  await settled()
  // It is subscribed, as everybody who writes: what it lacks is sent to it, now and when it grows.
  expect(world.trace.slice(1)).toEqual([
    'server > peer  KNOWN note header a:1 b:1',
    'server > peer  CONTENT note a:0-1 b:0-1',
  ])
})

test('a document is created with as many sessions as there may be, and the rest of its content is refused', async () => {
  const world = createWorld()
  const server = await world.node('server', { limits })
  const peer = world.peer('peer', server)
  peer.say(content('note', 'a:0-1 b:0-1 c:0-1'))
  await settled()
  expect((await server.spy.real.knownStates(['note']))[0]?.known).toEqual(state('a:1 b:1'))
  expect(peer.heard.map(({ action }) => action)).toEqual(['error', 'known'])
})

test('a peer that claims a session too many is asked once for each LOAD, and is served what it lacks', async () => {
  const world = createWorld()
  const server = await world.node('server', { limits, holds: [append('note', 'a:0-1 b:0-1')] })
  const client = await world.node('client', { holds: [append('note', 'a:0-1 c:0-1')] })
  const connection = world.connect(client, server)
  connection.client.ask(['note'])
  await settled()
  expect((await client.spy.real.knownStates(['note']))[0]?.known).toEqual(state('a:1 b:1 c:1'))
  expect((await server.spy.real.knownStates(['note']))[0]?.known).toEqual(state('a:1 b:1'))
  expect(world.trace.length).toBeLessThan(10)
})
