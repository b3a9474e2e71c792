/**
 * Marks that arrive after nobody waits for them any more, and those that layers wrote without knowing of each other.
 */
import { expect, test } from 'vitest'
import { layers } from '../../src/layers.ts'
import { failsTo, marks, over, owed, owedBy } from './owing.ts'
import { type Disk, disk, type ManualClock, manualClock, outcome, type Store, settled, store } from './world.ts'

const HOUR_MS = 3_600_000
const policy = 'any-durable'

/** Something that ends when it is told to. */
function opened(): { readonly ended: Promise<void>; end(): void } {
  let end = () => {}
  const ended = new Promise<void>((resolve) => {
    end = resolve
  })
  return { ended, end: () => end() }
}

const many = (prefix: string) =>
  Object.fromEntries(Array.from({ length: 600 }, (_, at) => [`${prefix}${1_000 + at}`, 1] as const))

/** One process that knows of this disk alone. */
async function alone(clock: ManualClock, on: Disk, name: string, values: Record<string, number | undefined>) {
  const all = layers([{ storage: store(on), name }], { clock })
  await all.open()
  await all.append([], marks(values))
  await all.close()
}

test('a write of marks that was given up and arrives after all is not taken for the newest', async () => {
  const clock = manualClock()
  const disks = [disk(), disk(), disk()] as const
  const { all, a, b, c } = await over(disks, { clock, policy })
  await all.append([], marks({ x: 1 }))
  await settled()
  const late = opened()
  c.plan = ({ method }) => (method === 'append' ? { after: late.ended } : undefined)
  await all.append([], marks({ x: 2, gone: 1 }))
  c.plan = undefined
  await clock.advance(HOUR_MS)
  await all.append([], marks({ x: 3, gone: undefined }))
  await clock.advance(HOUR_MS)
  // Whoever copied into it now could be overtaken.
  expect([owedBy(disks[2]), all.health().map((one) => one.marks)]).toEqual([['x 1'], ['all', 'all', 'unsettled']])
  late.end()
  await clock.advance(HOUR_MS)
  expect([owedBy(disks[2]), all.health().map((one) => one.marks)]).toEqual([['x 3'], ['all', 'all', 'all']])
  for (const one of [a, b]) failsTo(one, 'marks')
  expect(await owed(all)).toEqual(['x 3'])
})

test('a part of a copy that was given up and arrives after all is not taken for the newest', async () => {
  const clock = manualClock()
  const disks = [disk(), disk(), disk()] as const
  const { all, c } = await over(disks, { clock, policy })
  await all.append([], marks({ x: 1 }))
  await settled()
  failsTo(c, 'append')
  await all.append([], marks({ x: 2, gone: 1 }))
  const late = opened()
  c.plan = ({ method }) => (method === 'append' ? { after: late.ended } : undefined)
  await clock.advance(60_000)
  c.plan = undefined
  await all.append([], marks({ x: 3, gone: undefined }))
  await clock.advance(HOUR_MS)
  expect(owedBy(disks[2])).toEqual(['x 1'])
  late.end()
  await clock.advance(HOUR_MS)
  expect(disks.map(owedBy)).toEqual([['x 3'], ['x 3'], ['x 3']])
})

test('a store that is handed in again while a write to it has not ended is believed when it has', async () => {
  const clock = manualClock()
  const disks = [disk(), disk()] as const
  const { all, b } = await over(disks, { clock, policy })
  await all.append([], marks({ x: 1 }))
  await settled()
  const late = opened()
  b.plan = ({ method }) => (method === 'append' ? { after: late.ended } : undefined)
  await all.append([], marks({ x: 2, gone: 1 }))
  b.plan = undefined
  all.detach('B')
  await all.append([], marks({ x: 3, gone: undefined }))
  await all.attach({ storage: b, name: 'B' })
  await clock.advance(HOUR_MS)
  expect(owedBy(disks[1])).toEqual(['x 1'])
  late.end()
  await clock.advance(HOUR_MS)
  expect(disks.map(owedBy)).toEqual([['x 3'], ['x 3']])
})

test('marks of two layers that were each alone for a while, one after the other, are all kept', async () => {
  const clock = manualClock()
  const disks = [disk(), disk()] as const
  for (const [index, name] of ['A', 'B'].entries()) {
    await alone(clock, disks[index] as Disk, name, { both: index, [`of ${name}`]: 1 })
    await clock.advance(HOUR_MS)
  }
  const { all } = await over(disks, { clock })
  await clock.advance(60_000)
  // The later one's value stands.
  const kept = ['both 1', 'of A 1', 'of B 1']
  expect([await owed(all), ...disks.map(owedBy)]).toEqual([kept, kept, kept])
})

