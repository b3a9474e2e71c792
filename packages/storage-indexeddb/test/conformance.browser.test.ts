/**
 * The conformance kit in a real browser, over its real IndexedDB.
 */
import { storageCases } from '@tidemark/storage/conformance'
import { describe, expect, test } from 'vitest'
import { indexeddbStorage } from '../src/index.ts'
import { deleteDatabase, freshName, subject } from './subject.ts'

for (const { name, needs, run } of storageCases)
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
