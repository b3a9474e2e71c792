/**
 * The LevelDB storage beside bare LevelDB: the same disk, the same library, in the same round.
 *
 * Writing is compared with LevelDB writing the same batches again, reading with LevelDB reading the same rows; it checks nothing,
 * compares nothing and finds nothing again, so a ratio of 1 is out of reach. `--quick` measures less and takes some seconds.
 */
import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { EMPTY } from '@tidemark/known-state'
import type { Append } from '@tidemark/storage'
import { type LevelDatabase, type LeveldbStorage, leveldbStorage } from '@tidemark/storage-leveldb'
import { heading, median, perSecond, print, type Row, round, withFolder } from './harness.ts'
import { type Bare, BYTES, bytesOf, openBare, recorded, replay } from './leveldb-recorded.ts'

const QUICK = process.argv.includes('--quick')
const ROUNDS = QUICK ? 3 : 5
const DOCUMENTS = QUICK ? 10_000 : 100_000
const LOOK_UPS = QUICK ? 10_000 : 50_000
const BATCHES = 20
/** As many as weigh one segment: each measurement folds every session once, also the one that is written again. */
const CONTENTS_PER_CALLER = 120
const LARGE_BYTES = QUICK ? 8 * 1024 * 1024 : 32 * 1024 * 1024
const CALLERS = 100

const utf8 = new TextEncoder()
const seal = utf8.encode(`signature_z${'S'.repeat(80)}`)
const header = utf8.encode(
  `{"type":"comap","ruleset":{"type":"unsafeAllowAll"},"meta":null,"uniqueness":"z${'u'.repeat(20)}"}`,
)
const body = utf8.encode(
  `{"privacy":"private","madeAt":1763700000000,"encryptedChanges":"encrypted_U${randomText(110)}"}`,
)
const sessionOf = (index: number) => `co_z${String(index % 1000).padStart(27, 'A')}_session_z${'B'.repeat(12)}`

/** Ids in no order, as hashes are: writing them touches keys everywhere. */
const idOf = (index: number) => `co_z${(Math.imul(index + 1, 0x9e3779b1) >>> 0).toString(36).padStart(27, 'd')}`

function created(index: number): Append {
  const run = { session: sessionOf(index), after: 0, transactions: [body], seal }
  return { id: idOf(index), kind: 'json', priority: 3, header, runs: [run] }
}

/** The same with contents of its own: LevelDB compresses, and would keep what is alike only once. */
function createdUnlike(index: number): Append {
  const like = (bytes: Uint8Array) => utf8.encode(`"${randomText(bytes.length - 2)}"`)
  const run = { session: sessionOf(index), after: 0, transactions: [like(body)], seal: like(seal) }
  return { id: idOf(index), kind: 'json', priority: 3, header: like(header), runs: [run] }
}

/** What does not get smaller by compression, as encrypted content does not. */
function randomText(bytes: number): string {
  let text = ''
  for (let index = 0; index < bytes; index++) text += String.fromCharCode(48 + Math.floor(Math.random() * 64))
  return text
}

const figures = new Map<string, { readonly ours: number[]; readonly raw: number[]; readonly target: string }>()

function record(what: string, ours: number, raw: number, target = ''): void {
  const found = figures.get(what) ?? { ours: [], raw: [], target }
  figures.set(what, found)
  found.ours.push(ours)
  found.raw.push(raw)
}

async function rate(count: number, perform: () => unknown): Promise<number> {
  const start = performance.now()
  await perform()
  return perSecond(count, performance.now() - start)
}

async function must(storage: LeveldbStorage, batch: readonly Append[]): Promise<void> {
  for (const result of await storage.append(batch)) {
    if ('failed' in result) throw result.cause
    if (result.refused.size > 0 || result.headerRefused !== undefined) throw new Error('refused')
  }
}

/** Appends that go on for ever: the next content of one of `CALLERS` callers. */
interface Load {
  readonly name: string
  readonly prepare: (storage: LeveldbStorage) => Promise<void>
  readonly next: (caller: number) => Append
}

