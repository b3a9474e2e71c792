/**
 * Layers that come, or come back empty: what they lack they get, and nothing is absent meanwhile.
 */
import { memoryStorage } from '@tidemark/storage'
import { expect, test } from 'vitest'
import { type LayersEvent, type LayersOptions, layers } from '../../src/layers.ts'
import { content, type Disk, disk, held, type ManualClock, manualClock, settled, store } from './world.ts'

async function over(disks: readonly Disk[], options: LayersOptions & { readonly clock: ManualClock }) {
  const stores = disks.map((on) => store(on))
  const all = layers(
    stores.map((storage, index) => ({ storage, name: 'ABC'[index] as string })),
    options,
  )
  const events: LayersEvent[] = []
  all.listen((event) => events.push(event))
  await all.open()
  await settled()
  return { all, stores, events, a: stores[0] as (typeof stores)[0], b: stores[1] as (typeof stores)[0] }
}

const _flags = (on: Disk) => on.data.marks({ prefix: '\u{10ffff}tidemark layers dirty', limit: 9 }).length
const _outcome = (work: Promise<unknown>) =>
  work.then(
    () => 'done',
    () => 'failed',
  )

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
