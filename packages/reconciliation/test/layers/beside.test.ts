/**
 * What layers keep beside documents: marks, small maps, and notes of what is being written.
 */
import { expect, test } from 'vitest'
import { createIntents } from '../../src/layers/intents.ts'
import { createOwing } from '../../src/layers/owing.ts'
import { layers } from '../../src/layers.ts'
import {
  content,
  counts,
  type Disk,
  disk,
  held,
  manualClock,
  of,
  outcome,
  over,
  passing,
  type Store,
  settled,
  store,
} from './world.ts'

const owed = (all: {
  marks(options: { prefix: string; limit: number }): PromiseLike<readonly (readonly [string, Uint8Array])[]>
}) =>
  all.marks({ prefix: 'outbox', limit: 99 }).then((found) => found.map(([key, [value]]) => `${key.slice(7)} ${value}`))
const mark = (key: string, value: number | undefined) =>
  new Map([[`outbox ${key}`, value === undefined ? undefined : new Uint8Array([value])]])
const owedBy = (on: Disk) =>
  on.data.marks({ prefix: 'outbox', limit: 99 }).map(([key, [value]]) => `${key.slice(7)} ${value}`)

for (const policy of ['any-durable', { quorum: 2 }] as const)
  test(`marks that the first layer missed are read from another, and brought to it exactly (${JSON.stringify(policy)})`, async () => {
    const clock = manualClock()
    const disks = [disk(), disk(), disk()] as const
    const { all, a } = await over(disks, { clock, policy })
    await all.append([content('note', 'a:0-1')], { marks: new Map([...mark('gone', 1), ...mark('old', 1)]) })
    await settled()
    a.plan = ({ method }) => (method === 'append' ? { fails: 'IO' } : undefined)
    await all.append([content('note', 'a:1-2', { header: false })], {
      marks: new Map([...mark('gone', undefined), ...mark('old', 2)]),
    })
    await all.append([content('other', 'a:0-1')], { marks: mark('new', 1) })
    expect(await owed(all)).toEqual(['new 1', 'old 2'])
    expect(owedBy(disks[0])).toEqual(['gone 1', 'old 1'])
    for (const on of disks) on.kill()
    const again = await over(disks, { clock, policy })
    expect(await owed(again.all)).toEqual(['new 1', 'old 2'])
    await clock.advance(600_000)
    expect(disks.map(owedBy)).toEqual(disks.map(() => ['new 1', 'old 2']))
  })

test('marks are not acknowledged by a layer that lacks earlier ones', async () => {
  const clock = manualClock()
  const disks = [disk(), disk()] as const
  const { all, a, b } = await over(disks, { clock, policy: 'any-durable' })
  a.plan = ({ method }) => (method === 'append' ? { fails: 'IO' } : undefined)
  await all.append([], { marks: mark('x', 1) })
  a.plan = undefined
  b.plan = () => ({ fails: 'IO' })
  expect(await outcome(all.append([], { marks: mark('y', 1) }))).toBe('failed')
  expect(await outcome(Promise.resolve(owed(all)))).toBe('failed')
  b.plan = undefined
  await clock.advance(600_000)
  expect(await outcome(all.append([], { marks: mark('y', 1) }))).toBe('done')
  expect(disks.map(owedBy)).toEqual([
    ['x 1', 'y 1'],
    ['x 1', 'y 1'],
  ])
})

test('a layer added before the others gets their marks before anybody reads them', async () => {
  const clock = manualClock()
  const [on, added] = [disk(), disk()]
  const first = await over([on], { clock })
  await first.all.append([content('note', 'a:0-1')], { marks: mark('x', 1) })
  await first.all.close()
  const { all } = await over([added, on], { clock })
  expect(await owed(all)).toEqual(['x 1'])
  expect(owedBy(added)).toEqual(['x 1'])
})

