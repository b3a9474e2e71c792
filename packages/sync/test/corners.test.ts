/**
 * Corners: laws at the places where two parts of the engine meet, as message logs and stored states.
 */
import { EMPTY } from '@tidemark/known-state'
import { StorageError } from '@tidemark/storage'
import { expect, test, vi } from 'vitest'
import { append, bytes, content, createWorld, gate, JAZZ, type Node, settled, state } from './world.ts'

/** Appends of this node wait until the answered function is called; those after it do not. */
function holdAppends(node: Node): () => void {
  const { opened, open } = gate()
  node.spy.replace = {
    ...node.spy.replace,
    append: async (batch, options) => {
      await opened
      return node.spy.real.append(batch, options)
    },
  }
  return open
}

const NO_SIZES = {
  connections: 0,
  holdings: 0,
  idle: 0,
  documents: 0,
  subscriptions: 0,
  parked: 0,
  queued: 0,
  checks: 0,
  recentBytes: 0,
  deadlines: expect.any(Number),
  pendingBytes: 0,
}

test('32: who may write but not read is not sent the document, whatever it says that it holds', async () => {
  const world = createWorld()
  const authorize = (_principal: unknown, action: string) => action === 'write'
  const server = await world.node('server', { holds: [append('secret', 'a:0-3')], hooks: { authorize } })
  const writer = world.peer('writer', server)
  writer.say(content('secret', 'b:0-1', false))
  await settled()
  writer.say({ action: 'known', id: 'secret', known: EMPTY, correction: true })
  await settled()
  writer.say({ action: 'known', id: 'secret', known: EMPTY, correction: false })
  await settled()
  expect(writer.heard.map(({ action }) => action)).toEqual(['known'])
})

test('32: being asked for a dependency does not give the right to read it', async () => {
  const world = createWorld()
  const authorize = (principal: unknown, action: string, id: string) =>
    principal === 'owner' || (action === 'write' && id === 'list')
  const dependenciesOf = (header: Uint8Array | undefined) =>
    header !== undefined && new TextDecoder().decode(header).includes('list') ? ['secret'] : []
  const server = await world.node('server', { hooks: { authorize, dependenciesOf } })
  const spy = world.peer('spy', server, { principal: 'spy' })
  spy.say(content('list', 'a:0-1'))
  await settled()
  spy.say({ action: 'known', id: 'secret', known: EMPTY, correction: false })
  await settled()
  world.peer('owner', server, { principal: 'owner' }).say(content('secret', 's:0-1'))
  await settled()
  await world.clock.advance(6_000)
  expect(world.trace.filter((line) => line.startsWith('server > spy  CONTENT'))).toEqual([])
})

test('L5: a gap is corrected also when it waited for the append of somebody else', async () => {
  const world = createWorld()
  const server = await world.node('server', { holds: [append('note', 'a:0-1')] })
  const release = holdAppends(server)
  const [one, two] = [world.peer('one', server), world.peer('two', server)]
  one.say(content('note', 'b:0-1', false))
  await settled()
  two.say(content('note', 'c:3-4', false))
  await settled()
  release()
  await settled()
  expect(world.trace.filter((line) => line.startsWith('server > two  KNOWN!'))).toEqual([
    'server > two  KNOWN! note header a:1 b:1',
  ])
})

test('L2: who waits for an append is answered when its outcome was unknown', async () => {
  const world = createWorld()
  const server = await world.node('server', { holds: [append('note', 'a:0-1')] })
  const { opened, open } = gate()
  server.spy.replace = {
    append: async () => {
      await opened
      server.spy.replace = {}
      throw new StorageError('IO', 'no disk')
    },
  }
  const writer = world.peer('writer', server)
  const reader = world.peer('reader', server)
  writer.say(content('note', 'a:1-2', false))
  await settled()
  reader.load('note', state('a:2'))
  reader.say(content('other', 'x:0-1'), content('note', 'c:0-1', false), content('third', 'x:0-1'))
  await settled()
  open()
  await settled()
  expect(server.runner.sizes()).toMatchObject({ parked: 0, queued: 0 })
  expect(world.trace).toContain('server > reader  LOAD note header')
  expect(world.trace).toContain('server > reader  KNOWN third header x:1')
})

test('L10: what was still to be asked of a peer is forgotten when its connection closes', async () => {
  const world = createWorld()
  const client = await world.node('client', { limits: { loadsInFlightMax: 1 } })
  const server = world.peer('server', client, { upstream: true })
  server.link.ask(['d1', 'd2', 'd3'])
  await settled()
  server.link.closed()
  await settled()
  await world.clock.advance(120_000)
  expect(world.trace.filter((line) => line.includes('LOAD'))).toEqual(['client > server  LOAD d1 ∅'])
  expect(client.runner.sizes()).toEqual(NO_SIZES)
})

