/**
 * The lazy server in process: look-ups per second, memory per id, durable ingest, cold reads. No sockets (`sockets.bench.ts` has those).
 *
 * The other end is a bare peer that speaks the Jazz dialect through its codec, so that what is measured is the server: decode, engine,
 * storage, encode. Beside each figure stands what the same storage does when it is asked directly, in the same run.
 */
import { join } from 'node:path'
import { EMPTY, knownState } from '@tidemark/known-state'
import { jazz, jazzDependencies, jazzIsTombstone, type Message } from '@tidemark/protocol'
import type { Storage } from '@tidemark/storage'
import { sqliteStorage } from '@tidemark/storage-sqlite'
import { type Runner, run } from '@tidemark/sync/run'
import { document, id, session } from './documents.ts'
import { heading, heapUsed, median, perSecond, print, type Row, round, withFolder } from './harness.ts'

const QUICK = process.argv.includes('--quick')
const ROUNDS = 5
const DOCUMENTS = QUICK ? 5_000 : 20_000
const MISSING = QUICK ? 100_000 : 1_000_000
const IN_FLIGHT = 100
heading()
const rows: Row[] = []
await withFolder(async (folder) => {
  const storage = sqliteStorage({ path: join(folder, 'serve.db') })
  // As the command runs it.
  const hooks = { dependenciesOf: jazzDependencies, isTombstone: jazzIsTombstone }
  const runner = await run({ storage, peer: 'bench', hooks })
  rows.push(await ingest(runner, storage))
  rows.push(await coldLoads(runner, storage))
  rows.push(await coldReads(runner, storage))
  rows.push(await memoryPerId(runner))
  await runner.close()
  await storage.close()
})
print(rows)

/** A peer that says frames and counts what it is told. */
function peer(runner: Runner) {
  const codec = { out: jazz.createCodec(), in: jazz.createCodec() }
  let heard = 0
  let bytes = 0
  let wake: () => void = () => {}
  const link = runner.connect({
    traits: { ...jazz.traits, upstream: false, local: false },
    send(sent) {
      for (const frame of codec.in.encode(
        sent.map(({ message }) => message),
        128 * 1024,
      ))
        bytes += frame.length
      heard += sent.length
      wake()
    },
    room: () => true,
    close() {},
    pause() {},
    resume() {},
  })
  return {
    link,
    frames: (messages: readonly Message[]) => codec.out.encode(messages, 128 * 1024),
    say: (frame: string | Uint8Array) => link.receive(codec.out.decode(frame)),
    bytes: () => bytes,
    async until(count: number) {
      while (heard < count) await new Promise<void>((resolve) => (wake = resolve))
    },
  }
}

/** New documents of one transaction, 100 in flight, each acknowledged after its commit. */
async function ingest(runner: Runner, storage: Storage): Promise<Row> {
  const end = peer(runner)
  const frames = Array.from(
    { length: DOCUMENTS },
    (_, index) => end.frames([{ action: 'content', ...document(index) }])[0] as Uint8Array,
  )
  const served: number[] = []
  const raw: number[] = []
  const share = Math.floor(DOCUMENTS / ROUNDS)
  for (let part = 0; part < ROUNDS; part++) {
    const begin = performance.now()
    for (let sent = part * share; sent < (part + 1) * share; sent += IN_FLIGHT) {
      for (const frame of frames.slice(sent, Math.min(sent + IN_FLIGHT, (part + 1) * share))) end.say(frame)
      await end.until(Math.min(sent + IN_FLIGHT, (part + 1) * share))
    }
    served.push(perSecond(share, performance.now() - begin))
    raw.push(await rawIngest(storage, DOCUMENTS + part * share, share))
  }
  end.link.closed()
  return {
    what: 'durable ingest into new documents, 100 in flight',
    figure: `${round(median(served))} tx/s`,
    raw: ratio(served, raw),
    target: '15,000',
  }
}

async function rawIngest(storage: Storage, first: number, count: number): Promise<number> {
  const begin = performance.now()
  for (let sent = 0; sent < count; sent += IN_FLIGHT)
    await storage.append(
      Array.from({ length: Math.min(IN_FLIGHT, count - sent) }, (_, index) => document(first + sent + index)),
    )
  return perSecond(count, performance.now() - begin)
}

/** LOADs of up-to-date peers for cold documents: as one frame each, and as frames of a hundred. */
async function coldLoads(runner: Runner, storage: Storage): Promise<Row> {
  const served: number[] = []
  const raw: number[] = []
  const ids = Array.from({ length: DOCUMENTS }, (_, index) => id(index))
  for (let times = 0; times < ROUNDS; times++) {
    const end = peer(runner)
    const frames = ids.map(
      (document, index) =>
        end.frames([
          { action: 'load', id: document, known: knownState(true, [[session(index % 1_000), 1]]) },
        ])[0] as string,
    )
    const begin = performance.now()
    for (const frame of frames) end.say(frame)
    served.push(perSecond(DOCUMENTS, performance.now() - begin))
    end.link.closed()
    const again = performance.now()
    for (const document of ids) await storage.knownStates([document])
    raw.push(perSecond(DOCUMENTS, performance.now() - again))
  }
  return {
    what: 'cold LOAD → KNOWN, a frame each',
    figure: `${round(median(served))} /s`,
    raw: ratio(served, raw),
    target: '60,000',
  }
}

/** LOADs of peers that hold nothing: small documents, read cold. */
async function coldReads(runner: Runner, storage: Storage): Promise<Row> {
  const served: number[] = []
  const raw: number[] = []
  let megabytes = 0
  for (let times = 0; times < ROUNDS; times++) {
    const end = peer(runner)
    const frames = Array.from(
      { length: DOCUMENTS },
      (_, index) => end.frames([{ action: 'load', id: id(index), known: EMPTY }])[0] as string,
    )
    const begin = performance.now()
    for (const frame of frames) end.say(frame)
    await end.until(DOCUMENTS)
    const ms = performance.now() - begin
    served.push(perSecond(DOCUMENTS, ms))
    megabytes = end.bytes() / 1_000 / ms
    end.link.closed()
    const again = performance.now()
    for (let index = 0; index < DOCUMENTS; index++) await storage.read(id(index), EMPTY, { bytesMax: 65_536 })
    raw.push(perSecond(DOCUMENTS, performance.now() - again))
  }
  return {
    what: `small cold documents (${megabytes.toFixed(0)} MB/s)`,
    figure: `${round(median(served))} /s`,
    raw: ratio(served, raw),
    target: '25,000',
  }
}

/** Heap that ids leave behind which do not exist, after their connection closed. */
async function memoryPerId(runner: Runner): Promise<Row> {
  const askForMissing = async (first: number, count: number) => {
    const end = peer(runner)
    for (let index = first; index < first + count; index++)
      end.say(end.frames([{ action: 'load', id: `co_zMissing${index}`, known: EMPTY }])[0] as string)
    await end.until(count)
    end.link.closed()
  }
  await askForMissing(0, 1_000)
  const before = await heapUsed()
  await askForMissing(1_000, MISSING)
  const kept = ((await heapUsed()) - before) / MISSING
  return {
    what: `heap kept per missing id after disconnect (${round(MISSING)} ids)`,
    figure: `${kept.toFixed(2)} bytes`,
    target: '4',
  }
}

function ratio(served: readonly number[], raw: readonly number[]): string {
  return `${round(median(raw))} (ratio ${(median(served) / median(raw)).toFixed(2)})`
}
