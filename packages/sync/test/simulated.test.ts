/**
 * What the simulator found, each as the smallest exchange of messages that shows it; the seed that found it is named.
 */
import { EMPTY } from '@tidemark/known-state'
import { memoryStorage, StorageError } from '@tidemark/storage'
import { expect, test } from 'vitest'
import { append, bytes, content, createWorld, settled, spied, state } from './world.ts'

test('an acknowledgement of some sessions is no fork of the others, on which its sender went on (calm, seed 25)', async () => {
  const world = createWorld()
  const server = await world.node('server', { holds: [append('note', 'a:0-2 b:0-1', true, 'bytes')] })
  const client = await world.node('client', { holds: [append('note', 'a:0-2', true, 'bytes')] })
  const user = world.peer('user', client, { local: true })
  world.connect(client, server).client.ask(['note'])
  // While b is on its way to the client, its user goes on with a.
  user.say(content('note', 'a:2-3', false, 'bytes'))
  await settled()
  expect(server.reports.filter(({ kind }) => kind === 'fork')).toEqual([])
  expect((await server.spy.storage.knownStates(['note']))[0]?.known).toEqual(state('a:3 b:1'))
})

test('who is sent what others wrote is told first what is held of its own, and does not send it again (calm, seed 1)', async () => {
  const world = createWorld()
  const server = await world.node('server', { holds: [append('note', 'a:0-3 b:0-1')] })
  const client = await world.node('client', { holds: [append('note', 'a:0-3')] })
  world.connect(client, server).client.ask(['note'])
  await settled()
  expect(world.trace).toEqual([
    'client > server  LOAD note header a:3',
    'server > client  KNOWN note header a:3 b:1',
    'server > client  CONTENT note b:0-1',
    'client > server  KNOWN note header b:1',
  ])
})

test('what was refused is corrected also if the peer corrected us meanwhile (disks, seed 64)', async () => {
  const world = createWorld()
  const spy = spied()
  const client = await world.node('client', { storage: spy.storage, holds: [append('note', 'a:0-1 b:0-1')] })
  const server = world.peer('server', client, { upstream: true })
  server.load('note', state('a:1'))
  await settled()
  spy.replace = {
    append() {
      throw new StorageError('IO', 'broken')
    },
  }
  server.say(content('note', 'a:1-3', false))
  await settled()
  spy.replace = {}
  server.say({ action: 'known', id: 'note', known: state('a:3'), correction: true })
  await world.clock.advance(2_000)
  expect(world.trace.filter((line) => line.includes('KNOWN!'))).toEqual([
    'server > client  KNOWN! note header a:3',
    'client > server  KNOWN! note header a:1 b:1',
  ])
})

test('who sends what is stored already is sent the rest (storm, seed 60)', async () => {
  const world = createWorld()
  const client = await world.node('client', { holds: [append('note', 'a:0-3')] })
  const server = world.peer('server', client)
  server.say(content('note', 'a:0-1'))
  await settled()
  expect(world.trace.slice(1)).toEqual([
    'client > server  KNOWN note header a:3',
    'client > server  CONTENT note a:1-3',
  ])
})

test('what is stored in one batch with a dependency does not come back to its writer (storm, seed 400050)', async () => {
  const world = createWorld()
  const dependenciesOf = (header: Uint8Array | undefined) =>
    header !== undefined && new TextDecoder().decode(header).includes('note') ? ['group'] : []
  const client = await world.node('client', { hooks: { dependenciesOf } })
  const user = world.peer('user', client, { local: true })
  const server = world.peer('server', client, { upstream: true })
  server.say(content('note', 'b:0-1'))
  await settled()
  user.load('note')
  // The forwarding of what its user writes waits for the group; more of it is stored in one batch with that.
  user.say(content('note', 'a:0-1', false))
  await settled()
  server.say(content('group', 'b:0-1'))
  user.say(content('note', 'a:1-2', false))
  await settled()
  const given = user.heard.flatMap((message) => (message.action === 'content' ? message.runs : []))
  expect(given.map(({ session }) => session)).toEqual(['b'])
})