test('L4: a refused session drops only its own queue; a writer whose content is still queued is not corrected', async () => {
  const world = createWorld()
  const server = await world.node('server', { holds: [append('note', 'a:0-3')] })
  const [liar, writer] = [world.peer('liar', server), world.peer('writer', server)]
  const first = holdAppends(server)
  const other = { session: 'a', after: 2, transactions: [bytes('{"x":1}'), bytes('{"x":2}')], seal: bytes('other') }
  liar.say({ ...content('note', '', false), runs: [other] })
  await settled()
  writer.say(content('note', 'b:0-1', false))
  await settled()
  const second = holdAppends(server)
  first()
  await settled()
  writer.say(content('note', 'b:1-2', false))
  await settled()
  second()
  await settled()
  expect(world.trace.filter((line) => line.includes('KNOWN!'))).toEqual([])
  expect((await server.spy.real.knownStates(['note']))[0]?.known).toEqual(state('a:3 b:2'))
})

test('L3: a correction waits until everything accepted is durable, so that nothing queued is sent again', async () => {
  const world = createWorld()
  const server = await world.node('server', { holds: [append('note', 'a:0-1')] })
  const writer = world.peer('writer', server)
  const first = holdAppends(server)
  writer.say(content('note', 'a:1-2', false))
  await settled()
  writer.say(content('note', 'a:2-3', false), content('note', 'b:3-4', false))
  await settled()
  const second = holdAppends(server)
  first()
  await settled()
  second()
  await settled()
  expect(world.trace.filter((line) => line.includes('KNOWN!'))).toEqual(['server > writer  KNOWN! note header a:3'])
})

test('L7: what is claimed and accepted is not asked for again, however many appends it takes', async () => {
  const world = createWorld()
  const server = await world.node('server', { holds: [append('note', 'a:0-1')] })
  const writer = world.peer('writer', server)
  const first = holdAppends(server)
  writer.say(content('note', 'a:1-2', false))
  await settled()
  writer.say(content('note', 'a:2-3', false))
  await settled()
  world.peer('late', server).load('note', state('a:3'))
  await settled()
  const second = holdAppends(server)
  first()
  await settled()
  second()
  await settled()
  expect(world.trace.filter((line) => line.startsWith('server > late'))).toEqual([
    'server > late  KNOWN note header a:3',
  ])
})

test('L7: a claimant is asked for what this node lost, also when its upstream cannot be reached', async () => {
  const world = createWorld()
  const edge = await world.node('edge', { upstreamExpected: true })
  const client = world.peer('client', edge, JAZZ)
  client.load('note', state('a:3'))
  await settled()
  await world.clock.advance(4_000)
  expect(world.trace).toContain('edge > client  LOAD note ∅')
})

test('L1: a document whose first content is on its way to the disk is not said to be absent', async () => {
  const world = createWorld()
  const server = await world.node('server')
  const release = holdAppends(server)
  world.peer('writer', server).say(content('note', 'a:0-1'))
  await settled()
  const reader = world.peer('reader', server)
  reader.load('note')
  await settled()
  release()
  await settled()
  expect(world.trace.filter((line) => line.startsWith('server > reader'))).toEqual([
    'server > reader  CONTENT note header a:0-1',
  ])
})

test('L1: a look-up that was answered late does not undo what was stored since', async () => {
  const world = createWorld()
  const server = await world.node('server', { holds: [append('slow', 'a:0-1')] })
  const look = gate()
  const snapshot = gate()
  server.spy.replace = {
    knownStates: async (ids) => {
      const states = await server.spy.real.knownStates(ids)
      if (ids.includes('slow')) await look.opened
      return states
    },
    append: () => {
      // It is looked again, and answered with what is stored now, later.
      server.spy.replace = {
        knownStates: async (ids) => {
          const states = await server.spy.real.knownStates(ids)
          if (ids.includes('note')) await snapshot.opened
          return states
        },
      }
      throw new StorageError('IO', 'no disk')
    },
  }
  const [one, two, reader] = [world.peer('one', server), world.peer('two', server), world.peer('reader', server)]
  // Accepted, and behind a content that is still looked up.
  one.say(content('slow', 'a:1-2', false))
  await settled()
  one.say(content('note', 'b:0-1'))
  await settled()
  two.say(content('note', 'a:0-1'))
  await settled()
  look.open()
  await settled()
  reader.load('note')
  await settled()
  snapshot.open()
  await settled()
  expect(world.trace).toContain('server > one  KNOWN note header b:1')
  expect(world.trace.filter((line) => line.startsWith('server > reader'))).toEqual([
    'server > reader  CONTENT note header b:0-1',
  ])
})

