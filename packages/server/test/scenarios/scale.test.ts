/**
 * Scenarios 27, 30 and 55 over real sockets and SQLite, smaller than in their text: what many ids, many connections and many
 * documents cost. The benchmark runs them at full size.
 */
import { connect, type Socket } from 'node:net'
import { join } from 'node:path'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import type { Clock } from '@tidemark/storage'
import { sqliteStorage } from '@tidemark/storage-sqlite'
import { expect, test } from 'vitest'
import { startCommand } from '../command-process.ts'
import { metric, settled, until, untilAtOnce, withFolder, withServer, wrapped } from '../help.ts'
import { content, doc, header, jazzClient, load, session } from '../jazz.ts'

const timeout = 120_000

test(
  '27: 50,000 LOADs for ids that do not exist: when the connection is closed, memory is where it was',
  { timeout },
  () =>
    withFolder((folder) =>
      withServer({ storage: sqliteStorage({ path: join(folder, 'store.db') }) }, async (world) => {
        const round = async (count: number) => {
          const client = await jazzClient(world.url)
          for (let index = 0; index < count; index += 1_000)
            client.say(...Array.from({ length: 1_000 }, (_, more) => load(`Nobody${index + more}`)))
          await until('all answers', () => client.heard.length === count, 60_000)
          expect(client.heard.every(({ action, header: held }) => action === 'known' && held === false)).toBe(true)
          expect(world.server.health()).toMatchObject({ documents: count, subscriptions: count })
          await client.close()
          await until('the end', () => world.server.health().connections === 0)
        }
        await round(5_000)
        const before = await heapUsed()
        await round(50_000)
        expect(world.server.health()).toMatchObject({ documents: 0, subscriptions: 0, queued: 0 })
        expect(metric(world.server.metrics() ?? '', 'tidemark_documents_held')).toBe(0)
        // 4 bytes an id is the measure; the rest is what a test runner leaves lying about.
        expect((await heapUsed()) - before).toBeLessThan(50_000 * 4 + 500_000)
      }),
    ),
)

test('30: 1,000 idle connections: a transaction costs as many calls and steps as with 2 connections', { timeout }, () =>
  withFolder((folder) => {
    const calls: string[] = []
    const storage = wrapped(sqliteStorage({ path: join(folder, 'store.db') }), (method, call) => {
      calls.push(method)
      return call()
    })
    // Keep-alives and the like belong to time, not to transactions.
    return withServer({ storage, clock: stopped, limits: { reconcilingMax: 2_000 } }, async ({ url, server }) => {
      const measure = async (name: string) => {
        calls.length = 0
        const steps = await write(url, name, TRANSACTIONS)
        return { steps, calls: calls.toSorted() }
      }
      await measure('warmup')
      const alone = await measure('alone')
      const idle = await openIdle(url, 1_000)
      try {
        expect(server.health().connections).toBeGreaterThanOrEqual(1_000)
        const crowded = await measure('crowd')
        expect(crowded.calls).toEqual(alone.calls)
        expect(alone.steps).toBeGreaterThan(TRANSACTIONS)
        // Less than one step more for each: one look at every connection would be a thousand.
        expect(crowded.steps - alone.steps).toBeLessThan(TRANSACTIONS)
      } finally {
        for (const socket of idle) socket.destroy()
      }
    })
  }),
)

test('55: the time to listening and the memory do not depend on how many documents are stored', { timeout }, () =>
  withFolder(async (folder) => {
    const few = await fill(join(folder, 'few.db'), 10)
    const many = await fill(join(folder, 'many.db'), 30_000)
    // In turns, so that whatever else the machine does meets both.
    for (let round = 0; round < 4; round++) for (const store of [few, many]) await measureStart(store)
    expect(many.residentBytes / few.residentBytes).toBeLessThan(1.2)
    // Time of the processor: that of the clock depends on what else the machine does.
    expect(many.startSeconds / few.startSeconds).toBeLessThan(1.2)
  }),
)

test('55: nothing but `open` is asked of the storage before the first request', { timeout }, () =>
  withFolder((folder) => {
    const calls: string[] = []
    const storage = wrapped(sqliteStorage({ path: join(folder, 'store.db') }), (method, call) => {
      calls.push(method)
      return call()
    })
    return withServer({ storage }, async (world) => {
      await world.get('/health')
      await world.get('/metrics')
      const client = await jazzClient(world.url)
      await settled()
      expect(calls).toEqual(['open'])
      client.say(load('note'))
      await client.hears(1)
      expect(calls).toEqual(['open', 'knownStates'])
      await client.close()
    })
  }),
)

