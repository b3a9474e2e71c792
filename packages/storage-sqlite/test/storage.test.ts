/**
 * What it costs: how many statements, which rows, how much memory and disk.
 */
import { statSync } from 'node:fs'
import { EMPTY, knownState } from '@tidemark/known-state'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { betterSqlite3, type SqliteStorage, type SqliteStorageOptions, sqliteStorage } from '../src/index.ts'
import {
  accepted,
  bytesOf,
  content,
  EngineFailure,
  type Folder,
  folder,
  observed,
  readAll,
  transaction,
} from './support.ts'

// Disks of machines with much to do are slow.
vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 })

let home: Folder
let storage: SqliteStorage
/** Every statement that ran, transactions left out. */
let ran: string[]
let failing: ((sql: string, values: readonly unknown[]) => string | undefined) | undefined

function open(options: Partial<SqliteStorageOptions> = {}): SqliteStorage {
  const driver = observed(betterSqlite3, {
    before(sql, values) {
      ran.push(sql)
      const result = failing?.(sql, values)
      if (result !== undefined) throw new EngineFailure(result)
    },
  })
  const opened = sqliteStorage({ path: home.file(), driver, ...options })
  opened.open()
  return opened
}

beforeEach(() => {
  home = folder()
  ran = []
  failing = undefined
  storage = open()
})

afterEach(async () => {
  failing = undefined
  await storage.close()
  home.remove()
})

/** The tables that were read or written since, by name. */
function touched(): string[] {
  const tables = ran.flatMap((sql) =>
    [...sql.matchAll(/(?:FROM|JOIN|INTO|UPDATE) (?!json_each)([a-z_]+)/g)].map((match) => match[1] as string),
  )
  ran = []
  return [...new Set(tables)].sort()
}

describe('known states', () => {
  test('are read without a header or a transaction', async () => {
    for (let after = 0; after < 5; after++)
      accepted((await storage.append([content('x', { after, until: after + 1 })]))[0])
    await storage.append([content('y', { until: 1 })])
    touched()
    storage.knownStates(['x'])
    expect(touched()).toEqual(['document'])
    storage.knownStates(['x', 'y', 'z'])
    expect(touched()).toEqual(['document'])
  })

  test('of any number of documents are one query', async () => {
    const ids = Array.from({ length: 500 }, (_, index) => `document ${index}`)
    await storage.append(ids.map((id) => content(id, { until: 1 })))
    ran = []
    expect(storage.knownStates(ids).every((state) => state?.known.sessions.get('a') === 1)).toBe(true)
    expect(ran.filter((sql) => sql.startsWith('SELECT'))).toHaveLength(1)
  })

  test('look up the names of all unknown sessions in one query', async () => {
    const ids = Array.from({ length: 50 }, (_, index) => `document ${index}`)
    await storage.append(ids.map((id) => content(id, { session: `session of ${id}`, until: 1 })))
    await storage.close()
    storage = open()
    ran = []
    expect(storage.knownStates(ids)[7]?.known.sessions).toEqual(new Map([['session of document 7', 1]]))
    expect(ran.filter((sql) => sql.startsWith('SELECT'))).toHaveLength(2)
  })

  test('are right however few session ids are remembered', async () => {
    await storage.close()
    storage = open({ sessionsRememberedMax: 4 })
    const ids = Array.from({ length: 40 }, (_, index) => `document ${index}`)
    for (const id of ids) accepted((await storage.append([content(id, { session: `session of ${id}`, until: 2 })]))[0])
    for (const id of ids)
      expect(storage.knownStates([id])[0]?.known).toEqual(knownState(true, [[`session of ${id}`, 2]]))
    expect(storage.knownStates(ids).map((state) => [...(state?.known.sessions.keys() ?? [])])).toEqual(
      ids.map((id) => [`session of ${id}`]),
    )
  })
})

