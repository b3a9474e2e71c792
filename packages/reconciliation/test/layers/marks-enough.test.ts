/**
 * Marks of several layers of which some are not open, full, or were away for a process: what is acknowledged is found again.
 */
import { expect, test } from 'vitest'
import { layers } from '../../src/layers.ts'
import { failsTo, marks, outcome, over, owed, owedBy } from './owing.ts'
import { disk, manualClock, passing, type Store, settled, store } from './world.ts'

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
