/**
 * Edges: nodes with upstreams, forks, probes, erasures, the end of connections.
 */
import { EMPTY } from '@tidemark/known-state'
import { memoryStorage, StorageError } from '@tidemark/storage'
import { expect, test } from 'vitest'
import { createEngine } from '../src/engine.ts'
import {
  append,
  bytes,
  content,
  createWorld,
  gate,
  JAZZ,
  nextTurn,
  OWN,
  settled,
  state,
  verifyGenuine,
} from './world.ts'

test('the slot of a LOAD is freed by the last page of its answer, not by one in the middle', async () => {
  const world = createWorld()
  const client = await world.node('client', { limits: { loadsInFlightMax: 1 } })
  const server = world.peer('server', client, { upstream: true })
  server.link.ask(['big', 'next'])
  await settled()
  const loads = () => server.heard.filter(({ action }) => action === 'load').length
  server.say({ ...content('big', 'a:0-1'), expectUntil: state('a:3') })
  await settled()
  server.say(content('big', 'a:1-2', false))
  await settled()
  expect(loads()).toBe(1)
  server.say(content('big', 'a:2-3', false))
  await settled()
  expect(loads()).toBe(2)
})

test('the slot of a LOAD is freed by content that is refused', async () => {
  const world = createWorld()
  const client = await world.node('client', {
    limits: { loadsInFlightMax: 1 },
    holds: [append('raw', 'a:0-1', true, 'bytes')],
  })
  const server = world.peer('server', client, { upstream: true })
  server.link.ask(['raw', 'next'])
  await settled()
  server.say(content('raw', 'a:0-2', true, 'json'))
  await settled()
  expect(world.trace.filter((line) => line.includes('LOAD')).at(-1)).toBe('client > server  LOAD next ∅')
})

test('L2: a second append of unknown outcome is judged by a look-up that was asked after it', async () => {
  const world = createWorld()
  const server = await world.node('server', { holds: [append('slow', 'a:0-1')] })
  const look = gate()
  const snapshot = gate()
  let appends = 0
  server.spy.replace = {
    knownStates: async (ids) => {
      const states = await server.spy.real.knownStates(ids)
      if (ids.includes('slow')) await look.opened
      if (ids.includes('note') && appends === 1) await snapshot.opened
      return states
    },
    append: async (batch, options) => {
      appends += 1
      if (appends === 1) throw new StorageError('IO', 'before')
      await server.spy.real.append(batch, options)
      if (appends === 2) throw new StorageError('IO', 'after')
      throw new Error('a third append')
    },
  }
  const [one, two] = [world.peer('one', server), world.peer('two', server)]
  // Accepted, and behind a content that is still looked up.
  one.say(content('slow', 'a:1-2', false))
  await settled()
  one.say(content('note', 'b:0-1'))
  await settled()
  two.say(content('note', 'a:0-1'))
  await settled()
  look.open()
  await settled()
  snapshot.open()
  await settled()
  expect(world.trace).toContain('server > one  KNOWN note header b:1')
  expect(world.trace.filter((line) => line.startsWith('server > one  ERROR'))).toEqual([])
})

test('a storage that cannot erase does not keep its node from closing', async () => {
  const world = createWorld()
  const isTombstone = (session: string) => session.endsWith('$')
  const node = await world.node('node', { holds: [append('note', 'a:0-3')], hooks: { isTombstone } })
  node.spy.replace = {
    erase: () => {
      throw new TypeError('this storage does not erase')
    },
  }
  world.peer('deleter', node).say(content('note', 'd$:0-1', false))
  await settled()
  let flushed = false
  void node.runner.flushed().then(() => {
    flushed = true
  })
  await settled()
  expect(flushed).toBe(true)
})

test('a disk that is gone does not keep its node from closing', async () => {
  const world = createWorld()
  const node = await world.node('node')
  const gone = () => {
    throw new StorageError('IO', 'the disk is gone')
  }
  const peer = world.peer('peer', node)
  peer.load('note')
  await settled()
  node.spy.replace = { append: gone, knownStates: gone, read: gone }
  peer.say(content('note', 'a:0-1'))
  await settled()
  peer.link.closed()
  let closed = false
  void node.runner.close().then(() => {
    closed = true
  })
  await settled()
  await world.clock.advance(60_000)
  expect(closed).toBe(true)
})