test('a peer that is in step is sent what others wrote, also when a content of its own is refused in the same append', async () => {
  const world = createWorld()
  const server = await world.node('server', { holds: [append('note', 'a:0-3')] })
  const [liar, writer] = [world.peer('liar', server), world.peer('writer', server)]
  const release = holdAppends(server)
  world.peer('other', server).say(content('elsewhere', 'a:0-1'))
  await settled()
  const fork = { session: 'a', after: 1, transactions: [bytes('{"x":1}')], seal: bytes('other') }
  writer.say(content('note', 'b:0-1', false))
  liar.say({ ...content('note', '', false), runs: [fork] })
  await settled()
  liar.load('note', state('a:3'))
  await settled()
  release()
  await settled()
  expect(world.trace.filter((line) => line.startsWith('server > liar  CONTENT'))).toEqual([
    'server > liar  CONTENT note b:0-1',
  ])
})

test('L10: pages kept for live pushes stay within their limit, also while slow readers need their documents', async () => {
  const world = createWorld()
  const server = await world.node('server', { limits: { recentBytesMax: 3_000 } })
  const [slow, writer] = [world.peer('slow', server), world.peer('writer', server)]
  slow.full = true
  for (let index = 0; index < 100; index++) slow.load(`d${index}`)
  await settled()
  for (let index = 0; index < 100; index++) writer.say(content(`d${index}`, 'a:0-1'))
  await settled()
  expect(server.runner.sizes().recentBytes).toBeGreaterThan(0)
  expect(server.runner.sizes().recentBytes).toBeLessThanOrEqual(3_000)
})

test('L10: documents that are kept because they were written to lately count with all of their sessions', async () => {
  const world = createWorld()
  const server = await world.node('server', { limits: { recentBytesMax: 2_000_000 } })
  const writer = world.peer('writer', server)
  const sessions = Array.from({ length: 1_000 }, (_, at) => `s${at}:0-1`).join(' ')
  for (let index = 0; index < 20; index++) {
    writer.say(content(`d${index}`, sessions))
    await settled()
    writer.say(content(`d${index}`, 's0:1-2', false))
    await settled()
  }
  const { idle, recentBytes } = server.runner.sizes()
  expect([idle, recentBytes > 1_500_000]).toEqual([7, true])
})

test('a tombstone erases its document also when the outcome of its append was unknown', async () => {
  const world = createWorld()
  const isTombstone = (session: string) => session.endsWith('$')
  const server = await world.node('server', { holds: [append('note', 'a:0-3')], hooks: { isTombstone } })
  server.spy.replace = {
    append: async (batch, options) => {
      const results = await server.spy.real.append(batch, options)
      // That an erasure begins is marked before.
      if (batch.length === 0) return results
      server.spy.replace = {}
      throw new StorageError('IO', 'the connection to the disk was lost')
    },
  }
  const deleter = world.peer('deleter', server)
  deleter.say(content('note', 'd$:0-1', false))
  await settled()
  await world.clock.advance(10_000)
  expect((await server.spy.real.knownStates(['note']))[0]).toMatchObject({ known: state('d$:1'), erased: [1, ''] })
})

test('an application that is told of an erasure while it writes is not told that its write was refused (disks, seed 32011004)', async () => {
  const world = createWorld()
  const isTombstone = (session: string) => session.endsWith('$')
  const client = await world.node('client', { holds: [append('note', 'a:0-2 b:0-1')], hooks: { isTombstone } })
  const appending = gate()
  let erasures = 0
  client.spy.replace = {
    erase: async (id, version, options) => {
      erasures += 1
      const erased = await client.spy.real.erase(id, version, options)
      if (erasures === 1) throw new StorageError('IO', 'its answer was lost')
      return erased
    },
    append: async (batch, options) => {
      if (batch.some(({ runs }) => runs.some(({ session }) => session === 'a'))) await appending.opened
      return client.spy.real.append(batch, options)
    },
  }
  world.peer('eraser', client, { local: true }).say(content('note', 'd$:0-1', false))
  await settled()
  const user = world.peer('user', client, { local: true })
  user.load('note')
  await settled()
  user.say(content('note', 'a:2-3', false))
  await world.clock.advance(10_000)
  appending.open()
  await settled()
  expect(erasures).toBe(2)
  expect(user.heard.filter(({ action }) => action === 'known')).toMatchObject([
    { correction: true, known: state('a:2 d$:1') },
    { correction: false, known: state('a:3') },
  ])
})