describe('appending', () => {
  test('what arrives in one turn is one commit', async () => {
    ran = []
    const appends = Array.from({ length: 100 }, (_, index) =>
      storage.append([content(`document ${index}`, { until: 1 })]),
    )
    for (const results of await Promise.all(appends)) accepted(results[0])
    expect(ran.filter((sql) => sql === 'COMMIT')).toHaveLength(1)
  })

  test('a new small document is two rows, found by two look-ups', async () => {
    await storage.append([content('other', { until: 1 })])
    ran = []
    accepted((await storage.append([content('x', { until: 2, seal: 'seal' })]))[0])
    expect(ran.filter((sql) => /^(INSERT|UPDATE)/.test(sql))).toHaveLength(2)
    touched()
    expect(storage.read('x', EMPTY, { bytesMax: 1000 })?.runs[0]?.transactions).toHaveLength(2)
    expect(touched()).toEqual(['document', 'first'])
  })

  test('many contents of one document write its row once and one piece', async () => {
    accepted((await storage.append([content('x', { until: 1 })]))[0])
    ran = []
    const appends = Array.from({ length: 20 }, (_, index) =>
      storage.append([content('x', { after: index + 1, until: index + 2 })]),
    )
    for (const [index, results] of (await Promise.all(appends)).entries())
      expect(accepted(results[0]).known.sessions.get('a')).toBe(index + 2)
    expect(ran.filter((sql) => /^(INSERT|UPDATE)/.test(sql))).toHaveLength(2)
  })

  test('what is held already writes nothing', async () => {
    accepted((await storage.append([content('x', { until: 4, seal: 'seal' })]))[0])
    const sequence = storage.changes({ since: 0, limit: 1 })[0]?.sequence
    ran = []
    accepted((await storage.append([content('x', { until: 3, seal: 'other' })]))[0])
    expect(ran.filter((sql) => /^(INSERT|UPDATE|DELETE)/.test(sql))).toEqual([])
    expect(storage.changes({ since: 0, limit: 1 })[0]?.sequence).toBe(sequence)
  })

  test('comparing an overlap reads only the pieces that overlap', async () => {
    for (let after = 0; after < 20; after++)
      accepted((await storage.append([content('x', { after, until: after + 1, size: 200 })]))[0])
    const rows: unknown[] = []
    failing = (sql, values) => {
      if (sql.includes('FROM piece')) rows.push(values)
      return undefined
    }
    accepted((await storage.append([content('x', { after: 19, until: 21, size: 200 })]))[0])
    // Document, session, from 19 on: one search, at the place of the overlap.
    expect(rows).toEqual([[1, 1, 19, 2]])
  })

  test('one document that cannot be stored does not fail its neighbours', async () => {
    failing = (sql, values) => (sql.startsWith('INSERT INTO document') && values[0] === 'bad' ? 'TOOBIG' : undefined)
    const appends = ['good', 'bad', 'also good'].map((id) => storage.append([content(id, { until: 1 })]))
    const [good, bad, also] = (await Promise.all(appends)).map((results) => results[0])
    accepted(good)
    accepted(also)
    expect(bad).toMatchObject({ failed: 'TOO_LARGE' })
    const batch = await storage.append([content('third', { until: 1 }), content('bad', { until: 1 })], {
      marks: new Map([['mark', bytesOf('1')]]),
    })
    accepted(batch[0])
    expect(batch[1]).toMatchObject({ failed: 'TOO_LARGE' })
    failing = undefined
    expect(storage.marks({ prefix: '', limit: 9 })).toEqual([])
    expect(storage.list({ limit: 9 })).toEqual(['also good', 'good', 'third'])
    expect(storage.count()).toBe(3)
    accepted((await storage.append([content('bad', { until: 1 })]))[0])
    expect(storage.changes({ since: 0, limit: 9 }).map((change) => change.sequence)).toEqual([1, 2, 3, 4])
  })

  test.for([
    ['FULL', 'QUOTA'],
    ['READONLY', 'READ_ONLY'],
    ['BUSY', 'BUSY'],
    ['CORRUPT', 'CORRUPT'],
    ['IOERR', 'IO'],
    ['NOMEM', 'IO'],
  ] as const)('a commit that fails with SQLITE_%s answers %s and leaves nothing', async ([result, code]) => {
    failing = (sql) => (sql === 'COMMIT' ? result : undefined)
    expect(await storage.append([content('x', { until: 1 })])).toMatchObject([{ failed: code }])
    await expect(storage.append([], { marks: new Map([['m', bytesOf('1')]]) })).rejects.toMatchObject({ code })
    failing = undefined
    expect(storage.knownStates(['x'])).toEqual([undefined])
    accepted((await storage.append([content('x', { until: 1 })]))[0])
  })

  test('a store that another program writes to is BUSY for all, after waiting once', async () => {
    const other = betterSqlite3.open(home.file())
    other.exec('BEGIN IMMEDIATE')
    const begun: string[] = []
    failing = (sql) => {
      if (sql.startsWith('BEGIN')) begun.push(sql)
      return undefined
    }
    const appends = Array.from({ length: 50 }, (_, index) => storage.append([content(`x ${index}`, { until: 1 })]))
    for (const [result] of await Promise.all(appends)) expect(result).toMatchObject({ failed: 'BUSY' })
    expect(begun).toEqual(['BEGIN IMMEDIATE'])
    other.exec('ROLLBACK')
    other.close()
    accepted((await storage.append([content('x', { until: 1 })]))[0])
  })

  test('a new session that was rolled back is not remembered', async () => {
    failing = (sql) => (sql === 'COMMIT' ? 'FULL' : undefined)
    await storage.append([content('x', { session: 'lost', until: 1 })])
    failing = undefined
    accepted((await storage.append([content('y', { session: 'other', until: 1 })]))[0])
    accepted((await storage.append([content('z', { session: 'lost', until: 2 })]))[0])
    expect(storage.knownStates(['y', 'z']).map((state) => state?.known.sessions)).toEqual([
      new Map([['other', 1]]),
      new Map([['lost', 2]]),
    ])
  })

  test('an abort before the commit stores nothing and rejects with its reason', async () => {
    const controller = new AbortController()
    const append = storage.append([content('x', { until: 1 })], { signal: controller.signal })
    const reason = new Error('left')
    controller.abort(reason)
    await expect(append).rejects.toBe(reason)
    expect(storage.knownStates(['x'])).toEqual([undefined])
  })
})

