/**
 * What is put off: it is bounded, asks nobody, is taken up when what it waits for is back, and is forgotten nowhere. In manual time.
 */
import { expect, test } from 'vitest'
import { content, counts, disk, held, manualClock, of, over, passing, store } from './world.ts'

const DAY_MS = 86_400_000

const many = (count: number) => Array.from({ length: count }, (_, at) => `note ${String(at).padStart(5, '0')}`)

test('what waits for a silent layer is bounded, asks nobody, and is brought to it when it answers again', async () => {
  const clock = manualClock()
  const disks = [disk(), disk(), disk()] as const
  const ids = many(300)
  for (const on of disks) on.data.append(ids.map((id) => content(id, 'a:0-1')))
  const { all, a, c } = await over(disks, { clock, limits: { repairsQueuedMax: 50, sweepSlice: 50 } })
  await clock.advance(60_000)
  disks[0].data.append(ids.map((id) => content(id, 'a:1-2', { header: false })))
  c.plan = () => ({ fails: 'IO' })
  const before = clock.waiting
  await passing(clock, all.sweep())
  expect(clock.waiting - before).toBeLessThan(10)
  const looked = a.calls.knownStates
  await clock.advance(3_600_000)
  expect(a.calls.knownStates).toBe(looked)
  c.plan = undefined
  await clock.advance(600_000)
  expect(ids.filter((id) => held({ disk: disks[2] }, id) !== 'a:2')).toEqual([])
})

test('a layer that failed but once is asked until it answers, and what was put off is repaired then', async () => {
  const clock = manualClock()
  const disks = [disk(), disk()] as const
  for (const [at, on] of disks.entries()) on.data.append([content('note', `a:0-${at + 1}`)])
  const { all, a } = await over(disks, { clock })
  let failed = 0
  a.plan = ({ method }) => (method === 'knownStates' && ++failed <= 2 ? { fails: 'IO' } : undefined)
  const [state] = await all.knownStates(['note'])
  expect([counts(state?.known), state?.partial]).toEqual(['a:2', true])
  await clock.advance(5_000)
  expect([held({ disk: disks[0] }), failed > 2]).toEqual(['a:2', true])
})

test('a document that one layer alone does not answer, while it answers others, is asked for ever less often', async () => {
  const clock = manualClock()
  const disks = [disk(), disk()] as const
  const { all, b } = await over(disks, { clock })
  await all.append([content('note', 'a:0-1')])
  b.plan = ({ method, args }) =>
    method === 'knownStates' && (args[0] as readonly string[]).includes('note') ? { fails: 'IO' } : undefined
  disks[0].data.append([content('note', 'a:1-2', { header: false })])
  await passing(clock, all.sweep())
  await clock.advance(3_600_000)
  const looked = b.calls.knownStates
  await clock.advance(3_600_000)
  expect(b.calls.knownStates - looked).toBeLessThan(100)
  b.plan = undefined
  await clock.advance(600_000)
  expect(held({ disk: disks[1] })).toBe('a:2')
})

for (const fails of ['READ_ONLY', 'CORRUPT', 'QUOTA'] as const)
  test(`a layer that cannot store (${fails}) is not tried without end, and gets everything when it can`, async () => {
    const clock = manualClock()
    const disks = [disk(), disk()] as const
    const { all, b } = await over(disks, { clock, policy: 'any-durable' })
    b.plan = ({ method }) => (method === 'append' ? { fails } : undefined)
    const ids = many(5)
    for (const id of ids) await all.append([content(id, 'a:0-1')])
    await clock.advance(3_600_000)
    const tried = b.calls.append
    await clock.advance(DAY_MS)
    // One document every few minutes shows whether a disk can be written again; what is damaged is for the daily sweep.
    expect(b.calls.append - tried).toBeLessThan(fails === 'CORRUPT' ? 20 : 500)
    b.plan = undefined
    await clock.advance(fails === 'CORRUPT' ? DAY_MS : 600_000)
    expect(ids.map((id) => held({ disk: disks[1] }, id))).toEqual(ids.map(() => 'a:1'))
  })

