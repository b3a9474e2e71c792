/**
 * Layers: how soon a document is usable, what a repair writes, reads and holds in memory, and what the proposal it grew from does with
 * the same histories.
 *
 * Delays are real. "Raw" is the fastest layer asked directly in the same round. `--quick` measures less.
 */
import { join } from 'node:path'
import { count, EMPTY, union } from '@tidemark/known-state'
import { layers } from '@tidemark/reconciliation/layers'
import { type Append, memoryStorage, type Storage, systemClock } from '@tidemark/storage'
import { type FaultyStorage, faults } from '@tidemark/storage/conformance'
import { leveldbStorage } from '@tidemark/storage-leveldb'
import { sqliteStorage } from '@tidemark/storage-sqlite'
import { heading, median, print, type Row, round, withFolder } from './harness.ts'

const QUICK = process.argv.includes('--quick')
const LOADS = QUICK ? 10 : 40
const HISTORIES = QUICK ? 200 : 1_000
const LARGE_BYTES = (QUICK ? 16 : 100) * 1024 * 1024
const MIB = 1024 * 1024

const utf8 = new TextEncoder()
const wait = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms))

function content(id: string, parts: Iterable<readonly [session: string, until: number]>): Append {
  const runs = [...parts].map(([session, until]) => ({
    session,
    after: 0,
    transactions: Array.from({ length: until }, (_, at) => utf8.encode(`${session} ${at} ${'.'.repeat(100)}`)),
  }))
  return { id, kind: 'bytes', priority: 3, header: utf8.encode(id), runs }
}

/** A store in memory that takes its time and passes for a durable one. */
function slow(ms: number, holds: readonly Append[]): FaultyStorage {
  const data = memoryStorage()
  const opened = data.open()
  data.append(holds)
  const after = () => (ms === Number.POSITIVE_INFINITY ? new Promise<void>(() => {}) : wait(ms))
  const storage = faults(data, ({ method }) => (method === 'close' ? undefined : { after: after() }))
  return Object.assign(storage, { open: () => ({ ...opened, level: 'durable' as const }) })
}

const NOTE = content('note', [['a', 50]])

async function readAll(storage: Storage, id: string): Promise<void> {
  await storage.knownStates([id])
  for (let after = EMPTY; ; ) {
    const page = await storage.read(id, after, { bytesMax: 64 * 1024 })
    after = page?.end ?? after
    if (page?.more !== true) return
  }
}

/** Median ms until the document was handed over, and until the fastest layer alone gives it. */
async function usable(delays: readonly number[]): Promise<{ readonly ours: number; readonly raw: number }> {
  const stores = delays.map((ms) => slow(ms, [NOTE]))
  const all = layers([...stores], { clock: systemClock })
  await all.open()
  const fastest = stores[delays.indexOf(Math.min(...delays))] as FaultyStorage
  const ours: number[] = []
  const raw: number[] = []
  for (let load = 0; load < LOADS; load++) {
    let start = performance.now()
    await readAll(fastest, 'note')
    raw.push(performance.now() - start)
    start = performance.now()
    await all.load('note', { until: 'usable', onPage: () => {} })
    ours.push(performance.now() - start)
  }
  void Promise.resolve(all.close()).catch(() => {})
  return { ours: median(ours), raw: median(raw) }
}

/** What each layer holds of three sessions. */
type History = readonly ReadonlyMap<string, number>[]

function histories(): readonly History[] {
  let seed = 20_251_121
  const below = (limit: number) => {
    seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor((seed / 2 ** 32) * limit)
  }
  return Array.from({ length: HISTORIES }, () =>
    Array.from({ length: 2 + below(3) }, () => new Map(['a', 'b', 'c'].map((session) => [session, below(8)] as const))),
  )
}

interface Repaired {
  readonly missing: number
  readonly written: number
  readonly converged: boolean
  readonly again: { readonly writes: number; readonly reads: number }
}

async function repaired(history: History): Promise<Repaired> {
  const stores = history.map((parts) => {
    const data = memoryStorage()
    const opened = data.open()
    data.append([
      content(
        'note',
        [...parts].filter(([, until]) => until > 0),
      ),
    ])
    let entries = 0
    const storage = Object.assign(faults(data), { open: () => ({ ...opened, level: 'durable' as const }) })
    const { append } = storage
    storage.append = (batch, options) => {
      for (const { runs } of batch) for (const { transactions } of runs) entries += transactions.length
      return append(batch, options)
    }
    return { storage, data, entries: () => entries }
  })
  const states = () => stores.map(({ data }) => data.knownStates(['note'])[0]?.known ?? EMPTY)
  const joined = states().reduce(union)
  const missing = states().reduce((sum, known) => sum + count(joined) - count(known), 0)
  const all = layers(stores.map(({ storage }) => storage))
  await all.open()
  await all.load('note', { until: 'settled' })
  const written = stores.reduce((sum, { entries }) => sum + entries(), 0)
  const converged = states().every((known) => count(known) === count(joined))
  const made = () => stores.map(({ storage: { calls } }) => [calls.append, calls.read] as const)
  const before = made()
  await all.load('note', { until: 'settled' })
  const after = made()
  const grown = (which: 0 | 1) => after.reduce((sum, calls, at) => sum + calls[which] - (before[at]?.[which] ?? 0), 0)
  await all.close()
  return { missing, written, converged, again: { writes: grown(0), reads: grown(1) } }
}

