/**
 * The SQLite storage beside bare SQLite: the same disk, the same library, in the same round.
 *
 * Writing is compared with SQLite writing the same rows in the same commits again, reading with SQLite reading the same rows; it
 * checks nothing, compares nothing and finds nothing again, so a ratio of 1 is out of reach. `--quick` measures less and takes
 * some seconds; `--node-sqlite` takes the other driver.
 */
import { statSync } from 'node:fs'
import { join } from 'node:path'
import { EMPTY } from '@tidemark/known-state'
import { type Append, type Clock, systemClock } from '@tidemark/storage'
import { betterSqlite3, type SqliteStorage, sqliteStorage } from '@tidemark/storage-sqlite'
import { nodeSqlite } from '@tidemark/storage-sqlite/node-sqlite'
import { heading, median, perSecond, print, type Row, round, withFolder } from './harness.ts'
import { type Bare, openBare, type Recorder, recorder } from './sqlite-recorded.ts'

const QUICK = process.argv.includes('--quick')
const driver = process.argv.includes('--node-sqlite') ? nodeSqlite : betterSqlite3
const ROUNDS = QUICK ? 3 : 5
const DOCUMENTS = QUICK ? 10_000 : 100_000
const LOOK_UPS = QUICK ? 10_000 : 50_000
const COMMIT_MS = QUICK ? 150 : 400
const LARGE_BYTES = QUICK ? 8 * 1024 * 1024 : 32 * 1024 * 1024
const CALLERS = 100

/** Nobody is ever idle: what is measured is what was written. */
const clock: Clock = { ...systemClock, wait: () => new Promise(() => {}) }

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

function created(index: number): Append {
  const run = { session: sessionOf(index), after: 0, transactions: [body], seal }
  return { id: idOf(index), kind: 'json', priority: 3, header, runs: [run] }
}

function empty(id: string): Append {
  return { id, kind: 'json', priority: 3, header, runs: [] }
}

function more(id: string, session: string, after: number, transactions: readonly Uint8Array[]): Append {
  return { id, kind: 'json', priority: 3, runs: [{ session, after, transactions: [...transactions], seal }] }
}

const figures = new Map<string, { readonly ours: number[]; readonly raw: number[]; readonly target: string }>()

function record(what: string, ours: number, raw: number, target = ''): void {
  const found = figures.get(what) ?? { ours: [], raw: [], target }
  figures.set(what, found)
  found.ours.push(ours)
  found.raw.push(raw)
}

/** How often in a second, if `perform` does it `count` times. */
function rate(count: number, perform: () => void): number {
  const start = performance.now()
  perform()
  return perSecond(count, performance.now() - start)
}

async function must(storage: SqliteStorage, batch: readonly Append[]): Promise<void> {
  for (const result of await storage.append(batch)) {
    if ('failed' in result) throw result.cause
    if (result.refused.size > 0 || result.headerRefused !== undefined) throw new Error('refused')
  }
}

/** Appends that go on for ever: the next content of one caller. */
interface Load {
  readonly name: string
  readonly documents: readonly string[]
  readonly next: (caller: number) => Append
}

function hot(documents: number): Load {
  const counts = new Map<string, number>()
  const ids = Array.from({ length: documents }, (_, index) => `hot ${documents} ${index}`)
  return {
    name: documents === 1 ? 'one hot document' : `${documents} hot documents`,
    documents: ids,
    next(caller) {
      const id = ids[caller % documents] as string
      const session = sessionOf(caller)
      const after = counts.get(`${id} ${session}`) ?? 0
      counts.set(`${id} ${session}`, after + 1)
      return more(id, session, after, [body])
    },
  }
}

let written = DOCUMENTS
const loads: readonly Load[] = [
  hot(1),
  hot(100),
  { name: 'new documents', documents: [], next: () => created(written++) },
]

heading()
console.log(driver.name)
await withFolder(async (folder) => {
  const recording = recorder(driver)
  const storage = sqliteStorage({ path: join(folder, 'ours.db'), driver: recording.driver, clock })
  storage.open()
  const bare = await openBare(driver, join(folder, 'bare.db'))
  for (let at = 0; at < DOCUMENTS; at += 1000)
    await must(
      storage,
      range(1000, (index) => created(at + index)),
    )
  await must(
    storage,
    loads.flatMap(({ documents }) => documents.map(empty)),
  )
  bare.replay(recording.take())
  for (let at = 0; at < ROUNDS; at++) {
    measureKnownStates(storage, bare)
    for (const load of loads) {
      for (const batch of [1, 10, 100, 1000]) {
        const what = `${load.name}: contents /s, ${batch} a commit`
        await measureWriting(what, recording, bare, () => byOne(storage, load, batch))
      }
      const what = `${load.name}: contents /s, ${CALLERS} callers`
      await measureWriting(what, recording, bare, () => byMany(storage, load), '0.50')
    }
  }
  await storage.close()
  bare.close()
})
for (const size of [200, 4096]) await measureReading(size)
await measureTails()
print([...figures].map(([what, { ours, raw, target }]) => rowOf(what, ours, raw, target)))
print(await measureDisk())