test('what was pushed unasked and refused is corrected, too (disks, seed 200039)', async () => {
  const world = createWorld()
  const spy = spied()
  const client = await world.node('client', { storage: spy.storage, holds: [append('group', 'a:0-1')] })
  const server = world.peer('server', client, { upstream: true })
  spy.replace = { append: (batch) => batch.map(() => ({ failed: 'QUOTA' as const })) }
  server.say(content('group', 'a:0-1 b:0-2'))
  await settled()
  spy.replace = {}
  await world.clock.advance(2_000)
  expect(world.trace.slice(1)).toEqual([
    'client > server  ERROR group quota',
    'client > server  KNOWN! group header a:1',
  ])
})

test('an application whose write was refused is given what others wrote in that place (storm, seed 400147)', async () => {
  const world = createWorld()
  const spy = spied()
  const client = await world.node('client', { storage: spy.storage, holds: [append('note', 'a:0-1')] })
  const user = world.peer('user', client, { local: true })
  const server = world.peer('server', client)
  user.load('note')
  await settled()
  spy.replace = { append: (batch) => batch.map(() => ({ failed: 'QUOTA' as const })) }
  user.say(content('note', 'a:1-2', false))
  await settled()
  spy.replace = {}
  // Its disk came from a backup: the server has more of that session.
  server.say(content('note', 'a:1-4', false))
  await settled()
  const given = user.heard.flatMap((message) => (message.action === 'content' ? message.runs : []))
  expect(given.map(({ session, after, transactions }) => [session, after, transactions.length])).toEqual([
    ['a', 0, 1],
    ['a', 1, 3],
  ])
})

test('what is on its way to the disk is not absent, however long that takes (storm, seed 1000312)', async () => {
  const world = createWorld()
  const spy = spied()
  const client = await world.node('client', { storage: spy.storage, upstreamExpected: true })
  const user = world.peer('user', client, { local: true })
  const server = world.peer('server', client, { upstream: true })
  user.load('note')
  await settled()
  let store = () => {}
  spy.replace = {
    append: (batch) =>
      new Promise((resolve) => {
        store = () => resolve(spy.real.append(batch))
      }),
  }
  server.say(content('note', 'a:0-1'))
  await settled()
  await world.clock.advance(4_000)
  expect(user.heard).toEqual([])
  store()
  await settled()
  expect(user.heard.map(({ action }) => action)).toEqual(['content'])
})

test('an application that writes where something stands is given what stands there, from its start (disks, seed 2000430)', async () => {
  const world = createWorld()
  const spy = spied()
  const dependenciesOf = () => ['group']
  const client = await world.node('client', { storage: spy.storage, hooks: { dependenciesOf } })
  const user = world.peer('user', client, { local: true })
  const peer = world.peer('peer', client)
  user.load('note')
  await settled()
  // It is stored, and forwarded when the group has come, or after 5 s.
  peer.say(content('note', 'a:0-3'))
  await settled()
  let store = () => {}
  spy.replace = {
    append: (batch) =>
      new Promise((resolve) => {
        store = () => resolve(spy.real.append(batch))
      }),
  }
  const other = content('note', 'a:0-2')
  user.say({ ...other, runs: other.runs.map((run) => ({ ...run, transactions: [bytes('1'), bytes('2')] })) })
  await world.clock.advance(5_000)
  store()
  await settled()
  expect(user.heard.flatMap((message) => (message.action === 'content' ? message.runs : []))).toEqual(
    content('note', 'a:0-3').runs,
  )
  expect(user.heard.map(({ action }) => action)).toContain('error')
})

test('who may read and not write is sent what others write although its own content was refused (disks, seed 1000705)', async () => {
  const world = createWorld()
  const authorize = async (principal: unknown, action: string) => action === 'read' || principal === 'writer'
  const server = await world.node('server', { hooks: { authorize } })
  const reader = world.peer('reader', server, { principal: 'reader' })
  const writer = world.peer('writer', server, { principal: 'writer' })
  // It created the document while it was alone, and pushes it without asking.
  reader.say(content('note', 'a:0-1'))
  await settled()
  writer.say(content('note', 'b:0-1'))
  await settled()
  expect(world.trace.filter((line) => line.includes('reader'))).toEqual([
    'reader > server  CONTENT note header a:0-1',
    'server > reader  ERROR note forbidden',
    'server > reader  CONTENT note header b:0-1',
  ])
})

