/**
 * The outbox: what was written here and not confirmed is not forgotten, and "is it uploaded?" is true over restarts of either side.
 *
 * A client that "crashes" is never closed; its storage outlives it. Not here: real processes and files (`crash.test.ts`).
 */
import { dialects, jazz, tidemarkJson } from '@tidemark/protocol'
import { type Append, memoryStorage, type Opened, type Storage } from '@tidemark/storage'
import { describe, expect, test } from 'vitest'
import { jsonPayload } from '../src/index.ts'
import { rest } from './clock.ts'
import { createWorld, delayed, keptOpen, replaced, type World } from './world.ts'

const header = jsonPayload({ root: true })
const one = { header, session: 's', transactions: [jsonPayload(1)] }

/** Writes documents while offline, then crashes. */
async function crashedOffline(world: World, storage: Storage, ids: readonly string[]): Promise<void> {
  const { client } = await world.client({ storage: keptOpen(storage) })
  client.disconnect()
  for (const id of ids) await client.create(id, one)
}

const marksOf = async (storage: Storage) => (await storage.marks({ prefix: 'tidemark outbox', limit: 100 })).length
const heldBy = async (storage: Storage, id: string) => (await storage.knownStates([id]))[0]?.known.sessions.get('s')

/** A storage that promises a level, whatever it is. */
function promising(storage: Storage, level: Opened['level']): Storage {
  return replaced(storage, { open: async () => ({ ...(await storage.open()), level }) })
}

