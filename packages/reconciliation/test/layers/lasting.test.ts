/**
 * What one failure, or one layer that is silent for long, must not do to everything else: end sweeps, fill the memory, ask without end. In manual time.
 */
import { expect, test } from 'vitest'
import { layers } from '../../src/layers.ts'
import { content, counts, disk, held, manualClock, of, over, passing, type Store, settled, store } from './world.ts'

const DAY_MS = 86_400_000

test('no more documents wait for a silent layer than may be queued, and all are brought to it when it answers again', async () => {
  const clock = manualClock()
  const disks = [disk(), disk(), disk()] as const
  const ids = Array.from({ length: 300 }, (_, index) => `note ${index}`)
  for (const on of disks) on.data.append(ids.map((id) => content(id, 'a:0-1')))
  const { all, c } = await over(disks, { clock, limits: { repairsQueuedMax: 50, sweepSlice: 50 } })
  await clock.advance(60_000)
  disks[0].data.append(ids.map((id) => content(id, 'a:1-2', { header: false })))
  c.plan = () => ({ fails: 'IO' })
  const before = clock.waiting
  await passing(clock, all.sweep())
  expect(clock.waiting - before).toBeLessThan(60)
  c.plan = undefined
  await clock.advance(3_600_000)
  expect(ids.filter((id) => held({ disk: disks[2] }, id) !== 'a:2')).toEqual([])
})

test('a failure at the end of the daily sweep ends that sweep at most: the next days are swept as well', async () => {
  const clock = manualClock()
  const disks = [disk(), disk()] as const
  const { all, b } = await over(disks, { clock })
  await all.append([content('note', 'a:0-1')])
  b.plan = ({ method }) => (method === 'marks' ? { fails: 'IO' } : undefined)
  await clock.advance(1.1 * DAY_MS)
  b.plan = undefined
  expect(b.calls.marks).toBeGreaterThan(0)
  disks[0].data.append([content('hidden', 'a:0-5')])
  await clock.advance(2 * DAY_MS)
  expect(held({ disk: disks[1] }, 'hidden')).toBe('a:5')
})

test('a sweep that ends early is told, and is not the last', async () => {
  const clock = manualClock()
  const disks = [disk(), disk()] as const
  const { a, b, events } = await over(disks, { clock })
  // No storage answers so; whatever a sweep cannot go on with ends it alone.
  const broken = Object.defineProperty([], 0, {
    get: () => {
      throw new TypeError('no list')
    },
  })
  for (const one of [a, b]) one.list = () => broken
  await clock.advance(1.1 * DAY_MS)
  expect(of(events, 'unswept')).toEqual([{ kind: 'unswept', code: undefined }])
  await clock.advance(DAY_MS)
  expect(of(events, 'unswept').length).toBeGreaterThan(1)
})

test('a layer is filled although the names of small maps cannot be read at the end', async () => {
  const clock = manualClock()
  const [full, fresh] = [disk(), disk()]
  full.data.append(['x', 'y'].map((id) => content(id, 'a:0-1')))
  const { a } = await over([full, fresh], { clock })
  let failed = 0
  a.plan = ({ method, args }) => {
    if (method !== 'marks' || !(args[0] as { readonly prefix: string }).prefix.includes('named')) return undefined
    failed++
    return { fails: 'IO' }
  }
  await clock.advance(3_000)
  a.plan = undefined
  await clock.advance(600_000)
  const noted = full.data.marks({ prefix: '\u{10ffff}tidemark layers generation', limit: 9 })
  expect([failed > 0, fresh.data.count(), noted.length > 0]).toEqual([true, 2, true])
})

test('a layer that is added makes nothing acknowledged that one voter holds alone and another is flagged for', async () => {
  const clock = manualClock()
  const disks = [disk(), disk(), disk()] as const
  const { all, b } = await over(disks.slice(0, 2), { clock, policy: { quorum: 2 } })
  await all.append([content('note', 'a:0-1')])
  b.plan = ({ method }) => (method === 'append' ? { fails: 'IO' } : undefined)
  await expect(all.append([content('note', 'a:1-3', { header: false })])).rejects.toMatchObject({ code: 'IO' })
  const c = store(disks[2])
  c.plan = ({ method }) => (method === 'append' ? { after: clock.wait(9_000) } : undefined)
  await passing(clock, all.attach({ storage: c, name: 'C' }))
  const [state] = await passing(clock, all.knownStates(['note']))
  expect([disks.map((on) => held({ disk: on })), counts(state?.known), counts(state?.durable)]).toEqual([
    ['a:3', 'a:1', 'absent'],
    'a:3',
    'a:1',
  ])
  await clock.advance(20_000)
  const [later] = await all.knownStates(['note'])
  expect([held({ disk: disks[2] }), counts(later?.known), later?.durable]).toEqual(['a:3', 'a:3', undefined])
})

