/**
 * Erased documents: while the layer that they were erased in does not answer, where layers hold two under one id, in caches.
 */
import { EMPTY } from '@tidemark/known-state'
import { EMPTY_DIGEST, extendDigest, memoryStorage, type Page } from '@tidemark/storage'
import { expect, test } from 'vitest'
import { layers } from '../../src/layers.ts'
import {
  content,
  counts,
  disk,
  held,
  manualClock,
  of,
  outcome,
  over,
  passing,
  type Store,
  settled,
  store,
} from './world.ts'

const cannotErase = (one: Store) => {
  one.plan = ({ method }) => (method === 'erase' ? { fails: 'IO' } : undefined)
}

const saysNothing = (one: Store) => {
  one.plan = () => ({ fails: 'IO' })
}

/** Three layers that hold a note, the second of which is erased and then silent. */
async function erasedInOne() {
  const clock = manualClock()
  const { all, a, b, c } = await over([disk(), disk(), disk()], { clock, policy: 'any-durable' })
  await all.append([content('note', 'a:0-2 tomb:0-1')])
  await passing(clock, all.whenSettled('note'))
  for (const one of [a, c]) cannotErase(one)
  await all.erase('note', [1, 'me'], { keep: ['tomb'] })
  expect([a, b, c].map((one) => held(one))).toEqual(['a:2 tomb:1', 'tomb:1', 'a:2 tomb:1'])
  saysNothing(b)
  return { clock, all, a, b, c }
}

test('a document does not come back while the layer that it was erased in is silent (storm, seed 5303292 of three disks)', async () => {
  const { all } = await erasedInOne()
  const told: string[] = []
  all.watch(({ id, before }) => told.push(`${id} ${counts(before)}`))
  const [state] = await all.knownStates(['note'])
  expect([counts(state?.known), state?.erased, state?.partial, told]).toEqual(['tomb:1', [1, 'me'], true, []])
  // Nobody who answers has it as it is now, and what it was is not read.
  await expect(Promise.resolve(all.read('note', EMPTY, { bytesMax: 1_000 }))).rejects.toThrow('has nothing more')
})

test('layers are erased while the one that was erased first is silent, and are read then', async () => {
  const { clock, all, a, c } = await erasedInOne()
  for (const one of [a, c]) one.plan = undefined
  await all.knownStates(['note'])
  await clock.advance(60_000)
  expect([held(a), held(c)]).toEqual(['tomb:1', 'tomb:1'])
  const page = await all.read('note', EMPTY, { bytesMax: 1_000 })
  expect(page?.runs.map(({ session }) => session)).toEqual(['tomb'])
})

test('what is written to a document that is erased is neither stored nor refused, also while a layer is silent', async () => {
  const { clock, all, a, c } = await erasedInOne()
  for (const one of [a, c]) one.plan = undefined
  await all.knownStates(['note'])
  const [result] = await passing(clock, Promise.resolve(all.append([content('note', 'a:2-3', { header: false })])))
  expect(result).toMatchObject({ state: { erased: [1, 'me'] }, refused: new Map() })
  expect([held(a), held(c)]).toEqual(['tomb:1', 'tomb:1'])
})

test('a load says which layer failed that alone has what a document was erased to, and hands over nothing of what it was', async () => {
  const { clock, all } = await erasedInOne()
  for (const until of ['usable', 'merged', 'settled'] as const) {
    const pages: string[] = []
    const loading = all.load('note', { until, onPage: ({ end }) => pages.push(counts(end)) })
    const { found, state, answered, failed } = await passing(clock, loading)
    expect([found, state?.erased, state?.partial]).toEqual(['present', [1, 'me'], true])
    expect([answered, failed, pages]).toEqual([['A', 'C'], ['B'], []])
  }
})

