/**
 * The server behind real sockets, in a process of its own: what one client gets from it, and what a transaction costs it while other
 * connections are idle.
 *
 * For the latter a writer sends transactions for one document, each after
 * the last was acknowledged by all, to one subscriber; 0, 1,000 and 5,000 connections look on. The storage is memory, so
 * that what is measured is the server and not the disk.
 */
import { type ChildProcess, fork } from 'node:child_process'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { EMPTY, type KnownState, knownState } from '@tidemark/known-state'
import { jazz, type Message } from '@tidemark/protocol'
import WebSocket from 'ws'
import { document, id, session } from './documents.ts'
import { heading, median, perSecond, print, type Row, round, withFolder } from './harness.ts'

const QUICK = process.argv.includes('--quick')
const DOCUMENTS = QUICK ? 5_000 : 20_000
const TRANSACTIONS = QUICK ? 500 : 2_000
const ROUNDS = 3
const codec = jazz.createCodec()
const utf8 = new TextEncoder()

heading()
await withFolder(async (folder) => print(await withServer([join(folder, 'sockets.db')], measureServing)))
print(await withServer([], measureIdle))

/** Starts the server with `args`, measures, stops it. */
async function withServer(
  args: readonly string[],
  measure: (url: string, server: ChildProcess) => Promise<Row[]>,
): Promise<Row[]> {
  const server = fork(fileURLToPath(new URL('sockets-server.ts', import.meta.url)), args, {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  })
  try {
    const port = await new Promise<number>((resolve) =>
      server.once('message', (message) => resolve((message as { port: number }).port)),
    )
    return await measure(`ws://127.0.0.1:${port}`, server)
  } finally {
    server.kill()
  }
}

/** One client over one socket, the server on SQLite with `synchronous=FULL`. */
async function measureServing(url: string): Promise<Row[]> {
  const socket = await open(url)
  let heard = 0
  let wake: () => void = () => {}
  listen(socket, (message) => {
    if (message.action !== 'ping') heard += 1
    wake()
  })
  /** Says messages, `inFlight` at a time, and answers how many were answered per second. */
  async function rate(messages: readonly Message[], inFlight: number): Promise<string> {
    const begin = performance.now()
    heard = 0
    for (let sent = 0; sent < messages.length; sent++) {
      say(socket, messages[sent] as Message)
      while (sent + 1 - heard >= inFlight) await new Promise<void>((resolve) => (wake = resolve))
    }
    while (heard < messages.length) await new Promise<void>((resolve) => (wake = resolve))
    return `${round(perSecond(messages.length, performance.now() - begin))} /s`
  }
  const documents = Array.from({ length: DOCUMENTS }, (_, index) => index)
  const loads = (known: (index: number) => KnownState) =>
    documents.map((index): Message => ({ action: 'load', id: id(index), known: known(index) }))
  const ingest = await rate(
    documents.map((index): Message => ({ action: 'content', ...document(index) })),
    100,
  )
  const known = await rate(
    loads((index) => knownState(true, [[session(index % 1_000), 1]])),
    1_000,
  )
  const cold = await rate(
    loads(() => EMPTY),
    1_000,
  )
  socket.terminate()
  return [
    { what: 'socket: durable ingest into new documents, 100 in flight', figure: ingest, target: '15,000' },
    { what: 'socket: cold LOAD → KNOWN, 1,000 in flight', figure: known },
    { what: 'socket: small cold documents, 1,000 in flight', figure: cold, target: '25,000' },
  ]
}

async function measureIdle(url: string, server: ChildProcess): Promise<Row[]> {
  const rows: Row[] = []
  const idle: WebSocket[] = []
  let alone = 0
  for (const connections of [0, 1_000, 5_000]) {
    while (idle.length < connections) idle.push(...(await Promise.all(Array.from({ length: 100 }, () => open(url)))))
    const costs: number[] = []
    for (let times = 0; times < ROUNDS; times++)
      costs.push(await costOf(server, url, `co_zBench${connections}x${times}`))
    const cost = median(costs)
    if (connections === 0) alone = cost
    rows.push({
      what: `CPU per transaction, ${round(connections)} idle connections`,
      figure: `${cost.toFixed(1)} µs`,
      raw: `${(cost / alone).toFixed(2)} × that at none`,
      ...(connections === 5_000 && { target: '1.5 ×' }),
    })
  }
  for (const socket of idle) socket.terminate()
  return rows
}

/** CPU time of the server for one transaction from a writer to a subscriber and both acknowledgements, in microseconds. */
async function costOf(server: ChildProcess, url: string, id: string): Promise<number> {
  const [writer, reader] = await Promise.all([open(url), open(url)])
  const heard = { acknowledged: 0, received: 0 }
  let wake: () => void = () => {}
  listen(writer, (message) => {
    if (message.action === 'known') heard.acknowledged = message.known.sessions.get('co_zW_session_z1') ?? 0
    wake()
  })
  listen(reader, (message) => {
    if (message.action !== 'content') return
    const run = message.runs[0]
    heard.received = run === undefined ? 0 : run.after + run.transactions.length
    say(reader, {
      action: 'known',
      id,
      known: { header: true, sessions: new Map([['co_zW_session_z1', heard.received]]) },
      correction: false,
    })
    wake()
  })
  say(reader, { action: 'load', id, known: { header: false, sessions: new Map() } })
  const before = await cpu(server)
  for (let index = 0; index < TRANSACTIONS; index++) {
    say(writer, transaction(id, index))
    while (heard.acknowledged <= index || heard.received <= index)
      await new Promise<void>((resolve) => (wake = resolve))
  }
  const spent = (await cpu(server)) - before
  writer.terminate()
  reader.terminate()
  return spent / TRANSACTIONS
}

function transaction(id: string, index: number): Message {
  const run = {
    session: 'co_zW_session_z1',
    after: index,
    transactions: [utf8.encode(`{"privacy":"trusting","madeAt":1,"changes":"[${index}]"}`)],
    seal: utf8.encode(`signature_z${index}`),
  }
  return {
    action: 'content',
    id,
    kind: 'json',
    priority: 3,
    runs: [run],
    ...(index === 0 && { header: utf8.encode('{"type":"comap"}') }),
  }
}

function open(url: string): Promise<WebSocket> {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(url, { perMessageDeflate: false })
    socket.once('open', () => resolve(socket))
    socket.once('error', reject)
  })
}

function say(socket: WebSocket, message: Message): void {
  for (const frame of codec.encode([message], 128 * 1024)) socket.send(frame, { binary: false })
}

function listen(socket: WebSocket, hear: (message: Message) => void): void {
  socket.on('message', (data) => {
    for (const decoded of codec.decode(String(data))) if ('bytes' in decoded) hear(decoded.message)
  })
}

/** CPU time that the server has used so far, in microseconds. */
function cpu(server: ChildProcess): Promise<number> {
  return new Promise((resolve) => {
    server.once('message', (message) => resolve((message as { cpu: number }).cpu))
    server.send('cpu')
  })
}