test('a correction after a refusal waits for what is on its way to the disk (disks, seed 879 of two disks)', async () => {
  const world = createWorld()
  const spy = spied()
  const server = await world.node('server', { storage: spy.storage })
  const refused = world.peer('refused', server)
  const other = world.peer('other', server)
  spy.replace = { append: (batch) => batch.map(() => ({ failed: 'QUOTA' as const })) }
  refused.say(content('note', 'a:0-1'))
  await settled()
  let store = () => {}
  spy.replace = {
    append: (batch) =>
      new Promise((resolve) => {
        store = () => resolve(spy.real.append(batch))
      }),
  }
  other.say(content('note', 'b:0-1'))
  await world.clock.advance(2_000)
  store()
  await settled()
  expect(world.trace.filter((line) => line.startsWith('server > refused'))).toEqual([
    'server > refused  ERROR note quota',
    'server > refused  KNOWN! note header b:1',
    'server > refused  CONTENT note b:0-1',
  ])
})

test('content that could not be judged is corrected a while later, and sent again (disks, seed 23, where content is verified)', async () => {
  const world = createWorld()
  const spy = spied()
  const verify = (offered: { readonly runs: readonly { readonly session: string }[] }) => ({
    accepted: new Map(offered.runs.map(({ session }) => [session, 2])),
    states: new Map(),
  })
  const server = await world.node('server', { storage: spy.storage, hooks: { verify } })
  const client = await world.node('client', { holds: [append('note', 'a:0-2')] })
  spy.replace = {
    verifierStates() {
      throw new StorageError('IO', 'broken')
    },
  }
  world.connect(client, server).client.ask(['note'])
  await settled()
  expect(world.trace.at(-1)).toBe('server > client  ERROR note failed')
  spy.replace = {}
  await world.clock.advance(2_000)
  expect(world.trace.slice(-3)).toEqual([
    'server > client  KNOWN! note ∅',
    'client > server  CONTENT note header a:0-2',
    'server > client  KNOWN note header a:2',
  ])
})

test('a mark of an erasure that cannot be removed is left to the next process (disks, seed 3600229)', async () => {
  const world = createWorld()
  const spy = spied()
  const isTombstone = (session: string) => session.endsWith('$')
  const server = await world.node('server', {
    storage: spy.storage,
    holds: [append('note', 'a:0-3')],
    hooks: { isTombstone },
  })
  spy.replace = {
    append(batch, options) {
      const removes = [...(options?.marks?.values() ?? [])].includes(undefined)
      if (removes) throw new StorageError('IO', 'broken')
      return spy.real.append(batch, options)
    },
  }
  world.peer('deleter', server).say(content('note', 'd$:0-1', false))
  await settled()
  expect((await spy.real.knownStates(['note']))[0]).toMatchObject({ known: state('d$:1'), erased: [1, ''] })
  const next = await world.node('next', { storage: spy.real, hooks: { isTombstone } })
  world.peer('anybody', next)
  await settled()
  expect(await spy.real.marks({ prefix: '', limit: 10 })).toEqual([])
})

test('an erasure whose process died is done by the next one, with its first connection (disks, seed 3500377)', async () => {
  const world = createWorld()
  const hooks = { isTombstone: (session: string) => session.endsWith('$') }
  const storage = memoryStorage()
  const before = await world.node('before', { storage, holds: [append('note', 'a:0-3')], hooks })
  before.spy.replace = { erase: () => new Promise(() => {}) }
  world.peer('deleter', before).say(content('note', 'd$:0-1', false))
  await settled()
  expect((await storage.knownStates(['note']))[0]).toMatchObject({ known: state('a:3 d$:1'), erased: undefined })
  const server = await world.node('server', { storage, hooks })
  world.peer('anybody', server)
  await settled()
  expect((await storage.knownStates(['note']))[0]).toMatchObject({ known: state('d$:1'), erased: [1, ''] })
  expect(await storage.marks({ prefix: '', limit: 10 })).toEqual([])
})

test('what waits for an append is answered also if its document was being looked up when that settled (storm, seed 105 of two disks)', async () => {
  const world = createWorld()
  let changed = () => {}
  const watched = Object.assign(memoryStorage(), {
    watch(listener: (change: { id: string; before: undefined }) => void) {
      changed = () => listener({ id: 'note', before: undefined })
      return () => {}
    },
  })
  const spy = spied(watched)
  const server = await world.node('server', { storage: spy.storage, holds: [append('note', 'a:0-1')] })
  const reader = world.peer('reader', server)
  let store = () => {}
  let look = () => {}
  spy.replace = {
    append: (batch) =>
      new Promise((resolve) => {
        store = () => resolve(spy.real.append(batch))
      }),
  }
  world.peer('writer', server).say(content('note', 'a:1-2', false))
  await settled()
  reader.load('note', state('a:2'))
  spy.replace = {
    knownStates: (ids) =>
      new Promise((resolve) => {
        look = () => resolve(spy.real.knownStates(ids))
      }),
  }
  changed()
  await settled()
  store()
  await settled()
  look()
  await settled()
  expect(reader.heard).toMatchObject([{ action: 'known', known: state('a:2') }])
})