function range<T>(length: number, make: (index: number) => T): T[] {
  return Array.from({ length }, (_, index) => make(index))
}

/** The ratio is the median of those of each round: what else the machine did hit both sides alike. */
function rowOf(what: string, ours: readonly number[], raw: readonly number[], target: string): Row {
  const ratio = median(ours.map((figure, at) => figure / (raw[at] as number)))
  return { what, figure: round(median(ours)), raw: `${round(median(raw))}  (${ratio.toFixed(2)} of it)`, target }
}

function measureKnownStates(storage: SqliteStorage, bare: Bare): void {
  const one = bare.prepare('SELECT state FROM document WHERE id = ?')
  const many = bare.prepare('SELECT e.key, state FROM json_each(?) e JOIN document d ON d.id = e.value')
  const ids = range(LOOK_UPS, () => idOf(Math.floor(Math.random() * DOCUMENTS)))
  bare.prepare('BEGIN').run()
  const points = rate(LOOK_UPS, () => {
    for (const id of ids) storage.knownStates([id])
  })
  const rawPoints = rate(LOOK_UPS, () => {
    for (const id of ids) one.get(id)
  })
  record('known states /s, one by one', points, rawPoints, '0.50')
  for (const size of [10, 100, 1000]) {
    const batches = range(LOOK_UPS / size, (at) => ids.slice(at * size, (at + 1) * size))
    const bulk = rate(LOOK_UPS, () => {
      for (const batch of batches) storage.knownStates(batch)
    })
    const rawBulk = rate(LOOK_UPS, () => {
      for (const batch of batches) many.all(JSON.stringify(batch))
    })
    record(`known states /s, ${size} at a time`, bulk, rawBulk, '0.50')
  }
  const pages = rate(LOOK_UPS, () => {
    for (const id of ids) storage.read(id, EMPTY, { bytesMax: 65536 })
  })
  record('pages of small documents /s (raw: one row)', pages, rawPoints)
  bare.prepare('COMMIT').run()
}

/** Writes for a while and says how many contents that were; then SQLite writes the same rows in the same commits. */
async function measureWriting(
  what: string,
  recording: Recorder,
  bare: Bare,
  perform: () => Promise<number>,
  target?: string,
): Promise<void> {
  const start = performance.now()
  const count = await perform()
  const ours = perSecond(count, performance.now() - start)
  const same = recording.take()
  record(
    what,
    ours,
    rate(count, () => bare.replay(same)),
    target,
  )
}

async function byOne(storage: SqliteStorage, load: Load, batch: number): Promise<number> {
  const start = performance.now()
  let count = 0
  for (; performance.now() - start < COMMIT_MS / 4; count += batch)
    await must(
      storage,
      range(batch, (caller) => load.next(caller % CALLERS)),
    )
  return count
}

async function byMany(storage: SqliteStorage, load: Load): Promise<number> {
  const start = performance.now()
  let count = 0
  const caller = async (index: number) => {
    for (; performance.now() - start < COMMIT_MS; count++) await must(storage, [load.next(index)])
  }
  await Promise.all(range(CALLERS, caller))
  return count
}

/** A store in a folder of its own, and a second connection of the same library that reads its file. */
async function withStore(use: (storage: SqliteStorage, path: string) => Promise<void>): Promise<void> {
  await withFolder(async (folder) => {
    const path = join(folder, 'store.db')
    const storage = sqliteStorage({ path, driver, clock })
    storage.open()
    await use(storage, path)
    await storage.close()
  })
}

/** A document of folded transactions of `size` bytes, page by page; SQLite reads its segments in one go. */
async function measureReading(size: number): Promise<void> {
  await withStore(async (storage, path) => {
    const megabytes = (await fill(storage, Math.floor((256 * 1024) / size), size)) / 1_000_000
    const bare = driver.open(path, { readOnly: true })
    bare.exec('PRAGMA cache_size = -16384')
    const segments = bare.prepare(
      'SELECT s.packed FROM piece p JOIN segment s ON s.key = p.segment ORDER BY p.document, p.session, p.until',
    )
    for (let at = 0; at < ROUNDS; at++) {
      const raw = rate(megabytes, () => {
        for (const _ of segments.iterate());
      })
      const ours = rate(megabytes, () => readAll(storage, 'large'))
      record(`MB/s folded, ${size}-byte transactions, by page`, ours, raw, size < 4096 ? '0.20' : '0.40')
    }
    bare.close()
  })
}

