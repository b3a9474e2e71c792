/**
 * Opening: what is ours, what is not, who has it, and that it takes no longer with more in it.
 */
import { chmodSync, existsSync, linkSync, mkdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { betterSqlite3, type SqliteDriver, sqliteStorage } from '../src/index.ts'
import { nodeSqlite } from '../src/node-sqlite.ts'
import { APPLICATION_ID, SCHEMA_VERSION } from '../src/schema.ts'
import { prepareAll } from '../src/statements.ts'
import { type Child, start } from './children.ts'
import { accepted, bytesOf, content, type Folder, folder, observed } from './support.ts'

// Disks of machines with much to do are slow.
vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 })

let home: Folder
const children: Child[] = []

beforeEach(() => {
  home = folder()
})

afterEach(async () => {
  for (const child of children.splice(0)) await child.kill()
  home.remove()
})

async function made(path = home.file(), driver: SqliteDriver = betterSqlite3): Promise<void> {
  const storage = sqliteStorage({ path, driver })
  storage.open()
  accepted((await storage.append([content('x', { until: 3 })], { marks: new Map([['m', bytesOf('1')]]) }))[0])
  await storage.close()
}

/** Runs SQL on the file, past our own package. */
function edit(sql: string, path = home.file()): void {
  const database = betterSqlite3.open(path)
  database.exec(sql)
  database.close()
}

describe('a file', () => {
  test('says whose it is and in which version', async () => {
    await made()
    const header = readFileSync(home.file())
    expect(header.readUInt32BE(68)).toBe(APPLICATION_ID)
    expect(header.readUInt32BE(60)).toBe(SCHEMA_VERSION)
  })

  test('is complete by itself once the store was closed', async () => {
    await made()
    expect(existsSync(`${home.file()}-wal`)).toBe(false)
  })

  test('written with one driver is read with the other', async () => {
    await made(home.file(), nodeSqlite)
    const storage = sqliteStorage({ path: home.file() })
    storage.open()
    expect(storage.knownStates(['x'])[0]?.known.sessions).toEqual(new Map([['a', 3]]))
    await storage.close()
  })

  test('is read by others while a store has it, and copied while it runs', async () => {
    const storage = sqliteStorage({ path: home.file() })
    storage.open()
    accepted((await storage.append([content('x', { until: 3 })]))[0])
    edit(`VACUUM INTO '${home.file('copy.db')}'`)
    const reader = sqliteStorage({ path: home.file(), readOnly: true })
    expect(reader.open().writable).toBe(false)
    accepted((await storage.append([content('y', { until: 1 })]))[0])
    expect(reader.list({ limit: 9 })).toEqual(['x', 'y'])
    await reader.close()
    await storage.close()
    const copy = sqliteStorage({ path: home.file('copy.db') })
    copy.open()
    expect(copy.list({ limit: 9 })).toEqual(['x'])
    await copy.close()
  })

  test('in a place that does not exist yet is created, and an empty one is taken', async () => {
    writeFileSync(home.file(), '')
    await made()
    await made(home.file('new.db'))
  })
})

