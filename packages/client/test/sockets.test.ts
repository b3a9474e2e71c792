/**
 * Over real sockets, with the real server on SQLite, in all dialects: the shortest way through everything.
 *
 * Not here: what can be said in manual time (the other tests).
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { knownState } from '@tidemark/known-state'
import { type Dialect, dialects, tidemarkBinary } from '@tidemark/protocol'
import { createServer } from '@tidemark/server'
import { type Listening, listen } from '@tidemark/server/node'
import { memoryStorage, type Storage, systemClock } from '@tidemark/storage'
import { sqliteStorage } from '@tidemark/storage-sqlite'
import { webSocket } from '@tidemark/websocket'
import { nodeWebSocket } from '@tidemark/websocket/node'
import { afterEach, describe, expect, test } from 'vitest'
import { type Client, createClient, type Doc, jsonPayload } from '../src/index.ts'
import { collect, delayed } from './world.ts'

const header = jsonPayload({ root: true })
const numbers = (...values: number[]) => values.map(jsonPayload)

const leftovers: (() => unknown)[] = []
afterEach(async () => {
  for (const end of leftovers.splice(0).reverse()) await end()
})

async function serve(storage: Storage, port = 0): Promise<Listening> {
  const server = await listen(await createServer({ storage }), { port })
  leftovers.push(() => server.close())
  return server
}

function sqlite(name = 'test'): () => Storage {
  const folder = mkdtempSync(join(tmpdir(), 'tidemark-client-'))
  leftovers.push(() => rmSync(folder, { recursive: true, force: true }))
  return () => sqliteStorage({ path: join(folder, `${name}.db`) })
}

async function connected(
  port: number,
  dialect: Dialect = tidemarkBinary,
  storage: Storage = memoryStorage(),
): Promise<Client> {
  const client = await createClient({
    storage,
    connect: webSocket(`ws://127.0.0.1:${port}`, { dialect }),
    kind: 'json',
    limits: { reconnectMs: 20 },
  })
  leftovers.push(() => client.close())
  return client
}

const until = (done: () => boolean) => expect.poll(done, { interval: 5, timeout: 5_000 }).toBe(true)
const sessions = (doc: Doc) => Object.fromEntries([...doc.known.sessions].sort())

describe.each(dialects.map((dialect) => [dialect.name, dialect] as const))('in the dialect %s', (_, dialect) => {
  test('two clients edit one document live, go offline, and converge', async () => {
    const { port } = await serve(sqlite()())
    const [a, b] = [await connected(port, dialect), await connected(port, dialect)]
    const mine = a.open('list')
    expect([await mine.settled(), mine.absentBy[0]]).toEqual(['absent', 'storage'])
    await mine.create({ header, session: 'a', transactions: numbers(1) })
    await mine.whenUploaded()
    const theirs = b.open('list')
    expect(await theirs.settled()).toBe('present')
    const [atA, atB] = [collect(mine), collect(theirs)]
    await theirs.append('b', numbers(2))
    await until(() => atA.length === 1)
    expect([atA, atB]).toEqual([['b:0=2'], ['header', 'a:0=1']])

    a.disconnect()
    b.disconnect()
    await mine.append('a', numbers(3, 4))
    await theirs.append('b', numbers(5))
    a.reconnectNow()
    b.reconnectNow()
    await until(() => mine.known.sessions.get('b') === 2 && theirs.known.sessions.get('a') === 3)
    expect([sessions(mine), sessions(theirs)]).toEqual([
      { a: 3, b: 2 },
      { a: 3, b: 2 },
    ])
    await Promise.all([mine.whenUploaded(), theirs.whenUploaded()])
  })

  test('a server that comes back on the same port, empty, gets everything back (12)', async () => {
    const first = await serve(sqlite()())
    const client = await connected(first.port, dialect)
    const doc = await client.create('list', { header, session: 'a', transactions: numbers(1, 2, 3) })
    await doc.whenUploaded()
    await first.close()
    await until(() => client.connection === 'offline')
    await doc.append('a', numbers(4))

    const empty = sqlite('empty')()
    await serve(empty, first.port)
    await doc.whenUploaded()
    const [state] = await empty.knownStates(['list'])
    expect(state?.known).toEqual(knownState(true, [['a', 4]]))
  })

  test('a document of several pages arrives whole, and crosses once', async () => {
    const { port } = await serve(sqlite()())
    const a = await connected(port, dialect)
    const doc = await a.create('long', { header })
    const line = jsonPayload('x'.repeat(1_000))
    for (let part = 0; part < 10; part++)
      await doc.append('a', new Array(100).fill(line), { seal: new Uint8Array([65 + part]) })
    await doc.whenUploaded()
    const there = (await connected(port, dialect)).open('long')
    let pages = 0
    for await (const { more } of there.contents()) {
      pages += 1
      if (!more && there.known.sessions.get('a') === 1_000) break
    }
    expect(pages).toBeGreaterThan(5)
  })
})

test('a slow storage is waited for: it exists, and neither creates it; it does not, and both are told, by whom (54)', async () => {
  const stored = memoryStorage()
  await stored.open()
  await stored.append([{ id: 'there', kind: 'json', priority: 3, header, runs: [] }])
  const { port } = await serve(delayed(stored, systemClock, 300))
  const clients = [await connected(port), await connected(port)]
  for (const client of clients) await until(() => client.connection === 'online')
  const begin = performance.now()
  const created: string[] = []
  const docs = clients.flatMap((client) => [client.open('there'), client.open('nowhere')])
  const open = async (doc: Doc) => {
    const state = await doc.settled()
    if (state === 'absent') created.push(`${doc.id} ${performance.now() - begin >= 299} ${doc.absentBy.length}`)
    return state
  }
  expect(await Promise.all(docs.map(open))).toEqual(['present', 'absent', 'present', 'absent'])
  expect(created).toEqual(['nowhere true 2', 'nowhere true 2'])
})

test('in Node, over nodeWebSocket: refused is said, and tried again', async () => {
  const server = await listen(
    await createServer({
      storage: memoryStorage(),
      hooks: { authenticate: ({ headers }) => headers.authorization === 'Bearer right' || undefined },
    }),
  )
  leftovers.push(() => server.close())
  let token = 'wrong'
  const client = await createClient({
    storage: memoryStorage(),
    connect: (signal) => nodeWebSocket(server.url, { headers: { authorization: `Bearer ${token}` } })(signal),
    limits: { reconnectMs: 20 },
  })
  leftovers.push(() => client.close())
  await until(() => client.disconnected !== undefined)
  expect(client.disconnected?.reason).toContain('401')
  token = 'right'
  client.reconnectNow()
  await until(() => client.connection === 'online')
})

test('a client on SQLite that is started again downloads nothing again', async () => {
  const { port } = await serve(sqlite()())
  const disk = sqlite('client')
  const first = await connected(port, tidemarkBinary, disk())
  const doc = await first.create('list', { header, session: 'a', transactions: numbers(1) })
  await doc.whenUploaded()
  await first.close()

  const received: string[] = []
  const second = await createClient({
    storage: disk(),
    connect: webSocket(`ws://127.0.0.1:${port}`),
    observe: (step) => step.type === 'received' && received.push(step.message.action),
  })
  leftovers.push(() => second.close())
  await until(() => second.connection === 'online')
  const again = second.open('list')
  const seen = collect(again)
  await again.whenUploaded()
  expect(seen).toEqual(['header', 'a:0=1'])
  expect(received).not.toContain('content')
})