test('what a crash left in one of two required layers is not acknowledged while the other is silent', async () => {
  for (const missing of [0, 1]) {
    const clock = manualClock()
    const disks = [disk(), disk()] as const
    const { all, stores } = await over(disks, { clock })
    await all.append([content('safe', 'a:0-3')])
    const late = stores[missing] as (typeof stores)[0]
    late.plan = ({ method }) => (method === 'append' ? { after: new Promise(() => {}) } : undefined)
    void outcome(all.append([content('note', 'a:0-3')], { marks: mark('note', 1) }))
    await settled()
    for (const on of disks) on.kill()
    const again = await over(disks, { clock })
    expect([missing, await owed(again.all)]).toEqual([missing, ['note 1']])
    const silent = again.stores[missing] as (typeof stores)[0]
    silent.plan = ({ method }) => (method === 'knownStates' ? { fails: 'IO' } : undefined)
    const [state] = await again.all.knownStates(['note'])
    expect([counts(state?.known), counts(state?.durable)]).toEqual(['a:3', ''])
    silent.plan = undefined
    await clock.advance(600_000)
    const [later] = await again.all.knownStates(['note'])
    expect([counts(later?.known), later?.durable, held(silent)]).toEqual(['a:3', undefined, 'a:3'])
  }
})

/** Both acknowledged `a:1`; `a:3` is in the first alone, when the process ends. */
async function crashed() {
  const clock = manualClock()
  const disks = [disk(), disk()] as const
  const { all, b } = await over(disks, { clock })
  await all.append([content('note', 'a:0-1')])
  b.plan = ({ method }) => (method === 'append' ? { after: new Promise(() => {}) } : undefined)
  void outcome(all.append([content('note', 'a:1-3', { header: false })]))
  await settled()
  for (const on of disks) on.kill()
  return { clock, disks }
}

for (const mode of ['fails', 'hangs'] as const)
  test(`what a crash left in one layer is not acknowledged while the other opens and then ${mode}`, async () => {
    const { clock, disks } = await crashed()
    const silent = mode === 'fails' ? ({ fails: 'IO' } as const) : { after: new Promise(() => {}) }
    const { all, b } = await over(disks, { clock }, ([, late]) => {
      ;(late as Store).plan = ({ method }) => (method === 'open' ? undefined : silent)
    })
    const [state] = await passing(clock, all.knownStates(['note']))
    expect([counts(state?.known), counts(state?.durable)]).toEqual(['a:3', ''])
    b.plan = undefined
    await clock.advance(600_000)
    const [later] = await all.knownStates(['note'])
    expect([counts(later?.known), later?.durable, held(b)]).toEqual(['a:3', undefined, 'a:3'])
  })

test('no silent layer is excused before the others have said what was being written, which they are asked until they do', async () => {
  const { clock, disks } = await crashed()
  const { all, a, b } = await over(disks, { clock }, ([first, second]) => {
    ;(first as Store).plan = ({ method }) => (method === 'marks' ? { fails: 'IO' } : undefined)
    ;(second as Store).plan = ({ method }) => (method === 'knownStates' ? { fails: 'IO' } : undefined)
  })
  const durable = async () => counts((await all.knownStates(['note']))[0]?.durable)
  expect(await durable()).toBe('')
  a.plan = undefined
  await clock.advance(600_000)
  expect([await durable(), all.health()[1]?.dirty]).toEqual(['', 1])
  b.plan = undefined
  await clock.advance(600_000)
  expect([(await all.knownStates(['note']))[0]?.durable, held(b)]).toEqual([undefined, 'a:3'])
})

