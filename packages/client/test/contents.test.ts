/**
 * Contents: every transaction once, in order, at the pace of whoever takes them.
 */
import { EMPTY, knownState } from '@tidemark/known-state'
import { tidemarkJson } from '@tidemark/protocol'
import { memoryStorage } from '@tidemark/storage'
import { expect, test } from 'vitest'
import { createClient, jsonPayload, parseJson, type Received } from '../src/index.ts'
import { manualClock, rest } from './clock.ts'
import { createWorld, replaced } from './world.ts'

const header = jsonPayload({ root: true })
/** As text it takes 1,002 bytes. */
const large = jsonPayload('x'.repeat(1_000))

/** A client whose document `note` takes several pages, and how many pages were read of it since. */
async function longDocument() {
  const storage = memoryStorage()
  const reads = { count: 0 }
  const client = await createClient({
    storage: replaced(storage, {
      read(...args) {
        reads.count += 1
        return storage.read(...args)
      },
    }),
    kind: 'json',
    clock: manualClock(),
  })
  const doc = await client.create('note', { header })
  for (let part = 0; part < 10; part++) await doc.append('s', new Array(50).fill(large))
  await doc.close()
  reads.count = 0
  return { client, reads }
}

test('a page is read when the one before it was taken', async () => {
  const { client, reads } = await longDocument()
  const doc = client.open('note')
  await rest()
  // The first page is at hand; nobody asked for it yet.
  expect(reads.count).toBe(1)
  const contents = doc.contents()
  for (let taken = 1; taken <= 4; taken++) {
    await contents.next()
    await rest()
    expect(reads.count).toBe(taken + 1)
  }
  await client.close()
})

test('a listener that answers a promise is waited for', async () => {
  const { client, reads } = await longDocument()
  const doc = client.open('note')
  const slow: (() => void)[] = []
  doc.subscribe(() => new Promise<void>((resolve) => slow.push(resolve)))
  await rest()
  expect([slow.length, reads.count]).toEqual([1, 2])
  slow[0]?.()
  await rest()
  expect([slow.length, reads.count]).toEqual([2, 3])
  await client.close()
})

test('a long document comes whole, in order, every transaction once, while it is being written', async () => {
  const { client } = await longDocument()
  const doc = client.open('note')
  const writer = client.open('note')
  const seen: Received[] = []
  for await (const content of doc.contents()) {
    seen.push(content)
    if (seen.length === 2) await writer.append('t', [jsonPayload(1)])
    if (seen.length === 4) await writer.append('t', [jsonPayload(2)])
    if (doc.known.sessions.get('t') === 2 && doc.known.sessions.get('s') === 500 && !content.more) break
  }
  const ends = new Map<string, number>()
  for (const { session, after, transactions } of seen.flatMap(({ runs }) => runs)) {
    expect(after).toBe(ends.get(session) ?? 0)
    ends.set(session, after + transactions.length)
  }
  expect(ends).toEqual(
    new Map([
      ['s', 500],
      ['t', 2],
    ]),
  )
  expect(seen.filter((content) => content.header !== undefined)).toHaveLength(1)
  expect(seen[0]?.more).toBe(true)
  expect(doc.known).toEqual(
    knownState(true, [
      ['s', 500],
      ['t', 2],
    ]),
  )
  await client.close()
})

test('whoever stops reading may go on from there, and nobody reads beside another', async () => {
  const client = await createClient({ storage: memoryStorage(), kind: 'json', clock: manualClock() })
  const doc = await client.create('note', { header })
  const other = client.open('note')
  const first: unknown[] = []
  const stop = other.subscribe(({ runs }) => first.push(...runs.flatMap((run) => run.transactions.map(parseJson))))
  expect(() => other.contents()).toThrow('read already')
  await doc.append('s', [jsonPayload(1)])
  await rest()
  stop()
  await doc.append('s', [jsonPayload(2)])
  await rest()
  const { value } = await other.contents().next()
  expect(first).toEqual([1])
  expect(value?.runs.map((run: Received['runs'][number]) => [run.after, run.transactions.map(parseJson)])).toEqual([
    [1, [2]],
  ])
  await client.close()
})

test('what is known is what was taken: who goes on from there misses nothing', async () => {
  const { client } = await longDocument()
  const doc = client.open('note')
  await rest()
  expect(doc.known).toEqual(EMPTY)
  const { value } = await doc.contents().next()
  await rest()
  const { known } = doc
  expect(known.sessions.get('s')).toBe(value?.runs[0]?.transactions.length)
  await doc.close()
  const next = await client.open('note', { after: known }).contents().next()
  expect(next.value?.runs[0]?.after).toBe(known.sessions.get('s'))
  await client.close()
})

test('contents end when the handle is closed', async () => {
  const client = await createClient({ storage: memoryStorage(), kind: 'json', clock: manualClock() })
  const doc = await client.create('note', { header })
  const ended = (async () => {
    for await (const _ of doc.contents()) throw new Error('nothing was expected')
    return 'ended'
  })()
  await doc.close()
  expect(await ended).toBe('ended')
  expect(await doc.contents().next()).toEqual({ done: true, value: undefined })
  await client.close()
})

test('nobody reading a document keeps neither the connection nor other documents from going on', async () => {
  const world = await createWorld(tidemarkJson)
  const [a, b] = [await world.client(), await world.client()]
  const mine = await a.client.create('note', { header })
  const other = await a.client.create('other', { header })
  await Promise.all([mine.whenUploaded(), other.whenUploaded()])
  const unread = b.client.open('note')
  const read = b.client.open('other')
  await Promise.all([unread.settled(), read.settled()])
  const seen: string[] = []
  read.subscribe(({ runs }) => seen.push(...runs.map((run) => run.session)))
  for (let count = 0; count < 100; count++) await mine.append('s', [large])
  await other.append('s', [jsonPayload(1)])
  await rest()
  expect(seen).toEqual(['s'])
  expect(unread.known).toEqual(EMPTY)
  // It is stored all the same.
  const late = b.client.open('note', { after: mine.known })
  await late.settled()
  expect(late.state).toBe('present')
  await world.end()
})
