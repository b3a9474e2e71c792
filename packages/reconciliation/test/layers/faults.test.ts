/**
 * Every storage call of a repair fails once, in every way, and every step is the last of its process: the end is the same.
 */
import type { Fault, FaultyStorage } from '@tidemark/storage/conformance'
import { expect, test } from 'vitest'
import { type Layers, layers } from '../../src/layers.ts'
import { content, type Disk, disk, dump, held, type ManualClock, manualClock, settled, store } from './world.ts'

type Store = FaultyStorage & { readonly disk: Disk }

const GIVEN = ['a:0-4 b:0-1', 'b:0-3 c:0-2', 'a:0-2 d:0-5']
const JOIN = 'a:4 b:3 c:2 d:5'

function threeDisks(): readonly Disk[] {
  return GIVEN.map((sessions) => {
    const on = disk()
    on.data.append([content('note', sessions)])
    return on
  })
}

function over(disks: readonly Disk[], clock: ManualClock): { readonly all: Layers; readonly stores: readonly Store[] } {
  const stores = disks.map((on) => store(on))
  const named = stores.map((storage, index) => ({ storage, name: `layer ${index}` }))
  return { all: layers(named, { clock, limits: { repairPageBytes: 20 } }), stores }
}

/** Calls each store gets before everything is settled, in order over all stores. */
function counted(stores: readonly Store[], at: number, happen: () => Fault | undefined): () => number {
  let calls = 0
  for (const one of stores) one.plan = () => (++calls === at ? happen() : undefined)
  return () => calls
}

async function callsOfARepair(): Promise<number> {
  const clock = manualClock()
  const { all, stores } = over(threeDisks(), clock)
  await all.open()
  const calls = counted(stores, 0, () => undefined)
  await all.load('note', { until: 'settled' })
  return calls()
}

const FAULTS: Record<string, () => Fault> = {
  'fails before it is done': () => ({ fails: 'IO' }),
  'fails after it was done': () => ({ fails: 'IO', performed: true }),
  'finds no room': () => ({ fails: 'QUOTA' }),
  'never answers': () => ({ after: new Promise(() => {}) }),
}

for (const [name, fault] of Object.entries(FAULTS))
  test(`each call of a repair of three layers ${name} once: all end with the join`, async () => {
    const calls = await callsOfARepair()
    expect(calls).toBeGreaterThan(20)
    for (let at = 1; at <= calls; at++) {
      const clock = manualClock()
      const { all, stores } = over(threeDisks(), clock)
      await all.open()
      counted(stores, at, fault)
      const load = all.load('note', { until: 'settled' })
      await clock.advance(400_000)
      await load
      expect([at, ...stores.map((one) => held(one))]).toEqual([at, JOIN, JOIN, JOIN])
      const dumps = stores.map((one) => dump(one.disk.data))
      expect(new Set(dumps).size).toBe(1)
    }
  })

test('47: killed at every step of a repair and a write, restarted: the same join, nothing acknowledged is lost, nothing is there twice', async () => {
  for (let at = 1; ; at++) {
    const clock = manualClock()
    const disks = threeDisks()
    const first = over(disks, clock)
    await first.all.open()
    let killed = false
    counted(first.stores, at, () => {
      killed = true
      for (const on of disks) on.kill()
      return { after: new Promise(() => {}) }
    })
    let acknowledged = false
    void first.all.load('note', { until: 'settled' })
    void first.all.append([content('note', 'a:4-6', { header: false })]).then(
      ([result]) => {
        acknowledged = result !== undefined && !('failed' in result) && result.refused.size === 0
      },
      () => {},
    )
    await clock.advance(1_000)
    if (!killed) {
      expect(at).toBeGreaterThan(20)
      return
    }
    const second = over(disks, clock)
    await second.all.open()
    const load = second.all.load('note', { until: 'settled' })
    await clock.advance(120_000)
    await load
    const ends = second.stores.map((one) => held(one))
    expect([at, ends[0] === JOIN || ends[0] === JOIN.replace('a:4', 'a:6')]).toEqual([at, true])
    expect(new Set(second.stores.map((one) => dump(one.disk.data))).size).toBe(1)
    if (acknowledged) expect([at, ends[0]]).toEqual([at, JOIN.replace('a:4', 'a:6')])
    // Any one of them alone has the document.
    for (const on of disks) {
      const alone = layers([on.handle()], { clock })
      await alone.open()
      expect((await alone.load('note')).state?.known.sessions.size).toBe(4)
    }
    await settled()
  }
}, 60_000)
