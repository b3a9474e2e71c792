/**
 * Nodes with an upstream: a client and its server, an edge and its core. When absence may be said, and by whom it is known.
 */
import { EMPTY } from '@tidemark/known-state'
import { expect, test } from 'vitest'
import { append, content, createWorld, gate, JAZZ, nextTurn, OWN, settled, state } from './world.ts'

test('35: an edge that holds a document answers at once, subscribes upstream, and passes on what the core gets later', async () => {
  const world = createWorld()
  const core = await world.node('core', { holds: [append('note', 'a:0-3')] })
  const edge = await world.node('edge', { holds: [append('note', 'a:0-3')], upstreamExpected: true })
  world.connect(edge, core)
  const client = world.peer('client', edge)
  client.load('note', state('a:3'))
  await settled()
  expect(world.trace.filter((line) => !line.includes('core'))).toEqual([
    'client > edge  LOAD note header a:3',
    'edge > client  KNOWN note header a:3',
  ])
  expect(world.trace.filter((line) => line.includes('core'))).toEqual([
    'edge > core  LOAD note header a:3',
    'core > edge  KNOWN note header a:3',
  ])
  world.peer('writer', core).say(content('note', 'a:3-4', false))
  await settled()
  expect(world.trace).toContain('edge > client  CONTENT note a:3-4')
})

test('35: what a client writes at an edge reaches the core', async () => {
  const world = createWorld()
  const core = await world.node('core', { holds: [append('note', 'a:0-1')] })
  const edge = await world.node('edge', { holds: [append('note', 'a:0-1')], upstreamExpected: true })
  world.connect(edge, core)
  world.peer('client', edge).say(content('note', 'b:0-1', false), content('new', 'a:0-1'))
  await settled()
  const held = await core.spy.storage.knownStates(['note', 'new'])
  expect(held.map((stored) => stored?.known)).toEqual([state('a:1 b:1'), state('a:1')])
})

test('35b: an edge says absent only after its core said so', async () => {
  const world = createWorld()
  const edge = await world.node('edge', { upstreamExpected: true })
  const core = world.peer('core', edge, { upstream: true })
  const client = world.peer('client', edge)
  client.load('note')
  await settled()
  expect(client.heard).toEqual([])
  core.say({ action: 'known', id: 'note', known: EMPTY, correction: false })
  await settled()
  expect(world.trace).toEqual([
    'client > edge  LOAD note ∅',
    'edge > core  LOAD note ∅',
    'core > edge  KNOWN note ∅',
    'edge > client  KNOWN note ∅',
  ])
})

test('35b: an edge that cannot reach its core is unavailable after three seconds, never absent; the subscription stays', async () => {
  const world = createWorld()
  const core = await world.node('core', { holds: [append('note', 'a:0-1')] })
  const edge = await world.node('edge', { upstreamExpected: true })
  const own = world.peer('own', edge)
  const jazz = world.peer('jazz', edge, JAZZ)
  own.load('note')
  jazz.load('note')
  await settled()
  await world.clock.advance(2_900)
  expect([...own.heard, ...jazz.heard]).toEqual([])
  await world.clock.advance(200)
  expect(own.heard).toMatchObject([{ action: 'error', code: 'unavailable' }])
  expect(jazz.heard).toMatchObject([{ action: 'known', known: EMPTY }])
  world.connect(edge, core)
  await settled()
  for (const peer of [own, jazz]) expect(peer.heard.at(-1)).toMatchObject({ action: 'content', id: 'note' })
})

test('54: who asks a cold server with a slow storage is told after it answered, and by whom absence is known', async () => {
  const world = createWorld()
  const server = await world.node('server', { holds: [append('there', 'a:0-1')] })
  server.spy.replace = {
    knownStates: async (ids) => {
      await world.clock.wait(300)
      return server.spy.real.knownStates(ids)
    },
  }
  const client = await world.node('client', { upstreamExpected: true })
  world.connect(client, server)
  const told: unknown[] = []
  const link = client.runner.connect({
    traits: { ...JAZZ, errors: true, local: true, upstream: false },
    send: (sent) =>
      told.push(
        ...sent.map(({ message, answeredBy }) => ({
          action: message.action,
          id: 'id' in message && message.id,
          answeredBy,
        })),
      ),
    room: () => true,
    close() {},
    pause() {},
    resume() {},
  })
  for (const id of ['there', 'nowhere']) link.receive([{ message: { action: 'load', id, known: EMPTY }, bytes: 1 }])
  await settled()
  await world.clock.advance(299)
  expect(told).toEqual([])
  await world.clock.advance(1)
  expect(told).toEqual([
    { action: 'content', id: 'there', answeredBy: undefined },
    { action: 'known', id: 'nowhere', answeredBy: ['storage', 'upstream'] },
  ])
})

