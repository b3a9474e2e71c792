/**
 * Taking care: what was missed is flagged, found again and repaired, a few at a time, and failing layers are left alone. In manual time.
 */
import { EMPTY } from '@tidemark/known-state'
import { type Append, memoryStorage } from '@tidemark/storage'
import { faults } from '@tidemark/storage/conformance'
import { expect, test } from 'vitest'
import { cacheStorage, layers } from '../../src/layers.ts'
import {
  content,
  counts,
  type Disk,
  disk,
  held,
  manualClock,
  of,
  over,
  passing,
  settled,
  slow,
  store,
} from './world.ts'

const flags = (on: Disk) => on.data.marks({ prefix: '\u{10ffff}tidemark layers dirty', limit: 9 }).length

test('a write that a layer missed is flagged in the others, durably; after a restart the next sweep repairs it and takes the flag back', async () => {
  const clock = manualClock()
  const disks = [disk(), disk()]
  const [a, b] = disks as [Disk, Disk]
  const first = await over(disks, { clock, policy: 'any-durable' })
  const failing = first.stores[1]
  if (failing !== undefined) failing.plan = ({ method }) => (method === 'append' ? { fails: 'IO' } : undefined)
  const [result] = await first.all.append([content('note', 'a:0-3')])
  expect(result).toMatchObject({ refused: new Map() })
  expect([held({ disk: a }), held({ disk: b }), flags(a), flags(b)]).toEqual(['a:3', 'absent', 1, 0])
  for (const on of disks) on.kill()
  const second = await over(disks, { clock, policy: 'any-durable' })
  expect(second.all.health().map(({ dirty }) => dirty)).toEqual([0, 1])
  await clock.advance(300_000)
  expect([held({ disk: b }), flags(a)]).toEqual(['a:3', 0])
  expect(await second.all.marks({ prefix: '', limit: 9 })).toEqual([])
})

test('by default a write that a layer did not store is not acknowledged, and is said to be at risk until it is repaired', async () => {
  const clock = manualClock()
  const { all, stores } = await over([disk(), disk()], { clock })
  const [, b] = stores
  if (b !== undefined) b.plan = ({ method }) => (method === 'append' ? { fails: 'IO' } : undefined)
  await expect(all.append([content('note', 'a:0-3')])).rejects.toMatchObject({ code: 'IO' })
  const [state] = await all.knownStates(['note'])
  expect([counts(state?.known), counts(state?.durable)]).toEqual(['a:3', ''])
  expect((await all.status('note')).word).toBe('at risk')
  if (b !== undefined) b.plan = undefined
  await clock.advance(120_000)
  const [later] = await all.knownStates(['note'])
  expect([counts(later?.known), later?.durable]).toEqual(['a:3', undefined])
  expect(await all.status('note')).toEqual({
    word: 'everywhere',
    pending: 0,
    layers: [
      { name: 'A', behind: 0 },
      { name: 'B', behind: 0 },
    ],
  })
})

test('a required layer that is behind is lifted before a write, so that it can judge it', async () => {
  const clock = manualClock()
  const [a, b] = [disk(), disk()]
  a.data.append([content('note', 'a:0-5')])
  const { all } = await over([a, b], { clock })
  const [result] = await all.append([content('note', 'a:5-6', { header: false })])
  expect(result).toMatchObject({ refused: new Map() })
  expect([held({ disk: a }), held({ disk: b })]).toEqual(['a:6', 'a:6'])
})

test('what a look-up says that was asked before a write is older than that write', async () => {
  const clock = manualClock()
  const a = disk()
  a.data.append([content('note', 'a:0-3')])
  const { all, stores, events } = await over([a], { clock })
  const [one] = stores
  const look = one?.knownStates
  if (one !== undefined && look !== undefined)
    one.knownStates = async (ids, options) => {
      const states = await look(ids, options)
      await clock.wait(100)
      return states
    }
  const first = all.knownStates(['note'])
  await clock.advance(100)
  await first
  const second = all.knownStates(['note'])
  await settled()
  await all.append([content('note', 'a:3-4', { header: false })])
  await clock.advance(100)
  expect(counts((await second)[0]?.known)).toBe('a:4')
  expect(of(events, 'regressed')).toEqual([])
})

