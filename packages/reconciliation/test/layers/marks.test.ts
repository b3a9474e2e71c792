/**
 * Marks of several layers: whatever was away, silent or restored meanwhile, the newest are right and everybody gets them.
 */
import { cpSync, mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { leveldbStorage } from '@tidemark/storage-leveldb'
import { sqliteStorage } from '@tidemark/storage-sqlite'
import { expect, test } from 'vitest'
import { type Layers, layers, type WritePolicy } from '../../src/layers.ts'
import { folder } from './disks.ts'
import { failsTo, marks, over, owed, owedBy } from './owing.ts'
import { content, disk, type ManualClock, manualClock, outcome, passing, type Store, settled, store } from './world.ts'

const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS

for (const policy of ['any-durable', { quorum: 2 }] as const) {
  const named = JSON.stringify(policy)

  test(`a layer that did not open for a whole process is not believed by the next (${named})`, async () => {
    const clock = manualClock()
    const disks = [disk(), disk(), disk()] as const
    const one = await over(disks, { clock, policy })
    await one.all.append([content('note', 'a:0-1')], marks({ old: 1 }))
    await settled()
    await one.all.close()
    const two = await over(disks, { clock, policy, before: ([a]) => failsTo(a as Store, 'open') })
    await two.all.append([content('note', 'a:1-2', { header: false })], marks({ new: 1, old: undefined }))
    expect([await owed(two.all), owedBy(disks[0])]).toEqual([['new 1'], ['old 1']])
    await two.all.close()
    const three = await over(disks, { clock, policy })
    expect(await owed(three.all)).toEqual(['new 1'])
    await clock.advance(60_000)
    expect(disks.map(owedBy)).toEqual([['new 1'], ['new 1'], ['new 1']])
  })

  test(`a layer that hangs delays writes with marks once, by a moment (${named})`, async () => {
    for (const ms of [3_000, 9_000, Number.POSITIVE_INFINITY]) {
      const clock = manualClock()
      const { all, c } = await over([disk(), disk(), disk()], { clock, policy })
      await all.append([content('note', 'a:0-1')], marks({ x: 0 }))
      await settled()
      const end = (): Promise<unknown> => (ms === Number.POSITIVE_INFINITY ? new Promise(() => {}) : clock.wait(ms))
      c.plan = ({ method }) => (method === 'append' ? { after: end() } : undefined)
      expect(Math.max(...(await times(clock, all, 14)))).toBeLessThanOrEqual(200)
    }
  })
}

/** How long each of some writes with marks took. */
async function times(clock: ManualClock, all: Layers, writes: number): Promise<readonly number[]> {
  const took: number[] = []
  for (let at = 1; at < writes; at++) {
    const before = clock.now()
    const options = marks({ x: at })
    await passing(clock, all.append([content('note', `a:${at}-${at + 1}`, { header: false })], options))
    took.push(clock.now() - before)
    await clock.advance(3_700)
  }
  return took
}

test('a layer that is not required delays no writes with marks, however slow it is, and has them all in the end', async () => {
  for (const ms of [3_000, 9_000, Number.POSITIVE_INFINITY]) {
    const clock = manualClock()
    const disks = [disk(), disk(), disk()] as const
    const { all, c } = await over(disks, { clock, hasSpare: true })
    await all.append([content('note', 'a:0-1')], marks({ x: 0 }))
    await settled()
    let isFirst = true
    let end = () => {}
    const hanging = new Promise<void>((resolve) => {
      end = resolve
    })
    c.plan = ({ method }) => {
      if (method !== 'append') return undefined
      if (!isFirst) return { after: ms === Number.POSITIVE_INFINITY ? hanging : clock.wait(ms) }
      isFirst = false
      return { fails: 'IO' }
    }
    expect(Math.max(...(await times(clock, all, 14))), `${ms} ms`).toBeLessThanOrEqual(100)
    c.plan = undefined
    // What hangs may arrive at any time: until it has ended nothing is copied there.
    end()
    await clock.advance(HOUR_MS)
    expect(disks.map(owedBy)).toEqual([['x 13'], ['x 13'], ['x 13']])
  }
})

test('a layer that never opened and was taken out is not believed when it comes back', async () => {
  const clock = manualClock()
  const disks = [disk(), disk(), disk()] as const
  const policy = 'any-durable'
  const one = await over(disks, { clock, policy })
  await one.all.append([content('note', 'a:0-1')], marks({ old: 1 }))
  await settled()
  await one.all.close()
  const two = await over(disks, { clock, policy, before: ([a]) => failsTo(a as Store, 'open') })
  two.all.detach('A')
  await settled()
  await two.all.append([], marks({ new: 1, old: undefined }))
  await two.all.close()
  const three = await over(disks, { clock, policy })
  expect(await owed(three.all)).toEqual(['new 1'])
})

test('while the layer that may have newer marks cannot be read, marks are neither read nor written', async () => {
  const clock = manualClock()
  const disks = [disk(), disk()] as const
  const policy = 'any-durable'
  const { all, a } = await over(disks, { clock, policy })
  await all.append([content('note', 'a:0-1')], marks({ old: 1 }))
  await settled()
  failsTo(a, 'append')
  await all.append([content('note', 'a:1-2', { header: false })], marks({ new: 1, old: undefined }))
  await settled()
  for (const on of disks) on.kill()
  const again = await over(disks, { clock, policy, before: ([, b]) => failsTo(b as Store, 'marks') })
  expect([await outcome(owed(again.all)), await outcome(again.all.append([], marks({ more: 1 })))]).toEqual([
    'failed',
    'failed',
  ])
  again.b.plan = undefined
  await clock.advance(10_000)
  expect(await owed(again.all)).toEqual(['new 1'])
  await clock.advance(HOUR_MS)
  expect(disks.map(owedBy)).toEqual([['new 1'], ['new 1']])
})

test('a repair of marks that takes longer than a write waits for it misses nothing that is written meanwhile', async () => {
  const many = Array.from({ length: 1_600 }, (_, at) => [`${10_000 + at}`, 1] as const)
  for (let waitMs = 20_000; waitMs < 90_000; waitMs += 5_000) {
    const clock = manualClock()
    const disks = [disk(), disk(), disk()] as const
    const { all, a } = await over(disks, { clock, policy: { quorum: 2 } })
    failsTo(a, 'append')
    for (let at = 0; at < many.length; at += 200)
      await all.append([], marks(Object.fromEntries(many.slice(at, at + 200))))
    await clock.advance(waitMs)
    a.plan = ({ method }) => (method === 'append' ? { after: clock.wait(4_000) } : undefined)
    await passing(clock, all.append([], marks({ '10000a': 9 })))
    await clock.advance(120_000)
    a.plan = undefined
    await clock.advance(2 * HOUR_MS)
    const found = await all.marks({ prefix: 'outbox 10000', limit: 9 })
    expect(found.map(([key]) => key)).toEqual(['outbox 10000', 'outbox 10000a'])
    expect(disks.map(({ data }) => data.marks({ prefix: 'outbox', limit: 9_999 }).length)).toEqual([1601, 1601, 1601])
    await all.close()
  }
})

test('a layer restored from a backup after a crash takes back no marks and brings none back', async () => {
  const clock = manualClock()
  const [first, second, restored] = [disk(), disk(), disk()]
  const one = await over([first, second], { clock })
  await one.all.append([content('note', 'a:0-1')], marks({ cursor: 1, gone: 1 }))
  await settled()
  restored.data.append([content('note', 'a:0-1')], { marks: new Map(first.data.marks({ prefix: '', limit: 999 })) })
  for (let day = 2; day < 9; day++) {
    const more = content('note', `a:${day - 1}-${day}`, { header: false })
    await one.all.append([more], marks({ cursor: day, gone: undefined }))
  }
  for (const on of [first, second]) on.kill()
  const two = await over([restored, second], { clock })
  expect(await owed(two.all)).toEqual(['cursor 8'])
  await clock.advance(HOUR_MS)
  expect([restored, second].map(owedBy)).toEqual([['cursor 8'], ['cursor 8']])
})

test('SQLite restored from a copy after a crash takes its marks from LevelDB', async () => {
  const { path, remove } = folder()
  const live = join(path, 'live')
  const open = async () => {
    const sqlite = sqliteStorage({ path: join(live, 'a.db') })
    const leveldb = leveldbStorage({ path: join(live, 'b') })
    const named = [
      { storage: sqlite, name: 'sqlite' },
      { storage: leveldb, name: 'leveldb' },
    ]
    const all = layers(named)
    await all.open()
    // The process ends: nothing of the layers is closed.
    const crash = () => Promise.all([sqlite.close(), leveldb.close()])
    return { all, crash }
  }
  mkdirSync(live)
  const one = await open()
  await one.all.append([content('note', 'a:0-1')], marks({ cursor: 1, gone: 1 }))
  await one.crash()
  cpSync(live, join(path, 'backup'), { recursive: true })
  const two = await open()
  await two.all.append([content('note', 'a:1-2', { header: false })], marks({ cursor: 2, gone: undefined }))
  await two.crash()
  for (const end of ['', '-wal', '-shm']) rmSync(join(live, `a.db${end}`), { force: true })
  cpSync(join(path, 'backup', 'a.db'), join(live, 'a.db'))
  const three = await open()
  const found = await owed(three.all)
  await three.all.close()
  remove()
  expect(found).toEqual(['cursor 2'])
})

test('a layer that comes back after a week brings no mark back that was removed meanwhile', async () => {
  const clock = manualClock()
  const disks = [disk(), disk(), disk()] as const
  const policy: WritePolicy = { quorum: 2 }
  const one = await over(disks, { clock, policy })
  await one.all.append([content('note', 'a:0-1')], marks({ old: 1, gone: 1 }))
  await settled()
  for (const on of disks) on.kill()
  const two = await over(disks, { clock, policy, before: ([, , c]) => failsTo(c as Store, 'open') })
  await two.all.append([], marks({ gone: undefined }))
  await clock.advance(7 * DAY_MS)
  two.c.plan = undefined
  await clock.advance(HOUR_MS)
  expect([await owed(two.all), disks.map(owedBy)]).toEqual([['old 1'], [['old 1'], ['old 1'], ['old 1']]])
})

test('what a layer stored alone for a while is not undone by one that was not there', async () => {
  const clock = manualClock()
  const disks = [disk(), disk()] as const
  const one = await over(disks, { clock })
  await one.all.append([content('note', 'a:0-1')], marks({ old: 1 }))
  await settled()
  await one.all.close()
  const alone = layers([{ storage: store(disks[1]), name: 'B' }], { clock })
  await alone.open()
  await alone.append([content('other', 'a:0-1')], marks({ new: 1, old: 2 }))
  await alone.close()
  const both = await over(disks, { clock })
  expect(await owed(both.all)).toEqual(['new 1', 'old 2'])
  await clock.advance(60_000)
  expect(disks.map(owedBy)).toEqual([
    ['new 1', 'old 2'],
    ['new 1', 'old 2'],
  ])
})

test('marks of two layers that were each alone for a while are all kept', async () => {
  const clock = manualClock()
  const disks = [disk(), disk()] as const
  for (const [index, name] of ['A', 'B'].entries()) {
    const alone = layers([{ storage: store(disks[index]), name }], { clock })
    await alone.open()
    await alone.append([], marks({ both: index, [`of ${name}`]: 1 }))
    await alone.close()
  }
  const { all } = await over(disks, { clock })
  await clock.advance(60_000)
  expect(await owed(all)).toEqual(['both 0', 'of A 1', 'of B 1'])
  expect(disks.map(owedBy)).toEqual([await owed(all), await owed(all)])
})

test('marks that only a late layer was given, before it was away, are not lost by what was written without it', async () => {
  const clock = manualClock()
  const disks = [disk(), disk()] as const
  const policy = 'any-durable'
  const one = await over(disks, { clock, policy })
  await one.all.append([content('note', 'a:0-1')], marks({ old: 1 }))
  await settled()
  failsTo(one.a, 'append')
  await one.all.append([], marks({ late: 1 }))
  for (const on of disks) on.kill()
  const two = await over(disks, { clock, policy, before: ([, b]) => failsTo(b as Store, 'open') })
  await two.all.append([], marks({ new: 0 }))
  await two.all.append([], marks({ new: 1 }))
  two.b.plan = undefined
  await clock.advance(HOUR_MS)
  expect([await owed(two.all), disks.map(owedBy)]).toEqual([
    ['late 1', 'new 1', 'old 1'],
    [
      ['late 1', 'new 1', 'old 1'],
      ['late 1', 'new 1', 'old 1'],
    ],
  ])
})

test('a layer that has half of the marks of another is not believed when that one is gone', async () => {
  const clock = manualClock()
  const disks = [disk(), disk(), disk()] as const
  const { all, a, b, c } = await over(disks, { clock, policy: 'any-durable' })
  const many = Array.from({ length: 600 }, (_, at) => [`${1_000 + at}`, 1] as const)
  await all.append([], marks({ '0': 1 }))
  await settled()
  for (const one of [b, c]) failsTo(one, 'append')
  await all.append([], marks({ ...Object.fromEntries(many), '0': undefined }))
  c.plan = undefined
  a.plan = ({ method, args }) => (method === 'marks' && 'after' in (args[0] as object) ? { fails: 'IO' } : undefined)
  await clock.advance(3_000)
  expect(disks.map(owedBy).map(({ length }) => length)).toEqual([99, 1, 99])
  for (const on of disks) on.kill()
  const again = await over(disks.slice(1), { clock, policy: 'any-durable' })
  await clock.advance(60_000)
  expect([await owed(again.all), owedBy(disks[1]), owedBy(disks[2])]).toEqual([['0 1'], ['0 1'], ['0 1']])
})

test('a copy of marks that were written while it was read is not taken for what it began as', async () => {
  const clock = manualClock()
  const disks = [disk(), disk(), disk()] as const
  const { all, a, b, c } = await over(disks, { clock, policy: 'any-durable' })
  await all.append([], marks({ x: 1 }))
  await settled()
  failsTo(b, 'append')
  await all.append([], marks({ x: 2 }))
  await settled()
  let reads = 0
  a.plan = ({ method }) => {
    if (method !== 'marks') return undefined
    reads += 1
    return reads > 1 ? { fails: 'IO' } : { after: clock.wait(1_000) }
  }
  b.plan = undefined
  for (let waitedMs = 0; reads === 0; waitedMs += 100) {
    if (waitedMs > 60_000) throw new Error('no copy began')
    await clock.advance(100)
  }
  failsTo(c, 'append')
  await all.append([], marks({ x: 3 }))
  await clock.advance(2_000)
  for (const on of disks) on.kill()
  const again = await over(disks.slice(1), { clock, policy: 'any-durable' })
  await clock.advance(60_000)
  expect([await owed(again.all), owedBy(disks[1]), owedBy(disks[2])]).toEqual([['x 2'], ['x 2'], ['x 2']])
})
