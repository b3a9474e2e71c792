/**
 * What a stranger cannot do: have us remember more than a bound, whatever it names (L10), or read on after it may no longer.
 */
import { EMPTY, type KnownState } from '@tidemark/known-state'
import type { ContentMessage } from '@tidemark/protocol'
import { StorageError } from '@tidemark/storage'
import { expect, test } from 'vitest'
import { append, bytes, content, createWorld, settled, spied, state } from './world.ts'

/** `count` sessions that nobody has. */
const claim = (count: number, prefix = 's'): KnownState => ({
  header: true,
  sessions: new Map(Array.from({ length: count }, (_, index) => [`${prefix}${index}`, 1])),
})

test('LOADs that claim sessions which nobody has are answered and asked for, and little of them is remembered', async () => {
  const world = createWorld()
  const server = await world.node('server', { limits: { viewSessionsMax: 5_000 } })
  const peer = world.peer('peer', server)
  for (let document = 0; document < 100; document++) peer.load(`d${document}`, claim(3_000))
  await settled()
  expect(peer.heard.filter(({ action }) => action === 'load')).toHaveLength(100)
  expect(peer.link.sizes()).toMatchObject({ subscriptions: 100 })
  expect(peer.link.sizes().sessions).toBeGreaterThan(1_000)
  expect(peer.link.sizes().sessions).toBeLessThanOrEqual(5_000 + 2 * 100)
  for (let document = 0; document < 100; document++) peer.say({ action: 'done', id: `d${document}` })
  await settled()
  expect(peer.link.sizes().sessions).toBe(0)
})

test('KNOWNs that go on naming other sessions of one document are not remembered for ever', async () => {
  const world = createWorld()
  const server = await world.node('server', { holds: [append('note', 'a:0-3')] })
  const peer = world.peer('peer', server)
  peer.load('note')
  await settled()
  for (let round = 0; round < 20; round++)
    peer.say({ action: 'known', id: 'note', known: claim(500, `${round} `), correction: false })
  await settled()
  expect(peer.link.sizes().sessions).toBeLessThanOrEqual(1_001)
  world.trace.length = 0
  peer.say({ action: 'known', id: 'note', known: state('a:1'), correction: true })
  await settled()
  expect(world.trace.at(-1)).toBe('server > peer  CONTENT note a:1-3')
  expect(peer.link.sizes().sessions).toBeLessThanOrEqual(1)
})

test('what is stored of a claim is remembered however much else it names, and not sent again', async () => {
  const world = createWorld()
  const server = await world.node('server', { holds: [append('note', 'a:0-3 b:0-1')], limits: { viewSessionsMax: 1 } })
  const peer = world.peer('peer', server)
  peer.load('note', { header: true, sessions: new Map([...claim(2_000).sessions, ['a', 3]]) })
  await settled()
  expect(world.trace.filter((line) => line.includes('CONTENT'))).toEqual(['server > peer  CONTENT note b:0-1'])
})

test('the connections of one account share what is remembered of their claims', async () => {
  const world = createWorld()
  const server = await world.node('server', { limits: { viewSessionsMax: 5_000, accountViewSessionsMax: 6_000 } })
  const devices = ['one', 'two', 'three'].map((name) => world.peer(name, server, { account: 'ada' }))
  const other = world.peer('other', server, { account: 'ben' })
  for (const peer of [...devices, other])
    for (let document = 0; document < 10; document++) peer.load(`d${document}`, claim(3_000))
  await settled()
  const remembered = devices.map(({ link }) => link.sizes().sessions)
  expect(remembered.reduce((sum, sessions) => sum + sessions)).toBeLessThanOrEqual(6_000 + 2 * 30)
  expect(other.link.sizes().sessions).toBeGreaterThanOrEqual(5_000)
  devices[0]?.link.closed()
  devices[2]?.load('more', claim(3_000))
  await settled()
  expect(devices[2]?.link.sizes().sessions).toBeGreaterThan(1_000)
})