test('a layer that was wiped is told and refilled, whether or not anybody asks for its documents', async () => {
  const clock = manualClock()
  const a = disk()
  const { all } = await over([a, disk()], { clock })
  const marks = new Map([['outbox x', new Uint8Array(1)]])
  await all.append(
    ['x', 'y', 'z'].map((id) => content(id, 'a:0-2')),
    { marks },
  )
  await all.close()
  const fresh = disk()
  const { events } = await over([a, fresh], { clock })
  expect(fresh.data.marks({ prefix: 'outbox', limit: 9 })).toHaveLength(1)
  await clock.advance(60_000)
  expect(of(events, 'layer').map(({ layer, condition }) => `${layer} ${condition}`)).toEqual(['B recreated'])
  expect(['x', 'y', 'z'].map((id) => held({ disk: fresh }, id))).toEqual(['a:2', 'a:2', 'a:2'])
})

test('once a day everything is compared, a slice at a time: what nobody flagged and nobody asks for is repaired too', async () => {
  const clock = manualClock()
  const [a, b] = [disk(), disk()]
  const ids = Array.from({ length: 25 }, (_, index) => `note ${index}`)
  a.data.append(ids.filter((_, index) => index % 2 === 0).map((id) => content(id, 'a:0-2')))
  b.data.append(ids.filter((_, index) => index % 2 === 1).map((id) => content(id, 'a:0-2')))
  const { stores } = await over([a, b], { clock, limits: { sweepSlice: 10 } })
  const looked = stores.map(({ calls }) => calls.knownStates)
  await clock.advance(2 * 86_400_000)
  for (const on of [a, b]) expect(ids.map((id) => held({ disk: on }, id))).toEqual(ids.map(() => 'a:2'))
  expect(stores.every(({ calls }, index) => calls.knownStates > (looked[index] ?? 0))).toBe(true)
})

test('a layer that is attached gets everything, also if that is more than waits for repair at a time', async () => {
  const clock = manualClock()
  const a = disk()
  const ids = Array.from({ length: 95 }, (_, index) => `note ${index}`)
  a.data.append(ids.map((id) => content(id, 'a:0-2')))
  const { all } = await over([a], { clock, limits: { repairsQueuedMax: 10 } })
  const b = disk()
  await all.attach({ storage: store(b), name: 'B' })
  await clock.advance(60_000)
  expect(ids.filter((id) => held({ disk: b }, id) !== 'a:2')).toEqual([])
  expect(() => all.detach('C')).toThrow(RangeError)
  all.detach('A')
  expect((await all.load('note 1')).answered).toEqual(['B'])
  expect(() => all.detach('B')).toThrow('the last layer stays')
})

test('a layer that fails again and again is left alone, longer and longer, and is back when it answers', async () => {
  const clock = manualClock()
  const { all, stores, events } = await over([disk(), disk()], { clock, policy: 'any-durable' })
  const [a, b] = stores
  a?.disk.data.append([content('note', 'a:0-1')])
  if (b !== undefined) b.plan = () => ({ fails: 'IO' })
  for (let load = 0; load < 50; load++) await all.load('note')
  const calls = b?.calls.knownStates ?? 0
  expect(calls).toBeLessThan(8)
  await clock.advance(3_600_000)
  expect((b?.calls.knownStates ?? 0) - calls).toBeLessThan(60)
  if (b !== undefined) b.plan = undefined
  await clock.advance(600_000)
  expect(of(events, 'layer').map(({ condition }) => condition)).toEqual(['down', 'up'])
  expect(held({ disk: b?.disk as Disk })).toBe('a:1')
})

test('calls that fail together leave a layer alone no longer than one, and it is asked when that is over (disks, seed 644)', async () => {
  const clock = manualClock()
  const { all, stores, events } = await over([disk(), disk()], { clock, policy: 'any-durable' })
  const [a, b] = stores
  a?.disk.data.append([content('note', 'a:0-1')])
  if (b !== undefined) slow(b, clock, Number.POSITIVE_INFINITY)
  const loads = Array.from({ length: 40 }, (_, index) => all.load(`note ${index}`))
  await passing(clock, Promise.allSettled([...loads, all.load('note')]))
  if (b !== undefined) b.plan = undefined
  await clock.advance(5_000)
  expect(of(events, 'layer').map(({ condition }) => condition)).toEqual(['slow', 'up'])
  await clock.advance(60_000)
  expect(held({ disk: b?.disk as Disk })).toBe('a:1')
})