test('a tombstone erases its document also when the storage refused to erase at first', async () => {
  const world = createWorld()
  const isTombstone = (session: string) => session.endsWith('$')
  const server = await world.node('server', { holds: [append('note', 'a:0-3')], hooks: { isTombstone } })
  server.spy.replace = {
    erase: () => {
      server.spy.replace = {}
      throw new StorageError('BUSY', 'later')
    },
  }
  world.peer('deleter', server).say(content('note', 'd$:0-1', false))
  await settled()
  await world.clock.advance(600_000)
  world.peer('again', server).say(content('note', 'd$:0-1', false))
  await settled()
  expect((await server.spy.real.knownStates(['note']))[0]).toMatchObject({ known: state('d$:1'), erased: [1, ''] })
})

test('verification: a refusal is said once, whatever else the application is asked about the content', async () => {
  const world = createWorld()
  const server = await world.node('server', {
    hooks: {
      verify: async () => ({ accepted: new Map(), states: new Map() }),
      dependenciesOf: async () => [],
      isTombstone: async () => false,
    },
  })
  const writer = world.peer('writer', server)
  writer.say(content('note', 'evil:0-1'))
  await settled()
  expect(writer.heard.filter(({ action }) => action === 'error')).toHaveLength(1)
})

test('an upstream is told DONE also when the last reader left before it had answered', async () => {
  const world = createWorld()
  const edge = await world.node('edge', { upstreamExpected: true })
  const core = world.peer('core', edge, { upstream: true })
  const client = world.peer('client', edge)
  client.load('missing')
  await settled()
  client.link.closed()
  await settled()
  core.say({ action: 'known', id: 'missing', known: EMPTY, correction: false })
  await settled()
  expect(world.trace.at(-1)).toBe('edge > core  DONE missing')
  expect(edge.runner.sizes()).toMatchObject({ documents: 0, subscriptions: 0 })
})

test('27: LOADs that a client no longer waits for are not asked of the upstream, and leave nothing', async () => {
  const world = createWorld()
  const edge = await world.node('edge', { upstreamExpected: true, limits: { loadsInFlightMax: 10 } })
  const core = await world.node('core')
  world.connect(edge, core)
  const client = world.peer('client', edge)
  for (let index = 0; index < 500; index++) client.load(`missing-${index}`)
  client.link.closed()
  await settled()
  await world.clock.advance(120_000)
  expect(edge.runner.sizes()).toMatchObject({ documents: 0, subscriptions: 0 })
  expect(core.runner.sizes()).toMatchObject({ documents: 0 })
})

test('what is written here reaches an upstream whose first answer was a failure', async () => {
  const world = createWorld()
  const edge = await world.node('edge', { upstreamExpected: true, holds: [append('note', 'a:0-1')] })
  const core = world.peer('core', edge, { upstream: true })
  const client = world.peer('client', edge)
  client.load('note', state('a:1'))
  await settled()
  core.say({ action: 'error', id: 'note', code: 'failed', message: 'the storage could not be read' })
  await settled()
  client.say(content('note', 'b:0-1', false))
  await settled()
  await world.clock.advance(60_000)
  expect(world.trace.filter((line) => line.startsWith('edge > core  LOAD note')).length).toBeGreaterThan(1)
})

test('L3: what we tell an upstream that we hold is durable', async () => {
  const world = createWorld()
  const client = await world.node('client', { upstreamExpected: true, holds: [append('note', 'a:0-1')] })
  const user = world.peer('user', client, { local: true })
  const release = holdAppends(client)
  user.say(content('note', 'b:0-1', false))
  await settled()
  const server = world.peer('server', client, { upstream: true })
  await settled()
  const before = server.heard.map((message) => ('known' in message ? message.known.sessions.get('b') : undefined))
  expect(before.filter((count) => count !== undefined)).toEqual([])
  release()
  await settled()
})

test('a stream that was cut is completed also when its reader acknowledges other content between the two probes', async () => {
  const world = createWorld()
  const runs = Array.from({ length: 3 }, (_, index) =>
    append('big', `a:${index * 4000}-${index * 4000 + 4000}`, index === 0),
  )
  const server = await world.node('server', { holds: runs })
  const peer = world.peer('peer', server, JAZZ)
  peer.load('big', state('a:12000'))
  await settled()
  peer.say({ action: 'known', id: 'big', known: state('a:8000'), correction: true })
  await settled()
  world.peer('writer', server).say(content('big', 'b:0-1', false))
  await settled()
  expect(world.trace).toContain('server > peer  CONTENT big b:0-1')
  peer.say({ action: 'known', id: 'big', known: state('a:8000 b:1'), correction: false })
  await settled()
  await world.clock.advance(1_000)
  expect(world.trace.at(-1)).toBe('server > peer  CONTENT big a:12000-12000 b:1-1')
})