test('what a layer missed is brought to it before what it merely lacks, each the longest first', async () => {
  const clock = manualClock()
  const disks = [disk(), disk()] as const
  const ids = many(4)
  for (const on of disks) on.data.append(ids.map((id) => content(id, 'a:0-1')))
  const { all, b, events } = await over(disks, { clock, policy: 'any-durable', limits: { repairsMax: 1 } })
  await clock.advance(60_000)
  disks[0].data.append(ids.slice(0, 2).map((id) => content(id, 'a:1-2', { header: false })))
  b.plan = () => ({ fails: 'IO' })
  await passing(clock, all.sweep())
  for (const id of ids.slice(2)) await all.append([content(id, 'a:1-2', { header: false })]).catch(() => {})
  await clock.advance(60_000)
  b.plan = undefined
  await clock.advance(600_000)
  const brought = of(events, 'repair').filter(({ layer, step }) => layer === 'B' && step === 'done')
  expect(brought.map(({ id }) => id)).toEqual([...ids.slice(2), ...ids.slice(0, 2)])
})

test('a layer that is filled is not gone through again while another is silent, and is when that is back', async () => {
  const clock = manualClock()
  const disks = [disk(), disk()] as const
  const ids = many(20)
  for (const on of disks) on.data.append(ids.map((id) => content(id, 'a:0-1')))
  const { all, a, b } = await over(disks, { clock, policy: 'any-durable' })
  await clock.advance(60_000)
  disks[1].data.append([content('hidden', 'a:0-1')])
  b.plan = () => ({ after: new Promise(() => {}) })
  const added = store()
  await passing(clock, all.attach({ storage: added, name: 'C' }))
  await clock.advance(3_600_000)
  expect(ids.filter((id) => held(added, id) !== 'a:1')).toEqual([])
  const before = [a.calls.list, a.calls.knownStates]
  await clock.advance(DAY_MS / 2)
  expect([a.calls.list, a.calls.knownStates]).toEqual(before)
  b.plan = undefined
  await clock.advance(600_000)
  expect(held(added, 'hidden')).toBe('a:1')
  expect(noted(disks[0], 'C')).toBe(true)
})

test('a full layer is tried with one document, which shows that it has room again', async () => {
  const clock = manualClock()
  const disks = [disk(), disk()] as const
  const { all, b } = await over(disks, { clock, policy: 'any-durable' })
  const ids = many(50)
  await all.append(ids.map((id) => content(id, 'a:0-1')))
  const refused = new Set<string>()
  b.plan = ({ method, args }) => {
    const batch = method === 'append' ? (args[0] as readonly { readonly id: string }[]) : []
    for (const { id } of batch) refused.add(id)
    return batch.length > 0 ? { fails: 'QUOTA' } : undefined
  }
  disks[0].data.append(ids.map((id) => content(id, 'a:1-2', { header: false })))
  await passing(clock, all.sweep())
  expect(all.health()[1]?.condition).toBe('quota')
  refused.clear()
  const tried = b.calls.append
  await clock.advance(3_600_000)
  // Nothing tells of a failure before it is there: a few may be on their way.
  expect([refused.size <= 4, b.calls.append - tried < 100]).toEqual([true, true])
  b.plan = undefined
  await clock.advance(600_000)
  expect(ids.filter((id) => held({ disk: disks[1] }, id) !== 'a:2')).toEqual([])
  expect(all.health()[1]?.condition).toBe('up')
})