test('a storage that tells of an append before it answers it keeps nothing from who waits for the document (storm, seed 435 of two disks)', async () => {
  const world = createWorld()
  let changed = () => {}
  const watched = Object.assign(memoryStorage(), {
    watch(listener: (change: { id: string; before: ReturnType<typeof state> }) => void) {
      changed = () => listener({ id: 'note', before: state('a:1') })
      return () => {}
    },
  })
  const spy = spied(watched)
  const server = await world.node('server', { storage: spy.storage })
  const reader = world.peer('reader', server)
  reader.load('note')
  await settled()
  let answer = () => {}
  spy.replace = {
    append(batch) {
      const results = spy.real.append(batch)
      return new Promise((resolve) => {
        answer = () => resolve(results)
      })
    },
  }
  world.peer('writer', server).say(content('note', 'a:0-1'))
  await settled()
  changed()
  answer()
  await settled()
  const given = reader.heard.flatMap((message) => (message.action === 'content' ? message.runs : []))
  expect(given.map(({ session, after }) => [session, after])).toEqual([['a', 0]])
})

test('a correction that comes while the storage cannot be read for long is followed once it can (disks, seed 1233)', async () => {
  const world = createWorld()
  const client = await world.node('client', { holds: [append('note', 'a:0-2')] })
  const server = world.peer('server', client, { upstream: true })
  server.link.ask(['note'])
  await settled()
  const known = { action: 'known', id: 'note', correction: false } as const
  server.say({ ...known, known: state('a:2') })
  await settled()
  server.heard.length = 0
  let outage = true
  client.spy.replace = {
    knownStates: async (ids) => {
      if (outage) throw new StorageError('IO', 'out')
      return client.spy.real.knownStates(ids)
    },
  }
  // Said twice, and followed once.
  for (let times = 0; times < 2; times++) server.say({ ...known, known: state(''), correction: true })
  await world.clock.advance(60_000)
  expect(server.heard).toEqual([])
  outage = false
  await world.clock.advance(300_000)
  expect(server.heard).toEqual([content('note', 'a:0-2')])
  expect(client.runner.status('note')).toMatchObject({ uploaded: false })
  server.say({ ...known, known: state('a:2') })
  await settled()
  expect(client.runner.status('note')).toMatchObject({ uploaded: true })
})

test('who was refused by the storage and then asks with nothing is still corrected (storm, seed 20010417)', async () => {
  const world = createWorld()
  const server = await world.node('server', { holds: [append('note', 'a:0-1')] })
  const client = world.peer('client', server)
  client.load('note', state('a:1'))
  await settled()
  server.spy.replace = { append: async (batch) => batch.map(() => ({ failed: 'IO' as const })) }
  client.say(content('note', 'a:1-2', false))
  await settled()
  server.spy.replace = {}
  // Its own disk fails, so it asks for everything; that it holds more, its claim does not say.
  client.load('note')
  await settled()
  client.heard.length = 0
  await world.clock.advance(2_000)
  expect(client.heard).toMatchObject([{ action: 'known', known: state('a:1'), correction: true }])
})

test('who was in step and refused is corrected, also if something else was stored meanwhile (storm, seed 20018403)', async () => {
  const world = createWorld()
  const server = await world.node('server', { holds: [append('note', 'a:0-1')] })
  const client = world.peer('client', server)
  client.load('note', state('a:1'))
  await settled()
  server.spy.replace = {
    knownStates: async () => {
      throw new StorageError('IO', 'out')
    },
  }
  client.say(content('note', 'a:1-2', false))
  for (let seconds = 0; seconds < 20; seconds++) {
    if (client.heard.some(({ action }) => action === 'error')) break
    await world.clock.advance(1_000)
  }
  server.spy.replace = {}
  world.peer('other', server, { local: true }).say(content('note', 'b:0-1', false))
  await settled()
  await world.clock.advance(2_000)
  expect(client.heard.at(-1)).toMatchObject({ action: 'known', known: state('a:1 b:1'), correction: true })
})

