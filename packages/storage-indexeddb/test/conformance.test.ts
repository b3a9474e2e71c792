/**
 * The conformance kit in Node, over a stand-in for IndexedDB. conformance.browser.test.ts runs it in Chromium.
 */
import 'fake-indexeddb/auto'
import { largeStorageCases, storageCases } from '@tidemark/storage/conformance'
import { expect, test } from 'vitest'
import { subject } from './subject.ts'

const cases = process.env.TIDEMARK_LARGE ? [...storageCases, ...largeStorageCases] : storageCases

for (const { name, needs, run } of cases)
  test(`indexeddb (fake): ${name}`, { timeout: 120_000 }, async () => {
    expect(await run(() => subject())).toBe(needs.includes('loseTail') ? 'skipped: needs loseTail' : 'passed')
  })