test('what was being written stays noted until it is stored which layers may lack it', async () => {
  const { clock, disks } = await crashed()
  let isFirst = true
  await over(disks, { clock }, ([first, second]) => {
    ;(first as Store).plan = ({ method }) => {
      if (method !== 'append' || !isFirst) return undefined
      isFirst = false
      return { fails: 'IO' }
    }
    ;(second as Store).plan = ({ method }) => (method === 'open' ? undefined : { fails: 'IO' })
  })
  expect(isFirst).toBe(false)
  for (const on of disks) on.kill()
  const { all } = await over(disks, { clock }, ([, late]) => {
    ;(late as Store).plan = ({ method }) => (method === 'knownStates' ? { fails: 'IO' } : undefined)
  })
  const [state] = await all.knownStates(['note'])
  expect([counts(state?.known), counts(state?.durable)]).toEqual(['a:3', ''])
})

test('what is being written is noted by the commit that writes it, once for what is written again, and taken back', async () => {
  const clock = manualClock()
  const disks = [disk(), disk()] as const
  const { all, stores } = await over(disks, { clock })
  const intents = (on: Disk) => on.data.marks({ prefix: '\u{10ffff}tidemark layers writing', limit: 9_999 }).length
  await all.append([content('note', 'a:0-1')])
  const before = stores.map(({ calls }) => calls.append)
  for (let at = 1; at < 9; at++) await all.append([content('note', `a:${at}-${at + 1}`, { header: false })])
  expect(disks.map(intents)).toEqual([1, 1])
  for (let at = 0; at < 2_000; at++) await all.append([content(`note ${at}`, 'a:0-1')])
  expect(stores.map(({ calls }, index) => calls.append - (before[index] as number))).toEqual([2_008, 2_008])
  for (const on of disks) expect(intents(on)).toBeLessThan(600)
  await all.close()
  expect(disks.map(intents)).toEqual([0, 0])
})

test('writes that hang have nothing taken back before its time, and cost the others nothing', () => {
  const asked: string[] = []
  const intents = createIntents((id) => asked.push(id) > 0)
  const begin = (id: string) => intents.begin('run', [id], [])
  for (let at = 0; at < 2_000; at++) begin(`hanging ${at}`)
  const taken = Array.from({ length: 600 }, (_, at) => {
    const { marks, ended } = begin(`ended ${at}`)
    ended()
    return marks.size - 1
  })
  // In one bunch, when there are enough of them.
  expect(taken.filter((count) => count > 0)).toEqual([257])
  expect([asked.length, asked.every((id) => id.startsWith('ended'))]).toEqual([257, true])
})

test('a document is owed until every write of it is stored, or over', () => {
  const owing = createOwing()
  const [one, other] = [owing.begin(['a', 'b']), owing.begin(['a'])]
  one.stored('a')
  one.stored('a')
  expect([owing.has('a'), owing.has('b')]).toEqual([true, true])
  other.ended()
  other.ended()
  expect([owing.has('a'), owing.has('b')]).toEqual([false, true])
  one.ended()
  expect(owing.has('b')).toBe(false)
})

const secret = (counter: number, value: number) => ({
  version: [counter, 'me'] as const,
  bytes: new Uint8Array([value]),
})
const secrets = (on: Disk) => [...on.data.readMap('map')].map(([key, { bytes }]) => `${key} ${bytes?.[0]}`).sort()

test('entries of a small map that a layer missed are flagged, and arrive without anybody reading the map, over a restart too', async () => {
  const clock = manualClock()
  const disks = [disk(), disk()] as const
  const { all, b } = await over(disks, { clock, policy: 'any-durable' })
  b.plan = ({ method }) => (method === 'mergeMap' ? { fails: 'IO' } : undefined)
  await all.mergeMap('map', new Map([['key', secret(1, 7)]]))
  await settled()
  expect(disks.map(secrets)).toEqual([['key 7'], []])
  for (const on of disks) on.kill()
  await over(disks, { clock, policy: 'any-durable' })
  await clock.advance(600_000)
  expect(disks.map(secrets)).toEqual([['key 7'], ['key 7']])
})