test('an append of unknown outcome that overlaps what others stored is not taken for stored (storm, seed 20019212)', async () => {
  const world = createWorld()
  const client = await world.node('client', { holds: [append('note', 'a:0-1')] })
  const user = world.peer('user', client, { local: true })
  const server = world.peer('server', client, { upstream: true })
  user.load('note')
  await settled()
  server.say(content('note', 'a:1-3', false))
  await settled()
  client.spy.replace = {
    append: async () => {
      client.spy.replace = {}
      throw new StorageError('IO', 'nothing done')
    },
  }
  // Against the rules for sessions: its application learns it, or that nobody knows.
  const [run] = content('note', 'a:1-2', false).runs
  const fork = { ...run, transactions: [bytes('{"fork":1}')] } as NonNullable<typeof run>
  user.say({ ...content('note', 'a:1-2', false), runs: [fork] })
  await settled()
  await world.clock.advance(1_000)
  expect(user.heard.filter(({ action }) => action === 'error')).toMatchObject([{ code: 'failed' }])
})

test('who is in step is sent nothing again for what it acknowledges while the storage cannot be read', async () => {
  const world = createWorld()
  const server = await world.node('server', { holds: [append('note', 'a:0-2 b:0-1')] })
  const client = world.peer('client', server)
  client.load('note', state('a:2 b:1'))
  await settled()
  client.heard.length = 0
  server.spy.replace = {
    knownStates: async () => {
      throw new StorageError('IO', 'out')
    },
  }
  client.say({ action: 'known', id: 'note', known: state('a:2'), correction: false })
  await world.clock.advance(30_000)
  server.spy.replace = {}
  await world.clock.advance(600_000)
  expect(client.heard).toEqual([])
})

test('what answered a LOAD and could not be judged leaves it unanswered: it is said again (bindings of one client, storm, seed 2)', async () => {
  const world = createWorld()
  const server = await world.node('server', { holds: [append('note', 'a:0-1', true, 'bytes')] })
  const client = await world.node('client', { holds: [append('note', 'a:0-2', true, 'bytes')] })
  client.spy.replace = {
    knownStates: async () => {
      throw new StorageError('IO', 'out')
    },
  }
  world.connect(client, server).client.ask(['note'])
  for (let seconds = 0; seconds < 60; seconds++) {
    if (world.trace.some((line) => line.includes('ERROR'))) break
    await world.clock.advance(1_000)
  }
  client.spy.replace = {}
  await world.clock.advance(20_000)
  expect((await server.spy.storage.knownStates(['note']))[0]?.known).toEqual(state('a:2'))
  expect(world.trace.filter((line) => line.includes('LOAD'))).toEqual([
    'client > server  LOAD note ∅',
    'client > server  LOAD note header a:2',
    'server > client  LOAD note header a:1',
  ])
})

test('who answered with what could not be stored is sent what it lacks all the same (disks, seed 22008129)', async () => {
  const world = createWorld()
  const client = await world.node('client', { holds: [append('note', 'a:0-1 c:0-2')], upstreamExpected: true })
  const unread = async () => {
    throw new StorageError('IO', 'out')
  }
  client.spy.replace = { knownStates: unread }
  const server = world.peer('server', client, { upstream: true })
  server.link.ask(['note'])
  for (let seconds = 0; seconds < 20 && server.heard.length === 0; seconds++) await world.clock.advance(1_000)
  expect(server.heard).toMatchObject([{ action: 'load', known: EMPTY }])
  client.spy.replace = { append: async (batch) => batch.map(() => ({ failed: 'QUOTA' as const })) }
  server.say(content('note', 'a:0-1'))
  await world.clock.advance(60_000)
  expect(server.heard.filter(({ action }) => action === 'content')).toEqual([content('note', 'c:0-2', false)])
})

test('what was erased is uploaded, also after somebody wrote to it once more (calm, seeds 7 and 43)', async () => {
  const world = createWorld()
  const hooks = { isTombstone: (session: string) => session.endsWith('$') }
  const client = await world.node('client', { holds: [append('note', 'a:0-2')], hooks })
  const server = world.peer('server', client, { upstream: true })
  const user = world.peer('user', client, { local: true })
  user.load('note')
  await settled()
  server.say({ action: 'known', id: 'note', known: state('a:2'), correction: false })
  user.say(content('note', 'd$:0-1', false))
  await settled()
  server.say({ action: 'known', id: 'note', known: state('d$:1'), correction: false })
  await settled()
  expect(client.runner.status('note')).toMatchObject({ uploaded: true })
  const confirmed = () => client.reports.filter(({ kind }) => kind === 'confirmed')
  const before = confirmed().length
  // Content that crossed the erasure on its way, and a write to what is erased: nothing of them is stored.
  server.say(content('note', 'a:2-3', false))
  await settled()
  user.say(content('note', 'b:0-1', false))
  await settled()
  expect(client.runner.status('note')).toMatchObject({ uploaded: true })
  expect(confirmed().slice(before)).toMatchObject([{ uploaded: true }, { uploaded: true }])
})

