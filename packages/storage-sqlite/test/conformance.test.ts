/**
 * The conformance kit over every driver, place and level of this package.
 */
import { largeStorageCases, type MakeStorage, type Need, storageCases } from '@tidemark/storage/conformance'
import { describe, expect, test } from 'vitest'
import { betterSqlite3, sqliteStorage } from '../src/index.ts'
import { nodeSqlite } from '../src/node-sqlite.ts'
import { fileSubject } from './support.ts'

const ALL: readonly Need[] = ['reopen', 'kill', 'loseTail', 'second', 'readOnly', 'failNext']

/** How each is made, and what cannot be done to it. */
const subjects: Record<string, { make: MakeStorage; lacks: readonly Need[] }> = {
  'better-sqlite3, file': { make: () => fileSubject({ driver: betterSqlite3 }), lacks: [] },
  'better-sqlite3, file, normal': {
    make: () => fileSubject({ driver: betterSqlite3, synchronous: 'normal' }),
    lacks: [],
  },
  'better-sqlite3, memory': { make: () => sqliteStorage({ path: ':memory:' }), lacks: ALL },
  'node:sqlite, file': { make: () => fileSubject({ driver: nodeSqlite }), lacks: [] },
  'node:sqlite, file, normal': {
    make: () => fileSubject({ driver: nodeSqlite, synchronous: 'normal' }),
    lacks: [],
  },
}

const cases = process.env.TIDEMARK_LARGE ? [...storageCases, ...largeStorageCases] : storageCases

for (const [name, { make, lacks }] of Object.entries(subjects)) {
  describe(`sqlite (${name})`, () => {
    for (const { name: title, needs, run } of cases) {
      const lacking = needs.find((need) => lacks.includes(need))
      test(title, { timeout: 60_000 }, async () => {
        expect(await run(make)).toBe(lacking === undefined ? 'passed' : `skipped: needs ${lacking}`)
      })
    }
  })
}