test('a layer that is new or was wiped gets all small maps', async () => {
  const clock = manualClock()
  const disks = [disk(), disk(), disk()] as const
  const first = await over(disks.slice(0, 2), { clock })
  await first.all.append([content('note', 'a:0-1')])
  await first.all.mergeMap('map', new Map([['key', secret(1, 7)]]))
  await first.all.close()
  const wiped = disk()
  const { events } = await over([disks[0], wiped, disks[2]], { clock })
  await clock.advance(60_000)
  expect([secrets(wiped), secrets(disks[2])]).toEqual([['key 7'], ['key 7']])
  expect(JSON.stringify(events)).not.toContain('key')
})

test('a slow layer delays no secrets of the others, and what it adds is told when it comes', async () => {
  const clock = manualClock()
  const disks = [disk(), disk()] as const
  disks[0].data.mergeMap('map', new Map([['here', secret(1, 1)]]))
  disks[1].data.mergeMap('map', new Map([['there', secret(1, 2)]]))
  const { all, b, events } = await over(disks, { clock })
  b.plan = ({ method }) => (method === 'readMap' ? { after: clock.wait(1_500) } : undefined)
  const before = clock.now()
  const read = await passing(clock, all.readMap('map'))
  expect([clock.now() - before <= 150, [...read.keys()], of(events, 'map')]).toEqual([true, ['here'], []])
  await clock.advance(2_000)
  expect(of(events, 'map')).toEqual([{ kind: 'map', map: 'map' }])
  expect(disks.map(secrets)).toEqual([
    ['here 1', 'there 2'],
    ['here 1', 'there 2'],
  ])
})

test('what layers missed of a small map stays flagged, and is counted, when a read ends that began before', async () => {
  const clock = manualClock()
  const disks = [disk(), disk(), disk()] as const
  for (const { data } of disks) data.mergeMap('map', new Map([['all', secret(1, 1)]]))
  const { all, b, c } = await over(disks, { clock, policy: 'any-durable' })
  c.plan = ({ method }) => (method === 'readMap' ? { after: clock.wait(1_500) } : undefined)
  b.plan = ({ method }) => (method === 'mergeMap' ? { fails: 'IO' } : undefined)
  await passing(clock, all.readMap('map'))
  c.plan = b.plan
  await passing(clock, all.mergeMap('map', new Map([['key', secret(1, 7)]])))
  await clock.advance(2_000)
  expect(all.health().map(({ dirtyMaps }) => dirtyMaps)).toEqual([0, 1, 1])
  b.plan = undefined
  c.plan = undefined
  await clock.advance(600_000)
  expect([disks.map(secrets), all.health().map(({ dirtyMaps }) => dirtyMaps)]).toEqual([
    disks.map(() => ['all 1', 'key 7']),
    [0, 0, 0],
  ])
})

test('a layer that was taken out for a while has all marks, maps and documents again, first or not, also after a restart', async () => {
  for (const [away, runs] of [
    ['A', true],
    ['A', false],
    ['B', true],
    ['B', false],
  ] as const) {
    const clock = manualClock()
    const disks = [disk(), disk()] as const
    const { all, stores } = await over(disks, { clock })
    await all.append([content('note', 'a:0-1')], { marks: new Map([...mark('old', 1), ...mark('gone', 1)]) })
    all.detach(away)
    await settled()
    const marks = new Map([...mark('old', 2), ...mark('gone', undefined), ...mark('new', 1)])
    await all.append([content('other', 'a:0-1')], { marks })
    await all.mergeMap('map', new Map([['key', secret(1, 7)]]))
    const index = away === 'A' ? 0 : 1
    if (runs) await all.attach({ storage: stores[index] as (typeof stores)[0], name: away })
    else await all.close()
    const now = runs ? all : (await over(disks, { clock })).all
    await clock.advance(60_000)
    expect(await owed(now)).toEqual(['new 1', 'old 2'])
    expect(disks.map(owedBy)).toEqual([await owed(now), await owed(now)])
    expect([disks.map(secrets), held({ disk: disks[index] }, 'other')]).toEqual([[['key 7'], ['key 7']], 'a:1'])
  }
})

