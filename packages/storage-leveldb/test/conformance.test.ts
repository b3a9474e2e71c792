/**
 * The conformance kit over every database and level of this package.
 */
import { largeStorageCases, type MakeStorage, storageCases } from '@tidemark/storage/conformance'
import { MemoryLevel } from 'memory-level'
import { describe, expect, test } from 'vitest'
import { type LevelDatabase, leveldbStorage } from '../src/index.ts'
import { databaseSubject, folderSubject } from './support.ts'

const sublevel = (): LevelDatabase =>
  new MemoryLevel({ storeEncoding: 'view' }).sublevel('tidemark', {}) as unknown as LevelDatabase

const subjects: Record<string, { make: MakeStorage; needsMet: boolean }> = {
  'classic-level, folder': { make: () => folderSubject(), needsMet: true },
  'classic-level, folder, stored': { make: () => folderSubject({ level: 'stored' }), needsMet: true },
  'memory-level, handed in': { make: () => databaseSubject(), needsMet: true },
  'memory-level, a sublevel': { make: () => leveldbStorage({ db: sublevel() }), needsMet: false },
}

const cases = process.env.TIDEMARK_LARGE ? [...storageCases, ...largeStorageCases] : storageCases

for (const [name, { make, needsMet }] of Object.entries(subjects)) {
  describe(`leveldb (${name})`, () => {
    for (const { name: title, run } of cases) {
      test(title, { timeout: 60_000 }, async () => {
        const outcome = await run(make)
        if (needsMet) expect(outcome).toBe('passed')
      })
    }
  })
}
