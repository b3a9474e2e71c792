/**
 * The conformance kit over every database and level of this package.
 */
import 'fake-indexeddb/auto'
import { largeStorageCases, type MakeStorage, type Subject, storageCases } from '@tidemark/storage/conformance'
import { BrowserLevel } from 'browser-level'
import { MemoryLevel } from 'memory-level'
import { describe, expect, test } from 'vitest'
import { type LevelDatabase, leveldbStorage } from '../src/index.ts'
import { databaseSubject, folderSubject } from './support.ts'

const sublevel = (): LevelDatabase =>
  new MemoryLevel({ storeEncoding: 'view' }).sublevel('tidemark', {}) as unknown as LevelDatabase

let browsers = 0

/** Without `getSync` and without snapshots: every read takes a turn, and two may see two moments. */
function browserSubject(): Subject {
  const db = new BrowserLevel(`store ${browsers++}`) as unknown as LevelDatabase
  return {
    storage: leveldbStorage({ db }),
    reopen: () => leveldbStorage({ db }),
    second: () => leveldbStorage({ db }),
    readOnly: () => leveldbStorage({ db, readOnly: true }),
    destroy: () => db.close(),
  }
}

const subjects: Record<string, { make: MakeStorage; needsMet: boolean }> = {
  'classic-level, folder': { make: () => folderSubject(), needsMet: true },
  'classic-level, folder, stored': { make: () => folderSubject({ level: 'stored' }), needsMet: true },
  'memory-level, handed in': { make: () => databaseSubject(), needsMet: true },
  'browser-level, handed in': { make: () => browserSubject(), needsMet: false },
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