test('at most four documents are repaired at once, those that somebody waits for first', async () => {
  const clock = manualClock()
  const [a, b] = [disk(), disk()]
  const ids = Array.from({ length: 20 }, (_, index) => `note ${String(index).padStart(2, '0')}`)
  a.data.append(ids.map((id) => content(id, 'a:0-2')))
  const { all, stores, events } = await over([a, b], { clock })
  let busy = 0
  let most = 0
  const target = stores[1]
  if (target !== undefined)
    target.plan = ({ method }) => {
      if (method !== 'append') return undefined
      most = Math.max(most, ++busy)
      return { after: clock.wait(100).then(() => void busy--) }
    }
  const sweep = all.sweep()
  await settled()
  void all.load('note 19')
  await passing(clock, Promise.all([sweep, all.whenSettled()]))
  expect(most).toBe(4)
  const order = of(events, 'repair')
    .filter(({ step }) => step === 'start')
    .map(({ id }) => id)
  expect(order.indexOf('note 19')).toBeLessThan(10)
  expect(ids.every((id) => held({ disk: b }, id) === 'a:2')).toBe(true)
})

test('a document is repaired at most once in half a minute, unless its state changed', async () => {
  const clock = manualClock()
  const [a, b] = [disk(), disk()]
  a.data.append([content('note', 'a:0-2')])
  const { all, stores, events } = await over([a, b], { clock })
  const target = stores[1]
  // It says that it stored what it did not.
  if (target !== undefined) target.append = (batch) => batch.map(() => ({ state: undefined, refused: new Map() }))
  for (let load = 0; load < 20; load++) {
    await all.load('note', { until: 'settled' })
    await clock.advance(1_000)
  }
  expect(of(events, 'repair').filter(({ step }) => step === 'start')).toHaveLength(1)
  await clock.advance(30_000)
  await all.load('note', { until: 'settled' })
  expect(of(events, 'repair').filter(({ step }) => step === 'start')).toHaveLength(2)
})

test('a layer with a rate is filled no faster', async () => {
  const clock = manualClock()
  const [a, b] = [disk(), disk()]
  const transactions = Array.from({ length: 100 }, (_, at) => new Uint8Array(1_000).fill(at))
  a.data.append([{ ...content('note', ''), runs: [{ session: 'a', after: 0, transactions }] }])
  const all = layers([store(a), { storage: store(b), repairBytesPerSecond: 10_000 }], {
    clock,
    limits: { repairPageBytes: 5_000 },
  })
  await all.open()
  const started = clock.now()
  await passing(clock, all.load('note', { until: 'settled' }))
  expect(held({ disk: b })).toBe('a:100')
  expect(clock.now() - started).toBeGreaterThan(8_000)
  expect(clock.now() - started).toBeLessThan(12_000)
})

test('every range is handed over once, whoever answers when: the first usable layer whole, the others what they add', async () => {
  const clock = manualClock()
  const disks = [disk(), disk(), disk()]
  const parts = ['a:0-3', 'a:0-5 b:0-1', 'a:0-4 c:0-2']
  for (const [index, on] of disks.entries()) on.data.append([content('note', parts[index] as string)])
  const { all, stores } = await over(disks, { clock })
  for (const [index, one] of stores.entries()) slow(one, clock, [100, 5, 300][index] as number)
  const handed: string[] = []
  const onPage = (page: {
    readonly runs: readonly { session: string; after: number; transactions: readonly unknown[] }[]
  }) => {
    for (const { session, after, transactions } of page.runs)
      for (let at = after; at < after + transactions.length; at++) handed.push(`${session}${at}`)
  }
  const first = await passing(clock, all.load('note', { until: 'usable', onPage }))
  expect([first.answered, handed.length]).toEqual([['B'], 6])
  const rest: string[] = []
  await passing(clock, all.load('note', { onPage: (page) => rest.push(...page.runs.map(({ session }) => session)) }))
  await clock.advance(10_000)
  expect(handed.sort()).toEqual(['a0', 'a1', 'a2', 'a3', 'a4', 'b0', 'c0', 'c1'])
})

test('a load that nobody waits for any more ends with the reason of its signal', async () => {
  const clock = manualClock()
  const { all, stores } = await over([disk()], { clock })
  if (stores[0] !== undefined) slow(stores[0], clock, Number.POSITIVE_INFINITY)
  const leaving = new AbortController()
  const load = all.load('note', { signal: leaving.signal })
  leaving.abort(new Error('the user left'))
  await expect(load).rejects.toThrow('the user left')
})

