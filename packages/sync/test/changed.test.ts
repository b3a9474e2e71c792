/**
 * A storage says that a document changed, and before it was looked up again peers got into step, or it says so once more.
 */
import type { KnownState } from '@tidemark/known-state'
import { memoryStorage } from '@tidemark/storage'
import { expect, test } from 'vitest'
import { append, bytes, content, createWorld, gate, nextTurn, settled, spied, state } from './world.ts'

/** A server whose storage says `changed` when told to; appends, and look-ups and pages of the note, wait until they are let go. */
async function node() {
  const world = createWorld()
  let changed = (_before?: KnownState) => {}
  const watched = Object.assign(memoryStorage(), {
    watch(listener: (change: { id: string; before: KnownState | undefined }) => void) {
      changed = (before) => listener({ id: 'note', before })
      return () => {}
    },
  })
  const spy = spied(watched)
  const server = await world.node('server', {
    storage: spy.storage,
    holds: [append('note', 'a:0-2'), append('list', 'b:0-1')],
    hooks: { dependenciesOf: (header) => (new TextDecoder().decode(header).includes('list') ? ['note'] : []) },
  })
  const waiting: Record<'appends' | 'looks' | 'reads', (() => void)[]> = { appends: [], looks: [], reads: [] }
  const writer = world.peer('writer', server)
  const reader = world.peer('reader', server)
  for (const peer of [writer, reader]) peer.load('note', state('a:2'))
  await settled()
  spy.replace = {
    append: (batch) => new Promise((resolve) => waiting.appends.push(() => resolve(spy.real.append(batch)))),
    knownStates: (ids) =>
      ids.includes('note')
        ? new Promise((resolve) => waiting.looks.push(() => resolve(spy.real.knownStates(ids))))
        : spy.real.knownStates(ids),
    read: (id, after, options) =>
      id === 'note'
        ? new Promise((resolve) => waiting.reads.push(() => resolve(spy.real.read(id, after, options))))
        : spy.real.read(id, after, options),
  }
  async function letGo(what: 'appends' | 'looks' | 'reads') {
    for (const go of waiting[what].splice(0)) go()
    await settled()
  }
  async function say(before?: KnownState) {
    changed(before)
    await settled()
  }
  const said = () => world.trace.filter((line) => line.startsWith('server >')).slice(2)
  return { world, server, writer, reader, spy, say, letGo, said }
}

test('who got into step while a change was looked up is sent nothing again when the storage says so once more (storm, seed 20012 of two disks)', async () => {
  const { writer, say, letGo, said } = await node()
  writer.say(content('note', 'a:2-5', false))
  await settled()
  await letGo('looks')
  await say()
  await letGo('appends')
  await say()
  await letGo('looks')
  await letGo('looks')
  expect(said()).toEqual(['server > writer  KNOWN note header a:5', 'server > reader  CONTENT note a:2-5'])
})

test('who got into step while a change was looked up is sent what that was (disks, seed 10454 of three disks)', async () => {
  const { writer, spy, say, letGo, said } = await node()
  writer.say(content('note', 'a:2-3', false))
  await settled()
  await letGo('looks')
  await say()
  await letGo('appends')
  await spy.real.append([append('note', 'b:0-1', false)])
  await letGo('looks')
  await letGo('looks')
  await letGo('reads')
  expect(said().filter((line) => line.includes('b:0-1'))).toEqual([
    'server > writer  CONTENT note b:0-1',
    'server > reader  CONTENT note b:0-1',
  ])
})

test('who acknowledges all it was sent while a change is looked up is not sent the document again (disks, seed 940021 of three disks)', async () => {
  for (const times of [1, 2]) {
    const { writer, reader, spy, say, letGo, said } = await node()
    await spy.real.append([append('note', 'b:0-1', false)])
    await say(state('a:2'))
    await letGo('looks')
    await letGo('reads')
    // Nothing is held any more of the document itself.
    await say(state('a:2 b:1'))
    for (const peer of [writer, reader])
      peer.say({ action: 'known', id: 'note', known: state('a:2 b:1'), correction: false })
    await settled()
    if (times === 2) await say(state('a:2 b:1'))
    await letGo('looks')
    await letGo('looks')
    await letGo('reads')
    expect(said()).toEqual(['server > writer  CONTENT note b:0-1', 'server > reader  CONTENT note b:0-1'])
  }
})

test('a peer that asks for what it is to be sent with something else is sent no more of it than it lacks (storm, seed 20077 of two disks)', async () => {
  const { world, server, writer, say, letGo } = await node()
  writer.say(content('note', 'a:2-3', false))
  await settled()
  await letGo('looks')
  await say()
  const late = world.peer('late', server)
  late.load('list')
  await settled()
  late.load('note', state('a:3'))
  await settled()
  await letGo('looks')
  await letGo('appends')
  await letGo('looks')
  expect(world.trace.filter((line) => line.startsWith('server > late'))).toEqual([
    'server > late  KNOWN note header a:3',
    'server > late  CONTENT list header b:0-1',
  ])
})

test('a page that was begun before its peer asked, and said more, waits for what it says (storm, seed 5022004 of two disks)', async () => {
  const { world, server, writer, letGo } = await node()
  writer.say(content('note', 'a:2-3', false))
  await settled()
  await letGo('looks')
  const late = world.peer('late', server)
  late.load('list')
  await settled()
  late.load('note', state('a:3'))
  await settled()
  await letGo('reads')
  await letGo('appends')
  await letGo('reads')
  expect(world.trace.filter((line) => line.startsWith('server > late'))).toEqual([
    'server > late  KNOWN note header a:3',
    'server > late  CONTENT list header b:0-1',
  ])
})

