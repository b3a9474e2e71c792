/**
 * The lazy server (seeds 001, 002, 003), as message logs and stored states.
 */
import { EMPTY } from '@tidemark/known-state'
import { StorageError } from '@tidemark/storage'
import { expect, test } from 'vitest'
import { append, bytes, content, createWorld, JAZZ, nextTurn, type Peer, settled, state } from './world.ts'

test('15: an up-to-date peer of a cold document costs one known-state read; nothing but its subscription stays', async () => {
  const world = createWorld()
  const server = await world.node('server', { holds: [append('note', 'a:0-3')] })
  const peer = world.peer('peer', server)
  peer.load('note', state('a:3'))
  await settled()
  expect(world.trace).toEqual(['peer > server  LOAD note header a:3', 'server > peer  KNOWN note header a:3'])
  expect(server.spy.calls).toEqual({ knownStates: 1, headers: 0, read: 0, append: 0, erase: 0 })
  expect(server.runner.sizes()).toMatchObject({ holdings: 0, subscriptions: 1, parked: 0 })
})

test('16: only the missing pages are read, one at a time, and only while the peer has room', async () => {
  const world = createWorld()
  const runs = Array.from({ length: 40 }, (_, index) =>
    append('big', `a:${index * 10}-${index * 10 + 10}`, index === 0),
  )
  const server = await world.node('server', { holds: runs, limits: { pageBytes: 100 } })
  const peer = world.peer('peer', server)
  peer.full = true
  peer.load('big', state('a:350'))
  await settled()
  expect(server.spy.calls.read).toBe(1)
  expect(world.trace.slice(1)).toEqual(['server > peer  CONTENT big a:350-360 until header a:400'])
  peer.full = false
  peer.link.drained()
  await settled()
  expect(server.spy.calls.read).toBe(5)
  expect(world.trace.slice(2)).toEqual(
    [360, 370, 380, 390].map((after) => `server > peer  CONTENT big a:${after}-${after + 10}`),
  )
})

test('17: content for a cold document is merged with what storage holds, acknowledged, then forwarded; no correction', async () => {
  const world = createWorld()
  const server = await world.node('server', { holds: [append('note', 'a:0-3')] })
  const reader = world.peer('reader', server)
  reader.load('note', state('a:3'))
  await settled()
  world.trace.length = 0
  world.peer('writer', server).say(content('note', 'a:3-4', false))
  await settled()
  expect(world.trace).toEqual([
    'writer > server  CONTENT note a:3-4',
    'server > writer  KNOWN note header a:4',
    'server > reader  CONTENT note a:3-4',
  ])
  expect(server.spy.pages).toEqual([])
})

test('content too large to be kept in memory is forwarded to every subscriber, also to those behind its writer', async () => {
  const world = createWorld()
  const server = await world.node('server', { limits: { pageBytes: 50 } })
  const writer = world.peer('writer', server)
  writer.load('note')
  const readers = [world.peer('one', server), world.peer('two', server)]
  for (const reader of readers) reader.load('note')
  await settled()
  writer.say(content('note', 'a:0-20'))
  await settled()
  for (const reader of readers) expect(world.trace).toContain(`server > ${reader.name}  CONTENT note header a:0-20`)
  expect(server.runner.sizes()).toMatchObject({ holdings: 0, parked: 0 })
})

test('18: content with a header for a document nobody has is stored as a new document', async () => {
  const world = createWorld()
  const server = await world.node('server')
  world.peer('writer', server).say(content('note', 'a:0-2'))
  await settled()
  expect(world.trace.at(-1)).toBe('server > writer  KNOWN note header a:2')
  expect((await server.spy.storage.knownStates(['note']))[0]?.known).toEqual(state('a:2'))
})

test('a document that is only a header is stored, acknowledged and forwarded', async () => {
  const world = createWorld()
  const server = await world.node('server')
  const reader = world.peer('reader', server)
  reader.load('note')
  await settled()
  world.peer('writer', server).say(content('note', ''))
  await settled()
  expect(world.trace.slice(-2)).toEqual(['server > writer  KNOWN note header', 'server > reader  CONTENT note header'])
})