/** The proposal's own rule: the layer with most operations wins, and gives the others what they lack of its own. */
function mostWins(history: History): boolean {
  const all = history.map((parts) => new Set([...parts].flatMap(([name, until]) => operations(name, until))))
  const join = new Set(all.flatMap((operations) => [...operations]))
  const most = all.reduce((a, b) => (a.size > b.size ? a : b))
  for (const held of all) for (const operation of most) held.add(operation)
  return all.every((held) => held.size === join.size)
}

const operations = (name: string, until: number) => Array.from({ length: until }, (_, at) => `${name} ${at}`)

/** Most bytes held beyond the start while a large document is copied from SQLite to LevelDB. */
async function peakMemory(): Promise<{ readonly growth: number; readonly ms: number }> {
  return withFolder(async (folder) => {
    const sqlite = sqliteStorage({ path: join(folder, 'a.db') })
    await sqlite.open()
    const piece = new Uint8Array(10_000)
    for (let at = 0, index = 0; at < LARGE_BYTES; at += MIB, index += 100) {
      const transactions = Array.from({ length: 100 }, (_, one) => piece.slice().fill(index + one))
      const header = index === 0 ? { header: utf8.encode('large') } : {}
      await sqlite.append([
        { id: 'large', kind: 'bytes', priority: 3, ...header, runs: [{ session: 'a', after: index, transactions }] },
      ])
    }
    await sqlite.close()
    const target = faults(leveldbStorage({ path: join(folder, 'b') }))
    let peak = 0
    let base = 0
    target.plan = ({ method, nth }) => {
      if (method !== 'append' || nth % 32 !== 0) return undefined
      const measured = held().then((bytes) => {
        peak = Math.max(peak, bytes - base)
      })
      return { after: measured }
    }
    const all = layers([sqliteStorage({ path: join(folder, 'a.db') }), target], { clock: systemClock })
    await all.open()
    base = await held()
    const start = performance.now()
    await all.load('large', { until: 'settled' })
    const ms = performance.now() - start
    const [state] = await target.knownStates(['large'])
    if (count(state?.known ?? EMPTY) === 0) throw new Error('nothing was copied')
    await all.close()
    return { growth: peak, ms }
  })
}

/** Bytes of JavaScript that are in use: the heap, and the buffers beside it. */
async function held(): Promise<number> {
  // What a native add-on handed over is let go of a turn after it was collected.
  for (let times = 0; times < 2; times++) {
    globalThis.gc?.()
    await wait(5)
  }
  const { heapUsed, arrayBuffers } = process.memoryUsage()
  return heapUsed + arrayBuffers
}

heading()
const rows: Row[] = []
const silent = Number.POSITIVE_INFINITY
for (const [what, delays] of [
  ['1 layer (5 ms)', [5]],
  ['3 layers (5, 200, 3,000 ms)', [5, 200, 3_000]],
  ['5 layers (5, 5, 200, 200, 3,000 ms)', [5, 5, 200, 200, 3_000]],
  ['3 layers, one never answers', [5, 200, silent]],
  ['3 layers, the fastest takes 200 ms', [200, 3_000, silent]],
] as const) {
  const { ours, raw } = await usable(delays)
  rows.push({
    what: `time to usable, ${what}`,
    figure: `${ours.toFixed(1)} ms`,
    raw: `${raw.toFixed(1)} ms`,
    target: `${(raw + Math.max(10, raw / 10)).toFixed(1)} ms`,
  })
}
const given = histories()
const outcomes: Repaired[] = []
for (const history of given) outcomes.push(await repaired(history))
const sum = (of: (outcome: Repaired) => number) => outcomes.reduce((total, outcome) => total + of(outcome), 0)
rows.push(
  {
    what: `entries written, ${HISTORIES} histories`,
    figure: round(sum(({ written }) => written)),
    raw: `${round(sum(({ missing }) => missing))} missing`,
    target: 'equal',
  },
  {
    what: 'second run: writes, content reads',
    figure: `${sum(({ again }) => again.writes)}, ${sum(({ again }) => again.reads)}`,
    target: '0, 0',
  },
  {
    what: 'histories that end with the join',
    figure: `${outcomes.filter(({ converged }) => converged).length} of ${HISTORIES}`,
    raw: `${given.filter(mostWins).length} by "the layer with most operations wins"`,
    target: 'all',
  },
)
const { growth, ms } = await peakMemory()
rows.push({
  what: `most memory while ${LARGE_BYTES / MIB} MB are repaired, SQLite to LevelDB`,
  figure: `${(growth / MIB).toFixed(1)} MiB`,
  raw: `${(LARGE_BYTES / MIB / (ms / 1_000)).toFixed(0)} MB/s`,
  target: '8 MiB',
})
print(rows)
process.exit(0)