test('a tombstone erases its document also when it came before, and was not acted upon then', async () => {
  const world = createWorld()
  const isTombstone = (session: string) => session.endsWith('$')
  // As a node leaves it that is killed between storing the tombstone and erasing.
  const holds = [append('note', 'a:0-3'), append('note', 'd$:0-1', false)]
  const server = await world.node('server', { holds, hooks: { isTombstone } })
  world.peer('deleter', server).say(content('note', 'd$:0-1'))
  await settled()
  expect((await server.spy.real.knownStates(['note']))[0]).toMatchObject({ known: state('d$:1'), erased: [1, ''] })
})

test('a tombstone that the application could not judge is not stored as something else', async () => {
  const world = createWorld()
  let up = false
  const isTombstone = async (session: string) => {
    if (!up) throw new Error('not now')
    return session.endsWith('$')
  }
  const server = await world.node('server', { holds: [append('note', 'a:0-3')], hooks: { isTombstone } })
  const deleter = world.peer('deleter', server)
  deleter.say(content('note', 'd$:0-1', false))
  await settled()
  up = true
  deleter.say(content('note', 'd$:0-1', false))
  await settled()
  expect((await server.spy.real.knownStates(['note']))[0]).toMatchObject({ known: state('d$:1'), erased: [1, ''] })
})

test('a document whose content could not be verified is not created', async () => {
  const world = createWorld()
  const verify = async () => {
    throw new Error('the verifier is down')
  }
  const server = await world.node('server', { hooks: { verify } })
  const writer = world.peer('writer', server)
  writer.say(content('note', 'a:0-1'))
  await settled()
  expect(await server.spy.real.knownStates(['note'])).toEqual([undefined])
  expect(writer.heard.map(({ action }) => action)).toEqual(['error'])
})

test('who holds another header for a document neither adds to it nor is sent it', async () => {
  const world = createWorld()
  const server = await world.node('server', { holds: [append('note', 'a:0-1')] })
  const other = world.peer('other', server)
  const theirs = { ...content('note', 'b:0-1'), header: bytes('{"id":"note","of":"another"}') }
  other.say(theirs)
  await settled()
  other.say(content('note', 'b:0-2', false))
  await settled()
  expect((await server.spy.real.knownStates(['note']))[0]?.known).toEqual(state('a:1'))
  expect(other.heard.filter(({ action }) => action === 'content')).toEqual([])
})

test('L13: a claim that shows a fork is answered with one error and one KNOWN', async () => {
  const world = createWorld()
  const server = await world.node('server', { holds: [append('raw', 'a:0-3', true, 'bytes')] })
  const peer = world.peer('peer', server)
  peer.say({ action: 'load', id: 'raw', known: state('a:3'), digests: new Map([['a', '0000000000000000']]) })
  await settled()
  expect(peer.heard.map(({ action }) => action)).toEqual(['error', 'known'])
})

test('L13: a live push carries the digest that its content is continued from', async () => {
  const world = createWorld()
  const server = await world.node('server', { holds: [append('raw', 'a:0-1', true, 'bytes')] })
  const reader = world.peer('reader', server)
  reader.load('raw', state('a:1'))
  await settled()
  world.peer('writer', server).say(content('raw', 'a:1-2', false, 'bytes'))
  await settled()
  const [page] = reader.heard.filter((message) => message.action === 'content')
  expect(page?.runs[0]?.digest).toMatch(/^[0-9a-f]{16}$/)
})

test('an upstream has its time to answer from when it was asked, also when the storage was slow', async () => {
  const world = createWorld()
  const edge = await world.node('edge', { upstreamExpected: true })
  edge.spy.replace = {
    knownStates: async (ids) => {
      await world.clock.wait(4_000)
      return edge.spy.real.knownStates(ids)
    },
  }
  const core = world.peer('core', edge, { upstream: true })
  const client = world.peer('client', edge)
  client.load('note')
  await settled()
  await world.clock.advance(4_000)
  edge.spy.replace = {}
  await world.clock.advance(2_000)
  core.say(content('note', 'a:0-1'))
  await settled()
  expect(client.heard.map(({ action }) => action)).toEqual(['content'])
})