const TRANSACTIONS = 200

/** Nothing that waits for time happens. */
const stopped: Clock = {
  now: () => 0,
  random: () => 0.5,
  wait: (_, signal) =>
    new Promise((_, reject) => signal?.addEventListener('abort', () => reject(signal.reason), { once: true })),
}

/** One writer and one subscriber, one transaction after the other; answers the steps that were taken over maps and sets. */
async function write(url: string, name: string, transactions: number): Promise<number> {
  const writer = await jazzClient(url)
  const reader = await jazzClient(url)
  writer.say(content(name, 'a', 0, 1))
  await until('created', () => writer.heard.length > 0)
  reader.say(load(name))
  await until('subscribed', () => reader.heard.length > 0)
  const counted = countSteps()
  try {
    for (let count = 1; count <= transactions; count++) {
      writer.say(content(name, 'a', count, count + 1))
      await untilAtOnce(
        'it is acknowledged and has arrived',
        () =>
          writer.heard.at(-1)?.sessions?.[session('a')] === count + 1 &&
          reader.heard.at(-1)?.new?.[session('a')]?.after === count,
      )
    }
    return counted.steps()
  } finally {
    counted.stop()
    await Promise.all([writer.close(), reader.close()])
  }
}

/** Counts every step of every loop over a map or a set of this process, the server's among them. */
function countSteps(): { steps(): number; stop(): void } {
  let steps = 0
  const iterators = [new Map(), new Set()].map((one) => Object.getPrototypeOf(one[Symbol.iterator]()))
  const originals = iterators.map(({ next }) => next)
  for (const [index, iterator] of iterators.entries())
    iterator.next = function next() {
      steps += 1
      return originals[index].call(this)
    }
  return {
    steps: () => steps,
    stop() {
      for (const [index, iterator] of iterators.entries()) iterator.next = originals[index]
    },
  }
}

/** Connections that only listen, as cheaply as can be. */
async function openIdle(url: string, count: number): Promise<Socket[]> {
  const { port } = new URL(url)
  const handshake = [
    'GET / HTTP/1.1',
    'Host: x',
    'Connection: Upgrade',
    'Upgrade: websocket',
    'Sec-WebSocket-Version: 13',
    'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
  ]
  const sockets: Socket[] = []
  while (sockets.length < count) {
    const batch = Array.from({ length: Math.min(200, count - sockets.length) }, async () => {
      const socket = connect(Number(port), '127.0.0.1')
      socket.on('error', () => {})
      sockets.push(socket)
      socket.write(`${handshake.join('\r\n')}\r\n\r\n`)
      await new Promise((resolve) => socket.once('data', resolve))
      socket.resume()
    })
    await Promise.all(batch)
  }
  return sockets
}

interface Store {
  readonly path: string
  /** The best of all starts. */
  startSeconds: number
  residentBytes: number
}

async function fill(path: string, documents: number): Promise<Store> {
  const storage = sqliteStorage({ path })
  storage.open()
  for (let index = 0; index < documents; index += 5_000)
    await storage.append(
      Array.from({ length: Math.min(5_000, documents - index) }, (_, more) => document(index + more)),
    )
  await storage.close()
  return { path, startSeconds: Number.POSITIVE_INFINITY, residentBytes: Number.POSITIVE_INFINITY }
}

async function measureStart(store: Store): Promise<void> {
  const command = await startCommand(['--port', '0', '--storage', `sqlite:${store.path}`])
  try {
    const text = await (await command.get('/metrics')).text()
    store.startSeconds = Math.min(store.startSeconds, metric(text, 'process_cpu_seconds_total'))
    store.residentBytes = Math.min(store.residentBytes, metric(text, 'process_resident_memory_bytes'))
  } finally {
    command.child.kill('SIGTERM')
    await command.ended
  }
}

function document(index: number) {
  const utf8 = new TextEncoder()
  const name = `Doc${index}`
  const seal = utf8.encode('signature_z1')
  const transactions = [utf8.encode('{"privacy":"trusting","madeAt":1,"changes":"[]"}')]
  return {
    id: doc(name),
    kind: 'json',
    priority: 3,
    header: utf8.encode(JSON.stringify(header(name))),
    runs: [{ session: session(`s${index % 100}`), after: 0, transactions, seal }],
  } as const
}

async function heapUsed(): Promise<number> {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  for (let round = 0; round < 3; round++) {
    await settled()
    collect()
  }
  return process.memoryUsage().heapUsed
}
