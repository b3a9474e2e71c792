/**
 * Continuity proven by overlap, where no digest can be compared: `proveContinuity`, and claims of more than is held.
 */
import { expect, test } from 'vitest'
import { append, bytes, content, createWorld, JAZZ, OWN, settled, state } from './world.ts'

async function set(proveContinuity: boolean) {
  const world = createWorld()
  const holds = [append('note', 'a:0-2'), append('note', 'a:2-3', false), append('note', 'b:0-1', false)]
  const server = await world.node('server', { holds, proveContinuity })
  const stored = async () => (await server.spy.storage.knownStates(['note']))[0]?.known
  return { world, server, stored, peer: world.peer('peer', server, JAZZ) }
}

test('the first continuation of a session is asked for one sealed run short, and what follows is taken as it comes', async () => {
  const { world, peer, stored } = await set(true)
  peer.load('note', state('a:3 b:1'))
  await settled()
  world.trace.length = 0
  peer.say(content('note', 'a:3-4', false))
  await settled()
  expect(world.trace).toEqual([
    'peer > server  CONTENT note a:3-4',
    'server > peer  LOAD note header a:2 b:1',
    'server > peer  KNOWN note header a:3 b:1',
  ])
  peer.say(content('note', 'a:2-4', false))
  await settled()
  expect(world.trace.at(-1)).toBe('server > peer  KNOWN note header a:4')
  world.trace.length = 0
  peer.say(content('note', 'a:4-5', false))
  await settled()
  expect(world.trace).toEqual(['peer > server  CONTENT note a:4-5', 'server > peer  KNOWN note header a:5'])
  expect(await stored()).toEqual(state('a:5 b:1'))
})

test('a session that forked shows as one, is frozen, and the others go on', async () => {
  const { world, server, peer, stored } = await set(true)
  const reader = world.peer('reader', server, JAZZ)
  reader.load('note', state('a:3 b:1'))
  peer.load('note', state('a:3 b:1'))
  await settled()
  peer.say(content('note', 'a:3-4 b:1-2', false))
  await settled()
  world.trace.length = 0
  const other = { session: 'a', after: 2, transactions: [bytes('{"x":3}'), bytes('{"x":4}')], seal: bytes('other') }
  peer.say({ ...content('note', 'b:0-2', false), runs: [other, ...content('note', 'b:0-2', false).runs] })
  await settled()
  expect(server.reports).toContainEqual({ kind: 'fork', connection: peer.link.id, id: 'note', sessions: ['a'] })
  expect(await stored()).toEqual(state('a:3 b:2'))
  expect(world.trace.filter((line) => line.startsWith('server > reader'))).toEqual([
    'server > reader  CONTENT note b:1-2',
  ])
  expect(world.trace.filter((line) => line.includes('KNOWN!'))).toEqual([])
})

test('a session that begins here needs no proof, and neither does what the peer itself brought before', async () => {
  const { world, peer, stored } = await set(true)
  peer.say(content('new', 'c:0-1'), content('note', 'd:0-1', false))
  await settled()
  world.trace.length = 0
  peer.say(content('new', 'c:1-2', false), content('note', 'd:1-2', false))
  await settled()
  expect(world.trace.filter((line) => line.includes('LOAD'))).toEqual([])
  expect(await stored()).toEqual(state('a:3 b:1 d:2'))
})

test('who goes on where it was, although it was asked for the overlap, is not asked for ever', async () => {
  const { world, peer, stored } = await set(true)
  for (let round = 0; round < 3; round++) {
    peer.say(content('note', 'a:3-4', false))
    await settled()
  }
  expect(world.trace.filter((line) => line.includes('LOAD'))).toHaveLength(1)
  expect(await stored()).toEqual(state('a:4 b:1'))
})

test('without the option a continuation is taken as it comes', async () => {
  const { world, peer, stored } = await set(false)
  peer.say(content('note', 'a:3-4', false))
  await settled()
  expect(await stored()).toEqual(state('a:4 b:1'))
  expect(world.trace.filter((line) => line.includes('LOAD'))).toEqual([])
})

test('in a dialect with digests JSON is asked for all the same: it has none', async () => {
  const { world, server, stored } = await set(true)
  const own = world.peer('own', server)
  own.say(content('note', 'a:3-4', false))
  await settled()
  expect(world.trace).toEqual([
    'own > server  CONTENT note a:3-4',
    'server > own  LOAD note header a:2 b:1',
    'server > own  KNOWN note header a:2 b:1',
  ])
  own.say(content('note', 'a:2-4', false))
  await settled()
  expect(await stored()).toEqual(state('a:4 b:1'))
})

test('a continuation of bytes, whose digests are compared, is taken as it comes', async () => {
  const world = createWorld()
  const server = await world.node('server', { holds: [append('note', 'a:0-3', true, 'bytes')], proveContinuity: true })
  world.peer('own', server).say(content('note', 'a:3-4', false, 'bytes'))
  await settled()
  expect(world.trace).toEqual(['own > server  CONTENT note a:3-4', 'server > own  KNOWN note header a:4'])
})

test('a JSON document that somebody claims more of is asked for one sealed run short, and a fork of it shows', async () => {
  for (const traits of [JAZZ, OWN]) {
    const { world, server } = await set(false)
    const restored = world.peer('restored', server, traits)
    restored.load('note', state('a:4 b:1'))
    await settled()
    expect(world.trace).toContain('server > restored  LOAD note header a:2 b:1')
    const run = { session: 'a', after: 2, transactions: [bytes('"B"'), bytes('"c"')], seal: bytes('other') }
    restored.say({ ...content('note', '', false), runs: [run] })
    await settled()
    expect(server.reports).toContainEqual({ kind: 'fork', connection: restored.link.id, id: 'note', sessions: ['a'] })
  }
})

