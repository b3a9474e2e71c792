/**
 * Scenarios 38 to 49: what layers do with each other, in manual time. A and B are layers, `note` is the document.
 */
import { EMPTY } from '@tidemark/known-state'
import { compareVersions, type MapEntry } from '@tidemark/storage'
import type { FaultyStorage } from '@tidemark/storage/conformance'
import { expect, test } from 'vitest'
import { type Layers, type LayersEvent, type LayersOptions, layers } from '../../src/layers.ts'
import {
  content,
  counts,
  type Disk,
  disk,
  dump,
  held,
  type ManualClock,
  manualClock,
  of,
  passing,
  settled,
  slow,
  store,
  writes,
} from './world.ts'

type Store = FaultyStorage & { readonly disk: Disk }

interface World {
  readonly all: Layers
  readonly stores: readonly Store[]
  readonly clock: ManualClock
  readonly events: LayersEvent[]
}

const NAMES = ['A', 'B', 'C', 'D', 'E']

/** Layers over disks that hold what is given, opened. */
async function world(
  given: readonly (readonly ReturnType<typeof content>[])[],
  options: LayersOptions = {},
): Promise<World> {
  const clock = manualClock()
  const stores = given.map((contents) => {
    const on = disk()
    on.data.append(contents)
    return store(on)
  })
  const all = layers(
    stores.map((storage, index) => ({ storage, name: NAMES[index] as string })),
    { clock, ...options },
  )
  const events: LayersEvent[] = []
  all.listen((event) => events.push(event))
  await all.open()
  return { all, stores, clock, events }
}

const three = (): Promise<World> =>
  world([[content('note', 'a:0-2')], [content('note', 'b:0-3')], [content('note', 'c:0-1')]])

test('38: the layer that is behind receives exactly what it lacks, the other one no write', async () => {
  const { all, stores } = await world([[content('note', 's:0-5')], [content('note', 's:0-3')]])
  const [a, b] = stores as [Store, Store]
  const written = [writes(a), writes(b)]
  await all.load('note', { until: 'settled' })
  expect([held(a), held(b)]).toEqual(['s:5', 's:5'])
  expect(written.map(({ entries }) => entries)).toEqual([0, 2])
})

test('39: two layers that each have what the other lacks both get the join', async () => {
  const { all, stores } = await world([[content('note', 's:0-5')], [content('note', 't:0-4')]])
  const written = stores.map(writes)
  await all.load('note', { until: 'settled' })
  expect(stores.map((one) => held(one))).toEqual(['s:5 t:4', 's:5 t:4'])
  expect(written.map(({ entries }) => entries)).toEqual([4, 5])
})

test('41: the document of the slow layer is handed over, and the fast one is filled afterwards', async () => {
  const { all, stores, clock } = await world([[], [content('note', 's:0-5')]])
  const [fast, full] = stores as [Store, Store]
  slow(full, clock, 200)
  const handed: string[] = []
  const load = all.load('note', { until: 'usable', onPage: (page) => handed.push(counts(page.end)) })
  const loaded = await passing(clock, load)
  expect([loaded.found, handed]).toEqual(['present', ['s:5']])
  await clock.advance(5_000)
  expect(held(fast)).toBe('s:5')
})

test('42: absent is only what every layer says', async () => {
  const { all } = await world([[], []])
  const loaded = await all.load('note')
  expect([loaded.found, loaded.absent]).toEqual(['absent', ['A', 'B']])
})

test('42: with a layer that did not answer it is unknown, and creating it is refused', async () => {
  const { all, stores, clock } = await world([[], []])
  slow(stores[1] as Store, clock, Number.POSITIVE_INFINITY, ['open'])
  const loaded = await passing(clock, all.load('note'))
  expect([loaded.found, loaded.absent, loaded.timedOut]).toEqual(['unknown', ['A'], ['B']])
  const [created] = await passing(clock, all.append([content('note', 'a:0-1')]))
  expect(created).toMatchObject({ failed: 'IO' })
  expect(held(stores[0] as Store)).toBe('absent')
})

