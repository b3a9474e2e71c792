/**
 * Reconnecting (seed 000), as message logs. Own dialect unless said otherwise.
 */
import { expect, test } from 'vitest'
import { append, content, createWorld, JAZZ, settled, state } from './world.ts'

const note3 = append('note', 'a:0-3')
const _note5 = append('note', 'a:0-5')

test('1: an up-to-date client that holds a document only in storage costs one LOAD, one KNOWN and no content page', async () => {
  const world = createWorld()
  const client = await world.node('client', { holds: [note3] })
  const server = await world.node('server', { holds: [note3] })
  world.connect(client, server).client.ask(['note'])
  await settled()
  expect(world.trace).toEqual(['client > server  LOAD note header a:3', 'server > client  KNOWN note header a:3'])
  expect(client.spy.pages).toEqual([])
  expect(server.spy.pages).toEqual([])
  expect(server.spy.calls.knownStates).toBe(1)
})

test('2: a client that holds nothing is sent everything and acknowledges it', async () => {
  const world = createWorld()
  const client = await world.node('client', { upstreamExpected: true })
  const server = await world.node('server', { holds: [note3] })
  world.connect(client, server)
  const user = world.peer('user', client, { local: true })
  user.load('note')
  await settled()
  expect(world.trace.filter((line) => !line.includes('user'))).toEqual([
    'client > server  LOAD note ∅',
    'server > client  CONTENT note header a:0-3',
    'client > server  KNOWN note header a:3',
  ])
  expect(world.trace.at(-1)).toBe('client > user  CONTENT note header a:0-3')
})

test('2b: a subscribed document in neither memory nor storage is asked for once, with nothing, and without a warning', async () => {
  const world = createWorld()
  const client = await world.node('client')
  const server = await world.node('server')
  world.connect(client, server).client.ask(['note'])
  await settled()
  expect(world.trace).toEqual(['client > server  LOAD note ∅', 'server > client  KNOWN note ∅'])
  expect(client.reports.filter(({ kind }) => kind === 'storage' || kind === 'refused')).toEqual([])
})

test('3: a server that holds less asks for the rest', async () => {
  const world = createWorld()
  const client = await world.node('client', { holds: [append('note', 'a:0-5', true, 'bytes')] })
  const server = await world.node('server', { holds: [append('note', 'a:0-3', true, 'bytes')] })
  world.connect(client, server).client.ask(['note'])
  await settled()
  expect(world.trace).toEqual([
    'client > server  LOAD note header a:5',
    'server > client  LOAD note header a:3',
    'server > client  KNOWN note header a:3',
    'client > server  CONTENT note a:3-5',
    'server > client  KNOWN note header a:5',
  ])
})

test('3: of JSON, which has no digests, our own client is asked one sealed run short, and sends just that', async () => {
  const world = createWorld()
  const client = await world.node('client', { holds: [append('note', 'a:0-2'), append('note', 'a:2-5', false)] })
  const server = await world.node('server', { holds: [append('note', 'a:0-2'), append('note', 'a:2-3', false)] })
  world.connect(client, server).client.ask(['note'])
  await settled()
  expect(world.trace).toEqual([
    'client > server  LOAD note header a:5',
    'server > client  LOAD note header a:2',
    'server > client  KNOWN note header a:2',
    'client > server  CONTENT note a:2-5',
    'server > client  KNOWN note header a:5',
  ])
})

test('3: without digests the rest is asked for one sealed run short, and only the new part is stored', async () => {
  const world = createWorld()
  const server = await world.node('server', { holds: [append('note', 'a:0-2'), append('note', 'a:2-3', false)] })
  const peer = world.peer('peer', server, JAZZ)
  peer.load('note', state('a:5'))
  await settled()
  expect(world.trace.slice(1)).toEqual(['server > peer  LOAD note header a:2', 'server > peer  KNOWN note header a:3'])
  peer.say(content('note', 'a:2-5', false))
  await settled()
  expect(world.trace.at(-1)).toBe('server > peer  KNOWN note header a:5')
})

test('4: a client that holds less gets just the rest; nothing else', async () => {
  const world = createWorld()
  const client = await world.node('client', { holds: [note3] })
  const server = await world.node('server', { holds: [append('note', 'a:0-3'), append('note', 'a:3-5', false)] })
  world.connect(client, server).client.ask(['note'])
  await settled()
  expect(world.trace).toEqual([
    'client > server  LOAD note header a:3',
    'server > client  CONTENT note a:3-5',
    'client > server  KNOWN note header a:5',
  ])
})