test('a session that forked stays frozen after DONE and another LOAD, and the others go on', async () => {
  const { server, stored } = await set(false)
  const world = createWorld()
  const peer = world.peer('forked', server, OWN)
  const other = (after: number, ...values: number[]) => ({
    session: 'a',
    after,
    transactions: values.map((value) => bytes(`{"y":${value}}`)),
    seal: bytes('other'),
  })
  peer.say({ ...content('note', 'b:0-2', false), runs: [other(2, 3, 4)] })
  await settled()
  expect(server.reports.filter(({ kind }) => kind === 'fork')).toHaveLength(1)
  peer.say({ action: 'done', id: 'note' })
  peer.load('note', state('a:3 b:1'))
  await settled()
  const heard = peer.heard.length
  peer.say({ ...content('note', 'b:1-2', false), runs: [other(3, 4), ...content('note', 'b:1-2', false).runs] })
  await settled()
  expect(await stored()).toEqual(state('a:3 b:2'))
  expect(peer.heard.slice(heard)).toMatchObject([{ action: 'known', known: state('b:2') }])
})

test('who forked a session, and left, and asks only what is held, learns all of it', async () => {
  const { server } = await set(false)
  const peer = createWorld().peer('forked', server, OWN)
  const forked = { session: 'a', after: 2, transactions: [bytes('{"y":3}')], seal: bytes('other') }
  peer.say({ ...content('note', '', false), runs: [forked] })
  await settled()
  peer.say({ action: 'done', id: 'note' }, { action: 'load', id: 'note', known: state(''), probe: true })
  await settled()
  expect(peer.heard.at(-1)).toMatchObject({ action: 'known', known: state('a:3 b:1') })
})

test('content is answered also where nothing of it is taken, and what is said of a fork acknowledges nothing of it', async () => {
  const { server } = await set(false)
  const world = createWorld()
  const peer = world.peer('forked', server, OWN)
  const forked = { session: 'a', after: 2, transactions: [bytes('{"y":3}'), bytes('{"y":4}')], seal: bytes('other') }
  peer.say({ ...content('note', 'b:0-2', false), runs: [forked, ...content('note', 'b:1-2', false).runs] })
  await settled()
  const known = () => peer.heard.filter(({ action }) => action === 'known')
  // Not that three of `a` are held: who sent four, of which two are others, would take that for a confirmation.
  expect(known()).toMatchObject([{ known: state('b:2') }, { known: state('b:2') }])
  // All of it is of the session that rests.
  peer.say({ ...content('note', '', false), runs: [forked] })
  await settled()
  expect(known().slice(2)).toEqual([{ action: 'known', id: 'note', known: state('b:2'), correction: false }])
})

test('content for another header is refused as often as it comes', async () => {
  const world = createWorld()
  const server = await world.node('server', { holds: [append('note', 'a:0-3')] })
  const peer = world.peer('rival', server, OWN)
  const rival = { ...content('note', 'b:0-1'), header: bytes('{"another":1}') }
  for (let times = 0; times < 2; times++) {
    peer.say(rival)
    await settled()
  }
  expect(peer.heard.filter(({ action }) => action === 'error')).toMatchObject([{ code: 'fork' }, { code: 'fork' }])
})

test('what others add to a session that a peer forked is not sent to it, nor read for it', async () => {
  const { world, server, peer, stored } = await set(false)
  const writer = world.peer('writer', server, JAZZ)
  writer.load('note', state('a:3 b:1'))
  const other = { session: 'a', after: 2, transactions: [bytes('{"x":3}'), bytes('{"x":4}')], seal: bytes('other') }
  peer.load('note', state('a:3 b:1'))
  await settled()
  peer.say({ ...content('note', '', false), runs: [other] })
  await settled()
  expect(server.reports.filter(({ kind }) => kind === 'fork')).toHaveLength(1)
  const { length } = peer.heard
  const { read } = server.spy.calls
  writer.say(content('note', 'a:3-6', false))
  await settled()
  expect(await stored()).toEqual(state('a:6 b:1'))
  expect(server.spy.calls.read).toBe(read)
  expect(peer.heard.slice(length)).toEqual([])
})

test('who brought another header is told so, and of nothing that it brought that it is held', async () => {
  const { world, peer, server, stored } = await set(false)
  peer.say({ ...content('note', 'a:0-3'), header: bytes('{"other":true}') })
  await settled()
  expect(server.reports.filter(({ kind }) => kind === 'fork')).toHaveLength(1)
  const own = world.peer('own', server, OWN)
  own.say({ ...content('note', 'a:0-3'), header: bytes('{"other":true}') })
  await settled()
  expect(own.heard.map(({ action }) => action)).toEqual(['error'])
  expect(await stored()).toEqual(state('a:3 b:1'))
})

test('who said to hold what somebody else brings later is told its digest, and finds a fork by that (losses, seed 28005059)', async () => {
  const world = createWorld()
  const authorize = (principal: unknown, action: string) => principal !== 'reader' || action === 'read'
  const server = await world.node('server', { holds: [append('note', 'b:0-1', true, 'bytes')], hooks: { authorize } })
  const reader = world.peer('reader', server, { ...OWN, principal: 'reader' })
  reader.load('note', state('a:2 b:1'))
  await settled()
  reader.heard.length = 0
  world.peer('writer', server, OWN).say(content('note', 'a:0-2', false, 'bytes'))
  await settled()
  const digest = (await server.spy.real.knownStates(['note']))[0]?.digests.get('a')
  expect(reader.heard).toEqual([
    { action: 'known', id: 'note', known: state('a:2'), digests: new Map([['a', digest]]), correction: false },
  ])
})
