/**
 * Forks of `json` sessions, which no digest tells: nothing is put together from two layers that was not compared (L13).
 */
import { EMPTY, type KnownState } from '@tidemark/known-state'
import { memoryStorage, type Page } from '@tidemark/storage'
import { expect, test } from 'vitest'
import { type Layers, layers } from '../../src/layers.ts'
import { content, disk, dump, held, manualClock, of, over, passing, settled, slow, store } from './world.ts'

const json = (sessions: string, salt = '') => content('note', sessions, { kind: 'json', salt })
const entries = (pages: readonly Page[]) =>
  pages.flatMap(({ runs }) =>
    runs.flatMap(({ transactions }) => transactions.map((one) => new TextDecoder().decode(one))),
  )
const isMixed = (handed: readonly string[]) =>
  handed.some((one) => one.includes('other')) && !handed.every((one) => one.includes('other'))

async function readAll(all: Layers): Promise<readonly Page[]> {
  const pages: Page[] = []
  for (let after: KnownState = EMPTY; ; ) {
    const page = await all.read('note', after, { bytesMax: 20 })
    if (page === undefined) return pages
    pages.push(page)
    if (!page.more) return pages
    after = page.end
  }
}

for (const [first, second] of [
  ['s:0-5', 's:0-8'],
  ['s:0-8', 's:0-5'],
] as const)
  for (const late of [undefined, 'A', 'B'] as const)
    test(`a fork in ${first} and ${second} is served from one layer, and told (${late ?? 'none'} is late)`, async () => {
      const clock = manualClock()
      const [a, b] = [disk(), disk()]
      a.data.append([json(first)])
      b.data.append([json(second, ' other')])
      const { all, events, ...stores } = await over([a, b], { clock })
      if (late !== undefined) slow(late === 'A' ? stores.a : stores.b, clock, 300, ['read', 'append'])
      const loaded: Page[] = []
      await passing(clock, all.load('note', { onPage: (page) => loaded.push(page) }))
      expect(entries(loaded).length).toBeGreaterThan(4)
      expect(isMixed(entries(loaded))).toBe(false)
      const read = await passing(clock, readAll(all))
      expect([isMixed(entries(read)), entries(read).length]).toEqual([false, first === 's:0-5' ? 5 : 8])
      await clock.advance(60_000)
      expect(of(events, 'fork').map(({ session }) => session)).toEqual(['s'])
      expect([held({ disk: a }), held({ disk: b })]).toEqual([first.replace('0-', ''), second.replace('0-', '')])
    })

test('what is the same in both is read from both, and compared once', async () => {
  const clock = manualClock()
  const [a, b] = [disk(), disk()]
  a.data.append([json('s:0-5')])
  b.data.append([json('s:0-8')])
  const { all, stores, events } = await over([a, b], { clock, limits: { repairsMax: 0 } })
  expect(entries(await readAll(all))).toHaveLength(8)
  const reads = stores.map(({ calls }) => calls.read)
  await readAll(all)
  const again = stores.map(({ calls }, index) => calls.read - (reads[index] as number))
  expect(again.reduce((sum, count) => sum + count)).toBeLessThan(reads.reduce((sum, count) => sum + count))
  expect(of(events, 'fork')).toEqual([])
})

test('a layer whose part cannot be compared is passed over', async () => {
  const clock = manualClock()
  const [a, b] = [disk(), disk()]
  a.data.append([json('s:0-5')])
  b.data.append([json('s:0-8', ' other')])
  const { all, a: first } = await over([a, b], { clock, limits: { repairsMax: 0 } })
  first.plan = ({ method }) => (method === 'read' ? { fails: 'IO' } : undefined)
  const handed = entries(await readAll(all))
  expect([isMixed(handed), handed.length]).toEqual([false, 8])
})

test('of a session that could not be compared a layer gives nothing, also if it holds more by now than was seen (disks, seed 5300060)', async () => {
  const clock = manualClock()
  const [a, b] = [disk(), disk()]
  a.data.append([json('r:0-1 s:0-1')])
  b.data.append([json('s:0-2')])
  const { all, b: second } = await over([a, b], { clock, limits: { repairsMax: 0 } })
  await all.knownStates(['note'])
  a.data.append([content('note', 's:1-2', { kind: 'json', header: false })])
  second.plan = ({ method, nth }) => (method === 'read' && nth === 1 ? { fails: 'IO' } : undefined)
  const begins = (page: Page | undefined) => page?.runs.map(({ session, after }) => `${session} ${after}`)
  const page = await all.read('note', EMPTY, { bytesMax: 1_000 })
  expect([begins(page), page?.more]).toEqual([['r 0'], true])
  expect(begins(await all.read('note', page?.end ?? EMPTY, { bytesMax: 1_000 }))).toEqual(['s 0'])
})

