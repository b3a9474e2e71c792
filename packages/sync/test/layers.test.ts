/**
 * Several storages behind one engine: scenarios 22 to 25, in manual time. A and B are layers, A is fast.
 */
import { type LayersOptions, layers } from '@tidemark/reconciliation/layers'
import { memoryStorage, type Storage } from '@tidemark/storage'
import { type FaultyStorage, faults } from '@tidemark/storage/conformance'
import { expect, test } from 'vitest'
import { append, content, createWorld, settled, state, type World } from './world.ts'

async function node(
  holds: { readonly a?: ReturnType<typeof append>; readonly b?: ReturnType<typeof append> },
  options: LayersOptions = {},
  isTombstone: (session: string) => boolean = () => false,
  given?: readonly FaultyStorage[],
) {
  const world = createWorld()
  const stores = given ?? (await Promise.all([holds.a, holds.b].map((held) => store(held))))
  const [a, b] = stores as [FaultyStorage, FaultyStorage]
  const all = layers(
    [
      { storage: a, name: 'A' },
      { storage: b, name: 'B' },
    ],
    { clock: world.clock, ...options },
  )
  const events: string[] = []
  all.listen((event) => {
    if (event.kind === 'layer') events.push(`${event.layer} ${event.condition}`)
  })
  const server = await world.node('server', { storage: all as Storage, hooks: { isTombstone } })
  return { world, server, all, a, b, events }
}

/** A store that says it is durable. */
async function store(held: ReturnType<typeof append> | undefined): Promise<FaultyStorage> {
  const storage = memoryStorage()
  const opened = storage.open()
  if (held !== undefined) storage.append([held])
  return Object.assign(faults(storage), { open: () => ({ ...opened, level: 'durable' as const }) })
}

function slow(storage: FaultyStorage, world: World, ms: number): void {
  storage.plan = ({ method }) => (method === 'knownStates' ? { after: world.clock.wait(ms) } : undefined)
}

const said = (world: World) => world.trace.filter((line) => line.startsWith('server >'))

test('22: while storages answer slowly, 50 LOADs of 20 connections are one look-up, each is answered once, nobody who left stays', async () => {
  const { world, server, a, b } = await node({ a: append('note', 'a:0-3'), b: append('note', 'a:0-3') })
  // They were composed for the first time, and are compared.
  await world.clock.advance(10_000)
  const compared = a.calls.knownStates
  slow(a, world, 100)
  slow(b, world, 1_000)
  const peers = Array.from({ length: 20 }, (_, index) => world.peer(`peer ${index}`, server))
  for (let index = 0; index < 50; index++) peers[index % 20]?.load('note', state('a:3'))
  await world.clock.advance(500)
  expect(said(world)).toEqual([])
  for (const peer of peers.slice(0, 5)) peer.link.closed()
  await world.clock.advance(1_000)
  expect([a, b].map(({ calls }) => calls.knownStates - compared)).toEqual([1, 1])
  expect(peers.map(({ heard }) => heard.length)).toEqual([0, 0, 0, 0, 0, 3, 3, 3, 3, 3, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2])
  expect(new Set(said(world).map((line) => line.replace(/peer \d+/, 'peer')))).toEqual(
    new Set(['server > peer  KNOWN note header a:3']),
  )
  expect(server.runner.sizes()).toMatchObject({ subscriptions: 15 })
})

test('23: two storages, only the slower has the document: nothing is answered before both have', async () => {
  const { world, server, b } = await node({ b: append('note', 'a:0-3') })
  slow(b, world, 1_500)
  world.peer('peer', server).load('note')
  await world.clock.advance(1_400)
  expect(said(world)).toEqual([])
  await world.clock.advance(200)
  expect(said(world)).toEqual(['server > peer  CONTENT note header a:0-3'])
})

test('24: a storage detaches while requests wait: what the other holds is served, and it is told', async () => {
  const { world, server, all, b, events } = await node({ a: append('note', 'a:0-3') })
  slow(b, world, 60_000)
  world.peer('peer', server).load('note')
  await world.clock.advance(1_000)
  all.detach('B')
  await settled()
  expect(said(world)).toEqual(['server > peer  CONTENT note header a:0-3'])
  expect(events).toEqual(['B detached'])
})

test('24: a storage detaches while requests wait and the other says absent: nothing is denied until it is asked again without it', async () => {
  const { world, server, all, a, b } = await node({})
  slow(b, world, 60_000)
  world.peer('peer', server).load('note')
  await world.clock.advance(1_000)
  all.detach('B')
  await settled()
  expect(said(world)).toEqual([])
  await world.clock.advance(1_000)
  expect(said(world)).toEqual(['server > peer  KNOWN note ∅'])
  expect(a.calls.knownStates).toBe(2)
})