test('L1: a probe of an edge that holds nothing is answered when its upstream answered', async () => {
  const world = createWorld()
  const edge = await world.node('edge', { upstreamExpected: true })
  const core = world.peer('core', edge, { upstream: true })
  const client = world.peer('client', edge)
  client.say({ action: 'load', id: 'note', known: EMPTY, probe: true })
  await settled()
  expect(client.heard).toEqual([])
  core.say({ action: 'known', id: 'note', known: EMPTY, correction: false })
  await settled()
  expect(client.heard.map(({ action }) => action)).toEqual(['known'])
})

test('a gap that waits for an append is corrected also when its sender corrected us meanwhile', async () => {
  const world = createWorld()
  const server = await world.node('server', { holds: [append('note', 'a:0-1')] })
  const { opened, open } = gate()
  server.spy.replace = {
    append: async (batch, options) => {
      await opened
      return server.spy.real.append(batch, options)
    },
  }
  const [one, two] = [world.peer('one', server), world.peer('two', server)]
  two.load('note', state('a:1'))
  one.say(content('note', 'b:0-1', false))
  await settled()
  two.say(content('note', 'c:3-4', false))
  two.say({ action: 'known', id: 'note', known: state('a:1 c:4'), correction: true })
  await settled()
  open()
  await settled()
  expect(world.trace.filter((line) => line.startsWith('server > two  KNOWN!'))).toHaveLength(1)
})

test('L10: a reconcile batch that was acknowledged leaves nothing to wake up for', () => {
  const engine = createEngine({ self: { peer: 'p', generation: { id: 'g', sequence: 0 }, level: 'durable' } })
  engine.handle({ type: 'connected', connection: 1, traits: { ...OWN, upstream: false, local: false } }, 0)
  const effects = engine.handle(
    { type: 'received', connection: 1, message: { action: 'reconcile', batch: 'b', values: [] }, bytes: 40 },
    0,
  )
  expect(effects).toMatchObject([{ type: 'send', message: { action: 'reconcile-ack', batch: 'b' } }])
  expect(engine.nextWake()).toBeUndefined()
})

test('reconcile: a document is asked for once, however often it is named', async () => {
  const world = createWorld()
  const server = await world.node('server')
  const peer = world.peer('peer', server, JAZZ)
  peer.say({
    action: 'reconcile',
    batch: 'b1',
    values: [
      ['note', 'x'],
      ['note', 'y'],
    ],
  })
  peer.say({ action: 'reconcile', batch: 'b2', values: [['note', 'x']] })
  await settled()
  expect(world.trace.filter((line) => line.includes('LOAD note'))).toHaveLength(1)
})

test('a claim of a stream that may have been cut is probed also when its claimant wrote on meanwhile', async () => {
  const world = createWorld()
  const runs = Array.from({ length: 3 }, (_, index) =>
    append('big', `a:${index * 4000}-${index * 4000 + 4000}`, index === 0),
  )
  const server = await world.node('server', { holds: runs })
  const peer = world.peer('peer', server, JAZZ)
  // It really holds 8,000 of `a`.
  peer.load('big', state('a:12000 own:2'))
  await settled()
  peer.say(content('big', 'own:0-2', false))
  await settled()
  expect(world.trace.filter((line) => line.startsWith('server > peer  CONTENT big a:12000-12000'))).toHaveLength(1)
})