for (const [salt, fails] of [
  [' other', 'reads'],
  [' other', 'is taken out'],
  ['', 'reads'],
] as const)
  test(`a load goes on with no session that it began in a layer which ${fails === 'reads' ? 'cannot be read any more' : fails}, and says so${salt === '' ? ', also where both are the same' : ''}`, async () => {
    const clock = manualClock()
    const [a, b] = [disk(), disk()]
    a.data.append([json('r:0-2 s:0-5')])
    b.data.append([json('s:0-8 t:0-2', salt)])
    const { all, a: first, b: second } = await over([a, b], { clock, limits: { repairsMax: 0 } })
    slow(second, clock, 300, ['read', 'append'])
    const pages: Page[] = []
    const loading = all.load('note', { onPage: (page) => pages.push(page) })
    await settled()
    expect(entries(pages)).toHaveLength(7)
    if (fails === 'reads') first.plan = ({ method }) => (method === 'read' ? { fails: 'IO' } : undefined)
    else all.detach('A')
    const loaded = await passing(clock, loading)
    const ofSessions = pages.flatMap(({ runs }) => runs.map(({ session, after }) => `${session} ${after}`))
    expect(ofSessions).toEqual(['r 0', 's 0', 't 0'])
    expect([loaded.answered.includes('B'), loaded.failed]).toEqual([false, ['B']])
    first.plan = undefined
    second.plan = undefined
    const again: Page[] = []
    if (fails === 'reads') await passing(clock, all.load('note', { onPage: (page) => again.push(page) }))
    expect(again.flatMap(({ runs }) => runs).filter(({ session }) => session === 's').length).toBe(
      fails !== 'reads' ? 0 : salt === '' ? 2 : 1,
    )
  })

test('a cache is given no mixture', async () => {
  const clock = manualClock()
  const [a, b] = [disk(), disk()]
  a.data.append([json('s:0-5')])
  b.data.append([json('s:0-8', ' other')])
  const stores = [store(a), store(b)] as const
  const cache = memoryStorage()
  const all = layers([{ storage: cache }, ...stores.map((storage) => ({ storage }))], {
    clock,
    limits: { repairsMax: 0, lookTimeoutMs: 100 },
  })
  await all.open()
  stores[1].plan = ({ method }) => (method === 'knownStates' ? { fails: 'IO' } : undefined)
  await passing(clock, all.knownStates(['note']))
  const page = await all.read('note', EMPTY, { bytesMax: 1_000 })
  stores[0].plan = ({ method }) => (method === 'read' ? { fails: 'IO' } : undefined)
  stores[1].plan = undefined
  await passing(clock, all.knownStates(['note']))
  await all.read('note', page?.end ?? EMPTY, { bytesMax: 1_000 })
  expect(isMixed(dump(cache).split(/(?<=") /))).toBe(false)
})

test('a repair compares every session, also those that come in later pages', async () => {
  const clock = manualClock()
  const [a, b] = [disk(), disk()]
  a.data.append([json('r:0-3 s:0-3'), json('t:0-3')])
  b.data.append([json('r:0-6'), json('s:0-6', ' other'), json('t:0-6')])
  const { all, events } = await over([a, b], { clock, limits: { repairPageBytes: 1 } })
  const before = dump(a.data).split('\n')[1]
  await passing(clock, all.load('note', { until: 'settled' }))
  expect(held({ disk: a })).toBe('r:6 s:3 t:6')
  expect(dump(a.data).split('\n')[1]).toBe(before)
  expect(of(events, 'fork').map(({ session }) => session)).toEqual(['s'])
})

for (const how of ['read', 'load'] as const)
  test(`what a cache has of a fork is from one layer, also where another one alone was there to ${how} on from`, async () => {
    const clock = manualClock()
    const [a, b] = [disk(), disk()]
    a.data.append([json('s:0-6')])
    b.data.append([json('s:0-5', ' other')])
    const stores = [store(a), store(b)] as const
    const silent = () => ({ fails: 'IO' }) as const
    const cache = memoryStorage()
    const limits = { repairsMax: 0 }
    const all = layers([{ storage: cache }, ...stores.map((storage) => ({ storage }))], { clock, limits })
    await all.open()
    stores[0].plan = silent
    const loaded: Page[] = []
    const load = () => passing(clock, all.load('note', { onPage: (page) => loaded.push(page) }))
    await load()
    stores[0].plan = undefined
    stores[1].plan = silent
    await clock.advance(60_000)
    // Whoever has five of the other one goes on.
    const after = { header: true, sessions: new Map([['s', 5]]) }
    await passing(clock, Promise.resolve(all.knownStates(['note'])))
    const pages = [await all.read('note', after, { bytesMax: 1_000 })]
    expect(pages[0]?.runs.map((run) => run.after)).toEqual([5])
    stores[1].plan = undefined
    if (how === 'load') loaded.length = 0
    if (how === 'load') await load()
    else loaded.splice(0, 9, ...(await passing(clock, readAll(all))))
    expect([isMixed(entries(loaded)), entries(loaded).length]).toEqual([false, 6])
    expect(isMixed(dump(cache).split(/(?<=") /))).toBe(false)
  })

test('a cache goes on with what it has from a layer, and is read instead of that one alone', async () => {
  const clock = manualClock()
  const [a, b] = [disk(), disk()]
  for (const { data } of [a, b]) data.append([json('s:0-5')])
  const stores = [store(a), store(b)] as const
  const cache = memoryStorage()
  const all = layers([{ storage: cache }, ...stores.map((storage) => ({ storage }))], { clock })
  await all.open()
  await readAll(all)
  await all.append([content('note', 's:5-7', { kind: 'json', header: false })])
  const reads = () => stores.map(({ calls }) => calls.read)
  const before = reads()
  expect([entries(await readAll(all)).length, reads()]).toEqual([7, before])
  stores[0].plan = () => ({ fails: 'IO' })
  await clock.advance(5_000)
  const loaded: Page[] = []
  await passing(clock, all.load('note', { onPage: (page) => loaded.push(page) }))
  expect([entries(loaded).length, reads()[0]]).toEqual([7, before[0]])
  expect(reads()[1]).toBeGreaterThan(before[1] as number)
})
