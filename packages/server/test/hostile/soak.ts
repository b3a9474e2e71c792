/**
 * A soak: for half an hour good and bad clients together at one server, whose memory has to be flat in the end.
 *
 *     node --import ./packages/server/test/run-sources.mjs packages/server/test/hostile/soak.ts --minutes 30 --seed 1
 *
 * It prints a line a minute and at the end PASSED or FAILED with its reasons (exit code 1): a good client was not acknowledged what it wrote, within
 * 20 s of fair time (`fair-time.ts`), was closed, or missed what others wrote; the server logged an error; memory grew. What such runs
 * printed is recorded in README.md beside this file.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { type Dialect, dialects } from '@tidemark/protocol'
import { ConnectError } from '@tidemark/websocket'
import { type Command, startCommand } from '../command-process.ts'
import { metric, pause, until } from '../help.ts'
import { type AnyClient, anyClient, type Bystander, bystander } from './clients.ts'
import { createFairTime } from './fair-time.ts'
import { createInputs, crumbs, seeded } from './inputs.ts'

const { values } = parseArgs({
  options: { minutes: { type: 'string', default: '30' }, seed: { type: 'string', default: '1' } },
})
const minutes = Number(values.minutes)
const seed = Number(values.seed)
const endMs = Date.now() + minutes * 60_000
const isOver = () => Date.now() >= endMs

const GOOD_PER_DIALECT = 8
const DOCUMENTS_PER_DIALECT = 4
const WRITE_EVERY_MS = 500
/** A good client comes back this often, as people do. */
const VISIT_MS = 60_000
const SAMPLE_EVERY_MS = 2_000
/** An acknowledgement that takes longer is a failure: of time that the server and this process could use, and in any case. */
const WAIT_FAIR_MS_MAX = 20_000
const WAIT_MS_MAX = 180_000
/** Memory may be larger at the end than after the warm-up by this part and this much; collectors are not exact. */
const GROWTH_MAX = 0.15
const GROWTH_BYTES_MAX = 8 * 1024 * 1024

interface Totals {
  written: number
  visits: number
  /** How often a good client was told to come again later, and got no connection within 10 s: then it comes again too. */
  later: number
  tooSlow: number
  /** Of an acknowledgement, by the clock and in fair time. */
  longestMs: number
  longestFairMs: number
  badConnections: number
  badInputs: number
  failures: string[]
}

const totals: Totals = {
  written: 0,
  visits: 0,
  later: 0,
  tooSlow: 0,
  longestMs: 0,
  longestFairMs: 0,
  badConnections: 0,
  badInputs: 0,
  failures: [],
}

const fairTime = createFairTime()

async function untilFairly(what: string, isSo: () => boolean): Promise<void> {
  for (const waited = fairTime.begin(); ; await pause(5)) {
    const isThere = isSo()
    const { clockMs, fairMs } = waited()
    totals.longestMs = Math.max(totals.longestMs, Math.round(clockMs))
    totals.longestFairMs = Math.max(totals.longestFairMs, Math.round(fairMs))
    if (isThere) return
    if (fairMs > WAIT_FAIR_MS_MAX || clockMs > WAIT_MS_MAX)
      throw new Error(`waited in vain for ${Math.round(clockMs)} ms, ${Math.round(fairMs)} of them fair: ${what}`)
  }
}

/** Writes for the whole time, leaves and comes back; owed: every acknowledgement, and what the others wrote. */
async function goodClient(url: string, dialect: Dialect, index: number): Promise<void> {
  const id = `co_zSoak${dialect.name.replaceAll('.', '')}${index % DOCUMENTS_PER_DIALECT}`
  const session = `sealer_zKey/signer_zKey_session_zGood${index}`
  for (let written = 0; !isOver(); totals.visits += 1) {
    const client = await visit(() => bystander(url, dialect, id, session, written))
    if (client === undefined) return
    const leaveMs = Math.min(endMs, Date.now() + VISIT_MS)
    while (Date.now() < leaveMs) {
      await client.writeOne(untilFairly)
      totals.written += 1
      if (client.ended !== undefined) throw new Error(`${session} was closed: ${JSON.stringify(client.ended)}`)
      await pause(WRITE_EVERY_MS)
    }
    written = client.written
    // Each other writer of the document wrote about as often.
    const others = GOOD_PER_DIALECT / DOCUMENTS_PER_DIALECT - 1
    if (others > 0 && client.received === 0) throw new Error(`${session} heard nothing of the others`)
    client.close()
    await pause(100)
  }
}

