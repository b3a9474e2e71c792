/**
 * Content that was refused by the storage, and what was accepted behind it meanwhile, or is owed because of it.
 */
import type { AppendResult } from '@tidemark/storage'
import { expect, test } from 'vitest'
import type { Verified } from '../src/events.ts'
import {
  append,
  bytes,
  content,
  createWorld,
  gate,
  isGenuine,
  type Node,
  nextTurn,
  settled,
  state,
  verifyGenuine,
} from './world.ts'

const verifyAll = ({ runs }: Parameters<typeof verifyGenuine>[0]): Verified => ({
  accepted: new Map(runs.map((run) => [run.session, run.transactions.length])),
  states: new Map(),
})

const FULL: AppendResult = { failed: 'QUOTA', cause: new Error('the disk is full') }

/** The disk has no room for the first append, whose answer comes when it is let go. */
function fullOnce({ spy }: Node): { letGo(): void; readonly batches: number[] } {
  const first = gate()
  const batches: number[] = []
  spy.replace = {
    append: async (batch) => {
      batches.push(batch.length)
      if (batches.length > 1) return spy.real.append(batch)
      await first.opened
      return [FULL, ...(await spy.real.append(batch.slice(1)))]
    },
  }
  return { letGo: first.open, batches }
}

test('what repeats verified content is not stored unverified where that is not (storm, seed 44049406)', async () => {
  const world = createWorld()
  const server = await world.node('server', { hooks: { verify: verifyGenuine } })
  const disk = fullOnce(server)
  const liar = world.peer('liar', server)
  const forged = { session: 'a', after: 0, transactions: [bytes('{"forged":0}')], seal: bytes('forged') }
  liar.say(content('note', 'a:0-1'), { ...content('note', ''), runs: [forged] })
  await settled()
  disk.letGo()
  await settled()
  const page = await server.spy.real.read('note', state(''), { bytesMax: 1_000_000 })
  expect(page?.runs.flatMap((run) => run.transactions).filter((transaction) => !isGenuine(transaction)) ?? []).toEqual(
    [],
  )
})

test('nor is it stored without what its verifier left behind: its writer is corrected, and goes on (storm, seed 44049406)', async () => {
  const world = createWorld()
  const verify = (
    { runs }: Parameters<typeof verifyGenuine>[0],
    states: ReadonlyMap<string, Uint8Array | undefined>,
  ): Verified => {
    const seen = ({ session }: { session: string }) => Number(new TextDecoder().decode(states.get(session)))
    const genuine = runs.filter((run) => seen(run) === run.after)
    const count = (run: (typeof runs)[number]) => run.after + run.transactions.length
    return {
      accepted: new Map(genuine.map((run) => [run.session, run.transactions.length])),
      states: new Map(genuine.map((run) => [run.session, bytes(`${count(run)}`)])),
    }
  }
  const server = await world.node('server', { hooks: { verify } })
  const disk = fullOnce(server)
  const writer = world.peer('writer', server)
  writer.say(content('note', 'a:0-1'), content('note', 'a:0-1'))
  await settled()
  disk.letGo()
  await settled()
  writer.say(content('note', 'a:0-1'))
  await settled()
  writer.say(content('note', 'a:1-2', false))
  await settled()
  expect(world.trace.at(-1)).toBe('server > writer  KNOWN note header a:2')
})

test('whoever sent it is corrected, also if that gap was corrected just before and others brought the same since (storm, seed 44027365)', async () => {
  const world = createWorld()
  const server = await world.node('server', { hooks: { verify: verifyAll } })
  const disk = fullOnce(server)
  const [other, writer] = [world.peer('other', server), world.peer('writer', server)]
  writer.say(content('note', 'a:2-3', false))
  await settled()
  other.say(content('note', 'a:0-2'))
  await settled()
  writer.say(content('note', 'a:0-2 c:0-1'))
  await settled()
  disk.letGo()
  await settled()
  other.say(content('note', 'a:0-2', false))
  await settled()
  await world.clock.advance(600_000)
  expect(disk.batches).toEqual([1, 1, 1])
  expect(world.trace.filter((line) => line.startsWith('server > writer'))).toEqual([
    'server > writer  KNOWN! note ∅',
    'server > writer  KNOWN note header c:1',
    'server > writer  KNOWN! note header c:1 a:2',
  ])
})

test('who was refused itself is corrected for both at once, also if what was refused of it is brought by others', async () => {
  const world = createWorld()
  const server = await world.node('server', { hooks: { verify: verifyAll }, holds: [append('note', 'b:0-1')] })
  const { spy } = server
  const second = gate()
  let appends = 0
  spy.replace = {
    append: async (batch) => {
      appends += 1
      if (appends === 2) await second.opened
      return appends < 3 ? batch.map(() => FULL) : spy.real.append(batch)
    },
  }
  const [writer, ...others] = ['writer', 'other', 'third'].map((name) => world.peer(name, server))
  for (const peer of [writer, ...others]) peer?.load('note', state('b:1'))
  await settled()
  writer?.say(content('note', 'c:0-1', false))
  await settled()
  others[0]?.say(content('note', 'a:0-1', false))
  await settled()
  others[1]?.say(content('note', 'c:0-1', false))
  writer?.say(content('note', 'a:0-1', false))
  await settled()
  second.open()
  await settled()
  await world.clock.advance(600_000)
  expect(world.trace.filter((line) => line.startsWith('server > writer')).slice(1)).toEqual([
    'server > writer  ERROR note quota',
    'server > writer  KNOWN! note header b:1 c:1',
  ])
})