test('43: whatever one of three throws, the document is usable, the others are repaired, and it is told once', async () => {
  for (const method of ['knownStates', 'read', 'append'] as const) {
    const { all, stores, clock, events } = await three()
    const [a, b, c] = stores as [Store, Store, Store]
    const marked = c.plan
    c.plan = (call) => (call.method === method ? { fails: 'IO' } : marked?.(call))
    const handed: string[] = []
    const loaded = await passing(
      clock,
      all.load('note', { until: 'settled', onPage: (page) => handed.push(counts(page.end)) }),
    )
    expect(loaded.found, method).toBe('present')
    const whole = method === 'append' ? 'a:2 b:3 c:1' : 'a:2 b:3'
    expect([held(a), held(b)], method).toEqual([whole, whole])
    expect(handed.at(-1), method).toBe(whole)
    expect(of(events, 'layer'), method).toEqual([{ kind: 'layer', layer: 'C', condition: 'down', code: 'IO' }])
  }
})

test('43: a write that one of three throws at is stored where two must have it, and repaired in the third', async () => {
  const { all, stores, clock, events } = await world([[], [], []], { policy: { quorum: 2 } })
  const [a, b, c] = stores as [Store, Store, Store]
  c.plan = ({ method }) => (method === 'append' ? { fails: 'IO' } : undefined)
  const [result] = await all.append([content('note', 'a:0-2')])
  expect(result).toMatchObject({ refused: new Map(), state: { known: { sessions: new Map([['a', 2]]) } } })
  expect([held(a), held(b), held(c)]).toEqual(['a:2', 'a:2', 'absent'])
  c.plan = undefined
  await clock.advance(60_000)
  expect(held(c)).toBe('a:2')
  expect(of(events, 'layer').map(({ condition }) => condition)).toEqual(['down', 'up'])
})

test('44: a layer that never answers changes nothing about when a document is usable, and leaves nothing behind', async () => {
  const { all, stores, clock } = await world([[content('note', 's:0-5')], [], []])
  slow(stores[1] as Store, clock, Number.POSITIVE_INFINITY, ['open'])
  const usable = await all.load('note', { until: 'usable', onPage: () => {} })
  expect(usable.found).toBe('present')
  const loaded = await passing(clock, all.load('note'))
  expect([loaded.answered, loaded.absent, loaded.timedOut]).toEqual([['A'], ['C'], ['B']])
  await expect(passing(clock, all.close())).rejects.toThrow('no answer')
  expect(clock.waiting).toBe(0)
})

test('45: a second repair writes nothing and reads no content', async () => {
  const { all, stores, clock } = await three()
  await all.load('note', { until: 'settled' })
  // They were composed for the first time, and note so when all have everything.
  await clock.advance(10_000)
  const before = stores.map(({ calls }) => ({ ...calls }))
  await clock.advance(60_000)
  await all.load('note', { until: 'settled' })
  await passing(clock, all.sweep())
  await all.whenSettled()
  for (const [index, { calls }] of stores.entries()) {
    expect(calls.append).toBe(before[index]?.append)
    expect(calls.read).toBe(before[index]?.read)
  }
})

