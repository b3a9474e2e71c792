/**
 * The conformance kit in a browser that has neither `getAllRecords` nor `commit` nor `durability`, with relaxed durability.
 */
import 'fake-indexeddb/auto'
import { storageCases } from '@tidemark/storage/conformance'
import { expect, test } from 'vitest'
import { indexeddbStorage } from '../src/index.ts'
import { freshName, subject } from './subject.ts'

for (const [owner, name] of [
  [IDBObjectStore.prototype, 'getAllRecords'],
  [IDBTransaction.prototype, 'commit'],
] as const)
  Reflect.deleteProperty(owner, name)

for (const { name, run } of storageCases)
  test(`indexeddb (older): ${name}`, { timeout: 120_000 }, async () => {
    const outcome = await run(() => {
      const { failNext: _, ...others } = subject({ durability: 'relaxed' })
      return others
    })
    // A commit that is not asked for cannot be made to fail, and the files of a browser are its own.
    expect(['passed', 'skipped: needs failNext', 'skipped: needs loseTail']).toContain(outcome)
  })

test('what a browser does not promise is not promised', async () => {
  const open = indexedDB.open.bind(indexedDB)
  const older = {
    open(name: string, version: number) {
      const request = open(name, version)
      request.addEventListener('success', () => forgetDurability(request.result))
      return request
    },
  } as IDBFactory
  expect((await indexeddbStorage({ name: freshName(), indexedDB: older }).open()).level).toBe('stored')
})

function forgetDurability(database: IDBDatabase): void {
  const begin = database.transaction.bind(database)
  database.transaction = (stores, mode) => {
    const transaction = begin(stores, mode)
    Object.defineProperty(transaction, 'durability', { value: undefined })
    return transaction
  }
}
