/**
 * One hot document: 100 callers, each appending to a session of its own, beside bare SQLite and bare LevelDB with 100 callers.
 *
 * What is hardest to do in half the engine's speed is measured by itself, in short rounds that alternate: a store that is measured,
 * a twin that is not and records the rows of the same contents, then the engine writing these rows, in the same commits. "Raw" is
 * asked by 100 callers too, each with a promise of its own, who are answered after the commit that they are in; "in a loop" it has
 * no callers at all. Clock and processor time (of all threads, in µs a content), since on a shared machine they differ.
 */
import { join } from 'node:path'
import { type Append, type AppendResult, type Clock, systemClock } from '@tidemark/storage'
import { leveldbStorage } from '@tidemark/storage-leveldb'
import { betterSqlite3, sqliteStorage } from '@tidemark/storage-sqlite'
import { heading, median, print, type Row, withFolder } from './harness.ts'
import * as level from './leveldb-recorded.ts'
import * as sqlite from './sqlite-recorded.ts'

const ROUNDS = process.argv.includes('--quick') ? 6 : 16
/** Rounds in which the code is still being compiled. */
const ROUNDS_BEFORE = 2
const CALLERS = 100
/** As many as make every session fold once in a round. */
const CONTENTS_PER_CALLER = 104

const utf8 = new TextEncoder()
const seal = utf8.encode(`signature_z${'S'.repeat(80)}`)
const text = Array.from({ length: 110 }, () => String.fromCharCode(48 + Math.floor(Math.random() * 64))).join('')
const body = utf8.encode(`{"privacy":"private","madeAt":1763700000000,"encryptedChanges":"encrypted_U${text}"}`)
const sessions = Array.from({ length: CALLERS }, (_, index) => `co_z${String(index).padStart(27, 'A')}_session_zB`)
const clock: Clock = { ...systemClock, wait: () => new Promise(() => {}) }

interface Appending {
  append(batch: readonly Append[]): Promise<readonly AppendResult[]>
}

/** A commit of the bare engine. */
type Commit = () => unknown

/** The same commits into two databases: one for each way in which the engine is asked. */
interface Commits {
  readonly raw: readonly Commit[]
  readonly loop: readonly Commit[]
}

interface Pair {
  readonly measured: Appending
  readonly twin: Appending
  /** What the twin writes meanwhile, to be written by the bare engine. */
  record(perform: () => Promise<unknown>): Promise<Commits>
  close(): Promise<void>
}

async function sqlitePair(folder: string): Promise<Pair> {
  const recording = sqlite.recorder(betterSqlite3)
  const measured = sqliteStorage({ path: join(folder, 'measured.db'), clock })
  const twin = sqliteStorage({ path: join(folder, 'twin.db'), driver: recording.driver, clock })
  measured.open()
  twin.open()
  const raw = await sqlite.openBare(betterSqlite3, join(folder, 'raw.db'))
  const loop = await sqlite.openBare(betterSqlite3, join(folder, 'loop.db'))
  return {
    measured,
    twin,
    async record(perform) {
      await perform()
      const commits: sqlite.Written[][] = []
      for (const statement of recording.take()) {
        if (statement.sql.startsWith('BEGIN')) commits.push([])
        commits.at(-1)?.push(statement)
      }
      const into = (bare: sqlite.Bare) => commits.map((commit) => () => bare.replay(commit))
      return { raw: into(raw), loop: into(loop) }
    },
    async close() {
      await measured.close()
      await twin.close()
      raw.close()
      loop.close()
    },
  }
}

async function leveldbPair(folder: string): Promise<Pair> {
  const path = join(folder, 'twin')
  const measured = leveldbStorage({ path: join(folder, 'measured') })
  const twin = leveldbStorage({ path })
  await measured.open()
  await twin.open()
  const raw = await level.openBare(join(folder, 'raw'))
  const loop = await level.openBare(join(folder, 'loop'))
  return {
    measured,
    twin,
    async record(perform) {
      const batches = await level.recorded(path, perform)
      const into = (bare: level.Bare) => batches.map((batch) => () => level.replay(bare, [batch]))
      return { raw: into(raw), loop: into(loop) }
    },
    async close() {
      await measured.close()
      await twin.close()
      await raw.close()
      await loop.close()
    },
  }
}