for (const keep of [[], ['tomb']])
  for (const isTold of [true, false])
    test(`of two documents under one id both are erased, also in a layer that missed it (${keep.length} sessions kept, the fork was told ${isTold ? 'before' : 'since'})`, async () => {
      const clock = manualClock()
      const disks = [disk(), disk(), disk()] as const
      disks[0].data.append([content('note', 's:0-3')])
      const header = new TextEncoder().encode('"another"')
      disks[1].data.append([{ ...content('note', 't:0-3 tomb:0-1', { salt: ' other' }), header }])
      const { all, a, b, events } = await over(disks.slice(0, 2), { clock, policy: 'any-durable' })
      if (isTold) {
        await passing(clock, all.load('note', { until: 'settled' }))
        cannotErase(a)
      } else saysNothing(a)
      expect(of(events, 'fork')).toHaveLength(isTold ? 1 : 0)
      const erased = () => disks.map(({ data }) => data.knownStates(['note'])[0]?.erased)
      await passing(clock, Promise.resolve(all.erase('note', [1, 'me'], { keep })))
      expect(erased()).toEqual([undefined, [1, 'me'], undefined])
      expect((await all.status('note')).word).toBe(isTold ? 'here' : 'incomplete')
      a.plan = undefined
      // One that has nothing of it.
      await all.attach({ storage: store(disks[2]), name: 'C' })
      await clock.advance(60_000)
      await passing(clock, all.sweep())
      await clock.advance(600_000)
      const kept = keep.length > 0 ? 'tomb:1' : ''
      expect([erased(), held(a), held(b)]).toEqual([
        [
          [1, 'me'],
          [1, 'me'],
          [1, 'me'],
        ],
        '',
        kept,
      ])
      expect((await all.status('note')).word).toBe('everywhere')
      const [result] = await passing(clock, Promise.resolve(all.append([content('note', 's:3-4')])))
      expect(result).toMatchObject({ state: { erased: [1, 'me'] }, refused: new Map() })
      expect(result).not.toHaveProperty('headerRefused')
    })

test('what a layer says is erased does not stay in a cache', async () => {
  const clock = manualClock()
  const [a, b] = [disk(), disk()]
  for (const { data } of [a, b]) data.append([content('note', 'a:0-2 tomb:0-1')])
  const memory = memoryStorage()
  const all = layers([memory, store(a), store(b)], { clock, limits: { repairsMax: 0 } })
  await all.open()
  await all.read('note', EMPTY, { bytesMax: 1_000 })
  expect(counts(memory.knownStates(['note'])[0]?.known)).toBe('a:2 tomb:1')
  b.data.erase('note', [1, 'me'], { keep: ['tomb'] })
  await passing(clock, all.load('note'))
  expect(counts(memory.knownStates(['note'])[0]?.known)).toBe('tomb:1')
})

test('a layer is erased later also where it has less of a fork than the erasure kept', async () => {
  const clock = manualClock()
  const disks = [disk(), disk()] as const
  disks[0].data.append([content('note', 's:0-2 tomb:0-2')])
  disks[1].data.append([content('note', 's:0-2 tomb:0-1', { salt: ' other' })])
  const { all, b, events } = await over(disks, { clock, policy: 'any-durable' })
  await passing(clock, all.load('note', { until: 'settled' }))
  expect(of(events, 'fork').map(({ session }) => session)).toEqual(['s', 'tomb'])
  cannotErase(b)
  await all.erase('note', [1, 'me'], { keep: ['tomb'] })
  expect(disks.map((on) => held({ disk: on }))).toEqual(['tomb:2', 's:2 tomb:1'])
  b.plan = undefined
  await clock.advance(600_000)
  expect(disks.map((on) => held({ disk: on }))).toEqual(['tomb:2', 'tomb:1'])
})

test('a layer that has nothing of a fork that the erasure kept is erased later, too', async () => {
  const clock = manualClock()
  const disks = [disk(), disk(), disk()] as const
  disks[0].data.append([content('note', 's:0-2 tomb:0-2')])
  disks[1].data.append([content('note', 's:0-2 tomb:0-2', { salt: ' other' })])
  disks[2].data.append([content('note', 's:0-2')])
  const { all, c } = await over(disks, { clock, policy: 'any-durable' })
  await passing(clock, all.load('note', { until: 'settled' }))
  cannotErase(c)
  await all.erase('note', [1, 'me'], { keep: ['tomb'] })
  c.plan = undefined
  await clock.advance(600_000)
  expect(disks.map((on) => held({ disk: on }).includes('s:'))).toEqual([false, false, false])
})