test('an upstream that asks for all because it cannot read its storage has not said that it holds nothing (layered disks, seed 5003003)', async () => {
  const world = createWorld()
  const client = await world.node('client', { upstreamExpected: true })
  const user = world.peer('user', client, { local: true })
  const server = world.peer('server', client, { upstream: true })
  server.load('note')
  await settled()
  user.load('note')
  await settled()
  expect(user.heard).toEqual([])
  expect(server.heard.at(-1)).toMatchObject({ action: 'load', id: 'note' })
  server.say({ action: 'known', id: 'note', known: EMPTY, correction: false })
  await settled()
  expect(user.heard).toMatchObject([{ action: 'known', known: EMPTY }])
})

test('a correction that crossed our DONE subscribes to nothing: whoever opens the document again is asked for it (two disks, seed 10807)', async () => {
  const world = createWorld()
  const client = await world.node('client', { holds: [append('note', 'a:0-1')] })
  const user = world.peer('user', client, { local: true })
  const server = world.peer('server', client, { upstream: true })
  user.load('note')
  await settled()
  server.say({ action: 'known', id: 'note', known: state('a:1'), correction: false })
  await settled()
  user.say({ action: 'done', id: 'note' })
  await settled()
  expect(server.heard.at(-1)).toMatchObject({ action: 'done', id: 'note' })
  server.say({ action: 'known', id: 'note', known: state('a:3'), correction: true })
  await settled()
  user.load('note')
  await settled()
  expect(server.heard.at(-1)).toMatchObject({ action: 'load', id: 'note', known: state('a:1') })
})

test('an application whose document could not be read is given what comes of it later (disks, seed 24001395)', async () => {
  const world = createWorld()
  const client = await world.node('client')
  const user = world.peer('user', client, { local: true })
  const server = world.peer('server', client, { upstream: true })
  client.spy.replace = {
    knownStates: async () => {
      throw new StorageError('IO', 'out')
    },
  }
  user.load('note')
  for (let seconds = 0; seconds < 60 && user.heard.length === 0; seconds++) await world.clock.advance(1_000)
  expect(user.heard).toMatchObject([{ action: 'error', code: 'failed' }])
  client.spy.replace = {}
  server.say(content('note', 'a:0-1'))
  await settled()
  expect(user.heard.slice(1)).toMatchObject([content('note', 'a:0-1')])
})

test('a tombstone of unknown outcome that is erased by before that is known is still sent (disks, seed 24001249)', async () => {
  const world = createWorld()
  const hooks = { isTombstone: (session: string) => session.endsWith('$') }
  const client = await world.node('client', { holds: [append('note', 'a:0-2')], hooks })
  const user = world.peer('user', client, { local: true })
  const server = world.peer('server', client, { upstream: true })
  user.load('note')
  await settled()
  server.say({ action: 'known', id: 'note', known: state('a:2'), correction: false })
  await settled()
  let answer = () => {}
  let looks = 0
  client.spy.replace = {
    append: async (batch, options) => {
      await client.spy.real.append(batch, options)
      if (batch.length > 0) throw new StorageError('IO', 'done, but not answered')
      return []
    },
    // Whoever erases is answered before the engine is.
    knownStates: (ids) =>
      looks++ < 2
        ? client.spy.real.knownStates(ids)
        : new Promise((resolve) => {
            answer = () => resolve(client.spy.real.knownStates(ids))
          }),
  }
  user.say(content('note', 'd$:0-1', false))
  await settled()
  await world.clock.advance(5_000)
  expect(client.runner.status('note')).toMatchObject({ uploaded: false })
  client.spy.replace = {}
  answer()
  await world.clock.advance(5_000)
  expect(server.heard.filter(({ action }) => action === 'content')).toMatchObject([content('note', 'd$:0-1', false)])
})

