/**
 * Flow: whose turn it is, and how much of what connections bring may wait in memory. Counted in messages and bytes, never in time.
 */
import { EMPTY } from '@tidemark/known-state'
import type { Decoded, Message } from '@tidemark/protocol'
import { describe, expect, test } from 'vitest'
import { PORTION_BYTES, STEP_BYTES } from '../src/run-turns.ts'
import { append, bytes, content, createWorld, type Node, settled, state } from './world.ts'

const MESSAGE_BYTES = 100
/** Messages of one portion, and the one that uses it up. */
const PORTION_MESSAGES = Math.ceil(PORTION_BYTES / (MESSAGE_BYTES + STEP_BYTES))

/** Turns of the event loop by hand. */
function handTurned() {
  let due: (() => void)[] = []
  return {
    soon: (callback: () => void) => void due.push(callback),
    get idle() {
      return due.length === 0
    },
    turn() {
      const now = due
      due = []
      for (const callback of now) callback()
    },
  }
}

/** A frame of `count` LOADs; `taken` tells how far it was decoded. */
function flood(name: string, count: number) {
  const taken = { messages: 0 }
  function* frame(): Generator<Decoded> {
    for (; taken.messages < count; taken.messages++)
      yield { message: { action: 'load', id: `${name}${taken.messages}`, known: EMPTY }, bytes: MESSAGE_BYTES }
  }
  return { frame: frame(), taken }
}

async function serverByHand(options: Parameters<ReturnType<typeof createWorld>['node']>[1] = {}) {
  const world = createWorld()
  const hand = handTurned()
  return { world, hand, server: await world.node('server', { soon: hand.soon, ...options }) }
}

