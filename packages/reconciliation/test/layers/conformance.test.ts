/**
 * The conformance kit over layers: they are a storage like any other.
 */
import { memoryStorage } from '@tidemark/storage'
import { delayed, storageCases } from '@tidemark/storage/conformance'
import { describe, expect, test } from 'vitest'
import { layers } from '../../src/layers.ts'
import { diskSubject } from './disks.ts'

const subjects = {
  'memory, memory': () => layers([memoryStorage(), memoryStorage()]),
  'memory, memory that answers later': () => layers([memoryStorage(), delayed(memoryStorage())]),
}

const CAPABILITIES = ['list', 'changes', 'maps', 'erase']

for (const [name, make] of Object.entries(subjects))
  describe(`layers (${name})`, () => {
    for (const { name: title, needs, run } of storageCases)
      test(title, { timeout: 60_000 }, async () => {
        const outcome = await run(make)
        if (needs.every((need) => CAPABILITIES.includes(need))) expect(outcome).toBe('passed')
      })
  })

/** Locks of LevelDB do not fall with a handle of the same process; layers that are killed are in killed.test.ts. */
const NOT_HERE = ['kill', 'loseTail']

describe('layers (sqlite, leveldb)', () => {
  for (const { name: title, needs, run } of storageCases)
    test(title, { timeout: 60_000 }, async () => {
      const outcome = await run(diskSubject)
      if (!needs.some((need) => NOT_HERE.includes(need))) expect(outcome).toBe('passed')
    })
})
