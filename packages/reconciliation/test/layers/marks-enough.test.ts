/**
 * Marks of several layers of which some are not open, full, or were away for a process: what is acknowledged is found again.
 */
import { expect, test } from 'vitest'
import { watchBrought } from '../../src/brought.ts'
import { layers } from '../../src/layers.ts'
import { loadOutbox } from '../../src/outbox.ts'
import { failsTo, marks, over, owed, owedBy } from './owing.ts'
import { content, type Disk, disk, held, manualClock, outcome, passing, type Store, settled, store } from './world.ts'

const HOUR_MS = 3_600_000

test('a quorum acknowledges no marks that one layer holds while the others are not open', async () => {
  const clock = manualClock()
  const disks = [disk(), disk(), disk()] as const
  const stores = disks.map((on) => store(on)) as [Store, Store, Store]
  const [a, b, c] = stores
  for (const one of [b, c]) one.plan = ({ method }) => (method === 'open' ? { after: clock.wait(300) } : undefined)
  const named = [
    { storage: a, name: 'A' },
    { storage: b, name: 'B', write: 'best-effort' as const },
    { storage: c, name: 'C', write: 'best-effort' as const },
  ]
  const all = layers(named, { clock, policy: { quorum: 2 } })
  await all.open()
  const early = await outcome(all.append([], marks({ x: 1 })))
  expect([early, disks.slice(1).map(owedBy)]).toEqual(['failed', [[], []]])
  await clock.advance(HOUR_MS)
  await all.append([], marks({ x: 2 }))
  await clock.advance(HOUR_MS)
  expect(disks.map(owedBy)).toEqual([['x 2'], ['x 2'], ['x 2']])
})

test('a remote layer, which keeps no marks, is not needed for them', async () => {
  const clock = manualClock()
  const near = disk()
  const far = store(disk())
  failsTo(far, 'open')
  const all = layers(
    [
      { storage: store(near), name: 'A' },
      { storage: far, name: 'far', remote: true },
    ],
    {
      clock,
      policy: { quorum: 2 },
    },
  )
  await passing(clock, all.open())
  await all.append([], marks({ x: 1 }))
  expect(owedBy(near)).toEqual(['x 1'])
})

test('a quorum believes no layer that lagged while one of the others is not open and one does not say what it has', async () => {
  const clock = manualClock()
  const disks = [disk(), disk(), disk()] as const
  const policy = { quorum: 2 }
  const one = await over(disks, { clock, policy })
  await one.all.append([], marks({ old: 1 }))
  await settled()
  failsTo(one.c, 'append')
  await one.all.append([], marks({ new: 1, old: undefined }))
  await settled()
  for (const on of disks) on.kill()
  const two = await over(disks, {
    clock,
    policy,
    before: ([a, b]) => {
      failsTo(a as Store, 'open')
      failsTo(b as Store, 'marks')
    },
  })
  expect(await outcome(owed(two.all))).toBe('failed')
  two.b.plan = undefined
  await clock.advance(10_000)
  expect(await owed(two.all)).toEqual(['new 1'])
})

test('the marks of a later process are newer than those of one in which more were written', async () => {
  const clock = manualClock()
  const disks = [disk(), disk()] as const
  const policy = 'any-durable'
  const one = await over(disks, { clock, policy })
  await one.all.append([], marks({ old: 1 }))
  await settled()
  failsTo(one.a, 'append')
  for (let value = 2; value < 9; value++) await one.all.append([], marks({ old: value }))
  await settled()
  for (const on of disks) on.kill()
  await clock.advance(1_000)
  const two = await over(disks, { clock, policy, before: ([, b]) => failsTo(b as Store, 'open') })
  await two.all.append([], marks({ new: 1 }))
  await two.all.close()
  const three = await over(disks, { clock, policy })
  expect(await owed(three.all)).toEqual(['new 1', 'old 1'])
  await clock.advance(HOUR_MS)
  expect(disks.map(owedBy)).toEqual([
    ['new 1', 'old 1'],
    ['new 1', 'old 1'],
  ])
})

test('a clock that was set back makes no version older than what was read', async () => {
  const disks = [disk(), disk()] as const
  const policy = 'any-durable'
  const ahead = manualClock()
  await ahead.advance(HOUR_MS)
  const one = await over(disks, { clock: ahead, policy })
  await one.all.append([], marks({ old: 1 }))
  await settled()
  for (const on of disks) on.kill()
  const clock = manualClock()
  const two = await over(disks, { clock, policy })
  failsTo(two.b, 'append')
  await two.all.append([], marks({ old: 2 }))
  for (const on of disks) on.kill()
  const three = await over([...disks].reverse(), { clock, policy })
  expect(await owed(three.all)).toEqual(['old 2'])
})

/** Everything that reaches the home is noted in an outbox, as it is where nobody was given it yet. */
async function withOutbox(disks: readonly Disk[], before: (stores: readonly Store[]) => void) {
  const clock = manualClock()
  const stores = disks.map((on) => store(on))
  before(stores)
  const all = layers(
    stores.map((storage, index) => ({ storage, name: 'ABC'[index] as string })),
    { clock },
  )
  const brought = watchBrought(all)
  await passing(clock, all.open())
  const outbox = await loadOutbox(all, clock, () => {})
  brought.hear((id) => outbox.add([id]))
  await settled()
  return { clock, all, stores }
}
const outboxOf = (on: Disk) => on.data.marks({ prefix: 'tidemark', limit: 9 }).length

test('content is brought into the home layer with its marks while another required layer is down', async () => {
  const disks = [disk(), disk(), disk()] as const
  const { clock, all, stores } = await withOutbox(disks, () => {})
  ;(stores[2] as Store).plan = () => ({ fails: 'IO' })
  disks[1].data.append([content('note', 'a:0-3')])
  void outcome(all.knownStates(['note']))
  await clock.advance(HOUR_MS)
  expect([held({ disk: disks[0] }), disks.map(outboxOf)]).toEqual(['a:3', [1, 1, 0]])
})

test('an empty home layer is filled from one that is full', async () => {
  const full = disk()
  const before = await over([disk(), full], { clock: manualClock() })
  await before.all.append([content('note', 'a:0-3')])
  await settled()
  await before.all.close()
  const fresh = disk()
  const { clock } = await withOutbox([fresh, full], ([, b]) => {
    ;(b as Store).plan = ({ method }) => (method === 'append' ? { fails: 'QUOTA' } : undefined)
  })
  await clock.advance(72 * HOUR_MS)
  expect([held({ disk: fresh }), outboxOf(fresh)]).toEqual(['a:3', 1])
})