test('a conflict in a small map is told once, however often it is read, and again when a later version has one', async () => {
  const clock = manualClock()
  const { all, a, b, events } = await over([disk(), disk()], { clock })
  const entry = (count: number, value: number) =>
    new Map([['key', { version: [count, 'me'] as const, bytes: new Uint8Array([value]) }]])
  for (const count of [1, 2]) {
    a.disk.data.mergeMap('secrets', entry(count, 1))
    b.disk.data.mergeMap('secrets', entry(count, 2))
    for (let reads = 0; reads < 5; reads++) {
      await all.readMap('secrets')
      await settled()
    }
    expect(of(events, 'conflict')).toHaveLength(count)
  }
})

test.each(['fails', 'times out'])('what a layer that %s adds to a small map is told when it answers', async (how) => {
  const clock = manualClock()
  const disks = [disk(), disk()] as const
  disks[0].data.mergeMap('map', new Map([['here', secret(1, 1)]]))
  disks[1].data.mergeMap('map', new Map([['there', secret(1, 2)]]))
  const { all, b, events } = await over(disks, { clock })
  const never = { after: new Promise<void>(() => {}) }
  b.plan = ({ method }) => (method !== 'readMap' ? undefined : how === 'fails' ? { fails: 'IO' } : never)
  const first = await passing(clock, all.readMap('map'))
  await clock.advance(20_000)
  expect([[...first.keys()], of(events, 'map')]).toEqual([['here'], []])
  b.plan = undefined
  // Whoever reads it again has all of it, and whoever read it before is told.
  if (how === 'fails') expect([...(await passing(clock, all.readMap('map'))).keys()]).toEqual(['here', 'there'])
  await clock.advance(1_000_000)
  expect(of(events, 'map')[0]).toEqual({ kind: 'map', map: 'map' })
  expect(disks.map(secrets)).toEqual(disks.map(() => ['here 1', 'there 2']))
})

test('what a layer that is attached adds to a small map is told', async () => {
  const clock = manualClock()
  const { all, events } = await over([disk(), disk()], { clock })
  await passing(clock, all.mergeMap('map', new Map([['here', secret(1, 1)]])))
  const on = disk()
  on.data.mergeMap('map', new Map([['there', secret(1, 2)]]))
  await passing(clock, all.attach({ storage: store(on), name: 'N' }))
  await clock.advance(1_000_000)
  expect(of(events, 'map')).toEqual([{ kind: 'map', map: 'map' }])
  expect([...(await passing(clock, all.readMap('map'))).keys()]).toEqual(['here', 'there'])
})

test('what a layer missed of a small map and gets is no news', async () => {
  const clock = manualClock()
  const disks = [disk(), disk()] as const
  const { all, b, events } = await over(disks, { clock, policy: 'any-durable' })
  b.plan = ({ method }) => (method === 'mergeMap' ? { fails: 'IO' } : undefined)
  await passing(clock, all.mergeMap('map', new Map([['key', secret(1, 7)]])))
  b.plan = undefined
  await clock.advance(1_000_000)
  expect([disks.map(secrets), of(events, 'map')]).toEqual([[['key 7'], ['key 7']], []])
})

test('a small map is kept where a quorum of layers is wanted and fewer of them keep any', async () => {
  const clock = manualClock()
  const stores = [store(), store(), store()] as const
  const given = stores.map((storage, at) => ({ storage, name: 'ABR'[at] as string, remote: at === 2 }))
  const all = layers(given, { clock, policy: { quorum: 3 } })
  await passing(clock, all.open())
  expect(await passing(clock, all.mergeMap('map', new Map([['key', secret(1, 7)]])))).toMatchObject({ merged: ['key'] })
  stores[1].plan = ({ method }) => (method === 'mergeMap' ? { fails: 'IO' } : undefined)
  expect(await passing(clock, outcome(all.mergeMap('map', new Map([['key', secret(2, 8)]]))))).toBe('failed')
})