test('who says what it holds before a page that it waits for was sent is sent what it lacks (disks, seed 26005711)', async () => {
  const { writer, reader, say, letGo, said } = await node()
  writer.say(content('note', 'b:0-1', false))
  await settled()
  await letGo('looks')
  await say()
  reader.say({ action: 'known', id: 'note', known: state('b:1'), correction: true })
  await settled()
  await letGo('appends')
  await letGo('looks')
  await letGo('reads')
  await letGo('looks')
  await letGo('reads')
  expect(said()).toEqual(['server > writer  KNOWN note header b:1', 'server > reader  CONTENT note a:0-2'])
})

test('who lost a document is sent what it names before it, also what was not there the first time (disks, seed 28002398)', async () => {
  const world = createWorld()
  const server = await world.node('server', {
    holds: [append('list', 'b:0-1')],
    hooks: { dependenciesOf: (header) => (new TextDecoder().decode(header).includes('list') ? ['note'] : []) },
  })
  const [reader, writer] = [world.peer('reader', server), world.peer('writer', server)]
  reader.load('list')
  await settled()
  writer.say(content('note', 'a:0-2'))
  await settled()
  reader.say({ action: 'known', id: 'list', known: state(''), correction: true })
  await settled()
  expect(world.trace.filter((line) => line.startsWith('server > reader'))).toEqual([
    'server > reader  CONTENT list header b:0-1',
    'server > reader  CONTENT note header a:0-2',
    'server > reader  CONTENT list header b:0-1',
  ])
})

test('who was asked for what a document names, and cannot say what it holds, is sent it first all the same (disks, seed 35145437)', async () => {
  const world = createWorld()
  const server = await world.node('server', {
    hooks: { dependenciesOf: (header) => (new TextDecoder().decode(header).includes('list') ? ['note'] : []) },
  })
  const [silent, writer] = [world.peer('silent', server), world.peer('writer', server)]
  silent.say(content('list', 'b:0-1'))
  await settled()
  writer.say(content('note', 'a:0-2'))
  await settled()
  silent.say({ action: 'load', id: 'list', known: state('') })
  await settled()
  expect(world.trace.filter((line) => line.startsWith('server > silent'))).toEqual([
    'server > silent  LOAD note ∅',
    'server > silent  KNOWN list header b:1',
    'server > silent  CONTENT note header a:0-2',
    'server > silent  CONTENT list header b:0-1',
  ])
})

test('so it is where both come at once, and it takes a while to find out who may read (storm, seed 42032981)', async () => {
  const world = createWorld()
  const names = (header: Uint8Array | undefined) => /list|other/.test(new TextDecoder().decode(header))
  const server = await world.node('server', {
    hooks: {
      dependenciesOf: (header) => (names(header) ? ['note'] : []),
      authorize: () => nextTurn().then(() => true),
    },
  })
  const [silent, writer] = [world.peer('silent', server), world.peer('writer', server)]
  silent.load('list')
  silent.say(content('other', 'b:0-1'))
  await settled()
  writer.say(content('note', 'a:0-2'))
  await settled()
  writer.say(content('list', 'b:0-1'), content('note', 'a:2-3', false))
  await settled()
  expect(world.trace.filter((line) => line.startsWith('server > silent  CONTENT'))).toEqual([
    'server > silent  CONTENT note header a:0-3',
    'server > silent  CONTENT list header b:0-1',
  ])
})

test('who leaves what a document names before anything of it was sent is sent it first all the same (disks, seed 38015270)', async () => {
  const world = createWorld()
  const server = await world.node('server', {
    holds: [append('note', 'a:0-2'), append('list', 'b:0-1')],
    hooks: {
      dependenciesOf: (header) => (new TextDecoder().decode(header).includes('list') ? ['note'] : []),
      authorize: () =>
        nextTurn()
          .then(nextTurn)
          .then(() => true),
    },
  })
  const { opened, open } = gate()
  const { real } = server.spy
  server.spy.replace = {
    knownStates: async (ids, options) => {
      if (ids.includes('note')) await opened
      return real.knownStates(ids, options)
    },
  }
  const reader = world.peer('reader', server)
  reader.load('note')
  reader.say({ action: 'done', id: 'note' })
  reader.load('list')
  await settled()
  open()
  await settled()
  expect(world.trace.filter((line) => line.startsWith('server'))).toEqual([
    'server > reader  CONTENT note header a:0-2',
    'server > reader  CONTENT list header b:0-1',
  ])
})

test('a page that was begun before its peer was found to have forked a session goes without that session (losses, seed 28000177)', async () => {
  const { world, server, letGo } = await node()
  const late = world.peer('late', server)
  late.load('note')
  await settled()
  await letGo('looks')
  const other = { session: 'a', after: 0, transactions: [bytes('{"x":1}')], seal: bytes('other') }
  late.say({ ...content('note', '', false), runs: [other] })
  await settled()
  await letGo('reads')
  await letGo('appends')
  expect(server.reports.filter(({ kind }) => kind === 'fork')).toHaveLength(1)
  await letGo('reads')
  await letGo('reads')
  expect(world.trace.filter((line) => line.startsWith('server > late  CONTENT'))).toEqual([])
})
