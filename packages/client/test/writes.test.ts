/**
 * Writing: durable or refused as a whole, in order, by one writer.
 */
import { knownState } from '@tidemark/known-state'
import { tidemarkJson } from '@tidemark/protocol'
import { type AppendResult, memoryStorage, type Storage, StorageError, type StorageErrorCode } from '@tidemark/storage'
import { describe, expect, test } from 'vitest'
import { createClient, type Doc, jsonPayload } from '../src/index.ts'
import { manualClock, rest } from './clock.ts'
import { collect, createWorld, delayed, keptOpen, replaced } from './world.ts'

const header = jsonPayload({ root: true })
const numbers = (...values: number[]) => values.map(jsonPayload)

type Failing = 'whole' | StorageErrorCode | undefined

/** A storage that refuses documents, or fails as a whole, for as long as it is told to; or for `times` appends. */
interface Fragile {
  readonly storage: Storage
  readonly real: Storage
  fail: Failing
  times: number
  appends: number
}

function fragile(): Fragile {
  const real = memoryStorage()
  const state: Fragile = {
    real,
    fail: undefined,
    times: Number.POSITIVE_INFINITY,
    appends: 0,
    storage: replaced(real, {
      append(batch, options) {
        state.appends += 1
        const fail = state.times-- > 0 ? state.fail : undefined
        if (fail === undefined) return real.append(batch, options)
        if (fail === 'whole') throw new StorageError('IO', 'the disk is gone')
        return batch.map((): AppendResult => ({ failed: fail }))
      },
    }),
  }
  return state
}

async function alone(storage: Storage = memoryStorage()) {
  return createClient({ storage, kind: 'json', clock: manualClock() })
}

const stored = async (storage: Storage, id: string) => (await storage.knownStates([id]))[0]?.known

