/**
 * The conformance kit over every database and level of this package.
 */
import 'fake-indexeddb/auto'
import {
  largeStorageCases,
  type MakeStorage,
  type Need,
  type Subject,
  storageCases,
} from '@tidemark/storage/conformance'
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

const ALL: readonly Need[] = ['reopen', 'kill', 'loseTail', 'second', 'readOnly', 'failNext']

/** How each is made, and what cannot be done to it. */
const subjects: Record<string, { make: MakeStorage; lacks: readonly Need[] }> = {
  'classic-level, folder': { make: () => folderSubject(), lacks: [] },
  'classic-level, folder, stored': { make: () => folderSubject({ level: 'stored' }), lacks: [] },
  'memory-level, handed in': { make: () => databaseSubject(), lacks: ['loseTail'] },
  'browser-level, handed in': { make: () => browserSubject(), lacks: ['kill', 'loseTail', 'failNext'] },
  'memory-level, a sublevel': { make: () => leveldbStorage({ db: sublevel() }), lacks: ALL },
}

const cases = process.env.TIDEMARK_LARGE ? [...storageCases, ...largeStorageCases] : storageCases

for (const [name, { make, lacks }] of Object.entries(subjects)) {
  describe(`leveldb (${name})`, () => {
    for (const { name: title, needs, run } of cases) {
      const lacking = needs.find((need) => lacks.includes(need))
      test(title, { timeout: 60_000 }, async () => {
        expect(await run(make)).toBe(lacking === undefined ? 'passed' : `skipped: needs ${lacking}`)
      })
    }
  })
}