describe('reading', () => {
  test('a page after a count goes to the piece there and reads no other', async () => {
    accepted((await storage.append([content('x', { until: 400, size: 1000 })]))[0])
    const segments: unknown[] = []
    failing = (sql, values) => {
      if (sql.includes('FROM segment WHERE')) segments.push(values[0])
      return undefined
    }
    const page = storage.read('x', knownState(true, [['a', 350]]), { bytesMax: 5500 })
    expect(page?.runs[0]).toMatchObject({ after: 350, transactions: { length: 5 } })
    expect(segments).toHaveLength(1)
  })

  test('reads of one turn share a transaction, and what is written in between is seen', async () => {
    ran = []
    for (let times = 0; times < 10; times++) storage.knownStates(['x'])
    expect(ran.filter((sql) => sql === 'BEGIN')).toHaveLength(1)
    const append = storage.append([content('x', { until: 1 })])
    expect(storage.knownStates(['x'])).toEqual([undefined])
    accepted((await append)[0])
    expect(storage.knownStates(['x'])[0]?.known.sessions.get('a')).toBe(1)
  })
})

describe('a document with 10,000 sessions', () => {
  const sessions = Array.from({ length: 10_000 }, (_, index) => `session ${(index * 7919) % 10_000}`)

  beforeEach(async () => {
    const runs = sessions.map((session) => ({ session, after: 0, transactions: [transaction(session, 0)] }))
    accepted((await storage.append([{ id: 'x', kind: 'json', priority: 3, header: bytesOf('{}'), runs }]))[0])
  })

  test('one transaction writes at most 16 KiB of pages', async () => {
    const one = (session: string, after: number) => content('x', { session, after, until: after + 1 })
    accepted((await storage.append([one('session 4711', 1)]))[0])
    await storage.close()
    storage = open()
    // Opening wrote a page; what comes behind it in the log is ours: 24 bytes and a page of 4 KiB for each.
    const log = `${home.file()}-wal`
    const before = statSync(log).size
    const state = accepted((await storage.append([one('session 815', 1)]))[0])
    expect((statSync(log).size - before) / (4096 + 24)).toBeLessThanOrEqual(4)
    expect(state.known.sessions.size).toBe(10_000)
    expect(state.known.sessions.get('session 815')).toBe(2)
  })

  test('goes on from the state that is remembered, and from none', async () => {
    const seen: (number | undefined)[] = []
    for (const options of [{}, { sessionsRememberedMax: 100 }]) {
      await storage.close()
      storage = open(options)
      for (const session of ['session 1', 'session 1', 'new one', 'session 9999']) {
        const count = storage.knownStates(['x'])[0]?.known.sessions.get(session) ?? 0
        const stored = await storage.append([
          { ...content('x', { session, after: count, until: count + 1 }), header: bytesOf('{}') },
        ])
        expect(accepted(stored[0])).toEqual(storage.knownStates(['x'])[0])
        seen.push(storage.knownStates(['x'])[0]?.known.sessions.get(session))
      }
      const fresh = storage.knownStates(['x'])[0]
      await storage.close()
      storage = open(options)
      expect(storage.knownStates(['x'])[0]).toEqual(fresh)
    }
    expect(seen).toEqual([2, 3, 1, 2, 4, 5, 2, 3])
    const runs = readAll(storage, 'x', 100_000)
    expect(runs.reduce((sum, run) => sum + run.transactions.length, 0)).toBe(10_000 + 4 + 2 * 2)
  })

  test('page after page says each transaction once, also of sessions that a page left open, and of what came meanwhile', async () => {
    // What follows a seal is on a later page than the sessions behind it.
    const open = ['session 1', 'session 5000', 'session 9999']
    for (const session of open) {
      accepted((await storage.append([content('x', { session, after: 1, until: 2, seal: 'two' })]))[0])
      accepted((await storage.append([content('x', { session, after: 2, until: 4 })]))[0])
    }
    const read = new Map<string, number>()
    let after = EMPTY
    for (let pages = 1, more = true; more; pages++) {
      const page = storage.read('x', after, { bytesMax: 64 * 1024 })
      for (const { session, after: begin, transactions } of page?.runs ?? []) {
        expect([session, begin]).toEqual([session, read.get(session) ?? 0])
        read.set(session, begin + transactions.length)
      }
      after = page?.end ?? EMPTY
      more = page?.more ?? false
      if (pages === 5) accepted((await storage.append([content('x', { session: 'session 0', after: 1, until: 2 })]))[0])
    }
    expect(read).toEqual(new Map(storage.knownStates(['x'])[0]?.known.sessions))
    expect(open.map((session) => read.get(session))).toEqual([4, 4, 4])
    expect(read.get('session 0')).toBe(2)
  })
})