describe.each(dialects.map((dialect) => [dialect.name, dialect] as const))('in the dialect %s', (_, dialect) => {
  test('14: what was written offline before a crash is uploaded on the next connection, and nobody opens it', async () => {
    const held = memoryStorage()
    const world = await createWorld(dialect, { storage: held })
    const disk = memoryStorage()
    await crashedOffline(world, disk, ['note', 'list'])
    await world.server.restart(delayed(held, world.clock, 300))

    const { client, trace } = await world.client({ storage: keptOpen(disk) })
    expect(client.status()).toEqual({ uploaded: false, pending: 2 })
    let uploaded = false
    const waiting = client.whenUploaded().then(() => {
      uploaded = true
    })
    // Two look-ups, for the LOAD and for the content, and two appends at the server, 300 ms each.
    await world.clock.advance(1_199)
    expect([uploaded, client.status('note').uploaded, client.status('list').uploaded]).toEqual([false, true, false])
    expect(await heldBy(held, 'list')).toBe(undefined)
    await world.clock.advance(1)
    await waiting
    expect([await heldBy(held, 'note'), await heldBy(held, 'list')]).toEqual([1, 1])
    expect(client.status()).toEqual({ uploaded: true, pending: 0 })
    expect(trace.filter((line) => line.includes('CONTENT'))).toHaveLength(2)
    await rest()
    expect(await marksOf(disk)).toBe(0)
    await world.end()
  })

  test('what the server turns out to hold, and more, is not owed once the rest has come', async () => {
    const held = memoryStorage()
    held.open()
    const more = { session: 't', after: 0, transactions: [jsonPayload(2)], seal: jsonPayload('t') }
    const note = { id: 'note', kind: 'json', priority: 3, header, runs: [] } as const
    held.append([{ ...note, runs: [{ ...more, session: 's' }, more] }])
    const world = await createWorld(dialect, { storage: held })
    const disk = memoryStorage()
    disk.open()
    const owed = new TextEncoder().encode('"note"')
    disk.append([{ ...note, runs: [{ ...more, session: 's' }] }], {
      marks: new Map([['tidemark outbox earlier', owed]]),
    })
    const { client, trace } = await world.client({ storage: keptOpen(disk) })
    await world.clock.advance(40_000)
    expect(trace).toContain('S>C CONTENT note t:0+1')
    expect([client.status('note'), client.status()]).toEqual([{ uploaded: true }, { uploaded: true, pending: 0 }])
    expect(await marksOf(disk)).toBe(0)
    await world.end()
  })

  test('what the server says in its hello that it does not take is said at the document, as what it refuses', async () => {
    if (dialect === jazz) return // has no hello
    const world = await createWorld(dialect, { limits: { messageBytesMax: 65_536 } })
    const { client } = await world.client()
    await world.clock.advance(1_000)
    const transactions = [jsonPayload('x'.repeat(60_000))]
    const doc = await client.create('note', { header, session: 's', transactions })
    await world.clock.advance(60_000)
    expect(doc.status).toMatchObject({ uploaded: false, refused: { code: 'tooLarge' } })
    await world.end()
  })

  test('a crash between the confirmation and the removal of its mark costs one question, and sends nothing', async () => {
    const world = await createWorld(dialect)
    const disk = memoryStorage()
    const removed: string[] = []
    const forgetful = replaced(keptOpen(disk), {
      append: async (batch, options) => {
        const removing = [...(options?.marks ?? [])].filter(([, value]) => value === undefined)
        if (batch.length > 0 || removing.length === 0) return disk.append(batch, options)
        removed.push(...removing.map(([key]) => key))
        throw new Error('crashed')
      },
    })
    const first = await world.client({ storage: forgetful })
    await (await first.client.create('note', one)).whenUploaded()
    await rest()
    expect([removed.length > 0, await marksOf(disk)]).toEqual([true, 1])

    first.client.disconnect()
    const { client, trace } = await world.client({ storage: keptOpen(disk) })
    await client.whenUploaded()
    expect(trace.slice(0, 2)).toEqual(['C>S LOAD note=s:1', 'S>C KNOWN note=s:1'])
    expect(trace.join()).not.toContain('CONTENT')
    await rest()
    expect(await marksOf(disk)).toBe(0)
    await world.end()
  })

  test('a server that was made anew gets everything, also what nobody opens and was uploaded long ago', async () => {
    const world = await createWorld(dialect)
    const disk = memoryStorage()
    const first = await world.client({ storage: keptOpen(disk) })
    for (const id of ['a', 'b', 'c']) await (await first.client.create(id, one)).close()
    await first.client.whenUploaded()
    await first.client.close()

    const empty = memoryStorage()
    await world.server.restart(empty)
    const { client } = await world.client({ storage: keptOpen(disk) })
    await client.whenUploaded()
    expect(await Promise.all(['a', 'b', 'c'].map((id) => heldBy(empty, id)))).toEqual([1, 1, 1])
    expect(client.status()).toEqual({ uploaded: true, pending: 0 })
    await world.end()
  })

  test('what an upstream has sent owes it nothing', async () => {
    const world = await createWorld(dialect)
    const writer = await world.client()
    await (await writer.client.create('note', one)).whenUploaded()
    const disk = memoryStorage()
    const marked: Append[] = []
    const watched = replaced(disk, {
      append: (batch, options) => {
        if ([...(options?.marks?.keys() ?? [])].some((key) => key.startsWith('tidemark outbox'))) marked.push(...batch)
        return disk.append(batch, options)
      },
    })
    const { client } = await world.client({ storage: watched })
    const doc = client.open('note')
    await doc.settled()
    await rest()
    expect([await heldBy(disk, 'note'), marked]).toEqual([1, []])
    expect(client.status('note')).toEqual({ uploaded: true })
    await world.end()
  })
})

test('a mark commits with the transactions it is for', async () => {
  const world = await createWorld(tidemarkJson)
  const disk = memoryStorage()
  const commits: string[] = []
  const watched = replaced(disk, {
    append: (batch, options) => {
      const marks = [...(options?.marks ?? [])].filter(([key]) => key.startsWith('tidemark outbox'))
      if (batch.length + marks.length > 0)
        commits.push(`${batch.map(({ id }) => id).join()} ${marks.map(([, value]) => (value ? '+' : '-')).join('')}`)
      return disk.append(batch, options)
    },
  })
  const { client } = await world.client({ storage: watched })
  client.disconnect()
  const doc = await client.create('note', one)
  await doc.append('s', [jsonPayload(2)])
  client.reconnectNow()
  await doc.whenUploaded()
  await rest()
  await doc.append('s', [jsonPayload(3)])
  await doc.whenUploaded()
  await rest()
  expect(commits).toEqual(['note +', 'note ', ' -', 'note +', ' -'])
  await world.end()
})

