/**
 * Reconnecting with N unchanged documents that nobody has open: what crosses, how long it takes, what stays in memory.
 *
 * Both ends in one process, joined by a pipe, in the frames of the dialect; each has a storage of its own on disk, opened anew. The
 * client lists what it has and asks for all of it; it is done when the last answer was handled. The raw limit is what nobody can do
 * without: the same known states looked up in bulk in both storages, and every message encoded and decoded once.
 * Memory is measured in a process of its own for each end (`reconnect-memory.ts`). No sockets (`sockets.bench.ts` has those).
 */
import { execFileSync } from 'node:child_process'
import { cpSync, mkdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type Dialect, dialects, type Frame, type Message, ProtocolError } from '@tidemark/protocol'
import type { Storage } from '@tidemark/storage'
import { leveldbStorage } from '@tidemark/storage-leveldb'
import { sqliteStorage } from '@tidemark/storage-sqlite'
import { attach, type Channel, createPipe, run } from '@tidemark/sync/run'
import { document } from './documents.ts'
import { heading, median, print, type Row, round, withFolder } from './harness.ts'

const QUICK = process.argv.includes('--quick')
const SIZES = QUICK ? [1_000, 10_000] : [1_000, 10_000, 100_000]
const ROUNDS = QUICK ? 3 : 7
const ROUNDS_LARGE = 3
const MEMORY_DOCUMENTS = QUICK ? 20_000 : 100_000
const BULK = 1_000
const LIST = 25_000
const FRAME_BYTES = 128 * 1024

const stores: Record<string, (path: string) => Storage> = {
  SQLite: (path) => sqliteStorage({ path }),
  LevelDB: (path) => leveldbStorage({ path }),
}

heading()
const rows: Row[] = []
for (const [store, open] of Object.entries(stores))
  for (const count of SIZES)
    await withFolder(async (folder) => {
      const made = await makeStores(folder, open, count)
      for (const dialect of dialects) rows.push(...(await reconnecting(store, dialect, count, made)))
    })
print(rows)
print(memory())

interface Made {
  client(): Storage
  server(): Storage
}

/** Two equal stores. */
async function makeStores(folder: string, open: (path: string) => Storage, count: number): Promise<Made> {
  const path = (end: string) => join(folder, end, 'store')
  const storage = open(makeFolder(path('server')))
  await storage.open()
  for (let first = 0; first < count; first += BULK)
    await storage.append(Array.from({ length: Math.min(BULK, count - first) }, (_, index) => document(first + index)))
  await storage.close()
  cpSync(join(folder, 'server'), join(folder, 'client'), { recursive: true })
  return { client: () => open(path('client')), server: () => open(path('server')) }
}

function makeFolder(path: string): string {
  mkdirSync(dirname(path), { recursive: true })
  return path
}

interface Measured {
  readonly wallMs: number
  readonly cpuMs: number
  /** Of that, what the one thread that runs both ends used: the wall time where nobody else wants the cores. */
  readonly threadMs: number
  readonly rawMs: number
  readonly up: Traffic
  readonly down: Traffic
  readonly calls: Record<string, number>
}

async function reconnecting(store: string, dialect: Dialect, count: number, made: Made): Promise<Row[]> {
  const rounds: Measured[] = []
  const times = count > 10_000 ? ROUNDS_LARGE : ROUNDS
  while (rounds.length < times) rounds.push(await reconnect(dialect, count, made))
  const [{ up, down, calls }] = rounds as [Measured]
  const middle = (figure: (measured: Measured) => number) => median(rounds.map(figure))
  const [wall, raw] = [middle(({ wallMs }) => wallMs), middle(({ rawMs }) => rawMs)]
  const [cpu, thread] = [middle(({ cpuMs }) => cpuMs), middle(({ threadMs }) => threadMs)]
  const what = `${round(count)} documents, ${store}, ${dialect.name}`
  const total = Object.values(calls).reduce((sum, times) => sum + times, 0)
  const isTarget = dialect.name === 'jazz'
  return [
    {
      what: `${what}: wall, CPU, its thread`,
      figure: `${wall.toFixed(0)} ms, ${cpu.toFixed(0)} ms, ${thread.toFixed(0)} ms`,
      raw: `${raw.toFixed(0)} ms (ratio ${(wall / raw).toFixed(1)})`,
      ...(isTarget && count === 10_000 && { target: '250 ms' }),
    },
    {
      what: '  each document: to the server, back',
      figure: `${(up.bytes / count).toFixed(0)} bytes, ${(down.bytes / count).toFixed(0)} bytes`,
      raw: `${round(up.messages)} and ${round(down.messages)} messages`,
    },
    {
      what: `  calls of both storages: ${Object.entries(calls)
        .map(([method, times]) => `${method} ${times}`)
        .join(', ')}`,
      figure: round(total),
      ...(isTarget && { target: round(count / 200 + 10) }),
    },
  ]
}