/** Each caller writes a session of its own. */
function hot(documents: number): Load {
  const counts = new Array<number>(CALLERS).fill(0)
  const ids = Array.from({ length: documents }, (_, index) => `hot ${documents} ${index}`)
  return {
    name: documents === 1 ? 'one hot document' : `${documents} hot documents`,
    prepare: (storage) =>
      must(
        storage,
        ids.map((id) => ({ id, kind: 'json', priority: 3, header, runs: [] })),
      ),
    next(caller) {
      const after = counts[caller] as number
      counts[caller] = after + 1
      const run = { session: sessionOf(caller), after, transactions: [body], seal }
      return { id: ids[caller % documents] as string, kind: 'json', priority: 3, runs: [run] }
    },
  }
}

let written = DOCUMENTS
const loads: readonly Load[] = [
  hot(1),
  hot(100),
  { name: 'new documents', prepare: async () => {}, next: () => created(written++) },
]

heading()
await withFolder(async (folder) => {
  const path = join(folder, 'ours')
  const storage = leveldbStorage({ path })
  await storage.open()
  const again = await openBare(join(folder, 'again'))
  const first = await recorded(path, async () => {
    for (let at = 0; at < DOCUMENTS; at += 1000)
      await must(
        storage,
        Array.from({ length: 1000 }, (_, index) => created(at + index)),
      )
    for (const { prepare } of loads) await prepare(storage)
  })
  await replay(again, first)
  for (let at = 0; at < ROUNDS; at++) {
    await measureKnownStates(storage, again)
    for (const load of loads) {
      for (const batch of [1, 10, 100, 1000]) await measureWriting(path, again, storage, load, batch)
      await measureWriting(path, again, storage, load, undefined)
    }
  }
  await storage.close()
  await again.close()
})
for (const size of [200, 4096]) await measureReading(size)
await measureTails()
print([...figures].map(([what, figure]) => rowOf(what, figure)))
print(await measureDisk())

/** The ratio is that of the middle round: others use the machine too, and in one round both suffer alike. */
function rowOf(
  what: string,
  { ours, raw, target }: { ours: readonly number[]; raw: readonly number[]; target: string },
): Row {
  const ratio = median(ours.map((value, index) => value / (raw[index] as number)))
  return { what, figure: round(median(ours)), raw: `${round(median(raw))}  (${ratio.toFixed(2)} of it)`, target }
}

async function measureKnownStates(storage: LeveldbStorage, bare: Bare): Promise<void> {
  const letter = 'd'.charCodeAt(0)
  const ids = Array.from({ length: LOOK_UPS }, () => idOf(Math.floor(Math.random() * DOCUMENTS)))
  const keys = ids.map((id) => Uint8Array.of(letter, ...utf8.encode(id)))
  const points = await rate(LOOK_UPS, () => {
    for (const id of ids) storage.knownStates([id])
  })
  const awaited = await rate(LOOK_UPS, async () => {
    for (const id of ids) await storage.knownStates([id])
  })
  const rawPoints = await rate(LOOK_UPS, () => {
    for (const key of keys) bare.getSync(key)
  })
  record('known states /s, one by one (raw: getSync)', points, rawPoints, '0.50')
  record('known states /s, one by one, awaited (raw: getSync)', awaited, rawPoints)
  for (const size of [10, 100, 1000]) {
    const starts = Array.from({ length: LOOK_UPS / size }, (_, index) => index * size)
    const bulk = await rate(LOOK_UPS, async () => {
      for (const at of starts) await storage.knownStates(ids.slice(at, at + size))
    })
    const rawBulk = await rate(LOOK_UPS, async () => {
      for (const at of starts) await bare.getMany(keys.slice(at, at + size))
    })
    record(`known states /s, ${size} at a time`, bulk, rawBulk, '0.50')
  }
}

/**
 * Durable contents, `batch` at a time by one caller, or singly by many at once. Twice: the batches of the second time are written
 * again by LevelDB alone. What is kept to be written again would cost the first time, which is measured.
 */