test('gaps, announcements and what the storage refused are counted and bounded as claims are', async () => {
  const world = createWorld()
  const spy = spied()
  const server = await world.node('server', {
    storage: spy.storage,
    limits: { viewSessionsMax: 2_000, refusalBackoffMs: 100_000 },
  })
  const peer = world.peer('peer', server)
  const runs = (from: number, after: number) =>
    Array.from({ length: 400 }, (_, index) => ({ session: `s${from + index}`, after, transactions: [bytes('{}')] }))
  const say = (id: string, from: number, after: number, more: Partial<ContentMessage> = {}) =>
    peer.say({ action: 'content', id, kind: 'json', priority: 3, runs: runs(from, after), ...more })
  const header = bytes('{}')
  for (let document = 0; document < 20; document++) say(`gaps ${document}`, 0, 7)
  await settled()
  expect(peer.link.sizes().sessions).toBeGreaterThan(1_000)
  expect(peer.link.sizes().sessions).toBeLessThanOrEqual(2_000 + 3 * 20)
  for (let document = 0; document < 20; document++) peer.say({ action: 'done', id: `gaps ${document}` })
  await settled()
  expect(peer.link.sizes().sessions).toBe(0)

  for (let document = 0; document < 20; document++) {
    peer.load(`until ${document}`, claim(1))
    say(`until ${document}`, 0, 0, { header, runs: [], expectUntil: claim(3_000) })
  }
  await settled()
  expect(peer.link.sizes().sessions).toBeGreaterThan(1_000)
  expect(peer.link.sizes().sessions).toBeLessThanOrEqual(2_000 + 5 * 20)
  for (let document = 0; document < 20; document++) peer.say({ action: 'done', id: `until ${document}` })
  await settled()
  expect(peer.link.sizes().sessions).toBe(0)

  spy.replace = { append: () => Promise.reject(new StorageError('QUOTA', 'full')) }
  for (let round = 0; round < 20; round++) {
    say('lost', round * 400, 0, { header })
    await settled()
  }
  expect(peer.link.sizes().sessions).toBeGreaterThan(400)
  expect(peer.link.sizes().sessions).toBeLessThanOrEqual(2_000 + 400)
  spy.replace = {}
  peer.heard.length = 0
  await world.clock.advance(100_000)
  expect(peer.heard).toMatchObject([{ action: 'known', id: 'lost', correction: true }])
})

test('what a stranger names as dependencies, or asks to compare, is asked for as far as there is room, and counted', async () => {
  const world = createWorld()
  const dependenciesOf = (header: Uint8Array | undefined) => JSON.parse(new TextDecoder().decode(header)).needs
  const server = await world.node('server', { hooks: { dependenciesOf }, limits: { loadsInFlightMax: 100 } })
  const peer = world.peer('peer', server)
  const reader = world.peer('reader', server)
  for (const [index, id] of ['one', 'two', 'three'].entries()) {
    const needs = Array.from({ length: 1_000 }, (_, at) => `needed ${index} ${at}`)
    reader.load(id)
    peer.say({ ...content(id, 'a:0-1'), header: bytes(JSON.stringify({ needs })) })
    await settled()
  }
  expect(peer.link.sizes().asking).toBe(200)
  await world.clock.advance(5_000)
  const forwarded = world.trace.filter((line) => line.startsWith('server > reader  CONTENT'))
  expect(forwarded).toHaveLength(3)
  peer.say({
    action: 'reconcile',
    batch: 'b',
    values: Array.from({ length: 500 }, (_, at) => [`compared ${at}`, 'hash'] as const),
  })
  await settled()
  expect(peer.link.sizes().asking).toBe(200 + 2 * 500)
})

test('however many errors answer our LOAD, one deadline waits to ask again, and not longer than we like', async () => {
  const world = createWorld()
  const server = await world.node('server')
  const peer = world.peer('peer', server)
  peer.say({ action: 'reconcile', batch: 'b', values: [['note', 'hash']] })
  await settled()
  const before = server.runner.sizes().deadlines
  const retryAfterMs = Number.MAX_SAFE_INTEGER
  for (let round = 0; round < 500; round++)
    peer.say({ action: 'error', id: 'note', code: 'busy', message: '', retryAfterMs })
  await settled()
  expect(server.runner.sizes().deadlines).toBe(before + 1)
  world.trace.length = 0
  await world.clock.advance(300_000)
  expect(world.trace).toEqual(['server > peer  LOAD note ∅'])
})