const secret = (version: number) => ({ version: [version, 'me'] as const, bytes: new Uint8Array([version]) })
const POLICIES = ['any-durable', { quorum: 2 }, 'all-required'] as const

/** Three layers with a map; the third is one that none of the policies has to wait for. */
async function withMap(policy: (typeof POLICIES)[number]) {
  const clock = manualClock()
  const stores = [store(), store(), store()] as [Store, Store, Store]
  const last = policy === 'all-required' ? { write: 'best-effort' as const } : {}
  const all = layers(
    stores.map((storage, at) => ({ storage, name: 'ABC'[at] as string, ...(at === 2 && last) })),
    { clock, policy },
  )
  await passing(clock, all.open())
  await all.mergeMap('map', new Map([['key', secret(1)]]))
  await clock.advance(2_000)
  const taken = async (work: Promise<unknown>) => {
    const begun = clock.now()
    await passing(clock, work)
    return clock.now() - begun
  }
  return { clock, stores, all, taken }
}

for (const policy of POLICIES)
  for (const method of ['readMap', 'mergeMap', 'append'] as const)
    test(`small maps (${JSON.stringify(policy)}): a layer that hangs in ${method} delays no merge and no read of the others`, async () => {
      const { clock, stores, all, taken } = await withMap(policy)
      const [, , c] = stores
      c.plan = (call) => (call.method === method ? { after: new Promise(() => {}) } : undefined)
      const merging = taken(all.mergeMap('map', new Map([['key', secret(2)]])))
      await settled()
      const times = [await taken(all.readMap('map')), await merging]
      times.push(await taken(all.mergeMap('fresh', new Map([['key', secret(2)]]))))
      times.push(await taken(all.mergeMap('map', new Map([['key', secret(3)]]))))
      expect(times.filter((ms) => ms > 150)).toEqual([])
      expect((await passing(clock, all.readMap('map'))).get('key')).toEqual(secret(3))
      c.plan = undefined
      await clock.advance(1_200_000)
      expect([c.disk.data.readMap('map').get('key'), c.disk.data.readMap('fresh').get('key')]).toEqual([
        secret(3),
        secret(2),
      ])
    })

test('small maps are read at once while a sweep tries to bring a layer into step that hangs', async () => {
  for (const method of ['readMap', 'mergeMap'] as const) {
    const { clock, stores, all, taken } = await withMap('any-durable')
    stores[2].plan = (call) => (call.method === method ? { after: new Promise(() => {}) } : undefined)
    await passing(clock, all.mergeMap('map', new Map([['key', secret(2)]])))
    let worst = 0
    for (let at = 0; at < 600; at++) {
      worst = Math.max(worst, await taken(all.readMap('map')))
      await clock.advance(1_000)
    }
    expect(worst).toBeLessThanOrEqual(150)
  }
})

test('a quorum waits for as many answers of a small map as it needs', async () => {
  const { clock, stores, all } = await withMap({ quorum: 2 })
  for (const one of stores.slice(1))
    one.plan = ({ method }) => (method === 'readMap' ? { after: clock.wait(500) } : undefined)
  const merged = await passing(clock, all.mergeMap('map', new Map([['key', secret(2)]])))
  expect(merged).toEqual({ merged: ['key'], conflicts: [] })
})

test('a damaged document is told once, and again when it was whole meanwhile', async () => {
  const clock = manualClock()
  const disks = [disk(), disk()] as const
  const { all, b, events } = await over(disks, { clock })
  await all.append([content('note', 'a:0-1')])
  const damage = () => {
    b.plan = ({ method, args }) =>
      method === 'knownStates' && (args[0] as readonly string[]).includes('note') ? { fails: 'CORRUPT' } : undefined
  }
  damage()
  await all.knownStates(['note'])
  await clock.advance(2 * DAY_MS)
  await all.knownStates(['note'])
  expect(of(events, 'corrupt')).toEqual([{ kind: 'corrupt', id: 'note', layer: 'B' }])
  b.plan = undefined
  await all.knownStates(['note'])
  damage()
  await all.knownStates(['note'])
  expect(of(events, 'corrupt')).toHaveLength(2)
})