test('a stream is not cut short by a KNOWN that claims its announced end', async () => {
  const world = createWorld()
  const runs = Array.from({ length: 5 }, (_, index) => append('big', `a:${index * 10}-${index * 10 + 10}`, index === 0))
  const server = await world.node('server', { holds: runs, limits: { pageBytes: 100 } })
  const peer = world.peer('peer', server, JAZZ)
  peer.full = true
  peer.load('big')
  await settled()
  // A client in mid-stream that is asked what it holds answers with the announced end.
  peer.say({ action: 'reconcile', batch: 'b', values: [['big', 'x']] })
  await settled()
  peer.say({ action: 'known', id: 'big', known: state('a:50'), correction: false })
  await settled()
  peer.full = false
  peer.link.drained()
  await settled()
  expect(world.trace.filter((line) => line.startsWith('server > peer  CONTENT')).at(-1)).toBe(
    'server > peer  CONTENT big a:40-50',
  )
})

test('a LOAD in mid-stream moves it to where its sender stands, unless its dialect claims announced ends (storm, seed 5302531)', async () => {
  for (const [traits, next] of [
    [OWN, 'a:30-40'],
    [JAZZ, 'a:10-20'],
  ] as const) {
    const world = createWorld()
    const runs = Array.from({ length: 5 }, (_, index) =>
      append('big', `a:${index * 10}-${index * 10 + 10}`, index === 0),
    )
    const server = await world.node('server', { holds: runs, limits: { pageBytes: 100 } })
    const peer = world.peer('peer', server, traits)
    peer.full = true
    peer.load('big')
    await settled()
    peer.load('big', state('a:30'))
    await settled()
    const before = world.trace.length
    peer.full = false
    peer.link.drained()
    await settled()
    const sent = world.trace.slice(before).filter((line) => line.startsWith('server > peer  CONTENT'))
    expect(sent[0]).toBe(`server > peer  CONTENT big ${next}`)
  }
})

test('nothing is read or sent for a connection that is closed', async () => {
  const world = createWorld()
  const dependenciesOf = (header: Uint8Array | undefined) =>
    header !== undefined && new TextDecoder().decode(header).includes('list') ? ['group'] : []
  const server = await world.node('server', {
    holds: [append('list', 'a:0-1'), append('group', 'a:0-1')],
    hooks: { dependenciesOf },
  })
  const { opened, open } = gate()
  server.spy.replace = {
    read: async (id, after, options) => {
      if (id === 'group') await opened
      return server.spy.real.read(id, after, options)
    },
  }
  const reader = world.peer('reader', server)
  reader.load('list')
  await settled()
  const steps = server.steps.length
  reader.link.closed()
  await settled()
  open()
  await settled()
  expect(server.steps.slice(steps).map(({ type }) => type)).toEqual(['disconnected', 'paged'])
  expect(server.runner.sizes()).toMatchObject({ holdings: 0, documents: 0 })
})

test('documents created at the same time with different headers: one is stored, its rival is told', async () => {
  const world = createWorld()
  const server = await world.node('server')
  const [one, two] = [world.peer('one', server), world.peer('two', server)]
  one.say(content('note', 'a:0-1'))
  two.say({ ...content('note', 'b:0-1'), header: bytes('{"id":"other"}') })
  await settled()
  expect((await server.spy.real.knownStates(['note']))[0]?.known).toEqual(state('a:1'))
  expect(world.trace).toContain('server > one  KNOWN note header a:1')
  expect(two.heard).toContainEqual(expect.objectContaining({ action: 'error', code: 'fork' }))
  expect(two.heard.filter(({ action }) => action === 'content')).toEqual([])
})

test('content for a document while its look-up fails is stored when it works again, and others do not wait for it', async () => {
  const world = createWorld()
  const server = await world.node('server', { holds: [append('bad', 'a:0-1')] })
  let broken = true
  server.spy.replace = {
    knownStates: (ids) => {
      if (broken && ids.includes('bad')) throw new StorageError('IO', 'bad sector')
      return server.spy.real.knownStates(ids)
    },
  }
  const writer = world.peer('writer', server, JAZZ)
  writer.say(content('bad', 'a:1-2', false), content('good', 'a:0-1'))
  await settled()
  writer.say(content('bad', 'a:2-3', false), content('good', 'a:1-2', false))
  await settled()
  await world.clock.advance(3_000)
  expect(world.trace.at(-1)).toBe('server > writer  KNOWN good header a:2')
  broken = false
  await world.clock.advance(3_000)
  expect(world.trace.at(-1)).toBe('server > writer  KNOWN bad header a:3')
  expect(server.runner.sizes()).toMatchObject({ parked: 0, queued: 0 })
})