describe('what is not ours is refused and left as it was', () => {
  const cases: Record<string, { make: (path: string) => void; code: string; says: RegExp }> = {
    'a text': {
      make: (path) => writeFileSync(path, 'notes '.repeat(100)),
      code: 'CORRUPT',
      says: /is not a SQLite file/,
    },
    'a short text': { make: (path) => writeFileSync(path, 'x'), code: 'CORRUPT', says: /is not a SQLite file/ },
    'another program’s database': {
      make: (path) => edit('CREATE TABLE t (a)', path),
      code: 'CORRUPT',
      says: /SQLite file of another program/,
    },
    'another program’s database with a journal that was finished and kept': {
      make: (path) => edit('PRAGMA journal_mode = PERSIST; CREATE TABLE t (a)', path),
      code: 'CORRUPT',
      says: /SQLite file of another program/,
    },
    'a database with another application id': {
      make: (path) => edit('PRAGMA application_id = 7; CREATE TABLE t (a)', path),
      code: 'CORRUPT',
      says: /SQLite file of another program/,
    },
    'a folder': { make: (path) => mkdirSync(path), code: 'IO', says: /is a folder/ },
    'a newer version': {
      make: (path) =>
        edit(`PRAGMA application_id = ${APPLICATION_ID}; PRAGMA user_version = 99; CREATE TABLE t (a)`, path),
      code: 'CORRUPT',
      says: /version 99 of our format, this package knows 1.*newer version of this package/,
    },
    'a file cut in two': {
      make: (path) => writeFileSync(path, readFileSync(path).subarray(0, 5000)),
      code: 'CORRUPT',
      says: /SQLite failed while opening/,
    },
  }
  for (const [name, { make, code, says }] of Object.entries(cases)) {
    for (const driver of [betterSqlite3, nodeSqlite]) {
      test(`${name} (${driver.name})`, async () => {
        if (name === 'a file cut in two') await made()
        make(home.file())
        const before = statSync(home.file()).isFile() ? readFileSync(home.file()) : undefined
        const open = () => sqliteStorage({ path: home.file(), driver }).open()
        const message = expect.stringMatching(says)
        expect(open).toThrow(expect.objectContaining({ name: 'StorageError', code, message }))
        expect(open).toThrow(expect.objectContaining({ message: expect.stringContaining(home.file()) }))
        if (before !== undefined) expect(readFileSync(home.file())).toEqual(before)
        if (says.source.endsWith('another program')) expect(existsSync(`${home.file()}-lock`)).toBe(false)
      })
    }
  }

  test('to a reader, too', () => {
    edit('CREATE TABLE t (a)')
    const open = () => sqliteStorage({ path: home.file(), readOnly: true }).open()
    expect(open).toThrow(
      expect.objectContaining({ code: 'CORRUPT', message: expect.stringMatching(/another program/) }),
    )
  })

  test('a folder that does not exist', () => {
    const open = () => sqliteStorage({ path: home.file('none/store.db') }).open()
    expect(open).toThrow(
      expect.objectContaining({ code: 'IO', message: expect.stringMatching(/folder does not exist/) }),
    )
  })

  test('a file that may not be written', async () => {
    await made()
    chmodSync(home.path, 0o555)
    chmodSync(home.file(), 0o444)
    // The superuser may write anywhere: then somebody else tries.
    const isSuperuser = process.getuid?.() === 0
    if (isSuperuser) {
      const child = start('holder.ts', [home.file(), 'better', '65534'])
      children.push(child)
      expect(await child.first).toMatch(/READ_ONLY.*may not write there/)
    } else {
      const open = () => sqliteStorage({ path: home.file() }).open()
      expect(open).toThrow(expect.objectContaining({ code: 'READ_ONLY' }))
    }
    chmodSync(home.path, 0o755)
  })

  test('reading what was never opened for writing to its end', async () => {
    await made()
    edit('DELETE FROM generation')
    const open = () => sqliteStorage({ path: home.file(), readOnly: true }).open()
    expect(open).toThrow(
      expect.objectContaining({ code: 'READ_ONLY', message: expect.stringMatching(/never opened for writing/) }),
    )
  })

  test('reading where there is nothing creates nothing', () => {
    const open = () => sqliteStorage({ path: home.file(), readOnly: true }).open()
    expect(open).toThrow(expect.objectContaining({ code: 'IO', message: expect.stringMatching(/no such file/) }))
    expect(existsSync(home.file())).toBe(false)
  })
})

describe('one engine per file', () => {
  const busy = expect.objectContaining({ name: 'StorageError', code: 'BUSY' })

  test.for([betterSqlite3, nodeSqlite])('a second one in this process is told who has it ($name)', async (driver) => {
    const storage = sqliteStorage({ path: home.file() })
    storage.open()
    const second = () => sqliteStorage({ path: home.file(), driver }).open()
    expect(second).toThrow(busy)
    expect(second).toThrow(
      expect.objectContaining({ message: expect.stringContaining(`Another server has ${home.file()}`) }),
    )
    symlinkSync(home.file(), home.file('link.db'))
    expect(() => sqliteStorage({ path: home.file('link.db'), driver }).open()).toThrow(busy)
    await storage.close()
    const third = sqliteStorage({ path: home.file(), driver })
    third.open()
    await third.close()
  })

  test.for(['better', 'node'])('a second process is told, and gets it when the first was killed (%s)', async (name) => {
    const holder = start('holder.ts', [home.file(), name])
    children.push(holder)
    expect(await holder.first).toBe('open')
    for (const driver of [betterSqlite3, nodeSqlite])
      expect(() => sqliteStorage({ path: home.file(), driver }).open()).toThrow(busy)
    await holder.kill()
    await made()
  })

  test('a store that failed to open locks nothing', async () => {
    const open = { fails: true }
    const driver = observed(betterSqlite3, {
      before(sql) {
        if (open.fails && sql.includes('generation')) throw new Error('no')
      },
    })
    expect(() => sqliteStorage({ path: home.file(), driver }).open()).toThrow(expect.objectContaining({ code: 'IO' }))
    open.fails = false
    await made(home.file(), driver)
  })

  test('a reader in the same process must use the same library', async () => {
    const storage = sqliteStorage({ path: home.file(), driver: nodeSqlite })
    storage.open()
    expect(() => sqliteStorage({ path: home.file(), readOnly: true }).open()).toThrow(busy)
    const reader = sqliteStorage({ path: home.file(), readOnly: true, driver: nodeSqlite })
    expect(reader.open().generation).toEqual(storage.open().generation)
    await reader.close()
    await storage.close()
  })

  test('stores in memory are many', async () => {
    const stores = [sqliteStorage({ path: ':memory:' }), sqliteStorage({ path: ':memory:' })]
    for (const store of stores) expect(store.open().level).toBe('memory')
    accepted((await stores[0]?.append([content('x', { until: 1 })]))?.[0])
    expect(stores[1]?.knownStates(['x'])).toEqual([undefined])
    for (const store of stores) await store.close()
  })
})