test('a batch to reconcile that comes again before it is acknowledged is refused, and the first one goes on', async () => {
  const world = createWorld()
  const server = await world.node('server')
  const peer = world.peer('peer', server)
  const batch = { action: 'reconcile', batch: 'b', values: [['note', 'hash']] } as const
  for (let round = 0; round < 40; round++) peer.say(batch)
  await settled()
  expect(peer.heard.filter(({ action }) => action === 'error')).toHaveLength(39)
  peer.say({ action: 'known', id: 'note', known: EMPTY, correction: false })
  await settled()
  expect(peer.heard.filter(({ action }) => action === 'reconcile-ack')).toHaveLength(1)
})

test('32: who is refused a LOAD because it may not read any more is sent nothing more of the document', async () => {
  let may = true
  const world = createWorld()
  const authorize = (principal: unknown, action: string) => principal === 'owner' || (may && action === 'read')
  const server = await world.node('server', { hooks: { authorize }, holds: [append('note', 'a:0-1')] })
  const owner = world.peer('owner', server, { principal: 'owner' })
  const guests = ['in step', 'behind'].map((name) => world.peer(name, server, { principal: name }))
  for (const guest of guests) guest.load('note', guest.name === 'behind' ? EMPTY : state('a:1'))
  await settled()
  may = false
  for (const guest of guests) guest.load('note', state('a:1'))
  await settled()
  for (const guest of guests) {
    expect(guest.heard.at(-1)).toMatchObject({ action: 'error', code: 'forbidden' })
    guest.heard.length = 0
  }
  owner.say(content('note', 'a:1-2', false))
  await settled()
  for (const guest of guests) guest.say({ action: 'known', id: 'note', correction: true, known: EMPTY })
  await settled()
  expect(guests.map(({ heard }) => heard)).toEqual([[], []])
  may = true
  for (const guest of guests) guest.load('note', state('a:1'))
  await settled()
  for (const { heard } of guests) expect(heard).toMatchObject([{ action: 'content' }])
})

test('32: who may not read is asked for a document without being told what is held of it', async () => {
  const world = createWorld()
  const authorize = (principal: unknown, action: string, id: string) =>
    principal === 'owner' || (action === 'write' && id === 'list')
  const dependenciesOf = (header: Uint8Array | undefined) =>
    new TextDecoder().decode(header).includes('list') ? ['secret'] : []
  const server = await world.node('server', { hooks: { authorize, dependenciesOf } })
  const spy = world.peer('spy', server, { principal: 'spy' })
  spy.say(content('list', 'a:0-1'))
  await settled()
  spy.say({ action: 'error', id: 'secret', code: 'busy', message: '', retryAfterMs: 100_000 })
  world.peer('owner', server, { principal: 'owner' }).say(content('secret', 's:0-1'))
  await settled()
  await world.clock.advance(100_000)
  const asked = world.trace.filter((line) => line.startsWith('server > spy  LOAD secret'))
  expect(asked).toEqual(['server > spy  LOAD secret ∅', 'server > spy  LOAD secret ∅'])
})

test('32: a correction is asked about like a LOAD, also where a subscription is running', async () => {
  let may = true
  const world = createWorld()
  const server = await world.node('server', { hooks: { authorize: () => may }, holds: [append('note', 'a:0-1')] })
  const guest = world.peer('guest', server)
  guest.load('note', state('a:1'))
  await settled()
  may = false
  guest.heard.length = 0
  guest.say({ action: 'known', id: 'note', correction: true, known: EMPTY })
  await settled()
  expect(guest.heard).toEqual([])
})

test('what a frame brings that says nothing is taken in portions, with others in between', async () => {
  const world = createWorld()
  const server = await world.node('server')
  const [stranger, other] = [world.peer('stranger', server), world.peer('other', server)]
  let passed = 0
  function* nothing() {
    for (; passed < 100; passed++) yield undefined
  }
  stranger.link.receive(nothing())
  expect(passed).toBeLessThanOrEqual(2)
  expect(stranger.paused).toBe(true)
  other.load('note')
  await settled()
  expect(other.heard).toMatchObject([{ action: 'known' }])
  for (let round = 0; round < 4; round++) await settled()
  expect(passed).toBe(100)
  expect(stranger.paused).toBe(false)
})
