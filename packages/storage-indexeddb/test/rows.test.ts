/**
 * Looking up many keys: the same answers, whether they are read as ranges or one by one.
 */
import 'fake-indexeddb/auto'
import fc from 'fast-check'
import { describe, expect, test, vi } from 'vitest'
import { textKey } from '../src/keys.ts'
import { Habit, lookUp } from '../src/rows.ts'
import { freshName } from './subject.ts'

const STORED = 600
const keyOf = (index: number) => textKey(`key ${String(index).padStart(4, '0')}`)

/** Even keys are stored. */
async function filled(): Promise<IDBDatabase> {
  const request = indexedDB.open(freshName(), 1)
  request.onupgradeneeded = () => {
    const store = request.result.createObjectStore('rows')
    for (let index = 0; index < STORED; index++) store.put(2 * index, keyOf(2 * index))
  }
  await new Promise((resolve) => {
    request.onsuccess = resolve
  })
  return request.result
}

const database = await filled()
const rows = () => database.transaction('rows').objectStore('rows')
const expected = (index: number) => (index % 2 === 0 && index < 2 * STORED ? index : undefined)

describe('looking up', () => {
  test('answers in the order asked, with what is not there and what is asked twice', async () => {
    const asked = fc.oneof(
      fc.array(fc.nat({ max: 2 * STORED + 20 }), { maxLength: 300 }),
      // A range of them, in any order.
      fc
        .tuple(fc.nat({ max: STORED }), fc.nat({ max: STORED }))
        .map(([from, count]) =>
          Array.from({ length: count }, (_, index) => from + ((index * 7919) % Math.max(1, count))),
        ),
    )
    const habit = new Habit()
    await fc.assert(
      fc.asyncProperty(asked, async (indexes) => {
        expect(await lookUp(rows(), indexes.map(keyOf), habit)).toEqual(indexes.map(expected))
      }),
    )
  })

  test('reads keys that stand together as ranges, and scattered ones one by one', async () => {
    const get = vi.spyOn(IDBObjectStore.prototype, 'get')
    const habit = new Habit()
    const together = Array.from({ length: 400 }, (_, index) => keyOf(2 * index))
    await lookUp(rows(), together, habit)
    expect(get).not.toHaveBeenCalled()
    const scattered = Array.from({ length: 20 }, (_, index) => keyOf(58 * index))
    await lookUp(rows(), scattered, habit)
    get.mockClear()
    await lookUp(rows(), scattered, habit)
    expect(get).toHaveBeenCalledTimes(20)
  })
})
