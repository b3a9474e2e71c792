/**
 * The conformance kit in a real browser, over its real IndexedDB.
 */
import { largeStorageCases, storageCases } from '@tidemark/storage/conformance'
import { describe, expect, test } from 'vitest'
import { indexeddbStorage } from '../src/index.ts'
import { deleteDatabase, freshName, subject } from './subject.ts'

// vitest.config.ts hands it on.
const isLarge = (import.meta as unknown as { env: Readonly<Record<string, string>> }).env.TIDEMARK_LARGE
const cases = isLarge ? [...storageCases, ...largeStorageCases] : storageCases

for (const { name, needs, run } of cases)
  test(`indexeddb: ${name}`, { timeout: 120_000 }, async () => {
    expect(await run(() => subject())).toBe(needs.includes('loseTail') ? 'skipped: needs loseTail' : 'passed')
  })

describe('the level', () => {
  for (const [durability, level] of [
    ['strict', 'durable'],
    ['relaxed', 'stored'],
  ] as const)
    test(`${durability} is ${level}`, async () => {
      const name = freshName()
      const storage = indexeddbStorage({ name, durability })
      expect((await storage.open()).level).toBe(level)
      await storage.close()
      await deleteDatabase(name)
    })
})