/** Answers the bytes of all transactions and seals. */
async function fill(storage: SqliteStorage, perAppend: number, size: number): Promise<number> {
  await must(storage, [empty('large')])
  const transactions = range(perAppend, (index) => utf8.encode(`"${String(index).padEnd(size - 2, 'x')}"`))
  let bytes = 0
  for (let after = 0; bytes < LARGE_BYTES; after += perAppend) {
    const unsealed = { ...more('large', 'a', after, transactions), runs: [{ session: 'a', after, transactions }] }
    await must(storage, [unsealed])
    bytes += perAppend * size
  }
  return bytes
}

function readAll(storage: SqliteStorage, id: string): void {
  for (let after = EMPTY; ; ) {
    const page = storage.read(id, after, { bytesMax: 64 * 1024 })
    if (page === undefined || !page.more) return
    after = page.end
  }
}

/** Documents of 100 transactions that were appended one by one and are not folded yet. */
async function measureTails(): Promise<void> {
  await withStore(async (storage, path) => {
    const ids = range(200, (index) => `tail ${index}`)
    await must(storage, ids.map(empty))
    for (let after = 0; after < 100; after++)
      await must(
        storage,
        ids.map((id) => more(id, 'a', after, [body])),
      )
    const megabytes = (ids.length * 100 * (body.length + seal.length)) / 1_000_000
    const bare = driver.open(path, { readOnly: true })
    const rows = bare.prepare('SELECT packed FROM piece WHERE document = ? ORDER BY session, until')
    for (let at = 0; at < ROUNDS; at++) {
      const raw = rate(megabytes, () => {
        for (let document = 1; document <= ids.length; document++) rows.all(document)
      })
      const ours = rate(megabytes, () => {
        for (const id of ids) readAll(storage, id)
      })
      record('MB/s not folded, one sealed transaction a row', ours, raw)
    }
    bare.close()
  })
}

async function measureDisk(): Promise<Row[]> {
  const single = idOf(1).length + header.length + body.length + seal.length
  return [
    await diskOf('folded, 200-byte transactions: bytes on disk per byte', '1.3', (storage) => fill(storage, 1000, 200)),
    await diskOf('folded, 4 KiB transactions: the same', '1.3', (storage) => fill(storage, 64, 4096)),
    await diskOf('folded, appended one by one with a seal: the same', '1.3', appendSingly),
    await diskOf(
      'one transaction each: (bytes - 120) per byte of id, header, transaction, seal',
      '1.5',
      async (storage) => {
        for (let at = 0; at < DOCUMENTS; at += 1000)
          await must(
            storage,
            range(1000, (index) => created(at + index)),
          )
        return DOCUMENTS * single
      },
      120 * DOCUMENTS,
    ),
    await manySessions(),
  ]
}

/** Ten documents that grow by one transaction in each batch. */
async function appendSingly(storage: SqliteStorage): Promise<number> {
  const ids = range(10, (index) => `growing ${index}`)
  await must(storage, ids.map(empty))
  const each = body.length + seal.length
  const count = Math.ceil(LARGE_BYTES / 4 / each / ids.length)
  for (let after = 0; after < count; after++)
    await must(
      storage,
      ids.map((id) => more(id, 'a', after, [body])),
    )
  return count * ids.length * each
}

async function diskOf(
  what: string,
  target: string,
  store: (storage: SqliteStorage) => Promise<number>,
  allowance = 0,
): Promise<Row> {
  return withFolder(async (folder) => {
    const path = join(folder, 'store.db')
    const storage = sqliteStorage({ path, driver, clock, synchronous: 'normal' })
    storage.open()
    const content = await store(storage)
    await storage.close()
    const ratio = () => ((statSync(path).size - allowance) / content).toFixed(2)
    const figure = ratio()
    const bare = driver.open(path)
    bare.exec('VACUUM')
    bare.close()
    return { what, figure, raw: `${ratio()} after VACUUM`, target }
  })
}

async function manySessions(): Promise<Row> {
  return withFolder(async (folder) => {
    const path = join(folder, 'store.db')
    const content = (runs: Append['runs']): Append => ({ id: 'x', kind: 'bytes', priority: 3, header, runs })
    const names = range(10_000, (index) => `session ${index}`)
    const first = sqliteStorage({ path, driver, clock })
    first.open()
    await must(first, [content(names.map((session) => ({ session, after: 0, transactions: [body] })))])
    await first.close()
    const storage = sqliteStorage({ path, driver, clock })
    storage.open()
    // Opening wrote a page; what comes behind it in the log is ours: 24 bytes and a page of 4 KiB for each.
    const before = statSync(`${path}-wal`).size
    await must(storage, [content([{ session: 'session 5000', after: 1, transactions: [body] }])])
    const pages = (statSync(`${path}-wal`).size - before) / (4096 + 24)
    await storage.close()
    const what = 'bytes of pages written by one transaction to a document of 10,000 sessions'
    return { what, figure: round(4096 * pages), raw: `${pages} pages`, target: '16,384' }
  })
}
