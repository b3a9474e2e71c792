/**
 * The SQLite storage beside bare SQLite: the same disk, the same library, in the same round.
 *
 * "raw" is the least that SQLite must do for the same promise: one row read by its id, one row inserted and committed, one blob
 * read by its number. It checks nothing, compares nothing and finds nothing again, so a ratio of 1 is out of reach for a storage.
 * Reads share one transaction on both sides. `--quick` measures less and takes a few seconds; `--node-sqlite` takes the other driver.
 */
import { join } from 'node:path'
import { EMPTY } from '@tidemark/known-state'
import type { Append } from '@tidemark/storage'
import { betterSqlite3, type SqliteStorage, sqliteStorage } from '@tidemark/storage-sqlite'
import { nodeSqlite } from '@tidemark/storage-sqlite/node-sqlite'
import { heading, median, perSecond, print, type Row, round, withFolder } from './harness.ts'

const QUICK = process.argv.includes('--quick')
const driver = process.argv.includes('--node-sqlite') ? nodeSqlite : betterSqlite3
const ROUNDS = QUICK ? 3 : 5
const DOCUMENTS = QUICK ? 10_000 : 100_000
const LOOK_UPS = QUICK ? 10_000 : 50_000
const COMMIT_MS = QUICK ? 200 : 700
const LARGE_BYTES = QUICK ? 8 * 1024 * 1024 : 64 * 1024 * 1024

const utf8 = new TextEncoder()
const seal = utf8.encode(`signature_z${'S'.repeat(80)}`)
const body = utf8.encode(
  `{"privacy":"private","madeAt":1763700000000,"encryptedChanges":"encrypted_U${'x'.repeat(110)}"}`,
)
const header = utf8.encode(
  `{"type":"comap","ruleset":{"type":"unsafeAllowAll"},"meta":null,"uniqueness":"z${'u'.repeat(20)}"}`,
)
const sessionOf = (index: number) => `co_z${String(index % 1000).padStart(27, 'A')}_session_z${'B'.repeat(12)}`

/** Ids in no order, as hashes are: writing them touches pages everywhere. */
const idOf = (index: number) => `co_z${(Math.imul(index + 1, 0x9e3779b1) >>> 0).toString(36).padStart(27, 'd')}`

function document(index: number): Append {
  const run = { session: sessionOf(index), after: 0, transactions: [body], seal }
  return { id: idOf(index), kind: 'json', priority: 3, header, runs: [run] }
}

function next(count: number, size = 1): Append {
  const transactions = Array.from({ length: size }, () => body)
  return { id: 'one', kind: 'json', priority: 3, runs: [{ session: 'a writer', after: count, transactions, seal }] }
}

interface Figures {
  readonly ours: number[]
  readonly raw: number[]
}

const figures = new Map<string, Figures>()
let written = DOCUMENTS
let rawWritten = DOCUMENTS
let count = 0

heading()
console.log(driver.name)
await withFolder(async (folder) => {
  const storage = sqliteStorage({ path: join(folder, 'ours.db'), driver })
  storage.open()
  const raw = openRaw(join(folder, 'raw.db'))
  await fill(storage, raw)
  for (let at = 0; at < ROUNDS; at++) {
    raw.sql.beginReading.run()
    measureReads(storage, raw)
    raw.sql.commit.run()
    for (const batch of [1, 10, 100, 1000]) await measureAppends(storage, raw, batch)
    measureSegments(storage, raw)
  }
  await storage.close()
  raw.close()
})
print([...figures].map(([what, { ours, raw }]) => rowOf(what, median(ours), median(raw))))

function rowOf(what: string, ours: number, raw: number): Row {
  return { what, figure: round(ours), raw: `${round(raw)}  (${(ours / raw).toFixed(2)} of it)` }
}

function openRaw(path: string) {
  const database = driver.open(path)
  database.exec(`PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA cache_size = -16384; PRAGMA wal_autocheckpoint = 4000;
    CREATE TABLE row (id TEXT PRIMARY KEY, state BLOB) WITHOUT ROWID;
    CREATE TABLE entry (key INTEGER PRIMARY KEY, bytes BLOB);
    CREATE TABLE segment (key INTEGER PRIMARY KEY, bytes BLOB)`)
  const sql = {
    begin: database.prepare('BEGIN IMMEDIATE'),
    beginReading: database.prepare('BEGIN'),
    commit: database.prepare('COMMIT'),
    add: database.prepare('INSERT OR REPLACE INTO row VALUES (?, ?)'),
    get: database.prepare('SELECT state FROM row WHERE id = ?'),
    all: database.prepare('SELECT e.key, state FROM json_each(?) e JOIN row r ON r.id = e.value'),
    entry: database.prepare('INSERT INTO entry (bytes) VALUES (?)'),
    addSegment: database.prepare('INSERT INTO segment (bytes) VALUES (?)'),
    segment: database.prepare('SELECT bytes FROM segment WHERE key = ?'),
  }
  return { sql, close: () => database.close() }
}

