/**
 * Real processes, files and sockets: a client that is killed, a server that is restored from a backup, or made anew.
 *
 * What a client was promised to have stored reaches the server, although nobody opens it; nothing comes twice.
 */
import { spawn } from 'node:child_process'
import { cpSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { tidemarkJson } from '@tidemark/protocol'
import { createServer } from '@tidemark/server'
import { type Listening, listen } from '@tidemark/server/node'
import { sqliteStorage } from '@tidemark/storage-sqlite'
import { webSocket } from '@tidemark/websocket'
import { afterEach, expect, test } from 'vitest'
import { type Client, createClient, jsonPayload } from '../src/index.ts'

const leftovers: (() => unknown)[] = []
afterEach(async () => {
  for (const end of leftovers.splice(0).reverse()) await end()
})

const header = jsonPayload({ root: true })
const until = (look: () => unknown) => expect.poll(look, { interval: 10, timeout: 50_000 })

function folder(): string {
  const path = mkdtempSync(join(tmpdir(), 'tidemark-client-'))
  leftovers.push(() => rmSync(path, { recursive: true, force: true }))
  return path
}

async function serve(path: string, port = 0): Promise<Listening> {
  const server = await listen(await createServer({ storage: sqliteStorage({ path }) }), { port })
  leftovers.push(() => server.close())
  return server
}

async function start(path: string, port: number, messages: string[] = []): Promise<Client> {
  const client = await createClient({
    storage: sqliteStorage({ path }),
    connect: webSocket(`ws://127.0.0.1:${port}`, { dialect: tidemarkJson }),
    kind: 'json',
    limits: { reconnectMs: 20 },
    observe(step) {
      if (step.type === 'send') messages.push(step.message.action)
    },
  })
  leftovers.push(() => client.close())
  return client
}

/** Kills a client once it was promised so much; answers how far each of its documents is. */
async function killedAfter(enough: (stored: Map<string, number>) => boolean, values: string[]) {
  const file = (name: string) => new URL(`./children/${name}`, import.meta.url)
  const child = spawn(
    process.execPath,
    [`--import=${file('sources.ts')}`, fileURLToPath(file('writer.ts')), ...values],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  )
  leftovers.push(() => child.kill('SIGKILL'))
  const gone = new Promise((resolve) => child.once('close', resolve))
  const stored = new Map<string, number>()
  for await (const line of createInterface({ input: child.stdout })) {
    const [, id = '', count] = /^stored (.*):(\d+)$/.exec(line) ?? []
    stored.set(id, Number(count))
    if (enough(stored)) child.kill('SIGKILL')
  }
  await gone
  return stored
}

/** A free port on which nobody listens. */
async function closedPort(): Promise<number> {
  const server = await listen(await createServer({ storage: sqliteStorage({ path: ':memory:' }) }))
  await server.close()
  return server.port
}

async function counts(path: string): Promise<Map<string, number>> {
  const storage = sqliteStorage({ path, readOnly: true })
  await storage.open()
  const ids = await storage.list({ limit: 1_000 })
  const states = await storage.knownStates(ids)
  await storage.close()
  return new Map(ids.map((id, index) => [id, states[index]?.known.sessions.get('a') ?? 0]))
}

test('14: written offline, killed, started again, never opened: uploaded when the server has it on its disk', async () => {
  const [mine, theirs] = [join(folder(), 'client.db'), join(folder(), 'server.db')]
  const port = await closedPort()
  const stored = await killedAfter(
    (stored) => stored.size === 20 && Math.min(...stored.values()) >= 3,
    [mine, String(port), 'a', '20'],
  )
  const server = await serve(theirs, port)
  const client = await start(mine, port)
  expect(client.status()).toEqual({ uploaded: false, pending: 20 })
  await client.whenUploaded(undefined, { level: 'durable' })
  // Not closed in order, and read from its file: what is there is on the disk.
  const held = await counts(theirs)
  for (const [id, count] of stored) expect(held.get(id)).toBeGreaterThanOrEqual(count)
  expect(client.status()).toEqual({ uploaded: true, pending: 0 })
  await client.close()
  expect(held).toEqual(await counts(mine))
  await server.close()
})

test('killed between append and confirmation, again and again: everything promised arrives', async () => {
  const [mine, theirs] = [join(folder(), 'client.db'), join(folder(), 'server.db')]
  const { port } = await serve(theirs)
  const promised = new Map<string, number>()
  for (const [round, session] of ['a', 'b', 'c'].entries()) {
    const values = [mine, String(port), session, '5']
    const stored = await killedAfter((stored) => Math.max(...stored.values()) >= 2 + 10 * round, values)
    for (const [id, count] of stored) promised.set(id, count)
  }
  const client = await start(mine, port)
  await client.whenUploaded()
  const storage = sqliteStorage({ path: theirs, readOnly: true })
  await storage.open()
  for (const [id, count] of promised) {
    const [state] = await storage.knownStates([id])
    expect(state?.known.sessions.get(id.split(' ')[0] as string)).toBeGreaterThanOrEqual(count)
  }
  await storage.close()
})

test('13: a server that was restored from a backup gets the missing part, of documents that nobody opens', async () => {
  const [mine, theirs, backup] = [join(folder(), 'client.db'), join(folder(), 'server.db'), join(folder(), 'backup')]
  let server = await serve(theirs)
  const { port } = server
  let client = await start(mine, port)
  const write = async (id: string, ...values: number[]) => {
    const doc = client.open(id)
    if ((await doc.settled()) === 'absent') await doc.create({ header })
    const reading = doc.subscribe(() => {})
    await doc.append('a', values.map(jsonPayload))
    reading()
    await doc.close()
  }
  await write('old', 1, 2)
  await client.whenUploaded()
  await server.close()
  cpSync(join(theirs, '..'), backup, { recursive: true })

  server = await serve(theirs, port)
  await write('old', 3)
  await write('new', 1)
  await client.whenUploaded()
  expect(await counts(theirs)).toEqual(
    new Map([
      ['new', 1],
      ['old', 3],
    ]),
  )
  await client.close()
  await server.close()

  const restored = join(backup, 'server.db')
  expect(await counts(restored)).toEqual(new Map([['old', 2]]))
  await serve(restored, port)
  const sent: string[] = []
  client = await start(mine, port, sent)
  await until(() => client.connection).toBe('online')
  await client.whenUploaded()
  expect(await counts(restored)).toEqual(
    new Map([
      ['new', 1],
      ['old', 3],
    ]),
  )
  expect(sent.filter((action) => action === 'content')).toHaveLength(2)
})

test('12: a server that was made anew gets everything, and one that was only started again is sent nothing', async () => {
  const [mine, theirs] = [join(folder(), 'client.db'), join(folder(), 'server.db')]
  let server = await serve(theirs)
  const { port } = server
  const sent: string[] = []
  const client = await start(mine, port, sent)
  for (const id of ['x', 'y']) await (await client.create(id, { header, session: 'a', transactions: [header] })).close()
  await client.whenUploaded()
  await server.close()
  await until(() => client.connection).not.toBe('online')

  sent.length = 0
  server = await serve(theirs, port)
  await until(() => client.connection).toBe('online')
  await client.whenUploaded()
  expect(sent.sort()).toEqual(['done', 'done', 'hello', 'load', 'load'])
  await server.close()
  await until(() => client.connection).not.toBe('online')

  const anew = join(folder(), 'server.db')
  await serve(anew, port)
  await until(() => client.connection).toBe('online')
  await client.whenUploaded()
  expect(await counts(anew)).toEqual(
    new Map([
      ['x', 1],
      ['y', 1],
    ]),
  )
})