test('reconcile: content that is refused settles its document', async () => {
  const world = createWorld()
  const server = await world.node('server', { hooks: { authorize: (_principal, action) => action === 'read' } })
  const peer = world.peer('peer', server, JAZZ)
  peer.say({ action: 'reconcile', batch: 'b1', values: [['note', 'a1']] })
  await settled()
  peer.say(content('note', 'a:0-1'))
  await settled()
  expect(world.trace).toContain('server > peer  RECONCILE-ACK b1')
})

test('L2: reconcile: a document whose look-up failed is not acknowledged as compared', async () => {
  const world = createWorld()
  const server = await world.node('server')
  server.spy.replace = {
    knownStates: () => {
      server.spy.replace = {}
      throw new StorageError('IO', 'no disk')
    },
  }
  const peer = world.peer('peer', server, JAZZ)
  peer.say({ action: 'reconcile', batch: 'b1', values: [['note', 'a1']] })
  await settled()
  await world.clock.advance(5_000)
  expect(world.trace.slice(1)).toEqual(['server > peer  LOAD note ∅'])
})

test('a long chain of dependencies that waits for its last link is no harm', async () => {
  const world = createWorld()
  const length = 12_000
  const dependenciesOf = (header: Uint8Array | undefined) => {
    const id = header === undefined ? '' : (JSON.parse(new TextDecoder().decode(header)).id as string)
    return id.startsWith('d') && id !== 'd0' ? [`d${Number(id.slice(1)) - 1}`] : []
  }
  const holds = Array.from({ length }, (_, index) => append(`d${index}`, ''))
  const server = await world.node('server', { holds, hooks: { dependenciesOf } })
  const { opened, open } = gate()
  server.spy.replace = {
    read: (id, after, options) =>
      id === 'd0'
        ? opened.then(() => server.spy.real.read(id, after, options))
        : server.spy.real.read(id, after, options),
  }
  const reader = world.peer('reader', server)
  reader.load(`d${length - 2}`)
  await settled()
  reader.load(`d${length - 1}`)
  await settled()
  open()
  await settled()
  expect(reader.heard.filter(({ action }) => action === 'content')).toHaveLength(length)
})

/** How many entries of maps and sets are visited or set meanwhile. */
async function stepsThroughMaps(work: () => unknown): Promise<number> {
  const visits = [new Map(), new Set()].map((one) =>
    vi.spyOn(Object.getPrototypeOf(one[Symbol.iterator]()) as Iterator<unknown>, 'next'),
  )
  const all = [...visits, vi.spyOn(Map.prototype, 'set'), vi.spyOn(Set.prototype, 'add')]
  await work()
  const steps = all.reduce((sum, { mock }) => sum + mock.calls.length, 0)
  for (const spy of all) spy.mockRestore()
  return steps
}

test('L5, L10: a peer that leaves a gap in a new session with every message costs the same with every message', async () => {
  const world = createWorld()
  const server = await world.node('server', { holds: [append('note', 'a:0-1')] })
  const peer = world.peer('peer', server)
  const say = async (from: number, until: number) => {
    for (let index = from; index < until; index++) peer.say(content('note', `s${index}:1-2`, false))
    await settled()
  }
  await say(0, 10)
  const early = await stepsThroughMaps(() => say(10, 110))
  await say(110, 7_850)
  expect(early).toBeGreaterThan(100)
  expect(await stepsThroughMaps(() => say(7_850, 7_950))).toBeLessThan(early * 1.5)
})

test('everything accepted so far counts as not flushed, also behind a content that is still looked up', async () => {
  const world = createWorld()
  const node = await world.node('node', { holds: [append('slow', 'a:0-1')] })
  const { opened, open } = gate()
  node.spy.replace = {
    knownStates: async (ids) => {
      if (ids.includes('slow')) await opened
      return node.spy.real.knownStates(ids)
    },
  }
  const user = world.peer('user', node, { local: true })
  user.say(content('slow', 'a:1-2', false))
  await settled()
  user.say(content('note', 'a:0-1'))
  await settled()
  let flushed = false
  void node.runner.flushed().then(() => {
    flushed = true
  })
  await settled()
  expect(flushed).toBe(false)
  open()
  await settled()
  expect(flushed).toBe(true)
})