async function measureWriting(
  path: string,
  again: Bare,
  storage: LeveldbStorage,
  load: Load,
  batch: number | undefined,
) {
  const what = batch === undefined ? `${CALLERS} callers` : `${batch} a batch`
  const perform = () => (batch === undefined ? byMany(storage, load) : byOne(storage, load, batch))
  const contents = batch === undefined ? CALLERS * CONTENTS_PER_CALLER : BATCHES * batch
  const ours = await rate(contents, perform)
  const batches = await recorded(path, perform)
  const raw = await rate(contents, () => replay(again, batches))
  record(`${load.name}: contents /s, ${what}`, ours, raw, batch === undefined ? '0.50' : '')
}

async function byOne(storage: LeveldbStorage, load: Load, batch: number): Promise<void> {
  for (let at = 0; at < BATCHES; at++)
    await must(
      storage,
      Array.from({ length: batch }, (_, index) => load.next(index % CALLERS)),
    )
}

async function byMany(storage: LeveldbStorage, load: Load): Promise<void> {
  const caller = async (index: number) => {
    for (let at = 0; at < CONTENTS_PER_CALLER; at++) await must(storage, [load.next(index)])
  }
  await Promise.all(Array.from({ length: CALLERS }, (_, index) => caller(index)))
}

/** A document of folded transactions of `size` bytes, page by page; LevelDB reads the same rows in one go. */
async function measureReading(size: number): Promise<void> {
  await withFolder(async (folder) => {
    const bare = await openBare(join(folder, 'large'))
    const storage = leveldbStorage({ db: bare as unknown as LevelDatabase })
    await storage.open()
    const perAppend = Math.floor((256 * 1024) / size)
    const megabytes = await fill(storage, perAppend, size)
    for (let at = 0; at < ROUNDS; at++) {
      const raw = await rate(megabytes, () => readRaw(bare))
      const ours = await rate(megabytes, () => readAll(storage, 'large'))
      record(`MB/s folded, ${size}-byte transactions, by page`, ours, raw, size < 4096 ? '0.20' : '0.40')
    }
    await storage.close()
    await bare.close()
  })
}

async function fill(storage: LeveldbStorage, perAppend: number, size: number): Promise<number> {
  let bytes = 0
  await must(storage, [{ id: 'large', kind: 'json', priority: 3, header, runs: [] }])
  for (let after = 0; bytes < LARGE_BYTES; after += perAppend) {
    const transactions = Array.from({ length: perAppend }, () => utf8.encode(`"${randomText(size - 2)}"`))
    bytes += perAppend * size
    await must(storage, [{ id: 'large', kind: 'json', priority: 3, runs: [{ session: 'a', after, transactions }] }])
  }
  return bytes / 1_000_000
}

async function readAll(storage: LeveldbStorage, id: string): Promise<void> {
  for (let after = EMPTY; ; ) {
    const page = await storage.read(id, after, { bytesMax: 64 * 1024 })
    if (page === undefined || !page.more) return
    after = page.end
  }
}

async function readRaw(bare: Bare): Promise<void> {
  const [p, q] = ['p', 'q'].map((letter) => utf8.encode(letter)) as [Uint8Array, Uint8Array]
  const iterator = bare.values({ ...BYTES, gte: p, lt: q, highWaterMarkBytes: 256 * 1024 })
  while ((await iterator.nextv(1000)).length > 0);
  await iterator.close()
}