test('24: a storage does not answer and the other says absent: never "not found", but a failure in the end', async () => {
  const { world, server, b, events } = await node({})
  slow(b, world, Number.POSITIVE_INFINITY)
  world.peer('peer', server).load('note')
  await world.clock.advance(60_000)
  expect(said(world)).toEqual(['server > peer  ERROR note failed'])
  expect(events).toEqual(['B slow'])
})

test('24: a layer that does not answer takes no corrections along: content with a gap waits, and is corrected when it is known', async () => {
  const { world, server, b } = await node({ a: append('note', 'a:0-3'), b: append('note', 'a:0-5') })
  slow(b, world, 3_000)
  const peer = world.peer('peer', server)
  peer.say(content('note', 'a:7-8', false))
  await world.clock.advance(2_500)
  expect(said(world)).toEqual([])
  await world.clock.advance(10_000)
  expect(said(world)).toEqual(['server > peer  KNOWN! note header a:5', 'server > peer  CONTENT note header a:0-5'])
})

test('24b: a layer answers after others were answered without it: subscribers get what it adds, it gets what it lacks', async () => {
  const { world, server, a, b } = await node({ a: append('note', 'a:0-3'), b: append('note', 'b:0-2') })
  slow(b, world, 3_000)
  const [one, other] = [world.peer('one', server), world.peer('other', server)]
  one.load('note')
  other.load('note', state('a:3'))
  await world.clock.advance(2_100)
  expect(said(world).sort()).toEqual([
    'server > one  CONTENT note header a:0-3',
    'server > other  KNOWN note header a:3',
  ])
  one.say({ action: 'known', id: 'note', known: state('a:3'), correction: false })
  await world.clock.advance(60_000)
  expect(said(world).slice(2).sort()).toEqual([
    'server > one  CONTENT note b:0-2',
    'server > other  CONTENT note b:0-2',
  ])
  b.plan = undefined
  for (const storage of [a, b]) expect((await storage.knownStates(['note']))[0]?.known).toEqual(state('a:3 b:2'))
})

test('24b: a layer is attached: subscribers get what it adds, it gets what it lacks', async () => {
  const { world, server, all } = await node({ a: append('note', 'a:0-3') })
  const peer = world.peer('peer', server)
  peer.load('note', state('a:3'))
  await settled()
  const late = await store(append('note', 'b:0-2'))
  await all.attach({ storage: late, name: 'C' })
  await world.clock.advance(60_000)
  expect(said(world)).toEqual(['server > peer  KNOWN note header a:3', 'server > peer  CONTENT note b:0-2'])
  expect((await late.knownStates(['note']))[0]?.known).toEqual(state('a:3 b:2'))
})

test('25: every storage fails: no "not found", it is tried again, then it is a failure; later it is served', async () => {
  const { world, server, a, b } = await node({ a: append('note', 'a:0-3') })
  for (const storage of [a, b]) storage.plan = ({ method }) => (method === 'knownStates' ? { fails: 'IO' } : undefined)
  const peer = world.peer('peer', server)
  peer.load('note')
  await settled()
  await world.clock.advance(30_000)
  expect(said(world)).toEqual(['server > peer  ERROR note failed'])
  expect(a.calls.knownStates).toBeGreaterThan(2)
  for (const storage of [a, b]) storage.plan = undefined
  await world.clock.advance(600_000)
  peer.load('note')
  await settled()
  expect(said(world).at(-1)).toBe('server > peer  CONTENT note header a:0-3')
})

test('L3: what one of two required layers did not store is not acknowledged, and is when it was repaired', async () => {
  const { world, server, b } = await node({ a: append('note', 'a:0-3'), b: append('note', 'a:0-3') })
  const peer = world.peer('peer', server)
  b.plan = ({ method }) => (method === 'append' ? { fails: 'IO' } : undefined)
  peer.say(content('note', 'a:3-4', false))
  await world.clock.advance(100)
  const acknowledged = () => said(world).filter((line) => line.includes('a:4'))
  expect(acknowledged()).toEqual([])
  const second = world.peer('second', server)
  second.load('note', state('a:4'))
  await world.clock.advance(100)
  expect(acknowledged()).toEqual([])
  b.plan = undefined
  await world.clock.advance(120_000)
  peer.say(content('note', 'a:3-4', false))
  await world.clock.advance(100)
  expect(acknowledged()).toContain('server > peer  KNOWN note header a:4')
})

