/**
 * The conformance kit in a real browser, over its real IndexedDB.
 */
import { storageCases } from '@tidemark/storage/conformance'
import { describe, expect, test } from 'vitest'
import { subject } from './subject.ts'

for (const durability of ['strict', 'relaxed'] as const)
  describe(`indexeddb (${durability})`, () => {
    for (const { name, run } of storageCases)
      test(name, { timeout: 120_000 }, async () => expect(await run(() => subject({ durability }))).toBe('passed'))
  })