test('what an erasure keeps is acknowledged where enough have it, erased or not', async () => {
  const clock = manualClock()
  const { all, a, b } = await over([disk(), disk()], { clock, limits: { repairsMax: 0 } })
  await all.append([content('note', 's:0-1')])
  b.plan = ({ method, args }) => {
    const isOfContent = method === 'append' && (args[0] as readonly unknown[]).length > 0
    return isOfContent || method === 'erase' ? { fails: 'QUOTA' } : undefined
  }
  const tomb = content('note', 'tomb:0-1', { header: false })
  expect(await passing(clock, outcome(all.append([tomb])))).toBe('failed')
  const erasing = () => passing(clock, outcome(all.erase('note', [1, 'me'], { keep: ['tomb'] })))
  expect(await erasing()).toBe('failed')
  const told = async () => {
    const [state] = await passing(clock, Promise.resolve(all.knownStates(['note'])))
    return [counts(state?.known), counts(state?.durable ?? state?.known)]
  }
  expect([held(a), held(b), ...(await told())]).toEqual(['tomb:1', 's:1', 'tomb:1', ''])
  b.plan = undefined
  expect(await erasing()).toBe('done')
  expect([held(a), held(b), ...(await told())]).toEqual(['tomb:1', 'tomb:1', 'tomb:1', 'tomb:1'])
})

const texts = ({ runs }: Pick<Page, 'runs'>) =>
  runs.flatMap(({ transactions }) => transactions.map((one) => new TextDecoder().decode(one)))

/** What version 1 kept of a note, and version 2 removed, is still in the first layer. */
async function erasedTwice() {
  const clock = manualClock()
  const disks = [disk(), disk(), disk()] as const
  const { all, a, b } = await over(disks.slice(0, 2), { clock, policy: 'any-durable' })
  await all.append([content('note', 'x:0-3 tomb:0-1')])
  await settled()
  await all.erase('note', [1, 'me'], { keep: ['x', 'tomb'] })
  cannotErase(a)
  await all.erase('note', [2, 'me'], { keep: ['tomb'] })
  expect([held(a), held(b)]).toEqual(['tomb:1 x:3', 'tomb:1'])
  return { clock, all, a, b, disks }
}

test('what a newer erasure removed is neither read nor copied from a layer that has an older one', async () => {
  const { clock, all, a, disks } = await erasedTwice()
  const read = await all.read('note', EMPTY, { bytesMax: 1_000 })
  const loaded: string[] = []
  await passing(clock, all.load('note', { onPage: (page) => loaded.push(...texts(page)) }))
  expect([texts(read ?? { runs: [] }), loaded]).toEqual([['"tomb 0"'], ['"tomb 0"']])
  expect(await all.status('note')).toMatchObject({ word: 'here', layers: [{ behind: 1 }, { behind: 0 }] })
  const third = store(disks[2])
  const given: string[] = []
  const { append } = third
  third.append = (batch, options) => {
    given.push(...batch.flatMap(texts))
    return append(batch, options)
  }
  await all.attach({ storage: third, name: 'C' })
  await clock.advance(600_000)
  expect([given, held({ disk: disks[2] })]).toEqual([['"tomb 0"'], 'tomb:1'])
  a.plan = undefined
  await passing(clock, all.sweep())
  await clock.advance(600_000)
  expect([held(a), (await all.status('note')).word]).toEqual(['tomb:1', 'everywhere'])
})

test('a load hands over nothing of an older erasure while the layer with the newer one is silent, and says which failed', async () => {
  const { clock, all, b } = await erasedTwice()
  saysNothing(b)
  const loaded: string[] = []
  const loading = all.load('note', { onPage: (page) => loaded.push(...texts(page)) })
  const { found, state, answered, failed } = await passing(clock, loading)
  expect([found, state?.erased, answered, failed, loaded]).toEqual(['present', [2, 'me'], ['A'], ['B'], []])
})

test('a layer that has all there is is erased, whatever it was flagged for, where every layer says what it holds', async () => {
  const clock = manualClock()
  const disks = [disk(), disk()] as const
  for (const { data } of disks) data.append([content('note', 's:0-1 tomb:0-1')])
  const id = new TextEncoder().encode('note')
  const key = `\u{10ffff}tidemark layers dirty 1 B${extendDigest(EMPTY_DIGEST, [id])}`
  disks[0].data.append([], { marks: new Map([[key, id]]) })
  const { all } = await over(disks, { clock, limits: { repairsMax: 0 } })
  expect(all.health().map(({ dirty }) => dirty)).toEqual([0, 1])
  await passing(clock, Promise.resolve(all.erase('note', [1, 'me'], { keep: ['tomb'] })))
  expect(disks.map((on) => held({ disk: on }))).toEqual(['tomb:1', 'tomb:1'])
})