test('19: content without a header for a document nobody has is corrected with nothing; the full content is stored', async () => {
  const world = createWorld()
  const server = await world.node('server')
  const writer = world.peer('writer', server)
  writer.say(content('note', 'a:3-4', false))
  await settled()
  expect(world.trace.at(-1)).toBe('server > writer  KNOWN! note ∅')
  writer.say(content('note', 'a:0-4'))
  await settled()
  expect(world.trace.at(-1)).toBe('server > writer  KNOWN note header a:4')
})

test('20: a gap is corrected once, and other sessions of the same message are kept', async () => {
  const world = createWorld()
  const server = await world.node('server', { holds: [append('note', 'a:0-3')] })
  const writer = world.peer('writer', server)
  writer.say(content('note', 'a:5-6 b:0-1', false))
  await settled()
  writer.say(content('note', 'a:6-7', false))
  await settled()
  expect(world.trace.filter((line) => line.includes('KNOWN!'))).toEqual(['server > writer  KNOWN! note header a:3 b:1'])
  writer.say(content('note', 'a:3-7', false))
  await settled()
  expect(world.trace.at(-1)).toBe('server > writer  KNOWN note header a:7')
})

test('20: a gap that stays open is corrected again after ten seconds', async () => {
  const world = createWorld()
  const server = await world.node('server', { holds: [append('note', 'a:0-3')] })
  const writer = world.peer('writer', server)
  writer.say(content('note', 'a:5-6', false))
  await settled()
  await world.clock.advance(9_999)
  writer.say(content('note', 'a:6-7', false))
  await settled()
  expect(world.trace.filter((line) => line.includes('KNOWN!')).length).toBe(1)
  await world.clock.advance(1)
  writer.say(content('note', 'a:7-8', false))
  await settled()
  expect(world.trace.filter((line) => line.includes('KNOWN!')).length).toBe(2)
})

test('pages behind an unfinished append are not a gap, and are acknowledged when durable', async () => {
  const world = createWorld()
  const server = await world.node('server')
  let release: () => void = () => {}
  const slow = new Promise<void>((resolve) => {
    release = resolve
  })
  server.spy.replace = {
    append: async (batch, options) => {
      await slow
      server.spy.replace = {}
      return server.spy.real.append(batch, options)
    },
  }
  const writer = world.peer('writer', server)
  writer.say(content('note', 'a:0-2'))
  await settled()
  writer.say(content('note', 'a:2-4', false), content('note', 'a:4-5', false))
  await settled()
  expect(world.trace.filter((line) => line.startsWith('server'))).toEqual([])
  release()
  await settled()
  expect(world.trace.filter((line) => line.startsWith('server'))).toEqual([
    'server > writer  KNOWN note header a:2',
    'server > writer  KNOWN note header a:5',
  ])
  expect(server.spy.calls.append).toBe(2)
})

test('21: of overlapping content only the new part is stored', async () => {
  const world = createWorld()
  const server = await world.node('server', { holds: [append('note', 'a:0-3')] })
  const writer = world.peer('writer', server)
  writer.say(content('note', 'a:1-5'))
  await settled()
  expect(world.trace.at(-1)).toBe('server > writer  KNOWN note header a:5')
  const page = await server.spy.storage.read('note', EMPTY, { bytesMax: 1_000_000 })
  expect(page?.runs[0]?.transactions.map((transaction) => new TextDecoder().decode(transaction))).toEqual(
    [0, 1, 2, 3, 4].map((index) => `{"a":${index}}`),
  )
})