describe('appending', () => {
  test('resolves when it is durable here, in the order of the calls', async () => {
    const clock = manualClock()
    const storage = memoryStorage()
    const client = await createClient({ storage: delayed(storage, clock, 100), kind: 'json', clock })
    const creating = client.create('note', { header })
    await clock.advance(200)
    const doc = await creating
    const order: string[] = []
    const note = (name: string) => () => order.push(name)
    const done = [
      doc.append('s', numbers(1)).then(note('first')),
      doc.append('s', numbers(2, 3)).then(note('second')),
      doc.append('t', numbers(4)).then(note('third')),
    ]
    await clock.advance(99)
    expect([order, await stored(storage, 'note')]).toEqual([[], knownState(true)])
    await clock.advance(500)
    await Promise.all(done)
    expect(order).toEqual(['first', 'second', 'third'])
    expect(doc.known).toEqual(
      knownState(true, [
        ['s', 3],
        ['t', 1],
      ]),
    )
    expect(await stored(storage, 'note')).toEqual(doc.known)
    await client.close()
  })

  test('many appends of a session travel together', async () => {
    const state = fragile()
    const client = await alone(state.storage)
    const doc = await client.create('note', { header })
    const before = state.appends
    await Promise.all(Array.from({ length: 1_000 }, (_, index) => doc.append('s', numbers(index))))
    expect(state.appends - before).toBe(2)
    expect(doc.known.sessions.get('s')).toBe(1_000)
    await client.close()
  })

  test.each([
    ['QUOTA', 'QUOTA'],
    ['TOO_LARGE', 'TOO_LARGE'],
    ['BUSY', 'BUSY'],
    ['IO', 'STORAGE'],
    ['whole', 'STORAGE'],
  ] as const)(
    'a storage that says %s rejects it as %s, nothing is stored, and the next one works',
    async (fail, code) => {
      const state = fragile()
      const client = await alone(state.storage)
      const doc = await client.create('note', { header, session: 's', transactions: numbers(1) })
      state.fail = fail
      await expect(doc.append('s', numbers(2))).rejects.toMatchObject({ name: 'ClientError', code, id: 'note' })
      expect(await stored(state.real, 'note')).toEqual(knownState(true, [['s', 1]]))

      state.fail = undefined
      await doc.append('s', numbers(3))
      expect(await stored(state.real, 'note')).toEqual(knownState(true, [['s', 2]]))
      const again = collect(client.open('note'))
      await rest()
      expect(again).toEqual(['header', 's:0=1', 's:1=3'])
      await client.close()
    },
  )

  test('what was appended to a session behind a refused append is refused with it; other sessions go on', async () => {
    const state = fragile()
    const client = await alone(state.storage)
    const doc = await client.create('note', { header })
    state.fail = 'QUOTA'
    state.times = 1
    const results = Promise.allSettled([
      doc.append('s', numbers(1)),
      doc.append('t', numbers(2)),
      doc.append('s', numbers(3)),
    ])
    expect((await results).map(({ status }) => status)).toEqual(['rejected', 'fulfilled', 'rejected'])
    await client.close()
  })

  test('a session has one writer: another handle is refused it, until the first is closed', async () => {
    const client = await alone()
    const first = await client.create('note', { header, session: 's', transactions: numbers(1) })
    const second = client.open('note')
    await expect(second.append('s', numbers(2))).rejects.toMatchObject({ code: 'SESSION_TAKEN', session: 's' })
    await first.close()
    collect(second)
    await second.append('s', numbers(2))
    expect(second.known).toEqual(knownState(true, [['s', 2]]))
    await client.close()
  })

  test('a session in which something else is stored is a fork: refused, at once from then on; others go on', async () => {
    const client = await alone()
    const doc = await client.create('note', { header })
    const unread = client.open('note')
    await unread.settled()
    // Nobody reads here, so this handle is not told of what the other one writes.
    await doc.append('s', numbers(1))
    await doc.close()
    await expect(unread.append('s', numbers(2))).rejects.toMatchObject({ code: 'FORK', session: 's' })
    await expect(unread.append('s', numbers(2))).rejects.toMatchObject({ code: 'FORK', session: 's' })
    await unread.append('t', numbers(3))
    await client.close()
  })

  test('a session that two clients wrote is reported as a fork, and other sessions go on', async () => {
    const world = await createWorld(tidemarkJson)
    const [a, b] = [await world.client({ kind: 'bytes' }), await world.client({ kind: 'bytes' })]
    const mine = await a.client.create('note', { header })
    await mine.whenUploaded()
    const theirs = b.client.open('note')
    const reports: string[] = []
    a.client.listen((report) => report.kind === 'fork' && reports.push(`${report.id} ${report.sessions}`))
    a.client.disconnect()
    await mine.append('s', numbers(1))
    await theirs.append('s', numbers(2))
    a.client.reconnectNow()
    await rest()
    expect(reports).toEqual(['note s'])
    await theirs.append('t', numbers(3))
    collect(mine)
    await rest()
    expect(mine.known.sessions.get('t')).toBe(1)
    await world.end()
  })

  test('a session is continued by who has read it: a reader is waited for, without one it is refused', async () => {
    const client = await alone()
    const large = new Array(50).fill(jsonPayload('x'.repeat(1_000)))
    const first = await client.create('note', { header })
    for (let part = 0; part < 5; part++) await first.append('s', large)
    await first.close()
    const doc = client.open('note')
    await doc.settled()
    await expect(doc.append('s', numbers(1))).rejects.toMatchObject({ code: 'GAP', session: 's' })
    await doc.append('t', numbers(1))
    const appending = doc.append('s', numbers(2)).catch((error: unknown) => error)
    expect(await appending).toMatchObject({ code: 'GAP' })

    const got = collect(doc)
    await doc.append('s', numbers(3))
    expect(got).toHaveLength(251)
    expect(doc.known).toEqual(
      knownState(true, [
        ['s', 251],
        ['t', 1],
      ]),
    )
    await client.close()
  })

  test('opened after more than is stored, a session cannot be continued: that would leave a gap', async () => {
    const client = await alone()
    await (await client.create('note', { header, session: 's', transactions: numbers(1) })).close()
    const doc = client.open('note', { after: knownState(true, [['s', 5]]) })
    await expect(doc.append('s', numbers(2))).rejects.toMatchObject({ code: 'GAP' })
    await doc.append('t', numbers(2))
    await client.close()
  })

  test('payloads of a json document are JSON texts', async () => {
    const client = await alone()
    const doc = await client.create('note', { header })
    await expect(doc.append('s', [new Uint8Array([0xff])])).rejects.toThrow(TypeError)
    await expect(doc.append('s', ['{}' as unknown as Uint8Array])).rejects.toThrow('expected bytes')
    const behindAnother = [doc.append('s', numbers(1)), doc.append('s', [new Uint8Array([0xff])])]
    expect((await Promise.allSettled(behindAnother)).map(({ status }) => status)).toEqual(['fulfilled', 'rejected'])
    await doc.append('s', [])
    expect(doc.known).toEqual(knownState(true, [['s', 1]]))
    await client.create('blob', {
      kind: 'bytes',
      header: new Uint8Array(),
      session: 's',
      transactions: [new Uint8Array([0xff])],
    })
    await client.close()
  })
})