test('an upstream is told DONE when nobody here wants a document any more', async () => {
  const world = createWorld()
  const core = await world.node('core', { holds: [append('note', 'a:0-1')] })
  const edge = await world.node('edge', { upstreamExpected: true })
  world.connect(edge, core)
  const [one, two] = [world.peer('one', edge), world.peer('two', edge)]
  for (const peer of [one, two]) peer.load('note')
  await settled()
  one.link.closed()
  await settled()
  expect(world.trace).not.toContain('edge > core  DONE note')
  two.say({ action: 'done', id: 'note' })
  await settled()
  expect(world.trace.at(-1)).toBe('edge > core  DONE note')
  expect(core.runner.sizes()).toMatchObject({ documents: 0 })
})

test('a lost upstream leaves nothing of what was asked of it, and the next one is asked again', async () => {
  const world = createWorld()
  const edge = await world.node('edge', { upstreamExpected: true, holds: [append('note', 'a:0-1')] })
  const client = world.peer('client', edge)
  client.load('note', state('a:1'))
  const first = world.peer('first', edge, { upstream: true })
  await settled()
  first.link.closed()
  await nextTurn()
  world.peer('second', edge, { upstream: true })
  await settled()
  expect(world.trace.filter((line) => line.includes('LOAD') && !line.startsWith('client'))).toEqual([
    'edge > first  LOAD note header a:1',
    'edge > second  LOAD note header a:1',
  ])
})

test('an append says which documents it owes to upstreams: what others wrote, not what an upstream sent', async () => {
  const world = createWorld()
  const client = await world.node('client', { upstreamExpected: true })
  const server = world.peer('server', client, { upstream: true })
  server.say(content('theirs', 'a:0-1'), content('both', 'a:0-1'))
  world.peer('user', client, { local: true }).say(content('ours', 'b:0-1'), content('both', 'b:0-1'))
  await settled()
  const owed = client.steps.flatMap((step) => (step.type === 'append' ? step.owed : []))
  expect(owed.sort()).toEqual(['both', 'ours'])
})

test('what is no longer asked for and in step ends its subscription upstream, unless somebody here has it open', async () => {
  const world = createWorld()
  const client = await world.node('client', { holds: [append('note', 'a:0-1'), append('open', 'a:0-1')] })
  const server = await world.node('server', { holds: [append('note', 'a:0-1'), append('open', 'a:0-1')] })
  const { client: link } = world.connect(client, server)
  world.peer('user', client, { local: true }).load('open', state('a:1'))
  link.ask(['note', 'open'])
  await settled()
  const asked = world.trace.length
  link.leave(['note', 'open'])
  await settled()
  expect(world.trace.slice(asked)).toEqual(['client > server  DONE note'])
})

test('what an upstream has more of ends its subscription when that has come, unless somebody here has it open', async () => {
  for (const isOpen of [false, true]) {
    const world = createWorld()
    const client = await world.node('client', { holds: [append('note', 'a:0-1')], upstreamExpected: true })
    const core = world.peer('core', client, { upstream: true })
    if (isOpen) world.peer('application', client).load('note', state('a:1'))
    core.link.ask(['note'], 'outbox')
    await settled()
    core.say({ action: 'known', id: 'note', known: state('a:1 b:1'), correction: false })
    await settled()
    core.link.leave(['note'])
    expect(world.trace.at(-1)).toBe('core > client  KNOWN note header a:1 b:1')
    core.say(content('note', 'b:0-1', false))
    await settled()
    const { length } = world.trace.filter((line) => line === 'client > core  DONE note')
    expect(length).toBe(isOpen ? 0 : 1)
    expect(world.trace).toContain('client > core  KNOWN note header b:1')
    expect(client.reports.findLast(({ kind }) => kind === 'confirmed')).toMatchObject({ uploaded: true })
  }
})

test('an upstream to which something else was being read when the last of a document came is left behind that (storm, seed 5400027 of three disks)', async () => {
  const world = createWorld()
  const holds = [append('note', 'a:0-1'), append('other', 'a:0-1')]
  const client = await world.node('client', { holds, upstreamExpected: true })
  const core = world.peer('core', client, { upstream: true })
  core.link.ask(['note', 'other'], 'outbox')
  await settled()
  core.say({ action: 'known', id: 'note', known: state('a:1 b:1'), correction: false })
  await settled()
  core.link.leave(['note'])
  const reading = gate()
  client.spy.replace = {
    read: async (id, after, options) => {
      await reading.opened
      return client.spy.real.read(id, after, options)
    },
  }
  core.say({ action: 'known', id: 'other', known: state(''), correction: false })
  await settled()
  core.say(content('note', 'b:0-1', false))
  await settled()
  expect(world.trace).not.toContain('client > core  DONE note')
  reading.open()
  await settled()
  expect(world.trace.filter((line) => line === 'client > core  DONE note')).toHaveLength(1)
  expect(client.reports.findLast((report) => report.kind === 'confirmed' && report.id === 'note')).toMatchObject({
    uploaded: true,
  })
})