test('22: 50 LOADs from 20 connections while storage is slow are one look-up; who disconnected is answered nothing and leaves nothing', async () => {
  const world = createWorld()
  const server = await world.node('server', { holds: [append('note', 'a:0-3')] })
  let release: () => void = () => {}
  const slow = new Promise<void>((resolve) => {
    release = resolve
  })
  let looks = 0
  server.spy.replace = {
    knownStates: async (ids) => {
      looks += 1
      await slow
      server.spy.replace = {}
      return server.spy.real.knownStates(ids)
    },
  }
  const peers = Array.from({ length: 20 }, (_, index) => world.peer(`p${index}`, server))
  for (let load = 0; load < 50; load++) peers[load % 20]?.load('note', state('a:3'))
  await settled()
  for (const peer of peers.slice(0, 5)) peer.link.closed()
  release()
  await settled()
  expect(looks).toBe(1)
  const answers = peers.map(
    (_, index) => world.trace.filter((line) => line === `server > p${index}  KNOWN note header a:3`).length,
  )
  expect(answers).toEqual([...Array(5).fill(0), ...[5, 6, 7, 8, 9].map(() => 3), ...Array(10).fill(2)])
  expect(server.runner.sizes()).toMatchObject({ holdings: 0, subscriptions: 15, parked: 0, connections: 15 })
})

test('25: a failing storage is never "not found": it is tried again, then said to have failed, or not said at all', async () => {
  const world = createWorld()
  const server = await world.node('server')
  const fail = () => {
    throw new StorageError('IO', 'no disk')
  }
  server.spy.replace = { knownStates: fail }
  const own = world.peer('own', server)
  const jazz = world.peer('jazz', server, JAZZ)
  own.load('note')
  jazz.load('note')
  await settled()
  await world.clock.advance(9_000)
  expect([...own.heard, ...jazz.heard]).toEqual([])
  expect(server.spy.calls.knownStates).toBeGreaterThan(3)
  await world.clock.advance(5_000)
  expect(own.heard).toMatchObject([{ action: 'error', id: 'note', code: 'failed' }])
  await world.clock.advance(60_000)
  expect(jazz.heard).toEqual([])
  expect(server.runner.sizes()).toMatchObject({ holdings: 0, parked: 0 })
})

test('25: a storage that fails for a while answers late, and right', async () => {
  const world = createWorld()
  const server = await world.node('server', { holds: [append('note', 'a:0-1')] })
  server.spy.replace = {
    knownStates: () => {
      throw new StorageError('IO', 'no disk')
    },
  }
  const peer = world.peer('peer', server, JAZZ)
  peer.load('note')
  await settled()
  await world.clock.advance(3_000)
  server.spy.replace = {}
  await world.clock.advance(10_000)
  expect(world.trace.slice(1)).toEqual(['server > peer  CONTENT note header a:0-1'])
})

test('26: who asked for a document that nobody had receives it when it is uploaded', async () => {
  const world = createWorld()
  const server = await world.node('server')
  const first = world.peer('first', server)
  first.load('note')
  await settled()
  world.peer('writer', server).say(content('note', 'a:0-1'))
  await settled()
  expect(world.trace.filter((line) => line.includes('first'))).toEqual([
    'first > server  LOAD note ∅',
    'server > first  KNOWN note ∅',
    'server > first  CONTENT note header a:0-1',
  ])
})

test('27: LOADs for ids that do not exist leave a subscription while the connection lasts, and nothing after it', async () => {
  const world = createWorld()
  const server = await world.node('server')
  const peer = world.peer('peer', server)
  for (let index = 0; index < 5_000; index++) peer.load(`missing-${index}`)
  while (server.runner.sizes().subscriptions < 5_000) await settled()
  expect(server.runner.sizes()).toMatchObject({ holdings: 0, documents: 5_000 })
  peer.link.closed()
  await settled()
  expect(server.runner.sizes()).toEqual({
    connections: 0,
    holdings: 0,
    idle: 0,
    documents: 0,
    subscriptions: 0,
    parked: 0,
    queued: 0,
    checks: 0,
    deadlines: 0,
    recentBytes: 0,
    pendingBytes: 0,
  })
})