test('what is written while nobody knows that layers strayed takes nothing of them away', async () => {
  const clock = manualClock()
  const disks = [disk(), disk()] as const
  for (const [index, name] of ['A', 'B'].entries()) {
    await alone(clock, disks[index] as Disk, name, { [`of ${name}`]: 1 })
    await clock.advance(HOUR_MS)
  }
  const two = await over(disks, { clock, policy, before: ([a]) => failsTo(a as Store, 'marks') })
  await outcome(two.all.append([], marks({ new: 1 })))
  two.a.plan = undefined
  await clock.advance(HOUR_MS)
  await two.all.append([], marks({ new: 2 }))
  await clock.advance(HOUR_MS)
  const kept = ['new 2', 'of A 1', 'of B 1']
  expect([await owed(two.all), ...disks.map(owedBy)]).toEqual([kept, kept, kept])
})

test('what only a layer was given that was away for a whole process is kept', async () => {
  const clock = manualClock()
  const disks = [disk(), disk()] as const
  const one = await over(disks, { clock, policy })
  await one.all.append([], marks({ old: 1, gone: 1 }))
  await settled()
  failsTo(one.a, 'append')
  await one.all.append([], marks({ late: 1 }))
  for (const on of disks) on.kill()
  for (let process = 0; process < 3; process++) {
    await clock.advance(HOUR_MS)
    const two = await over(disks, { clock, policy, before: ([, b]) => failsTo(b as Store, 'open') })
    await two.all.append([], marks({ new: process, gone: undefined }))
    for (const on of disks) on.kill()
  }
  const { all } = await over(disks, { clock, policy })
  await clock.advance(HOUR_MS)
  // L2: it was removed while a layer was not there that may say otherwise: back is the safe side.
  const kept = ['gone 1', 'late 1', 'new 2', 'old 1']
  expect([await owed(all), ...disks.map(owedBy)]).toEqual([kept, kept, kept])
})

for (const processes of [3, 20])
  test(`a backup of ${processes} processes ago brings no removed mark back`, async () => {
    const clock = manualClock()
    const [first, second, restored] = [disk(), disk(), disk()]
    const begin = await over([first, second], { clock })
    await begin.all.append([], marks({ cursor: 0, gone: 1 }))
    await settled()
    restored.data.append([], { marks: new Map(first.data.marks({ prefix: '', limit: 999 })) })
    for (let process = 1; process <= processes; process++) {
      for (const on of [first, second]) on.kill()
      await clock.advance(HOUR_MS)
      const next = await over([first, second], { clock })
      await next.all.append([], marks({ cursor: process, gone: undefined }))
      await settled()
    }
    for (const on of [first, second]) on.kill()
    const { all } = await over([restored, second], { clock })
    await clock.advance(HOUR_MS)
    const kept = [`cursor ${processes}`]
    expect([await owed(all), owedBy(restored), owedBy(second)]).toEqual([kept, kept, kept])
  })

for (const apartMs of [0, HOUR_MS])
  test(`joining a layer that strayed begins again until it is done (${apartMs} ms apart)`, async () => {
    for (const crashes of [false, true]) {
      const clock = manualClock()
      const disks = [disk(), disk(), disk()] as const
      await alone(clock, disks[0], 'A', many('a'))
      await clock.advance(apartMs)
      await alone(clock, disks[1], 'B', many('b'))
      const before = (stores: readonly Store[]) => {
        for (const one of stores) {
          let large = 0
          // The second page of whatever is joined or copied fails for a minute.
          one.plan = ({ method, args }) => {
            const given = (args[1] as { readonly marks?: ReadonlyMap<string, unknown> } | undefined)?.marks
            if (method !== 'append' || (given?.size ?? 0) < 50) return undefined
            large += 1
            return large > 1 && clock.now() < apartMs + 60_000 ? { fails: 'IO' } : undefined
          }
        }
      }
      const one = await over(disks, { clock, policy, before })
      await clock.advance(20_000)
      expect(await outcome(one.all.append([], marks({ new: 1 })))).toBe('done')
      await clock.advance(10_000)
      if (crashes) for (const on of disks) on.kill()
      else await clock.advance(HOUR_MS)
      const { all } = crashes ? await over(disks, { clock, policy }) : one
      await clock.advance(HOUR_MS)
      const count = (on: Disk) => on.data.marks({ prefix: 'outbox', limit: 9_999 }).length
      const found = await all.marks({ prefix: 'outbox', limit: 9_999 })
      expect([found.length, ...disks.map(count)]).toEqual([1201, 1201, 1201, 1201])
    }
  })

test('where all that is left has strayed it is read', async () => {
  const clock = manualClock()
  const disks = [disk(), disk(), disk()] as const
  for (const [index, name] of ['A', 'B', 'C'].entries())
    await alone(clock, disks[index] as Disk, name, { [`of ${name}`]: 1 })
  const { all } = await over(disks, { clock, policy, before: ([a]) => failsTo(a as Store, 'append') })
  all.detach('A')
  expect((await owed(all)).length).toBeGreaterThan(0)
  await clock.advance(HOUR_MS)
  expect(await owed(all)).toEqual(['of B 1', 'of C 1'])
})
