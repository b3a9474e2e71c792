/**
 * What an application is told about a document: asking, present, absent, failed, and by whom.
 */
import { knownState } from '@tidemark/known-state'
import { tidemarkJson } from '@tidemark/protocol'
import { memoryStorage, StorageError } from '@tidemark/storage'
import { expect, test } from 'vitest'
import { createClient, jsonPayload } from '../src/index.ts'
import { manualClock, rest } from './clock.ts'
import { collect, createWorld, delayed, replaced } from './world.ts'

const header = jsonPayload({ root: true })
const root = { header, session: 'root', transactions: [jsonPayload('root')] }

test('two clients that open a document which a slow server holds both find it: neither creates it (54)', async () => {
  const storage = memoryStorage()
  await storage.open()
  await storage.append([
    {
      id: 'home',
      kind: 'json',
      priority: 3,
      header,
      runs: [{ session: 'root', after: 0, transactions: root.transactions }],
    },
  ])
  const world = await createWorld(tidemarkJson)
  await world.server.restart(delayed(storage, world.clock, 300))
  const clients = [await world.client(), await world.client()]
  const docs = clients.map(({ client }) => client.open('home'))
  const contents = docs.map(collect)

  await world.clock.advance(299)
  expect(docs.map(({ state }) => state)).toEqual(['asking', 'asking'])
  // 300 ms to look it up, 300 ms to read it.
  await world.clock.advance(301)
  expect(docs.map(({ state }) => state)).toEqual(['present', 'present'])
  expect(contents).toEqual([
    ['header', 'root:0="root"'],
    ['header', 'root:0="root"'],
  ])
  await world.end()
})

test('if it does not exist, both are told so, after the server has looked, and by whom (54)', async () => {
  const world = await createWorld(tidemarkJson)
  await world.server.restart(delayed(memoryStorage(), world.clock, 300))
  const clients = [await world.client(), await world.client()]
  const docs = clients.map(({ client }) => client.open('home'))
  await world.clock.advance(299)
  expect(docs.map(({ state }) => state)).toEqual(['asking', 'asking'])
  await world.clock.advance(1)
  expect(docs.map(({ state }) => state)).toEqual(['absent', 'absent'])
  expect(docs.map(({ absentBy }) => absentBy)).toEqual([
    ['storage', 'server'],
    ['storage', 'server'],
  ])
  await world.end()
})

test('a document that is created while somebody else was told it is absent becomes present there', async () => {
  const world = await createWorld(tidemarkJson)
  const [a, b] = [await world.client(), await world.client()]
  const mine = a.client.open('home')
  const theirs = b.client.open('home')
  expect([await mine.settled(), await theirs.settled()]).toEqual(['absent', 'absent'])
  const seen = collect(theirs)
  await mine.create(root)
  await rest()
  expect([mine.state, theirs.state, theirs.absentBy]).toEqual(['present', 'present', []])
  expect(seen).toEqual(['header', 'root:0="root"'])
  await world.end()
})

test('without a connection nothing is absent: asking fails, and is repeated when there is one', async () => {
  const world = await createWorld(tidemarkJson)
  const { client } = await world.client()
  client.disconnect()
  const doc = client.open('home')
  await world.clock.advance(2_999)
  expect(doc.state).toBe('asking')
  await world.clock.advance(1)
  expect(doc.state).toBe('failed')
  expect(doc.failure?.code).toBe('unavailable')
  const creating = doc.create(root)
  await expect(creating).rejects.toMatchObject({ code: 'UNAVAILABLE', failure: { code: 'unavailable' } })

  client.reconnectNow()
  await rest()
  expect([doc.state, doc.failure, doc.absentBy]).toEqual(['absent', undefined, ['storage', 'server']])
  await world.end()
})

test('what a document could not be asked for is said in the words of the server', async () => {
  const world = await createWorld(tidemarkJson)
  const broken = replaced(memoryStorage(), {
    knownStates: () => {
      throw new StorageError('IO', 'the disk is gone')
    },
  })
  await world.server.restart(broken)
  const { client } = await world.client({ engineLimits: { upstreamTimeoutMs: 60_000 } })
  const doc = client.open('home')
  await world.clock.advance(20_000)
  expect([doc.state, doc.failure?.code]).toEqual(['failed', 'failed'])
  await world.end()
})