test('a document that could not be stored leaves no other of its batch without a mark', async () => {
  const world = await createWorld(tidemarkJson)
  const disk = memoryStorage()
  const full = replaced(disk, {
    append: async (batch, options) => {
      if (!batch.some(({ id }) => id === 'large')) return disk.append(batch, options)
      // As the contract has it: the others are stored, and no mark is set.
      const results = await disk.append(batch.filter(({ id }) => id !== 'large'))
      return batch.map(({ id }) => (id === 'large' ? { failed: 'TOO_LARGE' } : (results[0] as never)))
    },
  })
  const { client } = await world.client({ storage: full })
  client.disconnect()
  const [large, note] = await Promise.allSettled([client.create('large', one), client.create('note', one)])
  expect([large?.status, note?.status]).toEqual(['rejected', 'fulfilled'])
  const { client: next } = await world.client({ storage: keptOpen(disk) })
  await next.whenUploaded('note')
  expect(await heldBy(disk, 'note')).toBe(1)
  await world.end()
})

test('uploaded stays uploaded over a restart, also offline, and is asked for again only of another server', async () => {
  const held = memoryStorage()
  const world = await createWorld(tidemarkJson, { storage: keptOpen(held) })
  const disk = memoryStorage()
  const first = await world.client({ storage: keptOpen(disk) })
  await (await first.client.create('note', one)).close()
  await first.client.whenUploaded('note')
  await first.client.close()

  world.server.refuse = new Error('no network')
  const { client, trace } = await world.client({ storage: keptOpen(disk) })
  expect([client.status('note'), client.status()]).toEqual([{ uploaded: true }, { uploaded: true, pending: 0 }])
  await client.whenUploaded('note')

  // The same opening of the same store: its word stands.
  world.server.refuse = undefined
  client.reconnectNow()
  await rest()
  expect([client.connection, trace]).toEqual(['online', []])

  // Another store: it does not.
  const other = delayed(memoryStorage(), world.clock, 300)
  await world.server.restart(other)
  client.reconnectNow()
  await rest()
  expect([client.connection, client.status('note'), client.status().uploaded]).toEqual([
    'online',
    { uploaded: false },
    false,
  ])
  await world.clock.advance(1_000)
  expect([client.status('note'), client.status().uploaded]).toEqual([{ uploaded: true }, true])
  await world.end()
})

test('a server whose store went back in its sequence is another one', async () => {
  const held = memoryStorage()
  const at = (sequence: number) =>
    replaced(keptOpen(held), {
      open: async () => ({ ...(await held.open()), generation: { id: 'one', sequence } }),
    })
  const world = await createWorld(tidemarkJson, { storage: at(7) })
  const disk = memoryStorage()
  const first = await world.client({ storage: keptOpen(disk) })
  await (await first.client.create('note', one)).close()
  await first.client.whenUploaded()
  await first.client.close()
  await world.server.restart(at(7))
  const same = await world.client({ storage: keptOpen(disk) })
  expect(same.trace).toEqual([])
  await same.client.close()
  await world.server.restart(at(6))
  const { trace } = await world.client({ storage: keptOpen(disk) })
  expect(trace).toEqual(['C>S LOAD note=s:1', 'S>C KNOWN note=s:1', 'C>S DONE note'])
  await world.end()
})

test('(Jazz) a confirmation counts as long as the connection: nothing says later whose it was', async () => {
  const world = await createWorld(jazz)
  const disk = memoryStorage()
  const first = await world.client({ storage: keptOpen(disk) })
  await (await first.client.create('note', one)).close()
  await first.client.whenUploaded('note')
  expect(first.client.status('note').uploaded).toBe(true)
  first.client.disconnect()
  await rest()
  expect(first.client.status('note').uploaded).toBe(undefined)
  first.client.reconnectNow()
  await first.client.whenUploaded()
  expect(first.trace.at(-1)).toBe('S>C KNOWN note=s:1')
  await world.end()
})

test('a level is refused by whoever promises less, and waited for while nobody promises', async () => {
  const held = memoryStorage()
  const world = await createWorld(tidemarkJson, { storage: promising(keptOpen(held), 'stored') })
  const { client } = await world.client()
  const doc = await client.create('note', one)
  await doc.whenUploaded({ level: 'stored' })
  await expect(doc.whenUploaded({ level: 'durable' })).rejects.toMatchObject({
    code: 'LEVEL',
    message: expect.stringContaining("promises 'stored' only"),
  })
  client.disconnect()
  const waiting = client.whenUploaded('note', { level: 'durable' })
  await world.server.restart(promising(keptOpen(held), 'durable'))
  client.reconnectNow()
  await waiting
  const signal = AbortSignal.abort(new Error('enough'))
  await expect(client.whenUploaded(undefined, { signal })).rejects.toThrow('enough')
  await world.end()
})