test('a connection that closes at any moment of an upload leaves nothing but what was accepted', async () => {
  for (let moment = 0; moment < 30; moment++) {
    const world = createWorld()
    const late = async <T>(value: T): Promise<T> => {
      for (let turns = 0; turns < 2; turns++) await nextTurn()
      return value
    }
    const server = await world.node('server', {
      hooks: {
        authorize: () => late(true),
        dependenciesOf: (header) => late(header === undefined ? [] : ['nowhere']),
        isTombstone: () => late(false),
        verify: (offered) =>
          late({
            accepted: new Map(offered.runs.map((run) => [run.session, run.transactions.length])),
            states: new Map(),
          }),
      },
      storage: memoryStorage(),
    })
    server.spy.replace = {
      knownStates: (ids) => late(server.spy.real.knownStates(ids) as never),
      append: (batch, options) => late(server.spy.real.append(batch, options) as never),
      read: (id, after, options) => late(server.spy.real.read(id, after, options) as never),
    }
    const writer = world.peer('writer', server)
    const reader = world.peer('reader', server)
    reader.load('note')
    writer.load('note')
    writer.say(content('note', 'a:0-2'), content('note', 'a:2-3', false), content('note', 'b:5-6', false))
    for (let turns = 0; turns < moment; turns++) await nextTurn()
    writer.link.closed()
    await settled()
    await world.clock.advance(60_000)
    expect(server.runner.sizes()).toMatchObject({ connections: 1, subscriptions: 1, parked: 0, queued: 0, checks: 0 })
    reader.link.closed()
    await settled()
    expect(server.runner.sizes()).toMatchObject({ connections: 0, documents: 0, subscriptions: 0, parked: 0 })
    expect(server.runner.sizes().holdings).toBe(server.runner.sizes().idle)
  }
})

test('32: who was asked for a document while the storage failed is sent it when it writes there and may read', async () => {
  const world = createWorld()
  const dependenciesOf = (header: Uint8Array | undefined) =>
    header !== undefined && new TextDecoder().decode(header).includes('list') ? ['other', 'group'] : []
  const server = await world.node('server', {
    hooks: { authorize: () => true, dependenciesOf },
    limits: { loadsInFlightMax: 1 },
  })
  let looks = 0
  server.spy.replace = {
    knownStates: (ids) => {
      if (ids.includes('group')) looks += 1
      if (looks === 2) throw new StorageError('IO', 'bad sector')
      return server.spy.real.knownStates(ids)
    },
  }
  const [one, two] = [world.peer('one', server), world.peer('two', server)]
  one.say(content('list', 'a:0-1'))
  await settled()
  one.say({ action: 'known', id: 'other', known: EMPTY, correction: false })
  await settled()
  expect(world.trace).toContain('server > one  LOAD group ∅')
  looks += 1
  one.say(content('group', 'a:0-1'))
  await settled()
  await world.clock.advance(1_000)
  two.say(content('group', 'b:0-1', false))
  await settled()
  expect(world.trace).toContain('server > one  CONTENT group b:0-1')
})

test('who waits for an append never waits for what waits behind it: two clients that restore a server at once', async () => {
  const world = createWorld()
  const server = await world.node('server', { holds: [append('d', 'x:0-1'), append('e', 'x:0-1')] })
  const { opened, open } = gate()
  server.spy.replace = {
    append: async (batch, options) => {
      await opened
      return server.spy.real.append(batch, options)
    },
  }
  const [zero, one, two] = [world.peer('zero', server), world.peer('one', server), world.peer('two', server)]
  zero.say(content('d', 'x:1-2', false), content('e', 'x:1-2', false))
  await settled()
  one.load('d', state('x:2 b:1'))
  two.load('e', state('x:2 a:1'))
  one.say(content('d', 'a:0-1', false), content('e', 'a:0-1', false))
  two.say(content('e', 'b:0-1', false), content('d', 'b:0-1', false))
  await settled()
  open()
  await settled()
  expect(server.runner.sizes()).toMatchObject({ parked: 0, queued: 0 })
  const held = await server.spy.real.knownStates(['d', 'e'])
  expect(held.map((stored) => stored?.known)).toEqual([state('x:2 a:1 b:1'), state('x:2 a:1 b:1')])
})