test('how far an upstream confirmed a document is said before it is left, also while what it sent is being stored (disks, seed 30002931)', async () => {
  const world = createWorld()
  const client = await world.node('client', { holds: [append('note', 'a:0-2')], upstreamExpected: true })
  const core = world.peer('core', client, { upstream: true })
  core.link.ask(['note'], 'outbox')
  await settled()
  const appending = gate()
  client.spy.replace = {
    append: async (batch) => {
      await appending.opened
      return client.spy.real.append(batch)
    },
  }
  core.say(content('note', 'a:0-2'))
  await settled()
  core.say({ action: 'known', id: 'note', known: state('a:2'), correction: false })
  await settled()
  core.link.leave(['note'])
  await settled()
  appending.open()
  await settled()
  expect(world.trace).toContain('client > core  DONE note')
  expect(client.reports).toContainEqual(expect.objectContaining({ kind: 'confirmed', id: 'note', uploaded: true }))
})

test('what an upstream refused is owed no longer when it is erased, and the upstream is left (calm, seed 30000149)', async () => {
  const world = createWorld()
  const isTombstone = (session: string) => session.endsWith('$')
  const holds = [append('note', 'a:0-1')]
  const client = await world.node('client', { holds, hooks: { isTombstone }, upstreamExpected: true })
  const core = world.peer('core', client, { upstream: true })
  core.link.ask(['note'], 'outbox')
  await settled()
  core.say({ action: 'known', id: 'note', known: state(''), correction: false })
  await settled()
  core.say({ action: 'error', id: 'note', code: 'forbidden', message: 'no' })
  core.link.leave(['note'])
  await settled()
  expect(world.trace).not.toContain('client > core  DONE note')
  core.say(content('note', 'd$:0-1', false))
  await settled()
  expect(world.trace.filter((line) => line === 'client > core  DONE note')).toHaveLength(1)
})

test('an application is not asked for what its documents name, and follows none of that (storm, seed 30000131)', async () => {
  const world = createWorld()
  const dependenciesOf = (header: Uint8Array | undefined) =>
    header !== undefined && new TextDecoder().decode(header).includes('list') ? ['note'] : []
  const client = await world.node('client', { hooks: { dependenciesOf }, upstreamExpected: true })
  world.peer('core', client, { upstream: true })
  const application = world.peer('application', client, { local: true })
  application.say(content('list', 'a:0-1'))
  await settled()
  expect(world.trace).toContain('client > core  LOAD note ∅')
  expect(application.heard.map(({ action }) => action)).toEqual(['known'])
})

test('an upstream that was asked is not left before it answers because of what was written to an erased document (storm, seed 35039611)', async () => {
  const world = createWorld()
  const server = await world.node('server', { holds: [append('note', 'a:0-1')] })
  const client = await world.node('client', { holds: [append('note', 'a:0-1')], upstreamExpected: true })
  for (const { spy } of [server, client]) await spy.storage.erase('note', [1, 'eraser'], { keep: ['a'] })
  const looking = gate()
  const { real } = server.spy
  server.spy.replace = { knownStates: (ids, options) => looking.opened.then(() => real.knownStates(ids, options)) }
  const app = world.peer('app', client, { ...OWN, local: true })
  app.load('note')
  await settled()
  world.connect(client, server)
  await settled()
  app.say(content('note', 'b:0-1', false))
  await settled()
  app.say({ action: 'done', id: 'note' })
  await settled()
  expect(world.trace).not.toContain('client > server  DONE note')
  looking.open()
  await settled()
  expect(client.reports).toContainEqual(expect.objectContaining({ kind: 'confirmed', id: 'note', uploaded: true }))
  expect(world.trace.at(-1)).toBe('client > server  DONE note')
})

test('how far a document is uploaded is not known before the upstream has answered for it', async () => {
  const world = createWorld()
  const client = await world.node('client', { holds: [append('note', 'a:0-2')] })
  const server = world.peer('server', client, { upstream: true })
  const status = () => {
    const { uploaded, inStep } = client.runner.status('note')
    return { uploaded, inStep }
  }
  server.link.ask(['note'])
  await settled()
  expect(status()).toEqual({ uploaded: undefined, inStep: false })
  server.say({ action: 'known', id: 'note', known: state('a:1'), correction: false })
  await settled()
  expect(status()).toEqual({ uploaded: false, inStep: false })
  server.say({ action: 'known', id: 'note', known: state('a:2 b:1'), correction: false })
  await settled()
  expect(status().inStep).toBe(false)
  server.say(content('note', 'b:0-1', false))
  await settled()
  expect(status()).toEqual({ uploaded: true, inStep: true })
})
