/**
 * The conformance kit over a cache in memory and an IndexedDB, in a real browser.
 */
import { memoryStorage, type Storage } from '@tidemark/storage'
import { type Subject, storageCases } from '@tidemark/storage/conformance'
import { indexeddbStorage } from '@tidemark/storage-indexeddb'
import { expect, test } from 'vitest'
import { layers } from '../../src/layers.ts'

declare const indexedDB: { deleteDatabase(name: string): { onsuccess: unknown; onerror: unknown } }

let made = 0

function subject(): Subject {
  const name = `layers ${Math.random()} ${made++}`
  const make = (): Storage =>
    layers([
      { name: 'memory', storage: memoryStorage() },
      { name: 'indexeddb', storage: indexeddbStorage({ name }) },
    ])
  return {
    storage: make(),
    reopen: make,
    second: make,
    destroy: () =>
      new Promise<void>((resolve, reject) => {
        const request = indexedDB.deleteDatabase(name)
        request.onsuccess = () => resolve()
        request.onerror = () => reject(new Error('the database was not deleted'))
      }),
  }
}

/** Those of a tab are tested where the adapter is. */
const NOT_HERE = ['kill', 'loseTail', 'readOnly', 'failNext']

for (const { name, needs, run } of storageCases)
  test(`layers (memory, indexeddb): ${name}`, { timeout: 120_000 }, async () => {
    const outcome = await run(subject)
    if (!needs.some((need) => NOT_HERE.includes(need))) expect(outcome).toBe('passed')
  })