test('28: a slow reader holds up nobody, costs one page, and catches up', async () => {
  const world = createWorld()
  const server = await world.node('server', { holds: [append('note', 'a:0-1')] })
  const [slow, fast, writer] = [world.peer('slow', server), world.peer('fast', server), world.peer('writer', server)]
  for (const peer of [slow, fast]) peer.load('note', state('a:1'))
  await settled()
  slow.full = true
  for (let index = 1; index < 50; index++) {
    writer.say(content('note', `a:${index}-${index + 1}`, false))
    await settled()
  }
  expect(slow.heard.filter(({ action }) => action === 'content').length).toBe(1)
  expect(fast.heard.filter(({ action }) => action === 'content').length).toBe(49)
  slow.full = false
  slow.link.drained()
  await settled()
  expect(world.trace.filter((line) => line.startsWith('server > slow  CONTENT')).at(-1)).toBe(
    'server > slow  CONTENT note a:2-50',
  )
})

test('29: nothing is acknowledged or forwarded before it is durable', async () => {
  const world = createWorld()
  const server = await world.node('server')
  const reader = world.peer('reader', server)
  reader.load('note')
  server.spy.replace = { append: () => new Promise(() => {}) }
  world.peer('writer', server).say(content('note', 'a:0-1'))
  await settled()
  expect(world.trace.filter((line) => line.startsWith('server'))).toEqual(['server > reader  KNOWN note ∅'])
})

test('30: a message is handled without looking at connections that are not subscribed', async () => {
  const world = createWorld()
  const server = await world.node('server')
  for (let index = 0; index < 5_000; index++) world.peer(`idle${index}`, server)
  world.peer('reader', server).load('note')
  const steps = server.steps.length
  world.peer('writer', server).say(content('note', 'a:0-1'))
  await settled()
  // connected, received, look, looked, gather, gathered, append, appended, report, known, content, drained …
  expect(server.steps.length - steps).toBeLessThan(20)
})

test('31: after DONE nothing more of the document is sent; where the dialect does not mean it, it is ignored', async () => {
  const world = createWorld()
  const server = await world.node('server', { holds: [append('note', 'a:0-1')] })
  const own = world.peer('own', server)
  const jazz = world.peer('jazz', server, JAZZ)
  for (const peer of [own, jazz]) {
    peer.load('note', state('a:1'))
    peer.say({ action: 'done', id: 'note' })
  }
  world.peer('writer', server).say(content('note', 'a:1-2', false))
  await settled()
  expect(own.heard.filter(({ action }) => action === 'content')).toEqual([])
  expect(jazz.heard.filter(({ action }) => action === 'content').length).toBe(1)
})

test('32: who may not read or write is refused, goes on, and nothing is stored', async () => {
  const world = createWorld()
  const authorize = async (principal: unknown, action: string, id: string) =>
    id !== 'secret' || (principal === 'writer' && action === 'write')
  const server = await world.node('server', { holds: [append('secret', 'a:0-1')], hooks: { authorize } })
  const own = world.peer('own', server, { principal: 'nobody' })
  const jazz = world.peer('jazz', server, { ...JAZZ, principal: 'nobody' })
  for (const peer of [own, jazz]) {
    peer.load('secret')
    peer.say(content('secret', 'a:1-2', false))
    peer.load('open')
  }
  await settled()
  const about = (peer: Peer, id: string) => peer.heard.filter((message) => 'id' in message && message.id === id)
  expect(about(own, 'secret')).toMatchObject([
    { action: 'error', code: 'forbidden' },
    { action: 'error', code: 'forbidden' },
  ])
  expect(about(jazz, 'secret')).toMatchObject([
    { action: 'known', known: EMPTY },
    { action: 'known', known: EMPTY },
  ])
  for (const peer of [own, jazz]) expect(about(peer, 'open')).toMatchObject([{ action: 'known' }])
  expect(server.spy.calls.append).toBe(0)
  // A writer that may not read is acknowledged, and is not subscribed by writing.
  const writer = world.peer('writer', server, { principal: 'writer' })
  const other = world.peer('other', server, { principal: 'writer' })
  writer.say(content('secret', 'a:1-2', false))
  await settled()
  other.say(content('secret', 'a:2-3', false))
  await settled()
  expect(writer.heard.map(({ action }) => action)).toEqual(['known'])
})