describe('turns', () => {
  test('a frame of 500,000 messages delays the LOADs of another connection by one round each', async () => {
    const { world, hand, server } = await serverByHand()
    const [sender, other] = [world.peer('sender', server), world.peer('other', server)]
    // What is answered to the flood is of no interest, and would fill the trace.
    const { frame, taken } = flood('f', 500_000)
    world.trace.length = 0
    sender.link.receive(frame)
    for (let round = 1; round <= 20; round++) {
      other.load(`mine${round}`)
      expect(other.heard).toHaveLength(round)
      expect(taken.messages).toBeLessThanOrEqual(round * PORTION_MESSAGES)
      world.trace.length = 0
      hand.turn()
    }
    expect(sender.paused).toBe(true)
    sender.link.closed()
    await server.runner.close()
  })

  test('floods of many connections are served in order of waiting, each as much as the others', async () => {
    const { world, hand, server } = await serverByHand()
    const floods = Array.from({ length: 10 }, (_, index) => flood(`f${index}-`, 20 * PORTION_MESSAGES))
    for (const [index, { frame }] of floods.entries()) world.peer(`sender${index}`, server).link.receive(frame)
    for (let turn = 0; turn < 50; turn++) {
      world.trace.length = 0
      hand.turn()
      const counts = floods.map(({ taken }) => taken.messages)
      expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(PORTION_MESSAGES)
    }
    expect(Math.min(...floods.map(({ taken }) => taken.messages))).toBeGreaterThan(10 * PORTION_MESSAGES)
  })

  test('a stream to a reader that always has room lets others in between its pages', async () => {
    const big = append('big', 'a:0-1')
    const payload = new TextEncoder().encode(JSON.stringify('x'.repeat(60_000)))
    const runs = Array.from({ length: 200 }, (_, index) => ({
      session: `s${index}`,
      after: 0,
      transactions: [payload],
      seal: payload.slice(0, 4),
    }))
    const { world, hand, server } = await serverByHand({ holds: [{ ...big, runs }] })
    const [reader, other] = [world.peer('reader', server), world.peer('other', server)]
    reader.load('big')
    const portion = Math.ceil(PORTION_BYTES / payload.length)
    for (let round = 1; round <= 20; round++) {
      other.load(`mine${round}`)
      expect(other.heard).toHaveLength(round)
      expect(reader.heard.length).toBeLessThanOrEqual(round * portion)
      hand.turn()
    }
    for (let turn = 0; turn < 200 && !hand.idle; turn++) hand.turn()
    expect(reader.heard).toHaveLength(runs.length)
  })

  test('answers of many sessions are told one in a turn, while there is room, whatever asks for them', async () => {
    const runs = Array.from({ length: 10_000 }, (_, index) => ({
      session: `s${index}`,
      after: 0,
      transactions: [new TextEncoder().encode('1')],
    }))
    const { world, hand, server } = await serverByHand({ holds: [{ ...append('big', 'a:0-1'), runs }] })
    const [sender, other] = [world.peer('sender', server), world.peer('other', server)]
    const known = { header: true, sessions: new Map() }
    const probe: Message = { action: 'load', id: 'big', known, probe: true }
    sender.say(...Array.from({ length: 10 }, () => probe), content('big', 'new:5-6', false))
    for (let round = 1; round <= 5; round++) {
      other.load(`mine${round}`)
      expect(other.heard).toHaveLength(round)
      expect(sender.heard).toHaveLength(round)
      hand.turn()
    }
    sender.full = true
    hand.turn()
    const heard = sender.heard.length
    for (let turn = 0; turn < 20; turn++) hand.turn()
    expect(sender.heard).toHaveLength(heard)
    sender.full = false
    sender.link.drained()
    for (let turn = 0; turn < 20; turn++) hand.turn()
    expect(sender.heard).toHaveLength(11)
    await server.runner.close()
  })

  test('DONE about a document of many sessions is heard at once, whether there is room for answers or not', async () => {
    const payload = new TextEncoder().encode(JSON.stringify('x'.repeat(60_000)))
    const runs = Array.from({ length: 200 }, (_, index) => ({
      session: `s${index}`,
      after: 0,
      transactions: [payload],
    }))
    const { world, hand, server } = await serverByHand({ holds: [{ ...append('big', 'a:0-1'), runs }] })
    const reader = world.peer('reader', server)
    reader.load('big')
    hand.turn()
    reader.full = true
    for (let turn = 0; turn < 20; turn++) hand.turn()
    const heard = reader.heard.length
    expect(heard).toBeGreaterThan(0)
    reader.say({ action: 'done', id: 'big' })
    expect(reader.paused).toBe(false)
    reader.full = false
    reader.link.drained()
    for (let turn = 0; turn < 20; turn++) hand.turn()
    expect(reader.heard).toHaveLength(heard)
    await server.runner.close()
  })

  test('content that waits for room when its connection closes is dropped unacknowledged, and stored when it comes again', async () => {
    const runs = Array.from({ length: 200 }, (_, index) => ({
      session: `s${index}`,
      after: 0,
      transactions: [new TextEncoder().encode('1')],
    }))
    const { world, hand, server } = await serverByHand({ holds: [{ ...append('big', 'a:0-1'), runs }] })
    const stored = async () => (await server.spy.real.knownStates(['big']))[0]?.known.sessions.get('new')
    const sender = world.peer('sender', server)
    sender.full = true
    sender.load('big')
    const brought = content('big', 'new:0-1', false)
    sender.say(brought)
    sender.link.closed()
    for (let turn = 0; turn < 20; turn++) hand.turn()
    expect(sender.heard).toHaveLength(1)
    expect(await stored()).toBe(undefined)
    expect(server.runner.sizes()).toMatchObject({ parked: 0, queued: 0 })
    world.peer('again', server).say(brought)
    for (let turn = 0; turn < 20; turn++) hand.turn()
    expect(await stored()).toBe(1)
    await server.runner.close()
  })

  test('what a connection brought before its peer closed it is handled, what came before we closed it is not', async () => {
    const { world, hand, server } = await serverByHand()
    const [sender, liar] = [world.peer('sender', server), world.peer('liar', server)]
    const contents = Array.from({ length: 2_000 }, (_, index) => content(`d${index}`, 'a:0-1'))
    sender.say(...contents)
    sender.link.closed()
    expect(server.runner.sizes().queued).toBeLessThan(2_000)
    const { frame, taken } = flood('f', 2_000)
    liar.link.receive(frame)
    liar.say({ action: 'hello', version: 99, features: [], peer: 'x' } as never)
    for (let turn = 0; turn < 500 && !hand.idle; turn++) hand.turn()
    await settled()
    for (let turn = 0; turn < 500 && !hand.idle; turn++) hand.turn()
    expect(taken.messages).toBe(2_000)
    expect(liar.closed?.code).toBe(1002)
    liar.link.closed()
    const stored = server.spy.real.knownStates(contents.map(({ id }) => id)) as readonly unknown[]
    expect(stored.filter((state) => state !== undefined)).toHaveLength(2_000)
    expect(server.runner.sizes()).toMatchObject({ connections: 0, subscriptions: 0, queued: 0, pendingBytes: 0 })
  })
})

