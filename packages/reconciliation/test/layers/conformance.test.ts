/**
 * The conformance kit over layers: they are a storage like any other.
 */
import { memoryStorage } from '@tidemark/storage'
import { delayed, largeStorageCases, type MakeStorage, storageCases } from '@tidemark/storage/conformance'
import { describe, expect, test } from 'vitest'
import { layers } from '../../src/layers.ts'
import { diskSubject } from './disks.ts'

interface Layered {
  readonly make: MakeStorage
  /** What its subject has not. */
  readonly lacks: readonly string[]
  readonly large: boolean
}

const DISK = ['reopen', 'kill', 'loseTail', 'second', 'readOnly', 'failNext']

const subjects: Record<string, Layered> = {
  'memory, memory': { make: () => layers([memoryStorage(), memoryStorage()]), lacks: DISK, large: true },
  'memory, memory that answers later': {
    make: () => layers([memoryStorage(), delayed(memoryStorage())]),
    lacks: DISK,
    large: false,
  },
  // Locks of LevelDB do not fall with a handle of the same process; layers that are killed are in faults.test.ts.
  'sqlite, leveldb': { make: diskSubject, lacks: ['kill', 'loseTail'], large: true },
}

const cases = process.env.TIDEMARK_LARGE ? [...storageCases, ...largeStorageCases] : storageCases

for (const [name, { make, lacks, large }] of Object.entries(subjects))
  describe(`layers (${name})`, () => {
    for (const { name: title, group, needs, run } of cases)
      if (large || group !== 'many')
        test(title, { timeout: 60_000 }, async () => {
          const outcome = await run(make)
          if (!needs.some((need) => lacks.includes(need))) expect(outcome).toBe('passed')
        })
  })
