/**
 * Scenarios 2, 3, 12 and 17 over real sockets and SQLite: what is said between a Jazz client and a server that restarts.
 */
import { join } from 'node:path'
import { sqliteStorage } from '@tidemark/storage-sqlite'
import { expect, test, vi } from 'vitest'
import { metric, until, type World, withFolder, withServer } from '../help.ts'
import { content, jazzClient, known, load, received, session, transaction } from '../jazz.ts'

vi.setConfig({ testTimeout: 30_000 })

/** Each call is a server process of its own on the same file: nothing is in memory when it starts. */
function withSqlite(folder: string, use: (world: World) => Promise<void>, file = 'store.db'): Promise<void> {
  return withServer({ storage: sqliteStorage({ path: join(folder, file) }) }, use)
}

/** Stores runs of `note` by session `a`, ending at each of `ends`. */
async function seed(world: World, ...ends: number[]): Promise<void> {
  const writer = await jazzClient(world.url)
  let after = 0
  for (const end of ends) {
    writer.say(content('note', 'a', after, end))
    await writer.hears(ends.indexOf(end) + 1)
    after = end
  }
  await writer.close()
}

async function pagesRead(world: World): Promise<number> {
  return metric((await world.get('/metrics')).body, 'tidemark_storage_pages_total')
}

test('2: a client that holds nothing asks with nothing and receives the document', () =>
  withFolder(async (folder) => {
    await withSqlite(folder, (world) => seed(world, 3))
    await withSqlite(folder, async (world) => {
      const trace: string[] = []
      const client = await jazzClient(world.url, 'C', trace)
      client.say(load('note'))
      await client.hears(1)
      client.say(known('note', { a: 3 }))
      await client.hears(1)
      expect(trace).toEqual(['C>S LOAD note=∅', 'S>C CONTENT note header a:0+3', 'C>S KNOWN note=a:3'])
      expect(received(client, 'note').get(session('a'))).toEqual([0, 1, 2].map((n) => transaction('note', 'a', n)))
      await client.close()
    })
  }))

test('a client that is up to date is told so, and no content is read', () =>
  withFolder(async (folder) => {
    await withSqlite(folder, (world) => seed(world, 3))
    await withSqlite(folder, async (world) => {
      const trace: string[] = []
      const client = await jazzClient(world.url, 'C', trace)
      client.say(load('note', { a: 3 }))
      await client.hears(1)
      expect(trace).toEqual(['C>S LOAD note=a:3', 'S>C KNOWN note=a:3'])
      expect(await pagesRead(world)).toBe(0)
      await client.close()
    })
  }))

test('a client that is behind is told our state, then sent exactly what it lacks', () =>
  withFolder(async (folder) => {
    await withSqlite(folder, (world) => seed(world, 3, 5))
    await withSqlite(folder, async (world) => {
      const trace: string[] = []
      const client = await jazzClient(world.url, 'C', trace)
      client.say(load('note', { a: 3 }))
      await client.hears(2)
      expect(trace).toEqual(['C>S LOAD note=a:3', 'S>C KNOWN note=a:5', 'S>C CONTENT note a:3+2'])
      await client.close()
    })
  }))

test('3: a client that holds more is asked for it, one sealed run short, and its upload is acknowledged', () =>
  withFolder(async (folder) => {
    await withSqlite(folder, (world) => seed(world, 2, 3))
    await withSqlite(folder, async (world) => {
      const trace: string[] = []
      const client = await jazzClient(world.url, 'C', trace)
      client.say(load('note', { a: 5 }))
      await client.hears(2)
      client.say(content('note', 'a', 2, 5, false))
      await client.hears(3)
      expect(trace).toEqual([
        'C>S LOAD note=a:5',
        'S>C LOAD note=a:2',
        'S>C KNOWN note=a:3',
        'C>S CONTENT note a:2+3',
        'S>C KNOWN note=a:5',
      ])
      await client.close()
    })
  }))