test.each([1, 1_000])('a live push to a document of %s sessions is not read back', async (sessions) => {
  const world = createWorld()
  const names = Array.from({ length: sessions }, (_, at) => `s${at}:0-1`).join(' ')
  const server = await world.node('server', { holds: [append('note', names, true, 'bytes')] })
  const [writer, ...readers] = ['writer', 'one', 'two', 'three'].map((name) => world.peer(name, server)) as [
    Peer,
    ...Peer[],
  ]
  for (const peer of [writer, ...readers]) peer.load('note', state(names.replaceAll('0-', '')))
  await settled()
  for (let at = 1; at <= 10; at++) {
    writer.say(content('note', `s0:${at}-${at + 1}`, false, 'bytes'))
    await settled()
  }
  for (const { heard } of readers) expect(heard.filter(({ action }) => action === 'content').length).toBe(10)
  expect(server.spy.calls.read).toBe(0)
})

test('34: content whose dependency is missing is stored at once; the dependency is asked for, and it is forwarded after it', async () => {
  const world = createWorld()
  const dependenciesOf = (header: Uint8Array | undefined) =>
    header !== undefined && new TextDecoder().decode(header).includes('list') ? ['group'] : []
  const server = await world.node('server', { hooks: { dependenciesOf } })
  const reader = world.peer('reader', server)
  reader.load('list')
  const writer = world.peer('writer', server)
  writer.say(content('list', 'a:0-1'))
  await settled()
  expect(world.trace.filter((line) => line.startsWith('server'))).toEqual([
    'server > reader  KNOWN list ∅',
    'server > writer  LOAD group ∅',
    'server > writer  KNOWN list header a:1',
  ])
  writer.say(content('group', 'g:0-1'))
  await settled()
  expect(world.trace.filter((line) => line.startsWith('server > reader')).slice(1)).toEqual([
    'server > reader  CONTENT group header g:0-1',
    'server > reader  CONTENT list header a:0-1',
  ])
})

test('34: a dependency that does not come delays its dependent for five seconds', async () => {
  const world = createWorld()
  const dependenciesOf = (header: Uint8Array | undefined) => (header === undefined ? [] : ['group'])
  const server = await world.node('server', { hooks: { dependenciesOf } })
  const reader = world.peer('reader', server)
  reader.load('list')
  world.peer('writer', server).say(content('list', 'a:0-1'))
  await settled()
  await world.clock.advance(4_900)
  expect(reader.heard.length).toBe(1)
  await world.clock.advance(200)
  expect(world.trace.at(-1)).toBe('server > reader  CONTENT list header a:0-1')
})

test('dependencies leave before their dependents, once, also when they depend on each other', async () => {
  const world = createWorld()
  const names: Record<string, string[]> = { list: ['group', 'account'], group: ['account'], account: ['group'] }
  const dependenciesOf = async (header: Uint8Array | undefined) =>
    header === undefined ? [] : (names[JSON.parse(new TextDecoder().decode(header)).id] ?? [])
  const server = await world.node('server', {
    holds: ['list', 'group', 'account', 'other'].map((id) => append(id, 'a:0-1')),
    hooks: { dependenciesOf },
  })
  const reader = world.peer('reader', server)
  reader.load('list')
  reader.load('other')
  await settled()
  const order = world.trace.filter((line) => line.includes('CONTENT')).map((line) => line.split(' ')[5])
  expect(order).toHaveLength(4)
  expect(order.indexOf('list')).toBeGreaterThan(Math.max(order.indexOf('group'), order.indexOf('account')))
})

test('content of one connection becomes durable and acknowledged in arrival order, also when an earlier document is still looked up', async () => {
  const world = createWorld()
  const server = await world.node('server', { holds: [append('slow', 'a:0-1'), append('quick', 'a:0-1')] })
  server.spy.replace = {
    knownStates: async (ids) => {
      if (ids.includes('slow')) for (let turns = 0; turns < 10; turns++) await nextTurn()
      return server.spy.real.knownStates(ids)
    },
  }
  const writer = world.peer('writer', server)
  writer.say(content('slow', 'a:1-2', false))
  writer.say(content('quick', 'a:1-2', false))
  await settled()
  expect(world.trace.slice(2)).toEqual([
    'server > writer  KNOWN slow header a:2',
    'server > writer  KNOWN quick header a:2',
  ])
})