test('a tombstone that too few layers stored erases the document when it is in all (disks, seed 22 of varied worlds, three disks)', async () => {
  const isTombstone = (session: string) => session.endsWith('$')
  const { world, server, a, b } = await node(
    { a: append('note', 'a:0-3'), b: append('note', 'a:0-3') },
    {},
    isTombstone,
  )
  const peer = world.peer('peer', server)
  b.plan = () => ({ failsFor: () => 'IO' })
  peer.say(content('note', 'x$:0-1', false))
  await world.clock.advance(100)
  b.plan = undefined
  await world.clock.advance(120_000)
  const states = await Promise.all([a, b].map((one) => one.knownStates(['note'])))
  expect(states.map(([held]) => [...(held?.known.sessions ?? [])])).toEqual([[['x$', 1]], [['x$', 1]]])
})

test('a tombstone that only a layer stored which is silent afterwards erases the document when that one is back', async () => {
  const isTombstone = (session: string) => session.endsWith('$')
  const { world, server, a, b } = await node(
    { a: append('note', 'a:0-3'), b: append('note', 'a:0-3') },
    {},
    isTombstone,
  )
  const peer = world.peer('peer', server)
  a.plan = ({ method, args }) => (method === 'append' && isOf(args) ? { fails: 'IO' } : undefined)
  let isStored = false
  b.plan = ({ method, args }) => {
    if (method === 'append' && isOf(args)) isStored = true
    return isStored && method === 'knownStates' ? { fails: 'IO' } : undefined
  }
  peer.say(content('note', 'x$:0-1', false))
  await world.clock.advance(30_000)
  peer.link.closed()
  a.plan = undefined
  b.plan = undefined
  await world.clock.advance(600_000)
  const states = await Promise.all([a, b].map((one) => one.knownStates(['note'])))
  expect(states.map(([held]) => [...(held?.known.sessions ?? [])])).toEqual([[['x$', 1]], [['x$', 1]]])
  expect(await b.marks({ prefix: '\u{10ffff}tidemark erasing', limit: 9 })).toEqual([])
})

const isOf = (args: readonly unknown[]) => (args[0] as readonly unknown[]).length > 0

declare const process: { readonly env: Readonly<Record<string, string | undefined>> }

const WORLDS = Number(process.env.TIDEMARK_WORLDS ?? 100)
const FIRST_SEED = Number(process.env.TIDEMARK_SEED ?? 1)

test(`in ${WORLDS} random worlds with failing and slow layers two clients, the server and every layer end alike`, async () => {
  for (let seed = FIRST_SEED; seed < FIRST_SEED + WORLDS; seed++)
    await randomWorld(seed).catch((cause) => {
      throw new Error(`TIDEMARK_SEED=${seed} TIDEMARK_WORLDS=1: ${(cause as Error).message}`, { cause })
    })
}, 120_000)

async function randomWorld(seed: number): Promise<void> {
  const random = chance(seed)
  const below = (count: number) => Math.floor(random() * count)
  const part = () => (below(3) === 0 ? undefined : append('note', `old:0-${1 + below(4)}`))
  const held = { a: part(), b: part() }
  const { world, server, a, b } = await node(
    { ...(held.a && { a: held.a }), ...(held.b && { b: held.b }) },
    { policy: below(2) === 0 ? 'all-required' : 'any-durable' },
  )
  const names = ['one', 'two']
  const clients = await Promise.all(names.map((name) => world.node(name)))
  const apps = clients.map((client, index) => world.peer(`app of ${names[index]}`, client, { local: true }))
  for (const client of clients) world.connect(client, server)
  for (const app of apps) app.load('note')
  const written = [0, 0]
  for (let step = 3 + below(10); step > 0; step--) {
    const who = below(2)
    const what = below(5)
    if (what <= 1) {
      const until = (written[who] as number) + 1 + below(2)
      apps[who]?.say(content('note', `${names[who]}:${written[who]}-${until}`))
      written[who] = until
    }
    const layer = below(2) === 0 ? a : b
    if (what === 2) layer.plan = () => (below(2) === 0 ? { after: world.clock.wait(below(4_000)) } : undefined)
    if (what === 3) layer.plan = () => (below(2) === 0 ? { fails: 'IO', performed: below(2) === 0 } : undefined)
    if (what === 4) for (const one of [a, b]) one.plan = undefined
    await settled()
    await world.clock.advance(below(3_000))
  }
  for (const one of [a, b]) one.plan = undefined
  await world.clock.advance(1_800_000)
  const stored = async (storage: Storage) => {
    const known = (await storage.knownStates(['note']))[0]?.known
    return [...(known?.sessions ?? [])]
      .sort()
      .map((entry) => entry.join(':'))
      .join(' ')
  }
  const ends = await Promise.all([a, b, ...clients.map(({ spy }) => spy.real)].map(stored))
  expect(new Set(ends).size, ends.join(' | ')).toBe(1)
  for (const [who, until] of written.entries()) if (until > 0) expect(ends[0]).toContain(`${names[who]}:${until}`)
}

function chance(seed: number): () => number {
  let state = seed
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return (state >>> 8) / 2 ** 24
  }
}