describe('creating', () => {
  test('waits for the answer, and is refused unless everybody said that the document is absent', async () => {
    const world = await createWorld(tidemarkJson)
    const [a, b] = [await world.client(), await world.client()]
    const first = a.client.open('home')
    await first.create({ header, session: 's', transactions: numbers(1) })
    await first.whenUploaded()
    await expect(first.create({ header })).rejects.toMatchObject({ code: 'EXISTS' })
    await expect(b.client.open('home').create({ header })).rejects.toMatchObject({ code: 'EXISTS' })
    await world.end()
  })

  test('of the same document by two at once makes one document, with what both wrote', async () => {
    const world = await createWorld(tidemarkJson)
    const clients = [await world.client(), await world.client()]
    const docs = clients.map(({ client }) => client.open('home'))
    docs.forEach(collect)
    await Promise.all(docs.map((doc) => doc.settled()))
    await Promise.all(
      docs.map((doc, index) => doc.create({ header, session: `s${index}`, transactions: numbers(index) })),
    )
    await rest()
    const both = knownState(true, [
      ['s0', 1],
      ['s1', 1],
    ])
    expect(docs.map(sorted)).toEqual([sortedState(both), sortedState(both)])
    await world.end()
  })

  test('under an id that was made up just now asks nobody, and works offline', async () => {
    const world = await createWorld(tidemarkJson)
    const { client, trace } = await world.client()
    client.disconnect()
    const doc = await client.create('note', { header, session: 's', transactions: numbers(1) })
    expect([doc.state, doc.known]).toEqual(['present', knownState(true, [['s', 1]])])
    client.reconnectNow()
    await doc.whenUploaded()
    expect(trace.filter((line) => line.startsWith('C>S'))).toEqual(['C>S LOAD note=s:1', 'C>S CONTENT note s:0+1'])
    await world.end()
  })

  test('with another header than the one that is stored is refused', async () => {
    const client = await alone()
    await client.create('note', { header })
    await expect(client.create('note', { header: jsonPayload('another') })).rejects.toMatchObject({ code: 'EXISTS' })
    // The same one again is the same document.
    const same = await client.create('note', { header })
    expect(same.state).toBe('present')
    await client.close()
    expect(client.sizes()).toMatchObject({ connections: 0, subscriptions: 0 })
  })

  test('that the storage refuses leaves nothing', async () => {
    const state = fragile()
    const client = await alone(state.storage)
    state.fail = 'QUOTA'
    await expect(client.create('note', { header })).rejects.toMatchObject({ code: 'QUOTA' })
    const doc = client.open('home')
    await expect(doc.create({ header })).rejects.toMatchObject({ code: 'QUOTA' })
    expect(doc.state).toBe('absent')
    state.fail = undefined
    await doc.create({ header })
    expect(doc.state).toBe('present')
    await client.close()
  })

  test('is needed before anything can be appended', async () => {
    const client = await alone()
    const doc = client.open('home')
    await expect(doc.append('s', numbers(1))).rejects.toMatchObject({ code: 'ABSENT' })
    await Promise.all([doc.create({ header }), doc.append('s', numbers(1))])
    expect(doc.known).toEqual(knownState(true, [['s', 1]]))
    await client.close()
  })
})

