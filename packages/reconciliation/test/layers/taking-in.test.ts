/**
 * Layers that come, or come back empty: what they lack they get, and nothing is absent meanwhile.
 */
import { isHonoured, memoryStorage } from '@tidemark/storage'
import { expect, test } from 'vitest'
import { type LayersEvent, layers } from '../../src/layers.ts'
import { content, type Disk, disk, held, manualClock, of, over, settled, store } from './world.ts'

test('a disk attached to memory gets what memory holds, and nothing is absent meanwhile', async () => {
  const clock = manualClock()
  const all = layers([memoryStorage()], { clock })
  await all.open()
  const key = 'outbox note'
  await all.append([content('note', 'a:0-3')], { marks: new Map([[key, new Uint8Array([7])]]) })
  const on = store()
  on.plan = ({ method }) => (method === 'append' ? { fails: 'IO' } : undefined)
  await all.attach({ storage: on, name: 'disk' })
  await clock.advance(1_000)
  expect([(await all.load('note')).found, held(on)]).toEqual(['present', 'absent'])
  on.plan = undefined
  await clock.advance(7_200_000)
  expect([(await all.load('note')).found, held(on)]).toEqual(['present', 'a:3'])
  expect((await all.marks({ prefix: 'outbox', limit: 9 })).map(([name]) => name)).toEqual([key])
})

test('memory that holds nothing that its disk lacks is a cache from then on', async () => {
  const clock = manualClock()
  const all = layers([memoryStorage()], { clock })
  await all.open()
  await all.append([content('note', 'a:0-3')])
  const on = store()
  await all.attach({ storage: on, name: 'disk' })
  await clock.advance(60_000)
  expect([held(on), all.health().map(({ role }) => role)]).toEqual(['a:3', ['cache', 'required']])
})

test('a wiped layer is refilled although the process ended during the refill', async () => {
  const clock = manualClock()
  const on = disk()
  const first = await over([on, disk()], { clock })
  const ids = ['x', 'y', 'z']
  await first.all.append(ids.map((id) => content(id, 'a:0-2')))
  await first.all.close()
  const fresh = disk()
  const stores = [store(on), store(fresh)]
  const second = layers(
    stores.map((storage, index) => ({ storage, name: 'AB'[index] as string })),
    { clock },
  )
  ;(stores[0] as (typeof stores)[0]).plan = ({ method }) =>
    method === 'read' ? { after: new Promise(() => {}) } : undefined
  await second.open()
  await settled()
  on.kill()
  fresh.kill()
  await over([on, fresh], { clock })
  await clock.advance(3_600_000)
  expect(ids.map((id) => held({ disk: fresh }, id))).toEqual(['a:2', 'a:2', 'a:2'])
})

test('a quorum opens without the layer that cannot be opened, which is taken in when it can', async () => {
  const clock = manualClock()
  const stores = [store(), store(), store()] as const
  const [, , late] = stores
  for (const { disk: on } of stores) on.data.append([content('note', 'a:0-1')])
  late.plan = ({ method }) => (method === 'open' ? { fails: 'IO' } : undefined)
  const named = stores.map((storage, index) => ({ storage, name: 'ABC'[index] as string }))
  const all = layers(named, { clock, policy: { quorum: 2 } })
  await all.open()
  await all.append([content('note', 'a:1-2', { header: false })])
  expect(stores.map((one) => held(one))).toEqual(['a:2', 'a:2', 'a:1'])
  late.plan = undefined
  await clock.advance(600_000)
  expect(held(late)).toBe('a:2')
  const strict = store()
  strict.plan = late.plan = ({ method }) => (method === 'open' ? { fails: 'IO' } : undefined)
  await expect(layers([store(), strict], { clock }).open()).rejects.toThrow()
  await expect(layers([store(), strict], { clock, policy: { quorum: 2 } }).open()).rejects.toThrow()
})