test('34: a push waits for the missing dependency also towards a peer whose LOAD had nothing to be sent', async () => {
  const world = createWorld()
  const dependenciesOf = (header: Uint8Array | undefined) =>
    header !== undefined && new TextDecoder().decode(header).includes('list') ? ['group'] : []
  const server = await world.node('server', { hooks: { dependenciesOf } })
  const reader = world.peer('reader', server)
  reader.load('list', state('r:1'))
  await settled()
  world.peer('writer', server).say(content('list', 'a:0-1'))
  await settled()
  await world.clock.advance(4_900)
  expect(reader.heard.filter(({ action }) => action === 'content')).toEqual([])
  await world.clock.advance(200)
  expect(reader.heard.filter(({ action }) => action === 'content')).toHaveLength(1)
})

test('35: content that crosses our DONE does not pass for a subscription: the next reader is subscribed again', async () => {
  const world = createWorld()
  const edge = await world.node('edge', { upstreamExpected: true, holds: [append('note', 'a:0-1')] })
  const core = world.peer('core', edge, { upstream: true })
  const first = world.peer('first', edge)
  first.load('note', state('a:1'))
  await settled()
  core.say({ action: 'known', id: 'note', known: state('a:1'), correction: false })
  await settled()
  first.link.closed()
  await settled()
  expect(world.trace.at(-1)).toBe('edge > core  DONE note')
  core.say(content('note', 'a:1-2', false))
  await settled()
  world.peer('second', edge).load('note')
  await settled()
  expect(world.trace.filter((line) => line.startsWith('edge > core  LOAD note'))).toHaveLength(2)
  expect(world.trace.filter((line) => line.startsWith('edge > core  CONTENT'))).toEqual([])
})

test('35: content that crosses our DONE is not answered with the whole document', async () => {
  const world = createWorld()
  const edge = await world.node('edge', { upstreamExpected: true, holds: [append('note', 'a:0-1 b:0-5')] })
  const core = world.peer('core', edge, { upstream: true })
  const first = world.peer('first', edge)
  first.load('note', state('a:1 b:5'))
  await settled()
  core.say({ action: 'known', id: 'note', known: state('a:1 b:5'), correction: false })
  await settled()
  first.link.closed()
  await settled()
  core.say(content('note', 'a:1-2', false))
  await settled()
  expect(world.trace.filter((line) => line.startsWith('edge > core  CONTENT'))).toEqual([])
  expect((await edge.spy.real.knownStates(['note']))[0]?.known).toEqual(state('a:2 b:5'))
})

test('a document of one page is not announced as a stream: a client that is cut in it would never be asked again', async () => {
  const world = createWorld()
  const server = await world.node('server', { holds: [append('note', 'b:0-7')] })
  world.peer('writer', server, JAZZ).say(content('note', 'a:0-4', false))
  await settled()
  const peer = world.peer('peer', server, JAZZ)
  // The page that was just stored is at hand, and is not all that is lacking.
  peer.load('note', state('c:1'))
  await settled()
  const pages = peer.heard.filter((message) => message.action === 'content')
  expect(pages.flatMap(({ runs }) => runs.map(({ session }) => session)).sort()).toEqual(['a', 'b'])
  expect(pages.map(({ expectUntil }) => expectUntil)).toEqual(pages.map(() => undefined))
})

test('what a storage refused is corrected also when something else of the same peer was stored meanwhile', async () => {
  const world = createWorld()
  const server = await world.node('server', { holds: [append('note', 'x:0-1')] })
  let refuse = true
  server.spy.replace = {
    append: (batch, options) => {
      if (refuse) throw new StorageError('QUOTA', 'disk full')
      return server.spy.real.append(batch, options)
    },
  }
  const writer = world.peer('writer', server, JAZZ)
  writer.say(content('note', 'a:0-1', false))
  await settled()
  refuse = false
  writer.say(content('note', 'b:0-1', false))
  await settled()
  await world.clock.advance(10_000)
  expect(world.trace.filter((line) => line.startsWith('server > writer  KNOWN'))).toEqual([
    'server > writer  KNOWN note header b:1',
    'server > writer  KNOWN! note header x:1 b:1',
  ])
})

