/** What a new connection is asked for: open and stored documents, their known states looked up in bulk. */
import { EMPTY } from '@tidemark/known-state'
import { expect, test } from 'vitest'
import { type Planned, type PlanOptions, plan } from '../src/index.ts'
import { document, gate, rest, spied, state, times } from './world.ts'

async function all(options: PlanOptions): Promise<Planned[]> {
  const found: Planned[] = []
  for await (const page of plan(options)) found.push(...page)
  return found
}

test('an open document is asked for with what memory holds, a stored one with what the storage holds', async () => {
  const { storage, calls } = spied(document('lazy', 3), document('open', 2))
  const live = new Map([['open', state(5)]])
  expect(await all({ storage, live })).toEqual([
    { id: 'lazy', known: state(3), from: 'storage' },
    { id: 'open', known: state(5), from: 'memory' },
  ])
  expect(calls.filter(([name]) => name === 'knownStates')).toEqual([['knownStates', ['lazy']]])
})

test('2b: what is open and neither loaded nor stored is asked for with nothing, and that is no failure', async () => {
  const live = { keys: () => ['new'], get: () => undefined }
  expect(await all({ storage: spied().storage, live })).toEqual([{ id: 'new', known: EMPTY, from: 'nowhere' }])
})

test('a document that is opened while it is looked up is asked for with what memory holds', async () => {
  const spy = spied(document('note', 3))
  const slow = gate()
  spy.replace.knownStates = async (ids) => slow.opened.then(() => spy.real.knownStates(ids))
  const live = new Map()
  const planned = all({ storage: spy.storage, live })
  await rest()
  live.set('note', state(4))
  slow.open()
  expect(await planned).toEqual([{ id: 'note', known: state(4), from: 'memory' }])
})

test('L2: where the storage fails that is said, and for that document only', async () => {
  const spy = spied(document('bad', 1), document('good', 2))
  const cause = new Error('disk on fire')
  spy.replace.knownStates = (ids) => {
    if (ids.includes('bad')) throw cause
    return spy.real.knownStates(ids)
  }
  expect(await all({ storage: spy.storage })).toEqual([
    { id: 'bad', known: EMPTY, from: 'failed', cause },
    { id: 'good', known: state(2), from: 'storage' },
  ])
})

test('of bytes documents the digests are said too', async () => {
  const { storage } = spied({ ...document('note', 3), kind: 'bytes' })
  expect(await all({ storage })).toMatchObject([{ id: 'note', digests: new Map([['a', expect.any(String)]]) }])
})

test('11: 10,000 stored documents take two calls for each page, and a page is all there is at a time', async () => {
  const spy = spied(...Array.from({ length: 10_000 }, (_, index) => document(`d${index}`)))
  const sizes: number[] = []
  const ids: string[] = []
  for await (const page of plan({ storage: spy.storage })) {
    sizes.push(page.length)
    ids.push(...page.map(({ id }) => id))
    expect(times(spy, 'knownStates')).toBe(sizes.length)
  }
  expect(sizes).toEqual(new Array(10).fill(1_000))
  expect(new Set(ids).size).toBe(10_000)
  expect(times(spy, 'knownStates')).toBe(10)
  expect(spy.calls.length).toBeLessThanOrEqual(21)
})

test('open documents stand among the stored ones, each once, whatever the pages', async () => {
  for (const pageSize of [1, 2, 3, 7]) {
    const { storage } = spied(...['b', 'd', 'f'].map((id) => document(id)))
    const live = new Map(['a', 'b', 'c', 'f', 'g', 'h'].map((id) => [id, state(1)]))
    const found = await all({ storage, live, pageSize })
    expect(found.map(({ id }) => id)).toEqual(['a', 'b', 'c', 'd', 'f', 'g', 'h'])
  }
})

test('with ids of its own a plan lists nothing', async () => {
  const spy = spied(document('a'), document('b'), document('c'))
  const found = await all({ storage: spy.storage, ids: ['c', 'a', 'c'] })
  expect(found.map(({ id }) => id)).toEqual(['a', 'c'])
  expect(times(spy, 'list')).toBe(0)
})

test('a plan that is no longer wanted ends with the reason of its signal, and asks nothing more', async () => {
  const spy = spied(document('a'), document('b'))
  const over = new AbortController()
  const reading = plan({ storage: spy.storage, pageSize: 1, signal: over.signal })
  await reading.next()
  const before = spy.calls.length
  over.abort(new Error('disconnected'))
  await expect(reading.next()).rejects.toThrow('disconnected')
  expect(spy.calls.length).toBe(before)
})

test('a storage that cannot list its documents fails the plan: it cannot say what is missing from it', async () => {
  const spy = spied()
  spy.replace.list = () => {
    throw new Error('disk on fire')
  }
  await expect(all({ storage: spy.storage })).rejects.toThrow('disk on fire')
  await expect(all({ storage: spied().storage, pageSize: 0 })).rejects.toThrow(RangeError)
})