test('a full layer is tried also if what it could not store first is written, and what waits for that is (disks, seed 10377 of two disks)', async () => {
  const clock = manualClock()
  const disks = [disk(), disk()] as const
  const { all, a, b } = await over(disks, { clock, policy: 'any-durable' })
  const ids = many(2)
  const [first, second] = ids as [string, string]
  await all.append(ids.map((id) => content(id, 'a:0-1')))
  b.plan = ({ method, args }) =>
    method === 'append' && (args[0] as readonly unknown[]).length > 0 ? { fails: 'QUOTA' } : undefined
  for (const id of [first, second]) await all.append([content(id, 'a:1-2', { header: false })])
  await clock.advance(1_000)
  // What was put off is written again: in this layer it fails, whatever is known of the first.
  b.disk.data.append([content(second, 'a:1-2', { header: false })])
  for (const one of [a, b]) await one.knownStates([second])
  await all.knownStates([second])
  await all.append([content(second, 'a:2-3', { header: false })])
  await clock.advance(60_000)
  b.plan = undefined
  await clock.advance(600_000)
  expect(ids.map((id) => held({ disk: disks[1] }, id))).toEqual(['a:2', 'a:3'])
})

test('what waits for a layer that is taken out waits no longer', async () => {
  const clock = manualClock()
  const disks = [disk(), disk(), disk()] as const
  const { all, b, c, events } = await over(disks, { clock, policy: 'any-durable' })
  await all.append([content('note', 'a:0-1')])
  b.plan = ({ method }) => (method === 'append' ? { fails: 'IO' } : undefined)
  c.plan = () => ({ fails: 'IO' })
  await all.append([content('note', 'a:1-2', { header: false })]).catch(() => {})
  await clock.advance(60_000)
  b.plan = undefined
  await clock.advance(600_000)
  expect([held({ disk: disks[1] }), all.health()[1]?.dirty]).toEqual(['a:2', 1])
  all.detach('C')
  await clock.advance(1_000)
  expect([all.health()[1]?.dirty, of(events, 'settled').at(-1)?.missing]).toEqual([0, []])
})

test('damaged documents are counted where they are', async () => {
  const clock = manualClock()
  const disks = [disk(), disk()] as const
  const { all, b } = await over(disks, { clock })
  await all.append([content('note', 'a:0-1')])
  b.plan = ({ method, args }) =>
    method === 'knownStates' && (args[0] as readonly string[]).includes('note') ? { fails: 'CORRUPT' } : undefined
  await all.knownStates(['note'])
  expect(all.health().map(({ condition, damaged }) => [condition, damaged])).toEqual([
    ['up', 0],
    ['up', 1],
  ])
  b.plan = undefined
  await all.knownStates(['note'])
  expect(all.health().map(({ damaged }) => damaged)).toEqual([0, 0])
})

/** Whether it is noted in a disk which layer this is: it has everything. */
function noted(on: ReturnType<typeof disk>, name: string): boolean {
  const prefix = `\u{10ffff}tidemark layers generation ${name.length} ${name}`
  return on.data.marks({ prefix, limit: 1 }).length > 0
}

test('a layer that is stuck is tried again by a sweep, or when there is more, and not because somebody looks', async () => {
  const clock = manualClock()
  const { all, a, b, events } = await over([disk(), disk()], { clock })
  await all.append([content('note', 's:0-3')])
  a.disk.data.append([content('note', 's:3-5', { header: false })])
  b.append = (batch) => batch.map(({ id }) => ({ state: b.disk.data.knownStates([id])[0], refused: new Map() }))
  const stuck = () => of(events, 'repair').filter(({ step }) => step === 'stuck').length
  const later = async (work: () => unknown) => {
    await Promise.resolve(work())
    await clock.advance(3_600_000)
    return stuck()
  }
  const look = () => later(() => all.knownStates(['note']))
  const load = () => later(() => passing(clock, all.load('note', { until: 'settled' })))
  expect([await look(), await look(), await load()]).toEqual([1, 1, 1])
  expect(await later(() => passing(clock, all.sweep()))).toBe(2)
  expect(await look()).toBe(2)
  a.disk.data.append([content('note', 's:5-6', { header: false })])
  expect([await look(), await look()]).toEqual([3, 3])
})