test('a full disk makes no resend storm: one correction after a back-off that grows, and none for what is tried meanwhile', async () => {
  const world = createWorld()
  const server = await world.node('server', { holds: [append('note', 'a:0-1')] })
  server.spy.replace = {
    append: () => {
      throw new StorageError('QUOTA', 'disk full')
    },
  }
  const writer = world.peer('writer', server, JAZZ)
  for (let index = 1; index < 20; index++) {
    writer.say(content('note', `a:${index}-${index + 1}`, false))
    await settled()
  }
  expect(writer.heard).toEqual([])
  await world.clock.advance(1_000)
  expect(world.trace.at(-1)).toBe('server > writer  KNOWN! note header a:1')
  writer.say(content('note', 'a:1-20', false))
  await settled()
  await world.clock.advance(1_000)
  expect(writer.heard.length).toBe(1)
  await world.clock.advance(1_000)
  expect(writer.heard.length).toBe(2)
  server.spy.replace = {}
  writer.say(content('note', 'a:1-20', false))
  await settled()
  expect(world.trace.at(-1)).toBe('server > writer  KNOWN note header a:20')
})

test('a rejected append is an unknown outcome: what turns out to be stored is acknowledged', async () => {
  const world = createWorld()
  const server = await world.node('server')
  server.spy.replace = {
    append: async (batch, options) => {
      await server.spy.real.append(batch, options)
      server.spy.replace = {}
      throw new StorageError('IO', 'the connection to the disk was lost')
    },
  }
  const reader = world.peer('reader', server)
  reader.load('note')
  world.peer('writer', server).say(content('note', 'a:0-1'))
  await settled()
  expect(world.trace.slice(-2)).toEqual([
    'server > writer  KNOWN note header a:1',
    'server > reader  CONTENT note header a:0-1',
  ])
})

test('a fork freezes its session for its connection, is reported, and disturbs neither other sessions nor other peers', async () => {
  const world = createWorld()
  const server = await world.node('server', { holds: [append('note', 'a:0-3')] })
  const forked = content('note', 'b:0-1', false)
  const liar = world.peer('liar', server, JAZZ)
  const reader = world.peer('reader', server, JAZZ)
  reader.load('note', state('a:3'))
  const other = {
    session: 'a',
    after: 1,
    transactions: [bytes('{"x":1}'), bytes('{"x":2}'), bytes('{"x":3}')],
    seal: bytes('other'),
  }
  liar.say({ ...forked, runs: [other, ...forked.runs] })
  await settled()
  expect(server.reports).toContainEqual({ kind: 'fork', connection: liar.link.id, id: 'note', sessions: ['a'] })
  expect(world.trace.filter((line) => line.includes('KNOWN!'))).toEqual([])
  expect(world.trace.at(-1)).toBe('server > reader  CONTENT note b:0-1')
  expect((await server.spy.storage.knownStates(['note']))[0]?.known).toEqual(state('a:3 b:1'))
  // What it goes on to write in that session is neither stored nor corrected.
  liar.say(content('note', 'a:4-5', false))
  await settled()
  expect(world.trace.filter((line) => line.includes('KNOWN!'))).toEqual([])
})

test('a correction replaces what is believed, and is answered with content, never with a correction', async () => {
  const world = createWorld()
  const server = await world.node('server', { holds: [append('note', 'a:0-3')] })
  const peer = world.peer('peer', server)
  peer.load('note', state('a:3'))
  peer.say({ action: 'known', id: 'note', known: EMPTY, correction: true })
  await settled()
  expect(world.trace.at(-1)).toBe('server > peer  CONTENT note header a:0-3')
})