test('a storage that cannot be read is a failure, never absence', async () => {
  const world = await createWorld(tidemarkJson)
  let broken = true
  const storage = memoryStorage()
  const { client } = await world.client({
    storage: replaced(storage, {
      knownStates: (ids) => {
        if (broken) throw new StorageError('IO', 'the disk is gone')
        return storage.knownStates(ids)
      },
    }),
  })
  const doc = client.open('home')
  await world.clock.advance(20_000)
  expect([doc.state, doc.failure?.code]).toEqual(['failed', 'failed'])

  broken = false
  doc.retry()
  expect(doc.state).toBe('asking')
  await world.clock.advance(10_000)
  expect(doc.state).toBe('absent')
  await world.end()
})

test('a client without a server asks its storage alone', async () => {
  const client = await createClient({ storage: memoryStorage(), kind: 'json', clock: manualClock() })
  const doc = client.open('home')
  expect([await doc.settled(), doc.absentBy]).toEqual(['absent', ['storage']])
  await doc.create(root)
  expect([doc.state, doc.status.uploaded, client.connection]).toEqual(['present', undefined, 'offline'])
  await expect(doc.whenUploaded()).rejects.toMatchObject({ code: 'NO_UPSTREAM' })
  await client.close()
})

test('an application that has part of a document is given the rest', async () => {
  const client = await createClient({ storage: memoryStorage(), kind: 'json', clock: manualClock() })
  await client.create('note', { header, session: 's', transactions: [1, 2, 3].map(jsonPayload) })
  const doc = client.open('note', { after: knownState(true, [['s', 2]]) })
  const rest3 = collect(doc)
  const whole = client.open('note', { after: knownState(true, [['s', 3]]) })
  expect(await whole.settled()).toBe('present')
  await rest()
  expect(rest3).toEqual(['s:2=3'])
  expect(doc.known).toEqual(whole.known)
  await client.close()
})

test('an application that has what the storage lost is told that it is absent, by whom', async () => {
  const world = await createWorld(tidemarkJson)
  const { client } = await world.client()
  const doc = client.open('note', { after: knownState(true, [['s', 2]]) })
  expect([await doc.settled(), doc.absentBy]).toEqual(['absent', ['storage', 'server']])
  await world.end()
})

test('several handles of one document are given everything, each for itself, also what the others write', async () => {
  const world = await createWorld(tidemarkJson)
  const { client, trace } = await world.client()
  const first = await client.create('note', { header })
  const second = client.open('note')
  const third = client.open('note')
  const seen = [first, second, third].map(collect)
  await first.append('a', [jsonPayload(1)])
  await second.append('b', [jsonPayload(2)])
  await rest()
  expect(seen).toEqual([['b:0=2'], ['header', 'a:0=1'], ['header', 'a:0=1', 'b:0=2']])
  await third.close()
  await first.append('a', [jsonPayload(3)])
  await rest()
  expect(seen).toEqual([['b:0=2'], ['header', 'a:0=1', 'a:1=3'], ['header', 'a:0=1', 'b:0=2']])
  // Three handles are one subscription for the server.
  expect(trace.filter((line) => line.includes('LOAD'))).toEqual([])
  await world.end()
})

test('whoever watches a document is told once per turn that something changed', async () => {
  const world = await createWorld(tidemarkJson)
  const { client } = await world.client()
  const doc = client.open('home')
  const seen: string[] = []
  const stop = doc.watch(() => seen.push(`${doc.state} ${doc.status.uploaded}`))
  await doc.settled()
  await doc.create(root)
  await doc.whenUploaded()
  expect(seen[0]).toBe('absent false')
  expect(seen).toContain('present false')
  expect(seen.at(-1)).toBe('present true')
  stop()
  await doc.append('root', [jsonPayload('more')])
  await rest()
  expect(seen.at(-1)).toBe('present true')
  await world.end()
})

test('what waits for an answer ends when the handle, the client or its signal does', async () => {
  const world = await createWorld(tidemarkJson)
  const { client } = await world.client()
  client.disconnect()
  const gone = new AbortController()
  const asking = [client.open('a').settled(gone.signal), client.open('b', { signal: gone.signal }).settled()]
  const left = client.open('c').settled()
  gone.abort(new Error('enough'))
  await expect(asking[0]).rejects.toThrow('enough')
  await expect(asking[1]).rejects.toMatchObject({ code: 'CLOSED' })
  const closed = expect(left).rejects.toMatchObject({ code: 'CLOSED' })
  await world.end()
  await closed
  expect(() => client.open('d')).toThrow('closed')
  await expect(client.create('d', root)).rejects.toMatchObject({ code: 'CLOSED' })
})

test('what is no document id is the mistake of the caller', async () => {
  const client = await createClient({ storage: memoryStorage() })
  expect(() => client.open('')).toThrow(RangeError)
  expect(() => client.open(7 as unknown as string)).toThrow(TypeError)
  expect(client.sizes().connections).toBe(0)
  await client.close()
})