test('(Jazz) a level is refused: the dialect has no word for it', async () => {
  const world = await createWorld(jazz)
  const { client } = await world.client()
  const doc = await client.create('note', one)
  await expect(doc.whenUploaded({ level: 'stored' })).rejects.toMatchObject({ code: 'LEVEL' })
  await world.end()
})

test('every document says once that it is uploaded, open or not', async () => {
  const world = await createWorld(tidemarkJson)
  const disk = memoryStorage()
  await crashedOffline(world, disk, ['a', 'b'])
  const told: string[] = []
  const { client } = await world.client({ storage: keptOpen(disk) })
  client.onUploaded((id) => told.push(id))
  await client.whenUploaded()
  const doc = await client.create('c', one)
  await doc.whenUploaded()
  await doc.append('s', [jsonPayload(2)])
  await doc.whenUploaded()
  await rest()
  expect(told.filter((id) => id === 'c')).toEqual(['c', 'c'])
  await world.end()
})

test('one document that a new server refuses holds up no other, and stays pending', async () => {
  const world = await createWorld(tidemarkJson)
  const disk = memoryStorage()
  const first = await world.client({ storage: keptOpen(disk) })
  for (const id of ['a', 'b', 'c']) await (await first.client.create(id, one)).close()
  await first.client.whenUploaded()
  await first.client.close()

  const refusing = await createWorld(tidemarkJson, { hooks: { authorize: (_, __, id) => id !== 'b' } })
  const { client } = await refusing.client({ storage: keptOpen(disk) })
  await refusing.clock.advance(0)
  expect(client.status()).toEqual({ uploaded: false, pending: 1 })
  expect(['a', 'b', 'c'].map((id) => client.status(id).uploaded)).toEqual([true, false, true])
  await Promise.all([world.end(), refusing.end()])
})

test('a comparison that was cut goes on where it was', async () => {
  const world = await createWorld(tidemarkJson)
  const disk = memoryStorage()
  const first = await world.client({ storage: keptOpen(disk) })
  const ids = Array.from({ length: 1_200 }, (_, index) => `doc ${String(index).padStart(4, '0')}`)
  await disk.append(ids.map((id) => ({ id, kind: 'json', priority: 3, header, runs: [] })))
  await first.client.close()

  const other = memoryStorage()
  const hang = { from: 'doc 0700' }
  const stalling = replaced(other, {
    knownStates: (asked) => (asked.some((id) => id >= hang.from) ? new Promise(() => {}) : other.knownStates(asked)),
  })
  await world.server.restart(stalling)
  const cut = await world.client({ storage: keptOpen(disk) })
  await rest()
  expect(['doc 0000', 'doc 0499', 'doc 0500'].map((id) => cut.client.status(id).uploaded)).toEqual([true, true, false])
  hang.from = 'z'
  cut.client.disconnect()
  await rest()
  cut.client.reconnectNow()
  await cut.client.whenUploaded()
  const asked = cut.trace.filter((line) => line.startsWith('C>S LOAD'))
  expect(asked.filter((line) => line.includes('doc 0000'))).toHaveLength(1)
  expect(asked.filter((line) => line.includes('doc 0500'))).toHaveLength(2)
  expect(await other.count()).toBe(1_200)
  await world.end()
})

test('on a new connection what is owed is asked for before what is only open, and what is opened now before both', async () => {
  const world = await createWorld(tidemarkJson)
  const { client, trace } = await world.client({ engineLimits: { loadsInFlightMax: 1 } })
  for (const id of ['d1', 'd2', 'd3']) await client.create(id, one)
  for (const id of ['y', 'z']) await (await client.create(id, one)).close()
  await client.whenUploaded()
  client.disconnect()
  await rest()
  for (const id of ['y', 'z']) {
    const doc = client.open(id)
    doc.subscribe(() => {})
    await doc.settled()
    await doc.append('s', [jsonPayload(2)])
    await doc.close()
  }
  const opened = client.open('new')
  trace.length = 0
  client.reconnectNow()
  await rest()
  const loads = trace.filter((line) => line.startsWith('C>S LOAD')).map((line) => line.split(' ')[2])
  expect(loads).toEqual(['new=∅', 'y=s:2', 'z=s:2', 'd1=s:1', 'd2=s:1', 'd3=s:1'])
  expect(await opened.settled()).toBe('absent')
  await world.end()
})