test('memory in front of a disk is a cache: it is read where it has everything, and counts for nothing', async () => {
  const clock = manualClock()
  const a = disk()
  const memory = faults(memoryStorage())
  const durable = store(a)
  const all = layers(
    [
      { name: 'memory', storage: memory },
      { name: 'A', storage: durable },
    ],
    { clock },
  )
  expect((await all.open()).level).toBe('durable')
  await all.append([content('note', 'a:0-3')])
  await all.read('note', EMPTY, { bytesMax: 1_000 })
  expect([durable.calls.read, memory.calls.read]).toEqual([0, 1])
  durable.plan = ({ method }) => (method === 'append' ? { fails: 'IO' } : undefined)
  await expect(all.append([content('note', 'a:3-4', { header: false })])).rejects.toThrow()
  expect(counts((await all.knownStates(['note']))[0]?.known)).toBe('a:3')
  expect(all.health().map(({ role }) => role)).toEqual(['cache', 'required'])
})

/** A cache that holds a note from A, which is taken out; `other` is what B holds. Answers what is read then, and how often where. */
async function withoutOrigin(note: Append, other: Append, isFilled = true) {
  const clock = manualClock()
  const [a, b] = [disk(), disk()]
  a.data.append([note])
  b.data.append([other])
  const memory = faults(memoryStorage())
  const stores = [store(a), store(b)] as const
  const all = layers([memory, ...stores], { clock, limits: { repairsMax: 0 } })
  await all.open()
  const read = () => passing(clock, Promise.resolve(all.read('note', EMPTY, { bytesMax: 1_000 })))
  if (isFilled) await read()
  else memory.append([note])
  all.detach('layer 2')
  const before = memory.calls.read
  const pages = []
  for (let reads = 0; reads < 5; reads++) pages.push(await read())
  const transactions = pages.map((page) => page?.runs.flatMap((run) => run.transactions))
  return { transactions, inCache: memory.calls.read - before, inDisk: stores[1].calls.read }
}

for (const isFilled of [true, false])
  test(`what a cache has ${isFilled ? 'from a layer that was taken out' : 'from nobody knows where'} is read there again when another layer was seen to hold the same`, async () => {
    const note = content('note', 'a:0-3 b:0-1')
    const { transactions, inCache, inDisk } = await withoutOrigin(note, note, isFilled)
    expect(transactions).toEqual(transactions.map(() => note.runs.flatMap((run) => run.transactions)))
    expect([inCache, inDisk]).toEqual([4, 1])
  })

for (const [which, other] of [
  ['other transactions', content('note', 'a:0-3', { salt: ' other' })],
  ['another header', { ...content('note', 'a:0-3'), header: new Uint8Array([7]) }],
  ['another count', content('note', 'a:0-4')],
  ['json, of which no digest tells', content('note', 'a:0-3', { kind: 'json' })],
] as const)
  test(`what a cache has from a layer that was taken out is not read in place of one that holds something else (${which})`, async () => {
    const note = content('note', 'a:0-3', { kind: other.kind })
    const { transactions, inCache, inDisk } = await withoutOrigin(note, other)
    expect(transactions).toEqual(transactions.map(() => other.runs.flatMap((run) => run.transactions)))
    expect([inCache, inDisk]).toEqual([0, 5])
  })

test('a cache of so many bytes drops what was used long ago, and serves what it has', () => {
  const cache = cacheStorage({ bytesMax: 10_000 })
  cache.open()
  for (let index = 0; index < 100; index++)
    cache.append([
      { ...content(`note ${index}`, ''), runs: [{ session: 'a', after: 0, transactions: [new Uint8Array(1_000)] }] },
    ])
  const ids = Array.from({ length: 100 }, (_, index) => `note ${index}`)
  const kept = (cache.knownStates(ids) as readonly unknown[]).map((state) => state !== undefined)
  expect(kept.filter(Boolean).length).toBeLessThanOrEqual(10)
  expect(kept.at(-1)).toBe(true)
  expect(kept[0]).toBe(false)
})

test('layers need names of their own', () => {
  const storage = memoryStorage()
  expect(() => layers([])).toThrow(RangeError)
  expect(() =>
    layers([
      { storage, name: 'a' },
      { storage, name: 'a' },
    ]),
  ).toThrow('two layers are called "a"')
})