test('peers that repeat each other on a full disk are corrected once, and then after their back-off', async () => {
  const world = createWorld()
  const server = await world.node('server', { hooks: { verify: verifyAll }, holds: [append('note', 'b:0-1')] })
  const { spy } = server
  spy.replace = {
    append: async (batch) => {
      await nextTurn()
      const isFull = batch.some(({ runs }) => runs.length > 0)
      return isFull ? batch.map(() => FULL) : spy.real.append(batch)
    },
  }
  const peers = Array.from({ length: 10 }, (_, index) => world.peer(`peer ${index}`, server))
  for (const peer of peers) peer.load('note', state('b:1'))
  for (const peer of peers) peer.say(content('note', 'a:0-1', false))
  for (let rounds = 0; rounds < 20; rounds++) {
    const before = peers.map(({ heard }) => heard.length)
    await settled()
    for (const [index, peer] of peers.entries()) {
      const isCorrected = peer.heard.slice(before[index]).some((said) => said.action === 'known' && said.correction)
      if (isCorrected) peer.say(content('note', 'a:0-1', false))
    }
  }
  const corrections = world.trace.filter((line) => line.includes('KNOWN!'))
  expect(corrections).toHaveLength(9)
})

test('what many send at once is stored by two appends, the second for all that was repeated', async () => {
  const world = createWorld()
  const server = await world.node('server', { hooks: { verify: verifyAll } })
  const { spy } = server
  const batches: number[] = []
  const first = gate()
  spy.replace = {
    append: async (batch) => {
      batches.push(batch.length)
      if (batches.length === 1) await first.opened
      return spy.real.append(batch)
    },
  }
  const [one, other] = [world.peer('one', server), world.peer('other', server)]
  one.say(content('warm', 'a:0-1'))
  await settled()
  for (let index = 0; index < 100; index++) for (const peer of [one, other]) peer.say(content(`note ${index}`, 'a:0-1'))
  await settled()
  first.open()
  await settled()
  await settled()
  expect(batches).toEqual([1, 100, 100])
})

test('what an application writes is not verified, and stored whatever became of the same from a peer', async () => {
  const world = createWorld()
  const node = await world.node('node', { hooks: { verify: verifyAll } })
  const disk = fullOnce(node)
  const [application, peer] = [world.peer('application', node, { local: true }), world.peer('peer', node)]
  peer.say(content('note', 'a:0-1'))
  await settled()
  application.say(content('note', 'a:0-1'))
  await settled()
  disk.letGo()
  await settled()
  expect(world.trace.filter((line) => line.startsWith('node > application'))).toEqual([
    'node > application  KNOWN note header a:1',
  ])
})

test('an application is not given what it wrote in the place of something refused (storm, seed 44039347)', async () => {
  const world = createWorld()
  const node = await world.node('node', { holds: [append('note', 'a:0-2')] })
  const { spy } = node
  const answers = [gate(), gate()]
  const written = gate()
  let appends = 0
  spy.replace = {
    append: async (batch) => {
      const results = await spy.real.append(batch)
      if (appends === 1) written.open()
      await answers[appends++]?.opened
      return results
    },
    // It finds what was written and is not known to be stored yet.
    read: (id, after, options) => written.opened.then(() => spy.real.read(id, after, options)),
  }
  const application = world.peer('application', node, { local: true })
  application.load('note', state('a:2'))
  await settled()
  const forked = {
    session: 'a',
    after: 0,
    transactions: [bytes('{"x":0}'), bytes('{"x":1}'), bytes('{"x":2}')],
    seal: bytes('x'),
  }
  world.peer('peer', node).say({ ...content('note', 'c:0-1', false), runs: [forked, ...content('note', 'c:0-1').runs] })
  await settled()
  application.say(content('note', 'a:2-4', false))
  await settled()
  answers[0]?.open()
  await settled()
  answers[1]?.open()
  await settled()
  expect(world.trace.filter((line) => line.startsWith('node > application'))).toEqual([
    'node > application  KNOWN note header a:2',
    'node > application  CONTENT note c:0-1',
    'node > application  KNOWN note header a:4',
  ])
})

test('an upstream that was refused is left once it was corrected, if nobody wants the document any more (disks, seed 44052921)', async () => {
  const world = createWorld()
  const node = await world.node('node', {
    upstreamExpected: true,
    hooks: { isTombstone: (session) => session === 'eraser' },
  })
  const { spy } = node
  const application = world.peer('application', node, { local: true })
  const upstream = world.peer('upstream', node, { upstream: true })
  application.say(content('note', 'a:0-1'))
  await settled()
  spy.replace = {
    append: () => Promise.resolve([FULL]),
  }
  upstream.say(content('note', 'b:0-2', false))
  await settled()
  spy.replace = {}
  application.say(content('note', 'eraser:0-1', false))
  await settled()
  application.link.closed()
  upstream.say({ action: 'known', id: 'note', known: state('eraser:1'), correction: false })
  await settled()
  await world.clock.advance(10_000)
  expect(world.trace.slice(-2)).toEqual(['node > upstream  KNOWN! note header eraser:1', 'node > upstream  DONE note'])
})
