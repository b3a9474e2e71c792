/**
 * Callers of layers: what they throw, when they leave, what they may ask for. In manual time.
 */
import { EMPTY } from '@tidemark/known-state'
import type { Page } from '@tidemark/storage'
import { expect, test, vi } from 'vitest'
import { layers } from '../../src/layers.ts'
import { content, disk, held, manualClock, of, over, passing, settled, slow, store } from './world.ts'

test('a listener that throws stops neither the others nor a repair, and is heard of', async () => {
  const clock = manualClock()
  const [a, b] = [disk(), disk()]
  a.data.append([content('note', 'a:0-5')])
  const { all } = await over([a, b], { clock })
  const thrown: unknown[] = []
  const real = globalThis.queueMicrotask
  vi.stubGlobal('queueMicrotask', (work: () => void) =>
    real(() => {
      try {
        work()
      } catch (cause) {
        thrown.push(cause)
      }
    }),
  )
  const heard: string[] = []
  all.listen((event) => {
    if (event.kind === 'repair') throw new Error('mine')
  })
  all.listen(({ kind }) => heard.push(kind))
  all.watch(() => {
    throw new Error('mine')
  })
  await all.load('note', { until: 'settled' })
  await clock.advance(1_000)
  vi.unstubAllGlobals()
  expect([held({ disk: b }), heard.includes('repair'), thrown.length > 0]).toEqual(['a:5', true, true])
})

test('a listener that never says which marks belong to a document keeps that one from the home layer, and no other', async () => {
  const clock = manualClock()
  const [a, b] = [disk(), disk()]
  const ids = ['1', '2', '3', '4', '5', '6', 'note']
  for (const id of ids) b.data.append([content(id, 'a:0-5')])
  const { all } = await over([a, b], { clock })
  let isHanging = true
  all.watch(({ id, storeWith }) => {
    if (id !== 'note' && isHanging) storeWith?.(new Promise(() => {}))
  })
  void all.knownStates(ids)
  await clock.advance(60_000)
  expect([held({ disk: a }), held({ disk: a }, '1')]).toEqual(['a:5', 'absent'])
  isHanging = false
  await clock.advance(3_600_000)
  expect(ids.map((id) => held({ disk: a }, id))).toEqual(ids.map(() => 'a:5'))
})

test('what the taker of pages throws is its own: no layer has failed', async () => {
  const clock = manualClock()
  const [a, b] = [disk(), disk()]
  for (const on of [a, b]) on.data.append([content('note', 'a:0-50')])
  const { all, events } = await over([a, b], { clock, limits: { pageBytes: 50 } })
  let pages = 0
  const onPage = () => {
    if (++pages > 1) throw new Error('mine')
  }
  await expect(all.load('note', { onPage })).rejects.toThrow('mine')
  expect([pages, of(events, 'merged').map(({ failed }) => failed)]).toEqual([2, [[]]])
})

test('closed while it opens: the opening fails, everything is closed, nothing waits', async () => {
  const clock = manualClock()
  const stores = [store(), store()]
  for (const one of stores) slow(one, clock, 100)
  const all = layers(stores, { clock })
  const opening = all.open().then(
    () => 'opened',
    ({ code }) => code,
  )
  await settled()
  const closing = all.close()
  await clock.advance(60_000)
  await closing
  expect(await opening).toBe('CLOSED')
  await expect(all.load('note')).rejects.toMatchObject({ code: 'CLOSED' })
  expect([clock.waiting, stores.map(({ calls }) => calls.close)]).toEqual([0, [1, 1]])
})

test('whoever leaves while layers are asked is not kept', async () => {
  const clock = manualClock()
  const { all, stores } = await over([disk(), disk()], { clock })
  slow(stores[1] as (typeof stores)[0], clock, Number.POSITIVE_INFINITY)
  const leaving = new AbortController()
  const { signal } = leaving
  const calls: readonly PromiseLike<unknown>[] = [
    all.knownStates(['note'], { signal }),
    all.headers(['note'], { signal }),
    all.read('note', EMPTY, { bytesMax: 1_000, signal }),
    all.list({ limit: 9, signal }),
  ]
  const ended = Promise.allSettled(calls)
  await settled()
  leaving.abort('left')
  expect((await ended).map((one) => one.status === 'rejected' && one.reason)).toEqual(calls.map(() => 'left'))
})

test('a quorum of more layers than there are is refused', () => {
  for (const quorum of [0, 3, 1.5, Number.NaN])
    expect(() => layers([store(), store()], { policy: { quorum } })).toThrow(RangeError)
  expect(() => layers([store(), store()], { policy: { quorum: 2 } })).not.toThrow()
})

test('a large document is copied in turns with everything else, also between storages that answer at once', async () => {
  const clock = manualClock()
  const [a, b] = [disk(), disk()]
  const transactions = Array.from({ length: 50 }, () => new Uint8Array(100_000))
  a.data.append([{ ...content('note', ''), runs: [{ session: 'a', after: 0, transactions }] }])
  const { all } = await over([a, b], { clock })
  const loading = all.load('note', { until: 'settled' })
  await settled()
  const some = Number(held({ disk: b }).slice(2))
  expect([some > 0, some < 50]).toEqual([true, true])
  await clock.advance(0)
  await loading
  expect(held({ disk: b })).toBe('a:50')
})

test('a large document is loaded in turns with everything else, and no further once its caller left', async () => {
  const clock = manualClock()
  const { all } = await over([disk()], { clock })
  const transactions = Array.from({ length: 50 }, () => new Uint8Array(100_000))
  await all.append([{ ...content('note', ''), runs: [{ session: 'a', after: 0, transactions }] }])
  const leaving = new AbortController()
  let bytes = 0
  const onPage = ({ runs }: Page) => {
    for (const run of runs) for (const one of run.transactions) bytes += one.length
  }
  const loading = all.load('note', { onPage, signal: leaving.signal }).catch((cause) => cause)
  await settled()
  const some = bytes
  expect([some >= 1024 * 1024, some < 2 * 1024 * 1024]).toEqual([true, true])
  leaving.abort('left')
  expect(await loading).toBe('left')
  await clock.advance(1_000)
  expect(bytes).toBe(some)
  await passing(clock, all.load('note', { onPage }))
  expect(bytes).toBe(some + 5_000_000)
})