/** As every client does: it asks again, when the server said if that is full. */
async function visit(open: () => Promise<Bystander>): Promise<Bystander | undefined> {
  while (!isOver()) {
    try {
      return await open()
    } catch (cause) {
      if (!(cause instanceof ConnectError)) throw cause
      const { code, status, retryAfterMs = 1_000 } = cause
      if (code === 'timeout') totals.tooSlow += 1
      else if (status === 503) totals.later += 1
      else throw cause
      await pause(Math.max(0, Math.min(retryAfterMs, endMs - Date.now())))
    }
  }
  return undefined
}

/** What it opens is closed when it ends, however that is. */
type Mischief = (open: (from: string) => Promise<AnyClient>, dialect: Dialect, random: () => number) => Promise<void>

/** Says anything, until it is closed. */
const babbles: Mischief = async (open, dialect, random) => {
  const client = await open(`babbler ${random()}`)
  const next = createInputs(dialect, client.codec, random)
  for (let count = 0; count < 2_000 && client.ended === undefined && !isOver(); count++) {
    client.send(next())
    totals.badInputs += 1
    if (count % 20 === 19) await pause(10)
  }
}

/** Asks for what does not exist, a hundred thousand times. */
const floods: Mischief = async (open, _dialect, random) => {
  const client = await open(`flooder ${random()}`)
  for (let count = 0; count < 100 && client.ended === undefined && !isOver(); count++) {
    const asked = Array.from({ length: 1_000 }, (_, index) => `co_zNobody${count * 1_000 + index}`)
    client.say(...asked.map((id) => ({ action: 'load', id, known: { header: false, sessions: new Map() } }) as const))
    totals.badInputs += asked.length
    await until('some answers', () => client.heard.length > 0 || client.ended !== undefined)
    client.heard.length = 0
    await pause(50)
  }
}

/** Asks for everything again and again, and reads nothing. */
const staysSilent: Mischief = async (open, dialect, random) => {
  const client = await open(`sleeper ${random()}`)
  client.channel.pause()
  for (let count = 0; count < 200 && client.ended === undefined && !isOver(); count++) {
    const ids = Array.from({ length: DOCUMENTS_PER_DIALECT }, (_, index) => index)
    const asked = ids.map((index) => `co_zSoak${dialect.name.replaceAll('.', '')}${index}`)
    client.say(...asked.map((id) => ({ action: 'load', id, known: { header: false, sessions: new Map() } }) as const))
    totals.badInputs += asked.length
    await pause(50)
  }
}

/** Comes and goes. */
const flutters: Mischief = async (open, _dialect, random) => {
  for (let count = 0; count < 50 && !isOver(); count++) {
    const client = await open(`moth ${random()}`)
    client.say({ action: 'load', id: 'co_zNobody', known: { header: false, sessions: new Map() } })
    client.close()
    totals.badConnections += 1
    await pause(20)
  }
}

/** Large frames: of one huge line, and of nothing but bad ones. */
const bloats: Mischief = async (open, dialect, random) => {
  const client = await open(`bloater ${random()}`)
  const size = 1024 * 1024 * (1 + Math.floor(random() * 16))
  const text = random() < 0.5 ? `{"action":"load","id":"${'x'.repeat(size)}"}` : '[]\n'.repeat(size / 3)
  client.send(dialect.text ? text : new Uint8Array(Buffer.from(text)))
  totals.badInputs += 1
  for (let waited = 0; waited < 50 && client.ended === undefined; waited++) await pause(100)
}

/** Messages of few bytes that hold a hundred thousand things, as many as are taken. */
const crumbles: Mischief = async (open, _dialect, random) => {
  const client = await open(`crumbler ${random()}`)
  for (let count = 0; count < 50 && client.ended === undefined && !isOver(); count++) {
    client.say(crumbs(random, 100_000))
    totals.badInputs += 1
    while (client.channel.unsent() > 1024 * 1024 && client.ended === undefined && !isOver()) await pause(20)
    await pause(20)
  }
}

async function badClient(url: string, dialect: Dialect, mischief: Mischief, random: () => number): Promise<void> {
  while (!isOver()) {
    totals.badConnections += 1
    const opened: AnyClient[] = []
    const open = async (from: string) => {
      const client = await anyClient(url, dialect, from)
      opened.push(client)
      return client
    }
    // To be refused, or closed, is what a bad client is due.
    await mischief(open, dialect, random).catch(() => {})
    for (const client of opened) client.close()
    await pause(500)
  }
}