test('a clock that is set back holds up no deadline (storm, seed 24000023)', async () => {
  const world = createWorld()
  let backMs = 0
  const clock = { ...world.clock, now: () => world.clock.now() - backMs }
  const client = await world.node('client', { clock })
  const user = world.peer('user', client, { local: true })
  client.spy.replace = {
    knownStates: async () => {
      throw new StorageError('IO', 'out')
    },
  }
  user.load('note')
  await settled()
  backMs = 3_600_000
  for (let seconds = 0; seconds < 60 && user.heard.length === 0; seconds++) await world.clock.advance(1_000)
  expect(user.heard).toMatchObject([{ action: 'error', code: 'failed' }])
})

test('what is written while an upstream has not answered is sent to it although its application closed it (storm, seed 24004269)', async () => {
  const world = createWorld()
  const client = await world.node('client')
  const user = world.peer('user', client, { local: true })
  const before = world.peer('before', client, { upstream: true })
  user.load('note')
  await settled()
  before.say({ action: 'known', id: 'note', known: EMPTY, correction: false })
  await settled()
  before.link.closed()
  const server = world.peer('server', client, { upstream: true })
  await settled()
  // No room: what is to be sent waits.
  server.full = true
  user.say(content('note', 'a:0-1'))
  await settled()
  user.say({ action: 'done', id: 'note' })
  await settled()
  server.full = false
  server.link.drained()
  server.say({ action: 'known', id: 'note', known: EMPTY, correction: false })
  await settled()
  server.say({ action: 'known', id: 'note', known: state('a:1'), correction: false })
  await settled()
  expect(world.trace.filter((line) => line.startsWith('client > server'))).toEqual([
    'client > server  LOAD note ∅',
    'client > server  CONTENT note header a:0-1',
    'client > server  DONE note',
  ])
  const { holdings, idle } = client.runner.sizes()
  expect(holdings).toBe(idle)
})

test('who sends what continues a document does not deny it (disks, seed 25000010)', async () => {
  const world = createWorld()
  const client = await world.node('client', { upstreamExpected: true })
  const server = world.peer('server', client, { upstream: true })
  const user = world.peer('user', client, { local: true })
  client.spy.replace = {
    knownStates: async () => {
      throw new StorageError('IO', 'out')
    },
  }
  server.say(content('note', 'a:1-3', false))
  for (let seconds = 0; seconds < 60 && server.heard.length === 0; seconds++) await world.clock.advance(1_000)
  client.spy.replace = {}
  user.load('note')
  await world.clock.advance(10_000)
  expect(user.heard.filter(({ action }) => action === 'known')).toEqual([])
})

test.each([
  [2, 'disks, seed 920101 of two disks'],
  [3, 'more than that: disks, seed 31006022'],
])('what was refused and somebody else brought, %i of it, is acknowledged to both (%s)', async (count) => {
  const world = createWorld()
  const server = await world.node('server', { holds: [append('note', 'x:0-1')] })
  const refused = world.peer('refused', server)
  const other = world.peer('other', server)
  refused.load('note', state('x:1'))
  await settled()
  server.spy.replace = { append: async (batch) => batch.map(() => ({ failed: 'IO' as const })) }
  refused.say(content('note', 'a:0-2', false))
  await settled()
  server.spy.replace = {}
  other.say(content('note', `a:0-${count}`, false))
  await settled()
  refused.heard.length = 0
  refused.say(content('note', 'b:0-1', false))
  await settled()
  await world.clock.advance(600_000)
  expect(refused.heard).toMatchObject([{ action: 'known', known: state(`a:${count} b:1`) }])
})

test('an application that wrote something else where something stands is told, and given what stands there (storm, seed 25004402)', async () => {
  const world = createWorld()
  const client = await world.node('client', { holds: [append('note', 'a:0-2')] })
  const user = world.peer('user', client, { local: true })
  const [run] = content('note', 'a:0-1').runs
  const other = { ...run, transactions: [bytes('{"other":1}')] } as NonNullable<typeof run>
  user.say({ ...content('note', 'a:0-1'), runs: [other] })
  await settled()
  expect(user.heard.find(({ action }) => action === 'error')).toMatchObject({ code: 'fork' })
  const given = user.heard.flatMap((message) => (message.action === 'content' ? message.runs : []))
  expect(given.map(({ session, after, transactions }) => [session, after, transactions.length])).toEqual([['a', 0, 2]])
})