test('each of many contents is answered with the state after itself, whenever it is looked at', async () => {
  const sessions = Array.from({ length: 60 }, (_, index) => `session ${index}`)
  const append = (after: number) =>
    sessions.map((session) => storage.append([content('x', { session, after, until: after + 1 }, 'bytes')]))
  const header = { ...content('x', { until: 1 }, 'bytes'), runs: [] }
  accepted((await storage.append([header]))[0])
  for (let after = 0; after < 3; after++) {
    const results = (await Promise.all(append(after)))
      .reverse()
      .map(([result]) => accepted(result))
      .reverse()
    for (const [index, { known, digests }] of results.entries()) {
      const done = sessions.map((session, at) => [session, at <= index ? after + 1 : after] as const)
      expect(known.sessions).toEqual(new Map(done.filter(([, count]) => count > 0)))
      expect(digests.size).toBe(known.sessions.size)
    }
    expect(results.at(-1)).toEqual(storage.knownStates(['x'])[0])
  }
})

test('the log does not grow with what is written', async () => {
  for (let at = 0; at < 60; at++) {
    const batch = Array.from({ length: 10 }, (_, index) =>
      content(`document ${at} ${index}`, { until: 10, size: 10_000 }),
    )
    for (const result of await storage.append(batch)) accepted(result)
  }
  expect(statSync(home.file()).size + statSync(`${home.file()}-wal`).size).toBeGreaterThan(60_000_000)
  expect(statSync(`${home.file()}-wal`).size).toBeLessThan(24 * 1024 * 1024)
})