type Raw = ReturnType<typeof openRaw>

/** The documents that are read, and one large one of 64 KiB blobs. */
async function fill(storage: SqliteStorage, { sql }: Raw): Promise<void> {
  const row = new Uint8Array(30).fill(7)
  for (let at = 0; at < DOCUMENTS; at += 1000) {
    const batch = Array.from({ length: 1000 }, (_, index) => document(at + index))
    await storage.append(batch)
    sql.begin.run()
    for (const { id } of batch) sql.add.run(id, row)
    sql.commit.run()
  }
  await storage.append([{ id: 'one', kind: 'json', priority: 3, header, runs: [] }])
  await storage.append([{ id: 'large', kind: 'json', priority: 3, header, runs: [] }])
  const perBatch = 1000
  const count = Math.ceil(LARGE_BYTES / body.length / perBatch) * perBatch
  for (let after = 0; after < count; after += perBatch) {
    const transactions = Array.from({ length: perBatch }, () => body)
    await storage.append([{ id: 'large', kind: 'json', priority: 3, runs: [{ session: 'a', after, transactions }] }])
  }
  sql.begin.run()
  for (let at = 0; at < LARGE_BYTES; at += 65536) sql.addSegment.run(new Uint8Array(65536).fill(7))
  sql.commit.run()
}

function record(what: string, ours: number, raw: number): void {
  const found = figures.get(what) ?? { ours: [], raw: [] }
  figures.set(what, found)
  found.ours.push(ours)
  found.raw.push(raw)
}

/** How often `body` can be done in a second, if it is done `count` times. */
function rate(count: number, body: () => void): number {
  const start = performance.now()
  body()
  return perSecond(count, performance.now() - start)
}

function measureReads(storage: SqliteStorage, { sql }: Raw): void {
  const ids = Array.from({ length: LOOK_UPS }, () => idOf(Math.floor(Math.random() * DOCUMENTS)))
  const points = rate(LOOK_UPS, () => {
    for (const id of ids) storage.knownStates([id])
  })
  const rawPoints = rate(LOOK_UPS, () => {
    for (const id of ids) sql.get.get(id)
  })
  record('known states /s, one by one', points, rawPoints)
  for (const size of [10, 100, 1000]) {
    const batches = Array.from({ length: LOOK_UPS / size }, (_, at) => ids.slice(at * size, (at + 1) * size))
    const bulk = rate(LOOK_UPS, () => {
      for (const batch of batches) storage.knownStates(batch)
    })
    const rawBulk = rate(LOOK_UPS, () => {
      for (const batch of batches) sql.all.all(JSON.stringify(batch))
    })
    record(`known states /s, ${size} at a time`, bulk, rawBulk)
  }
  const pages = rate(LOOK_UPS, () => {
    for (const id of ids) storage.read(id, EMPTY, { bytesMax: 65536 })
  })
  record('pages of small documents /s (raw: one row)', pages, rawPoints)
}

/** Durable contents for so long, `batch` at a time: to new documents, and to one. */
async function measureAppends(storage: SqliteStorage, raw: Raw, batch: number): Promise<void> {
  const create = async () => {
    const contents = Array.from({ length: batch }, () => document(written++))
    for (const result of await storage.append(contents)) if ('failed' in result) throw result.cause
  }
  const rawRow = new Uint8Array(300).fill(7)
  const rawCreate = () => {
    raw.sql.begin.run()
    for (let index = 0; index < batch; index++) raw.sql.add.run(idOf(rawWritten++), rawRow)
    raw.sql.commit.run()
  }
  record(`new documents /s, ${batch} a commit`, await sustained(batch, create), await sustained(batch, rawCreate))
  const extend = async () => {
    const contents = Array.from({ length: batch }, () => next(count++))
    for (const result of await storage.append(contents)) if ('failed' in result) throw result.cause
  }
  const rawExtend = () => {
    raw.sql.begin.run()
    for (let index = 0; index < batch; index++) raw.sql.entry.run(body)
    raw.sql.commit.run()
  }
  record(
    `contents of one document /s, ${batch} a commit`,
    await sustained(batch, extend),
    await sustained(batch, rawExtend),
  )
}

async function sustained(batch: number, commit: () => unknown): Promise<number> {
  const start = performance.now()
  let commits = 0
  for (; performance.now() - start < COMMIT_MS / 4; commits++) await commit()
  return perSecond(commits * batch, performance.now() - start)
}

function measureSegments(storage: SqliteStorage, { sql }: Raw): void {
  const megabytes = LARGE_BYTES / 1024 / 1024
  const ours = rate(megabytes, () => {
    for (let after = EMPTY; ; ) {
      const page = storage.read('large', after, { bytesMax: 65536 })
      if (page === undefined || !page.more) return
      after = page.end
    }
  })
  const raw = rate(megabytes, () => {
    for (let key = 1; key <= LARGE_BYTES / 65536; key++) sql.segment.get(key)
  })
  record('MB/s of a large document, page by page', ours, raw)
}