test('12: a server that lost its data gets everything back from the client that reconnects', () =>
  withFolder(async (folder) => {
    await withSqlite(folder, (world) => seed(world, 3))
    await withSqlite(
      folder,
      async (world) => {
        const trace: string[] = []
        const client = await jazzClient(world.url, 'C', trace)
        client.say(load('note', { a: 3 }))
        await client.hears(2)
        client.say(content('note', 'a', 0, 3))
        await client.hears(3)
        expect(trace).toEqual([
          'C>S LOAD note=a:3',
          'S>C LOAD note=∅',
          'S>C KNOWN note=∅',
          'C>S CONTENT note header a:0+3',
          'S>C KNOWN note=a:3',
        ])
        await client.close()
      },
      'empty.db',
    )
    await withSqlite(
      folder,
      async (world) => {
        const other = await jazzClient(world.url)
        other.say(load('note'))
        await other.hears(1)
        expect(received(other, 'note').get(session('a'))).toHaveLength(3)
        await other.close()
      },
      'empty.db',
    )
  }))

test('17: headerless content for a cold document is stored, acknowledged and forwarded, without a correction', () =>
  withFolder(async (folder) => {
    await withSqlite(folder, (world) => seed(world, 3))
    await withSqlite(folder, async (world) => {
      const trace: string[] = []
      const writer = await jazzClient(world.url, 'W', trace)
      // The first thing that this server hears of the document.
      writer.say(content('note', 'a', 3, 5, false))
      await writer.hears(1)
      expect(trace).toEqual(['W>S CONTENT note a:3+2', 'S>W KNOWN note=a:5'])
      expect(await pagesRead(world)).toBe(0)
      await writer.close()
    })
    await withSqlite(folder, async (world) => {
      const trace: string[] = []
      const reader = await jazzClient(world.url, 'R', trace)
      reader.say(load('note', { a: 5 }))
      await reader.hears(1)
      const writer = await jazzClient(world.url, 'W', trace)
      writer.say(content('note', 'a', 5, 7, false))
      await writer.hears(1)
      await reader.hears(2)
      expect(trace).toEqual([
        'R>S LOAD note=a:5',
        'S>R KNOWN note=a:5',
        'W>S CONTENT note a:5+2',
        // L3: stored, then acknowledged, then forwarded; two sockets may deliver the last two in either order.
        ...['S>W KNOWN note=a:7', 'S>R CONTENT note a:5+2'].sort((x, y) => trace.indexOf(x) - trace.indexOf(y)),
      ])
      await Promise.all([writer.close(), reader.close()])
    })
  }))

test('a document of 2 MB arrives in pieces that end at seals, announced by the first', () =>
  withFolder(async (folder) => {
    await withSqlite(folder, async (world) => {
      const writer = await jazzClient(world.url)
      const padded = (after: number, end: number) => {
        const line = content('long', 'a', after, end)
        for (const run of Object.values(line.new ?? {}))
          run.newTransactions = run.newTransactions.map((tx) => ({ ...(tx as object), pad: 'x'.repeat(1_000) }))
        return line
      }
      for (let after = 0; after < 2_000; after += 50) writer.say(padded(after, after + 50))
      await until('all of it', () => writer.heard.some(({ sessions }) => sessions?.[session('a')] === 2_000))
      await writer.close()
    })
    await withSqlite(folder, async (world) => {
      const client = await jazzClient(world.url)
      client.say(load('long'))
      await until('all of it', () => (received(client, 'long').get(session('a'))?.length ?? 0) === 2_000)
      const pieces = client.heard.filter(({ action }) => action === 'content')
      expect(pieces.length).toBeGreaterThan(10)
      expect(pieces[0]?.expectContentUntil).toEqual({ [session('a')]: 2_000 })
      for (const piece of pieces) {
        const run = piece.new?.[session('a')]
        const end = (run?.after ?? 0) + (run?.newTransactions.length ?? 0)
        expect(run?.lastSignature).toBe(`signature_za${end}`)
        expect(JSON.stringify(piece).length).toBeLessThan(140_000)
      }
      await client.close()
    })
  }))