test('a plain KNOWN that lags behind what is in flight resends nothing', async () => {
  const world = createWorld()
  const server = await world.node('server')
  const writer = world.peer('writer', server)
  const reader = world.peer('reader', server)
  reader.load('note')
  for (let index = 0; index < 10; index++) {
    writer.say(content('note', `a:${index}-${index + 1}`, index === 0))
    await settled()
    reader.say({ action: 'known', id: 'note', known: state(`a:${Math.max(1, index - 2)}`), correction: false })
    await settled()
  }
  expect(reader.heard.filter(({ action }) => action === 'content').length).toBe(10)
})

test('content is not echoed to where it came from, also when an acknowledgement crosses an append', async () => {
  const world = createWorld()
  const server = await world.node('server', { holds: [append('note', 'a:0-1')] })
  const writer = world.peer('writer', server)
  writer.load('note')
  await settled()
  let release: () => void = () => {}
  const slow = new Promise<void>((resolve) => {
    release = resolve
  })
  server.spy.replace = {
    append: async (batch, options) => {
      await slow
      return server.spy.real.append(batch, options)
    },
  }
  writer.say(content('note', 'b:0-1', false))
  await settled()
  writer.say({ action: 'known', id: 'note', known: state('a:1'), correction: false })
  release()
  await settled()
  expect(world.trace.filter((line) => line.includes('CONTENT'))).toEqual([
    'server > writer  CONTENT note header a:0-1',
    'writer > server  CONTENT note b:0-1',
  ])
})

test('a wiped server asks every claimant for what it lost', async () => {
  const world = createWorld()
  const server = await world.node('server')
  const peer = world.peer('peer', server, JAZZ)
  peer.load('note', state('a:3'))
  await settled()
  expect(world.trace.slice(1)).toEqual(['server > peer  LOAD note ∅', 'server > peer  KNOWN note ∅'])
})

test('a claim of a stream that may have been cut is probed, and a correction is believed when it is given twice', async () => {
  const world = createWorld()
  const runs = Array.from({ length: 3 }, (_, index) =>
    append('big', `a:${index * 4000}-${index * 4000 + 4000}`, index === 0),
  )
  const server = await world.node('server', { holds: runs })
  const peer = world.peer('peer', server, JAZZ)
  peer.load('big', state('a:12000'))
  await settled()
  expect(world.trace.slice(1)).toEqual([
    'server > peer  CONTENT big a:12000-12000',
    'server > peer  KNOWN big header a:12000',
  ])
  const cut = { action: 'known', id: 'big', known: state('a:8000'), correction: true } as const
  peer.say(cut)
  await settled()
  expect(peer.heard.length).toBe(2)
  await world.clock.advance(1_000)
  expect(world.trace.at(-1)).toBe('server > peer  CONTENT big a:12000-12000')
  peer.say(cut)
  await settled()
  expect(world.trace.at(-1)).toBe('server > peer  CONTENT big a:8000-12000')
})

test('reconcile: equal documents are passed over, others are asked for, and the batch is acknowledged when they are settled', async () => {
  const world = createWorld()
  const reconcileHash = (sessions: ReadonlyMap<string, number>) =>
    [...sessions].map(([session, value]) => `${session}${value}`).join()
  const server = await world.node('server', {
    holds: [append('same', 'a:0-1'), append('less', 'a:0-1')],
    reconcileHash,
  })
  const peer = world.peer('peer', server, JAZZ)
  peer.say({
    action: 'reconcile',
    batch: 'b1',
    values: [
      ['same', 'a1'],
      ['less', 'a2'],
      ['gone', 'a1'],
    ],
  })
  await settled()
  expect(world.trace.slice(1)).toEqual(['server > peer  LOAD less header a:1', 'server > peer  LOAD gone ∅'])
  peer.say(content('less', 'a:1-2', false))
  await settled()
  peer.say({ action: 'known', id: 'gone', known: EMPTY, correction: false })
  await settled()
  expect(world.trace.at(-1)).toBe('server > peer  RECONCILE-ACK b1')
  peer.say({ action: 'reconcile', batch: 'b2', values: [['same', 'a1']] })
  peer.say({ action: 'reconcile', batch: 'b3', values: [] })
  await settled()
  expect(world.trace.slice(-2)).toEqual(['peer > server  RECONCILE b3 ', 'server > peer  RECONCILE-ACK b3'])
  peer.say({ action: 'reconcile', batch: 'b4', values: [['never', 'a1']] })
  await settled()
  await world.clock.advance(30_000)
  expect(world.trace.at(-1)).toBe('server > peer  RECONCILE-ACK b4')
})

