/**
 * Scenario 54 over real sockets and SQLite: nobody is told that a document does not exist before the storage said so.
 */
import { join } from 'node:path'
import { sqliteStorage } from '@tidemark/storage-sqlite'
import { expect, test, vi } from 'vitest'
import { metric, pause, until, withFolder, withServer, wrapped } from '../help.ts'
import { content, doc, jazzClient, load, received, session } from '../jazz.ts'

vi.setConfig({ testTimeout: 30_000 })

const LOOK_UP_MS = 300

/** Every look-up takes its time; everything else is as fast as it is. */
function slowSqlite(path: string, answered: number[]) {
  return wrapped(sqliteStorage({ path }), async (method, call) => {
    if (method === 'knownStates') await pause(LOOK_UP_MS)
    const value = await call()
    if (method === 'knownStates') answered.push(performance.now())
    return value
  })
}

async function seed(path: string): Promise<void> {
  await withServer({ storage: sqliteStorage({ path }) }, async (world) => {
    const writer = await jazzClient(world.url)
    writer.say(content('root', 'a', 0, 2))
    await writer.hears(1)
    await writer.close()
  })
}

test('54: two clients open one document of a cold, slow server: it exists, so neither is told to create it', () =>
  withFolder(async (folder) => {
    const path = join(folder, 'store.db')
    await seed(path)
    const answered: number[] = []
    await withServer({ storage: slowSqlite(path, answered) }, async (world) => {
      const clients = await Promise.all([jazzClient(world.url, 'A'), jazzClient(world.url, 'B')])
      for (const client of clients) client.say(load('root'))
      await pause(LOOK_UP_MS / 2)
      expect(clients.flatMap(({ heard }) => heard)).toEqual([])
      for (const client of clients) {
        await client.hears(1)
        expect(client.heard[0]?.action).toBe('content')
        expect(received(client, 'root').get(session('a'))).toHaveLength(2)
      }
      expect(answered).toHaveLength(1)
      expect(metric((await world.get('/metrics')).body, 'tidemark_storage_lookups_total')).toBe(1)
      for (const client of clients) await client.close()
    })
  }))

test('54: it does not exist: each is told so after the storage answered, and only then may create it', () =>
  withFolder(async (folder) => {
    const answered: number[] = []
    await withServer({ storage: slowSqlite(join(folder, 'store.db'), answered) }, async (world) => {
      const trace: string[] = []
      const clients = await Promise.all([jazzClient(world.url, 'A', trace), jazzClient(world.url, 'B', trace)])
      for (const client of clients) client.say(load('root'))
      await until('both answers', () => clients.every(({ heard }) => heard.length === 1))
      expect(answered).toHaveLength(1)
      expect(answered[0]).toBeLessThan(performance.now())
      expect([...trace].sort()).toEqual(['A>S LOAD root=∅', 'B>S LOAD root=∅', 'S>A KNOWN root=∅', 'S>B KNOWN root=∅'])
      // One of them creates it: the other one hears of it, because its question was a subscription.
      clients[0]?.say(content('root', 'a', 0, 1))
      await until('the news', () => clients[1]?.heard.length === 2)
      expect(clients[1]?.heard[1]).toMatchObject({ action: 'content', id: doc('root') })
      for (const client of clients) await client.close()
    })
  }))

test('54: in our own dialect the answer names who gave it', () =>
  withFolder(async (folder) => {
    const answered: number[] = []
    await withServer({ storage: slowSqlite(join(folder, 'store.db'), answered), peer: 'edge-7' }, async (world) => {
      const socket = new WebSocket(world.url, 'tidemark.1.json')
      const heard: { type: string; [field: string]: unknown }[] = []
      socket.onmessage = ({ data }) => {
        for (const line of String(data).split('\n')) heard.push(JSON.parse(line))
      }
      await new Promise((resolve) => {
        socket.onopen = resolve
      })
      socket.send(JSON.stringify({ type: 'load', id: 'root', header: false, sessions: {} }))
      await until('the answer', () => heard.length === 2)
      expect(answered).toHaveLength(1)
      expect(heard).toMatchObject([
        { type: 'hello', peer: 'edge-7' },
        { type: 'known', id: 'root', header: false },
      ])
      socket.close()
    })
  }))