test('5: when both sides lack something each transaction crosses once', async () => {
  const world = createWorld()
  const client = await world.node('client', { holds: [append('note', 'a:0-3 b:0-1', true, 'bytes')] })
  const server = await world.node('server', { holds: [append('note', 'a:0-1 c:0-2', true, 'bytes')] })
  world.connect(client, server).client.ask(['note'])
  await settled()
  expect(world.trace.slice(0, 4)).toEqual([
    'client > server  LOAD note header a:3 b:1',
    'server > client  LOAD note header a:1 c:2',
    'server > client  KNOWN note header a:1 c:2',
    'server > client  CONTENT note c:0-2',
  ])
  const sent = world.trace.filter((line) => line.includes('CONTENT'))
  expect(sent).toEqual(['server > client  CONTENT note c:0-2', 'client > server  CONTENT note a:1-3 b:0-1'])
  for (const node of [client, server])
    expect((await node.spy.storage.knownStates(['note']))[0]?.known).toEqual(state('a:3 b:1 c:2'))
})

test('4 and 5, for clients that take content for all we hold: our state is told first', async () => {
  const world = createWorld()
  const server = await world.node('server', { holds: [append('note', 'a:0-1'), append('note', 'a:1-2 c:0-2', false)] })
  const behind = world.peer('behind', server, JAZZ)
  behind.load('note', state('a:1'))
  await settled()
  expect(world.trace.slice(1)).toEqual([
    'server > behind  KNOWN note header a:2 c:2',
    'server > behind  CONTENT note a:1-2 c:0-2',
  ])
  world.trace.length = 0
  const both = world.peer('both', server, JAZZ)
  both.load('note', state('a:2 b:1'))
  await settled()
  expect(world.trace.slice(1)).toEqual([
    'server > both  LOAD note header a:2 c:2',
    'server > both  KNOWN note header a:2 c:2',
    'server > both  CONTENT note c:0-2',
  ])
})

test('9: when our own look-up fails we ask with nothing, and warn', async () => {
  const world = createWorld()
  const client = await world.node('client', { holds: [note3] })
  const server = await world.node('server', { holds: [note3] })
  client.spy.replace = {
    knownStates: () => {
      throw new Error('disk on fire')
    },
  }
  world.connect(client, server).client.ask(['note'])
  await settled()
  expect(world.trace[0]).toBe('client > server  LOAD note ∅')
  expect(client.reports).toContainEqual(expect.objectContaining({ kind: 'storage', operation: 'look', id: 'note' }))
})

test('12: a server that restarts empty ends with everything the client has', async () => {
  const world = createWorld()
  const client = await world.node('client', { upstreamExpected: true })
  const user = world.peer('user', client, { local: true })
  const first = world.connect(client, await world.node('server'))
  user.say(content('note', 'a:0-3 b:0-2'))
  await settled()
  first.close()
  const empty = await world.node('empty')
  world.connect(client, empty)
  await settled()
  expect((await empty.spy.storage.knownStates(['note']))[0]?.known).toEqual(state('a:3 b:2'))
})

test('a created document is pushed without asking for it first', async () => {
  const world = createWorld()
  const client = await world.node('client')
  const server = await world.node('server')
  world.connect(client, server)
  world.peer('user', client, { local: true }).say(content('note', 'a:0-1'))
  await settled()
  expect(world.trace.filter((line) => !line.includes('user'))).toEqual([
    'client > server  CONTENT note header a:0-1',
    'server > client  KNOWN note header a:1',
  ])
  expect(client.runner.status('note')).toEqual({ uploaded: true, inStep: true, upstreams: 1 })
})

test('no more LOADs than the window allows are in flight, and what the user opens overtakes', async () => {
  const world = createWorld()
  const client = await world.node('client', { limits: { loadsInFlightMax: 2 } })
  const server = world.peer('server', client, { upstream: true })
  server.link.ask(['d1', 'd2', 'd3', 'd4'])
  await settled()
  expect(world.trace).toEqual(['client > server  LOAD d1 ∅', 'client > server  LOAD d2 ∅'])
  world.peer('user', client, { local: true }).load('opened')
  await settled()
  server.say({ action: 'known', id: 'd1', known: state(''), correction: false })
  await settled()
  expect(world.trace.filter((line) => line.includes('> server  LOAD')).at(-1)).toBe('client > server  LOAD opened ∅')
  // The second never answers: its slot is freed by its deadline.
  await world.clock.advance(30_000)
  expect(world.trace.filter((line) => line.includes('> server  LOAD')).map((line) => line.split(' ')[5])).toEqual(
    expect.arrayContaining(['d3', 'd4']),
  )
})