async function callers(perform: (caller: number, at: number) => Promise<unknown>): Promise<void> {
  const caller = async (index: number) => {
    for (let at = 0; at < CONTENTS_PER_CALLER; at++) await perform(index, at)
  }
  await Promise.all(sessions.map((_, index) => caller(index)))
}

/** Every caller appends to its session from `start` on. */
function appendAll(storage: Appending, start: number): Promise<void> {
  return callers(async (caller, at) => {
    const run = { session: sessions[caller] as string, after: start + at, transactions: [body], seal }
    const [result] = await storage.append([{ id: 'hot', kind: 'json', priority: 3, runs: [run] }])
    if (result === undefined || 'failed' in result || result.refused.size > 0) throw new Error('not stored')
  })
}

/** The same number of callers, all of whom wait for the next commit of the bare engine. */
function writeAll(commits: readonly Commit[]): Promise<void> {
  let next = 0
  let waiting: (() => void)[] = []
  const commitNext = async () => {
    const answered = waiting
    waiting = []
    await commits[next++]?.()
    for (const resolve of answered) resolve()
  }
  return callers(
    () =>
      new Promise<void>((resolve) => {
        if (waiting.push(resolve) === 1) setImmediate(commitNext)
      }),
  )
}

async function writeInLoop(commits: readonly Commit[]): Promise<void> {
  for (const commit of commits) await commit()
}

interface Cost {
  readonly clock: number
  readonly processor: number
}

async function measure(perform: () => Promise<unknown>): Promise<Cost> {
  const before = process.cpuUsage()
  const start = performance.now()
  await perform()
  const elapsed = performance.now() - start
  const { user, system } = process.cpuUsage(before)
  const contents = CALLERS * CONTENTS_PER_CALLER
  return { clock: (1000 * elapsed) / contents, processor: (user + system) / contents }
}

async function measureEngine(name: string, open: (folder: string) => Promise<Pair>): Promise<Row[]> {
  const rounds: { readonly ours: Cost; readonly raw: Cost; readonly loop: Cost }[] = []
  await withFolder(async (folder) => {
    const { measured, twin, record, close } = await open(folder)
    const created: Append = { id: 'hot', kind: 'json', priority: 3, header: utf8.encode('{}'), runs: [] }
    await measured.append([created])
    const first = await record(() => twin.append([created]))
    for (const commits of [first.raw, first.loop]) await writeInLoop(commits)
    for (let at = 0; at < ROUNDS_BEFORE + ROUNDS; at++) {
      const start = at * CONTENTS_PER_CALLER
      const ours = await measure(() => appendAll(measured, start))
      const commits = await record(() => appendAll(twin, start))
      const raw = await measure(() => writeAll(commits.raw))
      const loop = await measure(() => writeInLoop(commits.loop))
      if (at >= ROUNDS_BEFORE) rounds.push({ ours, raw, loop })
    }
    await close()
  })
  return (['clock', 'processor'] as const).map((kind) => {
    const cost = (of: 'ours' | 'raw' | 'loop') => median(rounds.map((round) => round[of][kind])).toFixed(1)
    const ratio = (of: 'raw' | 'loop') => median(rounds.map((round) => round[of][kind] / round.ours[kind])).toFixed(2)
    return {
      what: `${name}, one hot document: µs a content, ${kind}`,
      figure: cost('ours'),
      raw: `${cost('raw')}  (${ratio('raw')}); in a loop ${cost('loop')}  (${ratio('loop')})`,
      target: '0.50',
    }
  })
}

heading()
print([...(await measureEngine('SQLite', sqlitePair)), ...(await measureEngine('LevelDB', leveldbPair))])