test('who is in step is sent nothing again because look-ups failed for a while (disks, seeds 205 and 941 of two disks)', async () => {
  const { world, server, a, b } = await node({ a: append('note', 'a:0-3'), b: append('note', 'a:0-3') })
  const reader = world.peer('reader', server)
  reader.load('note', state('a:3'))
  await world.clock.advance(100)
  for (const one of [a, b]) one.plan = ({ method }) => (method === 'knownStates' ? { fails: 'IO' } : undefined)
  const other = world.peer('other', server)
  other.load('note', state('a:3'))
  await world.clock.advance(3_000)
  for (const one of [a, b]) one.plan = undefined
  await world.clock.advance(60_000)
  expect(said(world)).toEqual(['server > reader  KNOWN note header a:3', 'server > other  KNOWN note header a:3'])
})

test('who is in step with what a layer holds alone is not sent it again because that layer failed for a while (disks, seed 325)', async () => {
  const { world, server, a, b } = await node({ a: append('note', 'a:0-3'), b: append('note', 'a:0-5') })
  a.plan = ({ method }) => (method === 'append' ? { fails: 'QUOTA' } : undefined)
  const reader = world.peer('reader', server)
  reader.load('note', state('a:5'))
  await world.clock.advance(1_000)
  b.plan = ({ method }) => (method === 'knownStates' ? { fails: 'IO' } : undefined)
  const other = world.peer('other', server)
  other.load('note', state('a:3'))
  await world.clock.advance(3_000)
  for (const one of [a, b]) one.plan = undefined
  await world.clock.advance(60_000)
  expect(said(world)).toEqual([
    'server > reader  KNOWN note header a:5',
    'server > other  KNOWN note header a:3',
    'server > other  CONTENT note a:3-5',
  ])
})

test('whoever was behind while a look-up failed is sent what it lacks when that is over', async () => {
  const { world, server, a, b } = await node({ a: append('note', 'a:0-3'), b: append('note', 'a:0-3') })
  const reader = world.peer('reader', server)
  reader.load('note', state('a:3'))
  await world.clock.advance(10_000)
  // Another process wrote to one of them. One look-up sees it, and none after it for a while.
  await b.append([append('note', 'a:3-5')])
  let looks = 0
  const fails: typeof a.plan = ({ method }) => (method === 'knownStates' && ++looks > 2 ? { fails: 'IO' } : undefined)
  for (const one of [a, b]) one.plan = fails
  const other = world.peer('other', server)
  other.load('note', state('a:5'))
  await world.clock.advance(3_000)
  for (const one of [a, b]) one.plan = undefined
  await world.clock.advance(60_000)
  expect(said(world).filter((line) => line.includes('> reader'))).toEqual([
    'server > reader  KNOWN note header a:3',
    'server > reader  CONTENT note a:3-5',
  ])
})

/** Stores over data that outlives them: each opening is known to the next. */
function openings(): () => Promise<FaultyStorage> {
  const data = memoryStorage()
  const opened = data.open()
  const history: { id: string; sequence: number }[] = []
  return async () => {
    const generation = { id: `opening ${history.length}`, sequence: history.length }
    history.push(generation)
    const now = { ...opened, generation, history: [...history], level: 'durable' as const }
    return Object.assign(faults(data), { open: () => now })
  }
}

test('L3: what a crash left in one of two disks is not acknowledged by the next process while the other cannot be asked', async () => {
  const disks = [openings(), openings()]
  const one = await node({}, {}, undefined, await Promise.all(disks.map((open) => open())))
  const writer = one.world.peer('writer', one.server)
  writer.say(content('note', 'a:0-1', true))
  await one.world.clock.advance(100)
  one.b.plan = ({ method }) => (method === 'append' ? { after: new Promise(() => {}) } : undefined)
  writer.say(content('note', 'a:1-3', false))
  await one.world.clock.advance(100)
  expect(said(one.world)).toEqual(['server > writer  KNOWN note header a:1'])
  for (const disk of [one.a, one.b]) disk.plan = () => ({ after: new Promise(() => {}) })
  const stores = await Promise.all(disks.map((open) => open()))
  const [, late] = stores as [FaultyStorage, FaultyStorage]
  late.plan = ({ method }) => (method === 'open' ? undefined : { fails: 'IO' })
  const two = await node({}, {}, undefined, stores)
  const again = two.world.peer('writer', two.server)
  again.load('note', state('a:3'))
  await two.world.clock.advance(5_000)
  expect(said(two.world).filter((line) => line.includes('a:3'))).toEqual([])
  late.plan = undefined
  await two.world.clock.advance(600_000)
  expect(said(two.world).filter((line) => line.includes('a:3'))).toEqual(['server > writer  KNOWN note header a:3'])
})
