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

const needsADisk = /reopen|kill|second|readOnly|failNext/

for (const [name, make] of Object.entries(subjects))
  describe(`layers (${name})`, () => {
    for (const { name: title, needs, run } of storageCases)
      test(title, { timeout: 60_000 }, async () => {
        const outcome = await run(make)
        if (!needs.some((need) => needsADisk.test(need))) expect(outcome).toBe('passed')
      })
  })

describe('layers (sqlite, leveldb)', () => {
  for (const { name: title, needs, run } of storageCases)
    test(title, { timeout: 60_000 }, async () => {
      const outcome = await run(diskSubject)
      // LevelDB's lock does not fall with a handle of the same process; killed processes are in killed.test.ts.
      if (!needs.includes('kill')) expect(outcome).toBe('passed')
    })
})