test('what a storage refused is corrected also when the same append held something that was stored already', async () => {
  const world = createWorld()
  const server = await world.node('server', { holds: [append('note', 'a:0-1')] })
  server.spy.replace = {
    append: () => {
      server.spy.replace = {}
      throw new StorageError('IO', 'no disk')
    },
  }
  const writer = world.peer('writer', server, JAZZ)
  writer.say(content('note', 'a:0-1'), content('note', 'a:1-2', false))
  await settled()
  await world.clock.advance(10_000)
  expect(world.trace.at(-1)).toBe('server > writer  KNOWN! note header a:1')
})

test('verification: content that only repeats what is on its way is not stored unverified when that fails', async () => {
  const world = createWorld()
  const server = await world.node('server', {
    holds: [append('note', 'x:0-1')],
    hooks: {
      verify: verifyGenuine,
    },
  })
  const { opened, open } = gate()
  server.spy.replace = {
    append: async (batch) => {
      server.spy.replace = {}
      await opened
      return batch.map(() => ({ failed: 'BUSY' as const }))
    },
  }
  const [honest, liar] = [world.peer('honest', server), world.peer('liar', server)]
  honest.say(content('note', 'a:0-1', false))
  await settled()
  const forged = { session: 'a', after: 0, transactions: [bytes('{"forged":0}')], seal: bytes('forged') }
  liar.say({ ...content('note', '', false), runs: [forged] })
  await settled()
  open()
  await settled()
  expect((await server.spy.real.knownStates(['note']))[0]?.known).toEqual(state('x:1'))
})

test('a peer that refuses our LOAD and wants to be asked at once is not asked for ever', async () => {
  const world = createWorld()
  const edge = await world.node('edge', { upstreamExpected: true, holds: [append('note', 'a:0-1')] })
  const core = world.peer('core', edge, { upstream: true })
  world.peer('client', edge).load('note', state('a:1'))
  await settled()
  for (let round = 0; round < 50; round++) {
    core.say({ action: 'error', id: 'note', code: 'busy', message: 'now', retryAfterMs: 0 })
    await world.clock.advance(1)
  }
  expect(core.heard.filter(({ action }) => action === 'load').length).toBeLessThan(5)
})

test('L4: what is queued and continues what is durable stays, whatever somebody else is refused of that session', async () => {
  const world = createWorld()
  const server = await world.node('server', { holds: [append('note', 'a:0-3')] })
  const { opened, open } = gate()
  server.spy.replace = {
    append: async (batch, options) => {
      await opened
      return server.spy.real.append(batch, options)
    },
  }
  const [liar, writer] = [world.peer('liar', server), world.peer('writer', server)]
  const fork = { session: 'a', after: 2, transactions: [bytes('{"x":1}')], seal: bytes('other') }
  liar.say({ ...content('note', '', false), runs: [fork] })
  await settled()
  writer.say(content('note', 'a:3-4', false))
  await settled()
  open()
  await settled()
  expect(world.trace.filter((line) => line.startsWith('server > writer'))).toEqual([
    'server > writer  KNOWN note header a:4',
  ])
})

test('L5: a gap that is open again within ten seconds is corrected after them, also if its sender is silent by then', async () => {
  const world = createWorld()
  const server = await world.node('server', { holds: [append('note', 'a:0-3')] })
  const writer = world.peer('writer', server, JAZZ)
  writer.say(content('note', 'a:5-6', false))
  await settled()
  // What it sends again is lost once more, and then it has said all that it had to say.
  writer.say(content('note', 'a:4-6', false))
  await settled()
  await world.clock.advance(60_000)
  expect(world.trace.filter((line) => line.includes('KNOWN!')).length).toBeGreaterThan(1)
})