// Equal counts of `json` sessions are taken for equal: they carry no digest.
for (const [name, b] of [
  ['of equal length', 's:0-5'],
  ['of which one is longer', 's:0-8'],
] as const)
  for (const kind of ['bytes', 'json'] as const)
    if (kind === 'bytes' || b === 's:0-8')
      test(`46: a fork ${name} is told once, neither side is overwritten, other sessions are synced (${kind})`, async () => {
        const mine = content('note', 's:0-5 mine:0-2', { kind })
        const theirs = content('note', `${b} theirs:0-3`, { kind, salt: ' of another' })
        const { all, stores, clock, events } = await world([[mine], [theirs]])
        const before = stores.map(({ disk: on }) =>
          dump(on.data)
            .split('\n')
            .find((line) => line.startsWith('s:')),
        )
        await all.load('note', { until: 'settled' })
        await clock.advance(120_000)
        await all.load('note', { until: 'settled' })
        const after = stores.map(({ disk: on }) =>
          dump(on.data)
            .split('\n')
            .find((line) => line.startsWith('s:')),
        )
        expect(after).toEqual(before)
        expect(stores.map((one) => held(one).replace(/ s:\d/, ''))).toEqual(['mine:2 theirs:3', 'mine:2 theirs:3'])
        expect(of(events, 'fork')).toHaveLength(1)
        expect(of(events, 'fork')[0]).toMatchObject({ id: 'note', session: 's' })
        const [refused] = await all.append([content('note', 's:5-6', { header: false, kind })])
        expect(refused).toMatchObject({ refused: new Map([['s', { why: 'fork', have: 5 }]]) })
      })

test('46: another header is a fork of the whole document, of which nothing is copied', async () => {
  const mine = content('note', 'a:0-2')
  const theirs = { ...content('note', 'b:0-2'), header: new TextEncoder().encode('"another"') }
  const { all, stores, events } = await world([[mine], [theirs]])
  await all.load('note', { until: 'settled' })
  expect(stores.map((one) => held(one))).toEqual(['a:2', 'b:2'])
  expect(of(events, 'fork').map(({ session }) => session)).toEqual([undefined])
  expect(counts((await all.knownStates(['note']))[0]?.known)).toBe('a:2')
})

const entry = (counter: number, value?: string): MapEntry => ({
  version: [counter, 'me'],
  bytes: value === undefined ? undefined : new TextEncoder().encode(value),
})

test('48: the newer of two secrets is in both layers, whichever has it, and a tombstone beats what it follows', async () => {
  for (const order of [0, 1]) {
    const { all, stores } = await world([[], []])
    const [a, b] = (order === 0 ? stores : [...stores].reverse()) as [Store, Store]
    a.disk.data.mergeMap(
      'secrets',
      new Map([
        ['k', entry(2, 'new')],
        ['t', entry(3)],
      ]),
    )
    b.disk.data.mergeMap(
      'secrets',
      new Map([
        ['k', entry(1, 'old')],
        ['t', entry(2, 'gone')],
      ]),
    )
    const read = await all.readMap('secrets')
    await settled()
    for (const { disk: on } of stores) expect(on.data.readMap('secrets')).toEqual(read)
    expect([...read]).toEqual([
      ['k', entry(2, 'new')],
      ['t', entry(3)],
    ])
    expect(compareVersions(read.get('t')?.version ?? [0, ''], [3, 'me'])).toBe(0)
  }
})

test('48: only keys that are behind are written, and a conflict is told by its key', async () => {
  const { all, stores, events } = await world([[], []])
  const [a, b] = stores as [Store, Store]
  a.disk.data.mergeMap(
    'secrets',
    new Map([
      ['k', entry(2, 'one')],
      ['x', entry(1, 'x')],
    ]),
  )
  b.disk.data.mergeMap('secrets', new Map([['k', entry(2, 'two')]]))
  expect((await all.readMap('secrets')).get('k')).toEqual(entry(2, 'one'))
  await settled()
  expect([a.calls.mergeMap, b.calls.mergeMap]).toEqual([0, 1])
  expect(b.disk.data.readMap('secrets').get('k')).toEqual(entry(2, 'two'))
  expect(of(events, 'conflict')).toEqual([{ kind: 'conflict', map: 'secrets', key: 'k' }])
  expect(JSON.stringify(events)).not.toMatch(/one|two/)
})