test('a best-effort layer whose first opening failed is recognised as wiped when it opens', async () => {
  const clock = manualClock()
  const on = disk()
  const pair = (other: Disk) => {
    const late = store(other)
    const all = layers(
      [
        { storage: store(on), name: 'A' },
        { storage: late, name: 'B', write: 'best-effort' },
      ],
      { clock },
    )
    return { all, late }
  }
  const first = pair(disk())
  await first.all.open()
  await settled()
  await first.all.append([content('x', 'a:0-2')], { marks: new Map([['outbox x', new Uint8Array(1)]]) })
  await settled()
  await first.all.close()
  const fresh = disk()
  const second = pair(fresh)
  let openings = 0
  second.late.plan = ({ method }) => (method === 'open' && openings++ === 0 ? { fails: 'IO' } : undefined)
  const events: LayersEvent[] = []
  second.all.listen((event) => events.push(event))
  await second.all.open()
  await clock.advance(600_000)
  expect(of(events, 'layer').map(({ condition }) => condition)).toContain('recreated')
  expect([held({ disk: fresh }, 'x'), fresh.data.marks({ prefix: 'outbox', limit: 9 }).length]).toEqual(['a:2', 1])
})

test('a layer that was added between two runs gets everything in the next, also when that ends before it is done', async () => {
  const clock = manualClock()
  const [on, added] = [disk(), disk()]
  const first = await over([on], { clock })
  const ids = ['x', 'y', 'z']
  await first.all.append(ids.map((id) => content(id, 'a:0-2')))
  await first.all.close()
  const interrupted = layers(
    [on, added].map((one, index) => ({ storage: store(one), name: 'AB'[index] as string })),
    { clock, limits: { repairsQueuedMax: 1, repairsMax: 1 } },
  )
  await interrupted.open()
  for (const one of [on, added]) one.kill()
  const again = await over([on, added], { clock })
  expect(of(again.events, 'layer')).toEqual([])
  await clock.advance(1_000)
  expect(ids.map((id) => held({ disk: added }, id))).toEqual(['a:2', 'a:2', 'a:2'])
  await again.all.close()
  const looked = (await over([on, added], { clock })).stores.map(({ calls }) => calls.list)
  await clock.advance(1_000)
  expect(looked).toEqual([0, 0])
})

test('the daily sweep goes on where the last process ended, and is not put off by restarts', async () => {
  const clock = manualClock()
  const disks = [disk(), disk()] as const
  const limits = { sweepSlice: 10 }
  const ids = Array.from({ length: 100 }, (_, index) => `note ${index + 100}`)
  await (await over(disks, { clock, limits })).all.close()
  disks[0].data.append(ids.map((id) => content(id, 'a:0-2')))
  const filled = () => ids.filter((id) => held({ disk: disks[1] }, id) === 'a:2').length
  const filledAfter: number[] = []
  const begun: (string | undefined)[] = []
  // The sweep is due after 18 hours, when the third run ends.
  for (let run = 0; run < 4; run++) {
    const { all, a } = await over(disks, { clock, limits })
    const list = a.list
    a.list = (options) => {
      begun[run] ??= options.after ?? 'the first'
      return list(options)
    }
    await clock.advance(6 * 3_600_000)
    filledAfter.push(filled())
    await all.close()
  }
  expect(filledAfter).toEqual([0, 0, 10, 100])
  expect(begun).toEqual([undefined, undefined, 'the first', 'note 109'])
})

test('when the layer is taken out whose change sequence was that of the whole, cursors are refused until the new generation was said', async () => {
  const clock = manualClock()
  const [one, other] = [disk(), disk()]
  const { all } = await over([one], { clock })
  const before = await all.open()
  for (let at = 0; at < 5; at++) await all.append([content('note', `a:${at}-${at + 1}`, { header: at === 0 })])
  await all.attach({ storage: store(other), name: 'B' })
  await clock.advance(60_000)
  const since = Math.max(...(await all.changes({ since: 0, limit: 100 })).map(({ sequence }) => sequence))
  all.detach('A')
  await all.append([content('new', 'a:0-1')])
  await expect(all.changes({ since, limit: 100 })).rejects.toMatchObject({ name: 'StorageError', code: 'IO' })
  const after = await all.open()
  expect(isHonoured({ ...before.generation, sequence: since }, after.history ?? [], after.generation.sequence)).toBe(
    false,
  )
  expect((await all.changes({ since: 0, limit: 100 })).map(({ id }) => id)).toEqual(['note', 'new'])
})