/** Documents of 100 transactions that were appended one by one and are not folded yet. */
async function measureTails(): Promise<void> {
  await withFolder(async (folder) => {
    const bare = await openBare(join(folder, 'tails'))
    const storage = leveldbStorage({ db: bare as unknown as LevelDatabase })
    await storage.open()
    const ids = Array.from({ length: 200 }, (_, index) => `tail ${index}`)
    for (const id of ids) await must(storage, [{ id, kind: 'json', priority: 3, header, runs: [] }])
    for (let after = 0; after < 100; after++)
      await must(
        storage,
        ids.map((id) => ({ id, kind: 'json', priority: 3, runs: [{ session: 'a', after, transactions: [body] }] })),
      )
    const megabytes = (ids.length * 100 * body.length) / 1_000_000
    for (let at = 0; at < ROUNDS; at++) {
      const raw = await rate(megabytes, () => readRaw(bare))
      const ours = await rate(megabytes, async () => {
        for (const id of ids) await readAll(storage, id)
      })
      record('MB/s not folded, 200-byte transactions, by document', ours, raw)
    }
    await storage.close()
    await bare.close()
  })
}

async function measureDisk(): Promise<Row[]> {
  return [
    await diskOf('folded: bytes on disk per byte of content', '1.3', async (storage) => {
      const perAppend = 1000
      return 1_000_000 * (await fill(storage, perAppend, 200))
    }),
    await diskOf('folded, appended one by one: the same', '1.3', appendSingly),
    await diskOf(
      'one transaction each: (bytes - 120) per byte of id, header, transaction, seal',
      '1.5',
      async (storage) => {
        for (let at = 0; at < DOCUMENTS; at += 1000)
          await must(
            storage,
            Array.from({ length: 1000 }, (_, index) => createdUnlike(at + index)),
          )
        return DOCUMENTS * (idOf(1).length + header.length + body.length + seal.length)
      },
      120 * DOCUMENTS,
    ),
    await manySessions(),
  ]
}

/** Ten documents that grow by one transaction of 200 bytes in each batch. */
async function appendSingly(storage: LeveldbStorage): Promise<number> {
  const ids = Array.from({ length: 10 }, (_, index) => `growing ${index}`)
  for (const id of ids) await must(storage, [{ id, kind: 'json', priority: 3, header, runs: [] }])
  const count = LARGE_BYTES / 4 / 200 / ids.length
  for (let after = 0; after < count; after++) {
    const transactions = [utf8.encode(`"${randomText(198)}"`)]
    await must(
      storage,
      ids.map((id) => ({ id, kind: 'json', priority: 3, runs: [{ session: 'a', after, transactions }] })),
    )
  }
  return Math.ceil(count) * ids.length * 200
}

async function diskOf(
  what: string,
  target: string,
  store: (storage: LeveldbStorage) => Promise<number>,
  allowance = 0,
): Promise<Row> {
  return withFolder(async (folder) => {
    const path = join(folder, 'store')
    const bare = await openBare(path)
    const storage = leveldbStorage({ db: bare as unknown as LevelDatabase })
    await storage.open()
    const content = await store(storage)
    await storage.close()
    const before = sizeOf(path)
    await bare.compactRange(Uint8Array.of(0), Uint8Array.of(255))
    await bare.close()
    const ratio = (bytes: number) => ((bytes - allowance) / content).toFixed(2)
    return { what, figure: ratio(sizeOf(path)), raw: `${ratio(before)} before it is compacted`, target }
  })
}

function sizeOf(path: string): number {
  return readdirSync(path).reduce((sum, name) => sum + statSync(join(path, name)).size, 0)
}

async function manySessions(): Promise<Row> {
  return withFolder(async (folder) => {
    const path = join(folder, 'store')
    const storage = leveldbStorage({ path })
    await storage.open()
    const names = Array.from({ length: 10_000 }, (_, index) => `session ${index}`)
    const content = (runs: Append['runs']): Append => ({ id: 'x', kind: 'bytes', priority: 3, header, runs })
    await must(storage, [content(names.map((session) => ({ session, after: 0, transactions: [body] })))])
    const one = content([{ session: 'session 5000', after: 1, transactions: [body] }])
    const batches = await recorded(path, () => must(storage, [one]))
    await storage.close()
    const bytes = batches.reduce((sum, operations) => sum + bytesOf(operations), 0)
    const what = 'bytes written by one transaction to a document of 10,000 sessions'
    return { what, figure: round(bytes), target: '16,384' }
  })
}