test('48: a layer that takes 5 s for secrets delays no document, and one that fails hides nothing of the others', async () => {
  const { all, stores, clock } = await world([[content('note', 's:0-1')], [content('note', 's:0-1')]])
  const [a, b] = stores as [Store, Store]
  a.disk.data.mergeMap('secrets', new Map([['k', entry(1, 'here')]]))
  b.plan = ({ method }) => (method === 'readMap' ? { after: clock.wait(5_000) } : undefined)
  const secrets = all.readMap('secrets')
  const [result] = await all.append([content('note', 's:1-2', { header: false })])
  expect(result).toMatchObject({ refused: new Map() })
  expect((await all.load('note')).found).toBe('present')
  expect((await passing(clock, secrets)).get('k')).toEqual(entry(1, 'here'))
})

test('49: a layer that may not be written receives no write call', async () => {
  const clock = manualClock()
  const [a, b] = [store(), store()]
  a.disk.data.append([content('note', 's:0-5')])
  b.disk.data.append([content('note', 's:0-3')])
  const opens = b.open
  b.open = async (options) => ({ ...(await opens(options)), writable: false })
  const all = layers([a, b], { clock })
  await all.open()
  await all.load('note', { until: 'settled' })
  await all.append([content('note', 's:5-6', { header: false })])
  await clock.advance(600_000)
  expect([b.calls.append, b.calls.mergeMap, b.calls.erase]).toEqual([0, 0, 0])
  expect([held(a), held(b)]).toEqual(['s:6', 's:3'])
})

test('a layer that shrank has regressed: it is told, and refilled', async () => {
  const { all, stores, events, clock } = await world([[content('note', 's:0-5')], [content('note', 's:0-5')]])
  const [, b] = stores as [Store, Store]
  await all.load('note', { until: 'settled' })
  const smaller = disk()
  smaller.data.append([content('note', 's:0-2')])
  Object.assign(b.disk.data, {
    knownStates: smaller.data.knownStates.bind(smaller.data),
    append: smaller.data.append.bind(smaller.data),
    read: smaller.data.read.bind(smaller.data),
  })
  await all.load('note')
  await clock.advance(60_000)
  expect(of(events, 'regressed')).toEqual([{ kind: 'regressed', id: 'note', layer: 'B' }])
  expect(counts(smaller.data.knownStates(['note'])[0]?.known)).toBe('s:5')
})

test('a layer that accepts and does not grow is stuck: it is told, and left alone', async () => {
  const { all, stores, events, clock } = await world([[content('note', 's:0-5')], []])
  const [, b] = stores as [Store, Store]
  b.append = (batch) => {
    appends++
    return batch.map(() => ({ state: undefined, refused: new Map() }))
  }
  let appends = 0
  await all.load('note', { until: 'settled' })
  await clock.advance(20_000)
  expect(of(events, 'repair').map(({ step }) => step)).toEqual(['start', 'stuck'])
  expect(appends).toBeLessThan(5)
})

test('a damaged layer is no source: what it cannot read comes from another', async () => {
  const { all, stores, events } = await world([[content('note', 's:0-5')], [content('note', 's:0-5')], []])
  const [a, , c] = stores as [Store, Store, Store]
  a.plan = ({ method }) => (method === 'read' ? { fails: 'CORRUPT' } : undefined)
  await all.load('note', { until: 'settled' })
  expect(held(c)).toBe('s:5')
  expect(of(events, 'corrupt').every(({ layer }) => layer === 'A')).toBe(true)
  expect((await all.read('note', EMPTY, { bytesMax: 1_000 }))?.runs).toHaveLength(1)
  expect(of(events, 'layer')).toEqual([])
})

test('an erased document is erased everywhere, also where it was not held', async () => {
  const { all, stores } = await world([[content('note', 's:0-5 tomb:0-1')], [content('note', 's:0-3')], []])
  ;(stores[0] as Store).disk.data.erase('note', [1, 'me'], { keep: ['tomb'] })
  await all.load('note', { until: 'settled' })
  expect(stores.map((one) => held(one))).toEqual(['tomb:1', 'tomb:1', 'tomb:1'])
  expect(stores.map(({ disk: on }) => on.data.knownStates(['note'])[0]?.erased)).toEqual([
    [1, 'me'],
    [1, 'me'],
    [1, 'me'],
  ])
})