interface Traffic {
  bytes: number
  messages: number
  readonly frames: Frame[]
}

async function reconnect(dialect: Dialect, count: number, made: Made): Promise<Measured> {
  const calls: Record<string, number> = {}
  const [server, client] = [counted(made.server(), calls), counted(made.client(), calls)]
  const up: Traffic = { bytes: 0, messages: 0, frames: [] }
  const down: Traffic = { bytes: 0, messages: 0, frames: [] }
  const serving = await run({ storage: server, peer: 'server' })
  const asking = await run({ storage: client, peer: 'client', upstreamExpected: true })
  const [near, far] = createPipe(dialect)
  let answered = 0
  const done = new Promise<void>((resolve) => {
    asking.listen((report) => {
      if (report.kind === 'confirmed' && ++answered === count) resolve()
    })
  })
  for (const method of Object.keys(calls)) delete calls[method]

  const cpu = process.cpuUsage()
  const thread = process.threadCpuUsage()
  const begin = performance.now()
  attach(serving, tapped(far, down))
  const upstream = attach(asking, tapped(near, up), { upstream: true })
  for (let after: string | undefined; ; ) {
    const ids = await client.list({ limit: LIST, ...(after !== undefined && { after }) })
    upstream.ask(ids)
    after = ids.at(-1)
    if (ids.length < LIST) break
  }
  await done
  const wallMs = performance.now() - begin
  const cpuMs = milliseconds(process.cpuUsage(cpu))
  const threadMs = milliseconds(process.threadCpuUsage(thread))

  const called = { ...calls }
  for (const way of [up, down]) way.messages = decoded(dialect, way.frames).length
  const rawMs = await raw(dialect, [up, down], [server, client])
  near.close(1000, 'done')
  await Promise.all([serving.close(), asking.close()])
  await Promise.all([server.close(), client.close()])
  return { wallMs, cpuMs, threadMs, rawMs, up, down, calls: called }
}

function milliseconds({ user, system }: NodeJS.CpuUsage): number {
  return (user + system) / 1_000
}

async function raw(dialect: Dialect, ways: readonly Traffic[], ends: readonly Storage[]): Promise<number> {
  const begin = performance.now()
  const ids: string[] = []
  for (const { frames } of ways) {
    const messages = decoded(dialect, frames)
    dialect.createCodec().encode(messages, FRAME_BYTES)
    for (const message of messages) if (message.action === 'load') ids.push(message.id)
  }
  for (const end of ends)
    for (let first = 0; first < ids.length; first += BULK) await end.knownStates(ids.slice(first, first + BULK))
  return performance.now() - begin
}

function decoded(dialect: Dialect, frames: readonly Frame[]): Message[] {
  const codec = dialect.createCodec()
  const all = frames.flatMap((frame) => [...codec.decode(frame)])
  return all.flatMap((one) => (one instanceof ProtocolError ? [] : [one.message]))
}

function tapped(channel: Channel, traffic: Traffic): Channel {
  return {
    ...channel,
    send(frame) {
      traffic.bytes += frame.length
      traffic.frames.push(frame)
      channel.send(frame)
    },
  }
}

function counted(storage: Storage, calls: Record<string, number>): Storage {
  return new Proxy(storage, {
    get(target, name: keyof Storage) {
      const method = target[name] as (...args: unknown[]) => unknown
      return (...args: unknown[]) => {
        calls[name] = (calls[name] ?? 0) + 1
        return method.apply(target, args)
      }
    },
  })
}

/** Each end alone, in a process of its own. */
function memory(): Row[] {
  return ['server', 'client'].flatMap((end) =>
    dialects.map((dialect) => {
      const script = fileURLToPath(new URL('reconnect-memory.ts', import.meta.url))
      const args = ['--expose-gc', script, end, dialect.name, String(MEMORY_DOCUMENTS)]
      const [perDocument, leftOver] = execFileSync(process.execPath, args, { encoding: 'utf8' }).trim().split(' ')
      return {
        what: `memory of the ${end} for each of ${round(MEMORY_DOCUMENTS)} documents, ${dialect.name}`,
        figure: `${perDocument} bytes, ${leftOver} after it closed`,
        ...(end === 'server' && dialect.name === 'jazz' && { target: '250 bytes' }),
      }
    }),
  )
}