test('a deleted document keeps its header and tombstone, covers every claim and takes nothing more', async () => {
  const world = createWorld()
  const isTombstone = (session: string) => session.endsWith('$')
  const server = await world.node('server', { holds: [append('note', 'a:0-3')], hooks: { isTombstone } })
  const reader = world.peer('reader', server, JAZZ)
  reader.load('note', state('a:3'))
  await settled()
  world.peer('deleter', server, JAZZ).say(content('note', 'd$:0-1', false))
  await settled()
  expect(world.trace.at(-1)).toBe('server > reader  CONTENT note d$:0-1')
  expect((await server.spy.storage.knownStates(['note']))[0]).toMatchObject({ known: state('d$:1'), erased: [1, ''] })
  world.trace.length = 0
  const late = world.peer('late', server, JAZZ)
  late.load('note', state('a:4'))
  await settled()
  late.say(content('note', 'a:4-5', false))
  await settled()
  expect(world.trace.filter((line) => line.startsWith('server'))).toEqual([
    'server > late  KNOWN note header a:4 d$:1',
    'server > late  CONTENT note d$:0-1',
    'server > late  KNOWN note header a:5',
  ])
})

test('verification: what it refuses is not stored, acknowledged or forwarded, and its state goes on from run to run', async () => {
  const world = createWorld()
  const seen: (string | undefined)[] = []
  const verify = async (
    offered: { runs: readonly { session: string; transactions: readonly Uint8Array[] }[] },
    states: ReadonlyMap<string, Uint8Array | undefined>,
  ) => {
    const run = offered.runs[0]
    if (run === undefined) throw new Error('nothing to verify')
    const before = states.get(run.session)
    seen.push(before && new TextDecoder().decode(before))
    const count = run.session === 'evil' ? 0 : run.transactions.length
    return {
      accepted: new Map([[run.session, count]]),
      states: new Map([[run.session, bytes(`${run.session}+${count}`)]]),
    }
  }
  const server = await world.node('server', { hooks: { verify } })
  const writer = world.peer('writer', server)
  writer.say(content('note', 'a:0-2'), content('note', 'a:2-3', false), content('note', 'evil:0-1', false))
  await settled()
  expect(seen).toEqual([undefined, 'a+2', undefined])
  expect((await server.spy.storage.knownStates(['note']))[0]?.known).toEqual(state('a:3'))
  expect(writer.heard).toContainEqual(expect.objectContaining({ action: 'error', code: 'refused' }))
})

test('payloads that a dialect cannot carry are refused, not mangled', async () => {
  const world = createWorld()
  const server = await world.node('server', { holds: [append('raw', 'a:0-1', true, 'bytes')] })
  const jazz = world.peer('jazz', server, JAZZ)
  jazz.load('raw')
  await settled()
  expect(world.trace.at(-1)).toBe('server > jazz  KNOWN raw ∅')
  world.peer('own', server).load('raw')
  await settled()
  expect(world.trace.at(-1)).toBe('server > own  CONTENT raw header a:0-1')
})

test('reading pauses when a connection has too much under way, and goes on when it is durable', async () => {
  const world = createWorld()
  const server = await world.node('server', { limits: { pendingBytesMax: 500 } })
  let release: () => void = () => {}
  const slow = new Promise<void>((resolve) => {
    release = resolve
  })
  server.spy.replace = {
    append: async (batch, options) => {
      await slow
      return server.spy.real.append(batch, options)
    },
  }
  const writer = world.peer('writer', server)
  for (let index = 0; index < 6; index++) writer.say(content(`d${index}`, 'a:0-1'))
  await settled()
  expect(writer.paused).toBe(true)
  release()
  await settled()
  expect(writer.paused).toBe(false)
})
