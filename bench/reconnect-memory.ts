/**
 * What one end of a reconnect keeps in memory, in a process of its own: `reconnect-memory.ts server|client DIALECT COUNT`.
 *
 * The other end is played: it says frames, and keeps nothing. Prints the bytes in use after a collection, for each document: with the
 * connection open and settled, and after it closed.
 */
import { join } from 'node:path'
import { knownState } from '@tidemark/known-state'
import { type Dialect, dialects, type Message } from '@tidemark/protocol'
import { sqliteStorage } from '@tidemark/storage-sqlite'
import { type Link, type Runner, run } from '@tidemark/sync/run'
import { document, id, session } from './documents.ts'
import { withFolder } from './harness.ts'

const [end = 'server', name, text] = process.argv.slice(2)
const count = Number(text)
const dialect = dialects.find((known) => known.name === name) as Dialect
const WARM = 2_000
const PART = 1_000
const FRAME_BYTES = 128 * 1024

await withFolder(async (folder) => {
  const storage = sqliteStorage({ path: join(folder, 'memory.db') })
  const runner = await run({ storage, peer: end, upstreamExpected: end === 'client' })
  for (let first = 0; first < count; first += PART)
    await storage.append(Array.from({ length: PART }, (_, index) => document(first + index)))
  const play = end === 'server' ? askServer : answerClient
  const warm = await play(runner, WARM)
  warm.closed()
  const before = await inUse()
  const link = await play(runner, count)
  const open = await inUse()
  link.closed()
  const after = await inUse()
  console.log(((open - before) / count).toFixed(0), ((after - before) / count).toFixed(0))
  await runner.close()
  await storage.close()
})

/** A client that is up to date asks for every document. */
async function askServer(runner: Runner, documents: number): Promise<Link> {
  const codec = { out: dialect.createCodec(), in: dialect.createCodec() }
  let answered = 0
  const link = connect(runner, false, (messages) => {
    for (const message of messages) if (message.action === 'known') answered += 1
  })
  for (let first = 0; first < documents; first += PART) {
    const loads = Array.from({ length: PART }, (_, index) => load(first + index))
    for (const frame of codec.out.encode(loads, FRAME_BYTES)) link.receive(codec.in.decode(frame))
    while (answered < first + PART) await new Promise((resolve) => setImmediate(resolve))
  }
  return link
}

/** A server that holds the same answers every LOAD. */
async function answerClient(runner: Runner, documents: number): Promise<Link> {
  const codec = { out: dialect.createCodec(), in: dialect.createCodec() }
  let answered = 0
  const link: Link = connect(runner, true, (messages) => {
    const answers = messages.flatMap((message): Message[] =>
      message.action === 'load' ? [{ action: 'known', id: message.id, known: message.known, correction: false }] : [],
    )
    answered += answers.length
    setImmediate(() => {
      for (const frame of codec.out.encode(answers, FRAME_BYTES)) link.receive(codec.in.decode(frame))
    })
  })
  for (let first = 0; first < documents; first += PART)
    link.ask(Array.from({ length: PART }, (_, index) => id(first + index)))
  while (answered < documents) await new Promise((resolve) => setImmediate(resolve))
  return link
}

function load(index: number): Message {
  return { action: 'load', id: id(index), known: knownState(true, [[session(index % 1_000), 1]]) }
}

function connect(runner: Runner, upstream: boolean, hear: (messages: readonly Message[]) => void): Link {
  return runner.connect({
    traits: { ...dialect.traits, upstream, local: false },
    send: (sent) => hear(sent.map(({ message }) => message)),
    room: () => true,
    close() {},
    pause() {},
    resume() {},
  })
}

/** Objects, buffers and strings, after everything that may go is gone. */
async function inUse(): Promise<number> {
  for (let times = 0; times < 4; times++) {
    await new Promise((resolve) => setTimeout(resolve, 50))
    globalThis.gc?.()
  }
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}