test('the level says what an acknowledgement means, and SQLite is told so', async () => {
  for (const [synchronous, level, pragma] of [
    ['full', 'durable', 2],
    ['normal', 'stored', 1],
  ] as const) {
    const opened: ReturnType<SqliteDriver['open']>[] = []
    const driver: SqliteDriver = {
      ...betterSqlite3,
      open(path, options) {
        const database = betterSqlite3.open(path, options)
        if (path === home.file()) opened.push(database)
        return database
      },
    }
    const storage = sqliteStorage({ path: home.file(), driver, synchronous })
    expect(storage.open().level).toBe(level)
    expect(opened[0]?.prepare('PRAGMA synchronous').get()).toEqual([pragma])
    expect(opened[0]?.prepare('PRAGMA journal_mode').get()).toEqual(['wal'])
    await storage.close()
  }
})

test('no statement walks through a table, so nothing takes longer because more is stored', async () => {
  await made()
  const plans: [sql: string, step: string][] = []
  const database = betterSqlite3.open(home.file())
  prepareAll({
    ...database,
    prepare(sql) {
      if (/^(SELECT|UPDATE|DELETE)/.test(sql))
        for (const row of database
          .prepare(`EXPLAIN QUERY PLAN ${sql}`)
          .all(...[...sql].filter((letter) => letter === '?').map(() => 1)))
          plans.push([sql, row[3] as string])
      return database.prepare(sql)
    },
  })
  database.close()
  expect(plans.length).toBeGreaterThan(20)
  // The history is read at every open and bounded; a JSON array is what was asked for.
  const walks = plans.filter(
    ([sql, step]) => /^SCAN/.test(step) && !/SCAN e VIRTUAL/.test(step) && !sql.includes('FROM generation'),
  )
  expect(walks).toEqual([])
  expect(plans.filter(([, step]) => /TEMP B-TREE/.test(step))).toEqual([])
})

test('history is kept for a thousand opens', async () => {
  await made()
  edit(`WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < 1500)
    INSERT INTO generation (open, id, sequence) SELECT i, 'g' || i, 1 FROM n`)
  const storage = sqliteStorage({ path: home.file() })
  const { history, generation } = storage.open()
  expect(history).toHaveLength(1000)
  expect(history?.at(-1)).toEqual(generation)
  expect(history?.at(-2)?.id).toBe('g1500')
  await storage.close()
})

test.for([
  ['root', '../../src/index.ts', ['better-sqlite3', 'node:sqlite']],
  ['node-sqlite', '../../src/node-sqlite.ts', ['better-sqlite3']],
] as const)('importing the %s entry loads no library that it does not need', async ([, entry, unwanted]) => {
  const child = start('imports.ts', [entry])
  children.push(child)
  const loaded = JSON.parse(await child.first) as string[]
  expect(loaded.some((specifier) => specifier.includes('driver') || specifier.includes('node:'))).toBe(true)
  for (const library of unwanted) expect(loaded).not.toContain(library)
})

test('a file with two names is refused: each name would have a lock and a log of its own', async () => {
  const path = home.file()
  await made(path)
  linkSync(path, `${path}-second`)
  const second = sqliteStorage({ path: `${path}-second` })
  expect(() => second.open()).toThrow('hard links')
})