interface Sample {
  readonly atMs: number
  readonly heapBytes: number
  readonly residentBytes: number
}

async function sample(command: Command): Promise<Sample> {
  const text = await (await command.get('/metrics')).text()
  fairTime.told(
    metric(text, 'process_event_loop_active_seconds_total'),
    metric(text, 'process_main_thread_cpu_seconds_total'),
  )
  return {
    atMs: Date.now(),
    heapBytes: metric(text, 'process_heap_used_bytes'),
    residentBytes: metric(text, 'process_resident_memory_bytes'),
  }
}

async function watch(command: Command, samples: Sample[]): Promise<void> {
  for (let next = Date.now() + 60_000; !isOver(); await pause(SAMPLE_EVERY_MS)) {
    // A socket that was kept may just be closed: the next look will do.
    await sample(command).then(
      (one) => samples.push(one),
      () => {},
    )
    if (Date.now() < next || samples.length === 0) continue
    next += 60_000
    const { heapBytes, residentBytes } = samples.at(-1) as Sample
    const left = Math.round((endMs - Date.now()) / 60_000)
    console.log(`${left} min left: heap ${mib(heapBytes)} MiB, resident ${mib(residentBytes)} MiB`, summary())
  }
}

const mib = (bytes: number) => Math.round(bytes / 1024 / 1024)
const summary = () => JSON.stringify({ ...totals, failures: totals.failures.length })

/** The least that was seen in a part of the time: what is in use, without what only waits to be collected. */
function least(samples: readonly Sample[], from: number, to: number, of: (sample: Sample) => number): number {
  const [firstMs = 0, lastMs = 0] = [samples[0]?.atMs, samples.at(-1)?.atMs]
  const within = samples.filter(({ atMs }) => {
    const part = (atMs - firstMs) / (lastMs - firstMs)
    return part >= from && part <= to
  })
  return Math.min(...within.map(of))
}

function judge(samples: readonly Sample[]): readonly string[] {
  const measures = [
    ['heap', (one: Sample) => one.heapBytes],
    ['resident', (one: Sample) => one.residentBytes],
  ] as const
  return measures.flatMap(([name, of]) => {
    const [early, late] = [least(samples, 0.15, 0.4, of), least(samples, 0.75, 1, of)]
    console.log(`${name}: least ${mib(early)} MiB early on, ${mib(late)} MiB in the last quarter`)
    return late <= early * (1 + GROWTH_MAX) + GROWTH_BYTES_MAX ? [] : [`${name} grew`]
  })
}

async function main(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'tidemark-soak-'))
  const command = await startCommand(
    [
      '--port',
      '0',
      '--storage',
      `sqlite:${join(folder, 'store.db')}`,
      '--memory-budget',
      '128M',
      '--log-level',
      'error',
    ],
    // A bound of its own, so that memory that is not let go shows.
    { node: ['--max-old-space-size=512'] },
  )
  const samples: Sample[] = []
  try {
    const { url } = command
    const note = (cause: unknown) => {
      totals.failures.push(String(cause))
      console.log(`it went wrong: ${cause}`)
    }
    const good = dialects.flatMap((dialect) =>
      Array.from({ length: GOOD_PER_DIALECT }, (_, index) => goodClient(url, dialect, index).catch(note)),
    )
    const mischiefs = [babbles, babbles, floods, staysSilent, flutters, bloats, crumbles]
    const bad = dialects.flatMap((dialect) =>
      mischiefs.map((mischief, index) => badClient(url, dialect, mischief, seeded(seed * 100 + index))),
    )
    await Promise.all([...good, ...bad, watch(command, samples).catch(note)])
    if (samples.length < (minutes * 60_000) / SAMPLE_EVERY_MS / 4) totals.failures.push('memory could not be watched')
    totals.failures.push(...judge(samples))
    if (command.stderr() !== '') totals.failures.push(`the log of errors: ${command.stderr().slice(0, 2_000)}`)
  } finally {
    command.child.kill('SIGTERM')
    const { code } = await command.ended
    if (code !== 0) totals.failures.push(`the server ended with ${code}`)
    fairTime.stop()
    rmSync(folder, { recursive: true, force: true })
  }
  const { failures } = totals
  console.log(`${failures.length === 0 ? 'PASSED' : 'FAILED'}: ${minutes} minutes, seed ${seed}: ${summary()}`)
  for (const failure of failures) console.log(`because: ${failure}`)
  process.exitCode = totals.failures.length === 0 ? 0 : 1
}

await main()