describe('pools', () => {
  /** Appends answer when `release` is called. */
  function hold(server: Node): () => void {
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
    return release
  }

  test('a connection that has too much under way is not even decoded further, in the middle of a frame', async () => {
    const world = createWorld()
    const server = await world.node('server', { limits: { pendingBytesMax: 10_000 } })
    const release = hold(server)
    const writer = world.peer('writer', server)
    let taken = 0
    function* frame(): Generator<Decoded> {
      for (; taken < 1_000; taken++) yield { message: content(`d${taken}`, 'a:0-1'), bytes: MESSAGE_BYTES }
    }
    writer.link.receive(frame())
    await settled()
    // Within a portion nothing is told to the engine yet.
    expect(taken).toBeLessThanOrEqual(PORTION_MESSAGES)
    expect(writer.paused).toBe(true)
    release()
    while (writer.heard.length < 1_000) await settled()
    expect(writer.paused).toBe(false)
    expect(server.runner.sizes()).toMatchObject({ queued: 0, pendingBytes: 0 })
  })

  test('connections of one account share a bound, others are not held up by it', async () => {
    const world = createWorld()
    const server = await world.node('server', { limits: { accountPendingBytesMax: 5_000 } })
    const release = hold(server)
    const [first, second] = ['first', 'second'].map((name) => world.peer(name, server, { account: 'ada' }))
    const other = world.peer('other', server, { account: 'ben' })
    first?.say(content('d1', 'a:0-1'), content('d2', 'a:0-1'))
    expect(first?.paused).toBe(false)
    second?.say(content('d3', 'a:0-1'))
    other.say(content('d4', 'a:0-1'))
    expect([first?.paused, second?.paused, other.paused]).toEqual([false, true, false])
    release()
    await settled()
    expect([first?.paused, second?.paused, other.paused]).toEqual([false, false, false])
    expect(world.trace.filter((line) => line.includes('KNOWN'))).toHaveLength(4)
  })

  test('all connections but upstreams share a bound, also with what connections that are gone left to be stored', async () => {
    const world = createWorld()
    const server = await world.node('server', { limits: { allPendingBytesMax: 3_000 } })
    const release = hold(server)
    const gone = world.peer('gone', server)
    gone.say(content('d1', 'a:0-1'), content('d2', 'a:0-1'))
    gone.link.closed()
    expect(server.runner.sizes().pendingBytes).toBeGreaterThan(2_000)
    const [late, upstream] = [world.peer('late', server), world.peer('upstream', server, { upstream: true })]
    late.say(content('d3', 'a:0-1'))
    upstream.say(content('d4', 'a:0-1'))
    expect([late.paused, upstream.paused]).toEqual([true, false])
    release()
    await settled()
    expect(late.paused).toBe(false)
    expect(server.runner.sizes()).toMatchObject({ queued: 0, pendingBytes: 0 })
  })

  test('requests that were parked when their connection closed leave nothing in any pool', async () => {
    const world = createWorld()
    const server = await world.node('server')
    server.spy.replace = { knownStates: () => new Promise(() => {}) }
    const peer = world.peer('peer', server, { account: 'ada' })
    for (let index = 0; index < 10; index++) peer.load(`d${index}`)
    expect(peer.link.sizes()).toMatchObject({ idle: false })
    expect(server.runner.sizes().pendingBytes).toBeGreaterThan(0)
    peer.link.closed()
    expect(server.runner.sizes()).toMatchObject({ connections: 0, parked: 0, pendingBytes: 0 })
  })

  test('connections of one account may have so many documents together, and say so', async () => {
    const world = createWorld()
    const server = await world.node('server', { limits: { accountSubscriptionsMax: 3 } })
    const [first, second] = ['first', 'second'].map((name) => world.peer(name, server, { account: 'ada' }))
    const other = world.peer('other', server, { account: 'ben' })
    for (const id of ['d1', 'd2']) first?.load(id)
    for (const id of ['d1', 'd3']) second?.load(id)
    other.load('d1')
    await settled()
    expect(second?.heard).toMatchObject([
      { action: 'known', id: 'd1' },
      { action: 'error', id: 'd3', code: 'limit' },
    ])
    expect(other.heard).toMatchObject([{ action: 'known' }])
    first?.link.closed()
    second?.load('d3')
    await settled()
    expect(second?.heard.at(-1)).toMatchObject({ action: 'known', id: 'd3' })
  })
})

test('L10: who does not read its answers is not read, and holds up nobody who writes', async () => {
  const world = createWorld()
  const wide = Array.from({ length: 200 }, (_, at) => ({ session: `s${at}`, after: 0, transactions: [bytes('1')] }))
  const limits = { allPendingBytesMax: 64 * 1024, pendingBytesMax: 16 * 1024 }
  const server = await world.node('server', { holds: [{ ...append('big', ''), runs: wide }], limits })
  const bad = Array.from({ length: 6 }, (_, at) => world.peer(`bad${at}`, server))
  for (const one of bad) {
    one.full = true
    one.load('big')
  }
  await settled()
  for (const one of bad) for (let at = 0; at < 40; at++) one.say(content('big', `x${at}:0-1`, false))
  await settled()
  expect(bad.map(({ paused }) => paused)).toEqual(bad.map(() => true))
  const good = world.peer('good', server)
  for (let at = 0; at < 2; at++) {
    good.say(content('note', `g:${at}-${at + 1}`, at === 0))
    await settled()
  }
  expect([good.paused, good.heard.at(-1)]).toMatchObject([false, { action: 'known', known: state('g:2') }])
  // What they said is handled when they read again.
  for (const one of bad) {
    one.full = false
    one.link.drained()
  }
  await settled()
  expect((await server.spy.storage.knownStates(['big']))[0]?.known.sessions.get('x39')).toBe(1)
})
