/**
 * The conformance kit over every driver, place and level of this package.
 */
import { largeStorageCases, type MakeStorage, storageCases } from '@tidemark/storage/conformance'
import { describe, expect, test } from 'vitest'
import { betterSqlite3, sqliteStorage } from '../src/index.ts'
import { nodeSqlite } from '../src/node-sqlite.ts'
import { fileSubject } from './support.ts'

const subjects: Record<string, { make: MakeStorage; needsMet: boolean }> = {
  'better-sqlite3, file': { make: () => fileSubject({ driver: betterSqlite3 }), needsMet: true },
  'better-sqlite3, file, normal': {
    make: () => fileSubject({ driver: betterSqlite3, synchronous: 'normal' }),
    needsMet: true,
  },
  'better-sqlite3, memory': { make: () => sqliteStorage({ path: ':memory:' }), needsMet: false },
  'node:sqlite, file': { make: () => fileSubject({ driver: nodeSqlite }), needsMet: true },
  'node:sqlite, file, normal': {
    make: () => fileSubject({ driver: nodeSqlite, synchronous: 'normal' }),
    needsMet: true,
  },
}

const cases = process.env.TIDEMARK_LARGE ? [...storageCases, ...largeStorageCases] : storageCases

for (const [name, { make, needsMet }] of Object.entries(subjects)) {
  describe(`sqlite (${name})`, () => {
    for (const { name: title, run } of cases) {
      test(title, { timeout: 60_000 }, async () => {
        const outcome = await run(make)
        if (needsMet) expect(outcome).toBe('passed')
      })
    }
  })
}
