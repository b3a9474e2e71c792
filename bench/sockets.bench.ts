/**
 * The server behind real sockets: what one durable transaction costs while other connections are idle.
 *
 * The server runs in a process of its own, so that its CPU time is its alone. A writer sends transactions for one document, each after
 * the last was acknowledged by all, to one subscriber; 0, 1,000 and 5,000 connections look on. Synchronising to disk is off
 * (`memory:`), so that what is measured is the server and not the disk.
 */
import { fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { jazz, type Message } from '@tidemark/protocol'
import WebSocket from 'ws'
import { heading, median, print, type Row, round } from './harness.ts'

const QUICK = process.argv.includes('--quick')
const TRANSACTIONS = QUICK ? 500 : 2_000
const ROUNDS = 3
const codec = jazz.createCodec()
const utf8 = new TextEncoder()

heading()
const server = fork(fileURLToPath(new URL('sockets-server.ts', import.meta.url)), {
  stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
})
try {
  const port = await new Promise<number>((resolve) =>
    server.once('message', (message) => resolve((message as { port: number }).port)),
  )
  print(await measure(`ws://127.0.0.1:${port}`))
} finally {
  server.kill()
}

async function measure(url: string): Promise<Row[]> {
  const rows: Row[] = []
  const idle: WebSocket[] = []
  let alone = 0
  for (const connections of [0, 1_000, 5_000]) {
    while (idle.length < connections) idle.push(...(await Promise.all(Array.from({ length: 100 }, () => open(url)))))
    const costs: number[] = []
    for (let times = 0; times < ROUNDS; times++) costs.push(await costOf(url, `co_zBench${connections}x${times}`))
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
async function costOf(url: string, id: string): Promise<number> {
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
  const before = await cpu()
  for (let index = 0; index < TRANSACTIONS; index++) {
    say(writer, transaction(id, index))
    while (heard.acknowledged <= index || heard.received <= index)
      await new Promise<void>((resolve) => (wake = resolve))
  }
  const spent = (await cpu()) - before
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
function cpu(): Promise<number> {
  return new Promise((resolve) => {
    server.once('message', (message) => resolve((message as { cpu: number }).cpu))
    server.send('cpu')
  })
}