describe('closing', () => {
  test('during writes waits for them, and loses none', async () => {
    const clock = manualClock()
    const storage = memoryStorage()
    const client = await createClient({ storage: delayed(keptOpen(storage), clock, 100), kind: 'json', clock })
    const creating = client.create('note', { header })
    await clock.advance(200)
    const doc = await creating
    const writing = [doc.append('s', numbers(1)), doc.append('t', numbers(2)), doc.append('s', numbers(3))]
    const closing = client.close()
    await expect(doc.append('s', numbers(4))).rejects.toMatchObject({ code: 'CLOSED' })
    await clock.advance(2_000)
    await Promise.all([...writing, closing])
    expect(await stored(storage, 'note')).toEqual(
      knownState(true, [
        ['s', 2],
        ['t', 1],
      ]),
    )
    expect(client.sizes()).toMatchObject({ connections: 0, subscriptions: 0, queued: 0, parked: 0 })
    expect(clock.waits()).toEqual([])
  })

  test('does not wait for ever for a storage that settles nothing', async () => {
    const clock = manualClock()
    const storage = memoryStorage()
    const client = await createClient({
      storage: replaced(storage, { append: () => new Promise(() => {}) }),
      kind: 'json',
      clock,
    })
    const creating = expect(client.create('note', { header })).rejects.toMatchObject({ code: 'CLOSED' })
    const closing = client.close()
    await clock.advance(10_000)
    await closing
    await creating
    expect(clock.waits()).toEqual([])
  })

  test('happens at the end of a scope', async () => {
    let left: Doc | undefined
    {
      await using client = await alone()
      await using doc = await client.create('note', { header })
      left = doc
    }
    await expect(left.append('s', numbers(1))).rejects.toMatchObject({ code: 'CLOSED' })
  })
})

const sorted = (doc: Doc) => sortedState(doc.known)
const sortedState = ({ header, sessions }: Doc['known']) => ({ header, sessions: [...sessions].sort() })

/** A document whose erasure is done, and its storage said that it failed; whoever opens it then is told of what is gone. */
async function erasedUnknowingly() {
  const disk = memoryStorage()
  const clock = manualClock()
  const hooks = { isTombstone: (session: string) => session === 'tombstone' }
  let erasures = 0
  let reads = 0
  let breakRead = Number.NaN
  const storage = replaced(disk, {
    erase: async (id, version, options) => {
      erasures += 1
      const erased = await disk.erase(id, version, options)
      if (erasures === 1) throw new StorageError('IO', 'its answer was lost')
      return erased
    },
    read: async (id, after, options) => {
      reads += 1
      if (reads === breakRead) throw new StorageError('IO', 'it could not be read')
      return disk.read(id, after, options)
    },
  })
  const client = await createClient({ storage, kind: 'json', clock, hooks })
  const writer = await client.create('x', { header, session: 's', transactions: numbers(1, 2, 3) })
  await writer.append('tombstone', numbers(0))
  await writer.close()
  await rest()
  const failRead = (index: number) => {
    breakRead = reads + index
  }
  return { client, clock, failRead }
}

test.each([0, 2])(
  'what waits for content that was erased meanwhile is written, or refused, and never hangs (storm, seed 28000566; read %i fails)',
  async (failing) => {
    const { client, clock, failRead } = await erasedUnknowingly()
    failRead(failing)
    const doc = client.open('x')
    collect(doc)
    const written = doc.append('s', numbers(4)).then(
      () => 'written',
      (error) => error.code,
    )
    await clock.advance(60_000)
    expect(await Promise.race([written, rest().then(() => 'hangs')])).toBe('written')
    await client.close()
  },
)
