/**
 * What is owed is not forgotten: runs without an upstream, kills between two commits, storages that answer a part only.
 *
 * A client that "crashes" is never closed; its storage outlives it. Not here: the outbox in its normal course (`outbox.test.ts`).
 */
import { tidemarkJson } from '@tidemark/protocol'
import { layers } from '@tidemark/reconciliation/layers'
import { type Changed, memoryStorage, type Storage, StorageError } from '@tidemark/storage'
import { expect, test } from 'vitest'
import { createClient, jsonPayload, storageLocks } from '../src/index.ts'
import { rest } from './clock.ts'
import { createWorld, keptOpen, replaced, type World } from './world.ts'

const header = jsonPayload({ root: true })
const one = { header, session: 's', transactions: [jsonPayload(1)] }
const heldBy = async (storage: Storage, id: string) => (await storage.knownStates([id]))[0]?.known.sessions.get('s')

const durable = (storage: Storage) =>
  replaced(storage, { open: async () => ({ ...(await storage.open()), level: 'durable' as const }) })

/** Writes documents, uploads them, and ends as it should. */
async function uploadedOnce(world: World, disk: Storage, ids: readonly string[]): Promise<void> {
  const { client } = await world.client({ storage: keptOpen(disk) })
  for (const id of ids) await (await client.create(id, one)).close()
  await client.whenUploaded()
  await client.close()
}

test('what a run without an upstream wrote is uploaded by the next one that has it', async () => {
  const held = memoryStorage()
  const world = await createWorld(tidemarkJson, { storage: keptOpen(held) })
  const disk = memoryStorage()
  await uploadedOnce(world, disk, ['a'])
  const local = await createClient({ storage: keptOpen(disk), kind: 'json', clock: world.clock })
  await (await local.create('b', one)).close()
  await local.close()
  const { client } = await world.client({ storage: keptOpen(disk) })
  await client.whenUploaded()
  expect([client.status('b').uploaded, await heldBy(held, 'b')]).toEqual([true, 1])
  await world.end()
})

test('a page of a comparison is done when what it found to be owed is marked', async () => {
  const world = await createWorld(tidemarkJson)
  const disk = memoryStorage()
  await uploadedOnce(world, disk, ['a', 'b'])
  const other = memoryStorage()
  const silentOfB = replaced(keptOpen(other), {
    knownStates: (ids) => (ids.includes('b') ? new Promise(() => {}) : other.knownStates(ids)),
  })
  await world.server.restart(silentOfB)
  const commits: string[] = []
  const watched = replaced(keptOpen(disk), {
    append(batch, options) {
      for (const [key, value] of options?.marks ?? [])
        commits.push(`${key.split(' ')[1]} ${value === undefined ? 'removed' : new TextDecoder().decode(value)}`)
      return disk.append(batch, options)
    },
  })
  await world.client({ storage: watched })
  await world.clock.advance(31_000)
  const noted = commits.findLastIndex((text) => text.startsWith('upstream') && !text.includes('after'))
  expect([commits.indexOf('outbox "b"') >= 0, noted]).toEqual([true, commits.length - 1])
  await world.server.runner.close()
})

test('a document stored beside one that was refused has its mark, whenever the process dies', async () => {
  const held = memoryStorage()
  const world = await createWorld(tidemarkJson, { storage: keptOpen(held) })
  const disk = memoryStorage()
  let isDead = false
  const store = replaced(keptOpen(disk), {
    append: async (batch, options) => {
      if (isDead) return new Promise<never>(() => {})
      if (!batch.some(({ id }) => id === 'large')) return disk.append(batch, options)
      isDead = true
      const [result] = await disk.append(batch.filter(({ id }) => id !== 'large'))
      return batch.map(({ id }) => (id === 'large' || result === undefined ? { failed: 'TOO_LARGE' } : result))
    },
  })
  const { client } = await world.client({ storage: store })
  client.disconnect()
  void Promise.allSettled([client.create('large', one), client.create('note', one)])
  await rest()
  expect(await heldBy(disk, 'note')).toBe(1)
  const { client: next } = await world.client({ storage: keptOpen(disk) })
  await next.whenUploaded()
  expect(await heldBy(held, 'note')).toBe(1)
})

test.each(['throws', 'answers'])('what the disk refused is not owed for ever (it %s so)', async (how) => {
  const world = await createWorld(tidemarkJson)
  const disk = memoryStorage()
  let isFull = true
  const { client } = await world.client({
    storage: replaced(disk, {
      append(batch, options) {
        if (!isFull || batch.length === 0) return disk.append(batch, options)
        if (how === 'throws') return Promise.reject(new StorageError('QUOTA', 'full'))
        return batch.map(() => ({ failed: 'QUOTA' as const }))
      },
    }),
  })
  const created = client.create('x', one).catch((cause) => cause.code)
  await world.clock.advance(5_000)
  isFull = false
  await world.clock.advance(5_000)
  expect([await created, client.status()]).toEqual(['QUOTA', { uploaded: true, pending: 0 }])
  await client.whenUploaded()
  expect(await disk.marks({ prefix: 'tidemark outbox', limit: 9 })).toEqual([])
  await world.end()
})

test('a run without an upstream goes on with no session that an upstream may know more of', async () => {
  const world = await createWorld(tidemarkJson)
  const disk = memoryStorage()
  const first = await world.client({ storage: keptOpen(disk), sessionLocks: storageLocks() })
  const doc = await first.client.create('x', { header })
  const session = await doc.session()
  await doc.append(session, [jsonPayload(1)])
  await first.client.whenUploaded()
  await first.client.close()
  const local = await createClient({
    storage: keptOpen(disk),
    sessionLocks: storageLocks(),
    kind: 'json',
    clock: { ...world.clock, random: () => 0.1 },
  })
  const again = local.open('x')
  again.subscribe(() => {})
  await again.settled()
  await rest()
  expect(await again.session()).not.toBe(session)
  await local.close()
  await world.end()
})

test('while a layer is silent nothing is said to be uploaded, and marks stay', async () => {
  const held = memoryStorage()
  const world = await createWorld(tidemarkJson, { storage: keptOpen(held) })
  const disk = memoryStorage()
  const first = await world.client({ storage: keptOpen(disk) })
  const doc = await first.client.create('x', one)
  await first.client.whenUploaded()
  first.client.disconnect()
  await doc.append('s', [jsonPayload(2)])
  let isSilent = true
  const layered = replaced(keptOpen(disk), {
    async knownStates(ids) {
      const states = await disk.knownStates(ids)
      const known = { header: true, sessions: new Map([['s', 1]]) }
      return isSilent ? states.map((state) => state && { ...state, known, partial: true as const }) : states
    },
  })
  const { client } = await world.client({ storage: layered })
  expect([client.status('x').uploaded, client.status().pending]).toEqual([false, 1])
  isSilent = false
  client.disconnect()
  client.reconnectNow()
  await client.whenUploaded()
  expect(await heldBy(held, 'x')).toBe(2)
})

test('a layer that was silent answers that it has no more: then all is uploaded, and the mark goes', async () => {
  const held = memoryStorage()
  const world = await createWorld(tidemarkJson, { storage: keptOpen(held) })
  const disk = memoryStorage()
  disk.open()
  const transactions = [jsonPayload(1)]
  await disk.append(
    [{ id: 'x', kind: 'json', priority: 3, header, runs: [{ session: 's', after: 0, transactions }] }],
    {
      marks: new Map([['tidemark outbox 1', new TextEncoder().encode('"x"')]]),
    },
  )
  let isSilent = true
  const told = new Set<(change: Changed) => void>()
  const known = { header: true, sessions: new Map([['s', 1]]) }
  const layered = replaced(keptOpen(disk), {
    async knownStates(ids) {
      const states = await disk.knownStates(ids)
      return isSilent ? states.map((state) => state && { ...state, known, partial: true as const }) : states
    },
  })
  const watched = new Proxy(layered, {
    has: (target, name) => name === 'watch' || name in target,
    get: (target, name) =>
      name === 'watch'
        ? (listener: (change: Changed) => void) => {
            told.add(listener)
            return () => told.delete(listener)
          }
        : target[name as keyof Storage],
  })
  const { client } = await world.client({ storage: watched })
  await rest()
  expect(client.status()).toMatchObject({ uploaded: false, pending: 1 })
  isSilent = false
  for (const listener of told) listener({ id: 'x', before: known })
  await rest()
  expect([await heldBy(held, 'x'), client.status('x').uploaded, client.status().pending]).toEqual([1, true, 0])
})

test('while a layer is silent, an erasure that an earlier process left is neither denied nor forgotten', async () => {
  const world = await createWorld(tidemarkJson)
  const disk = memoryStorage()
  const hooks = { isTombstone: (session: string) => session === 'tombstone' }
  const options = { clock: world.clock, kind: 'json', hooks } as const
  const killed = replaced(keptOpen(disk), { erase: () => new Promise(() => {}) })
  const first = await createClient({ ...options, storage: killed })
  void (await first.create('x', one)).append('tombstone', [jsonPayload('gone')])
  await rest()
  let isSilent = true
  const known = { header: true, sessions: new Map([['s', 1]]) }
  const layered = replaced(keptOpen(disk), {
    async knownStates(ids) {
      const states = await disk.knownStates(ids)
      return isSilent ? states.map((state) => state && { ...state, known, partial: true as const }) : states
    },
  })
  const second = await createClient({ ...options, storage: layered })
  second.open('another')
  await world.clock.advance(10_000)
  expect(await disk.marks({ prefix: '\u{10ffff}tidemark erasing', limit: 9 })).toHaveLength(1)
  isSilent = false
  await world.clock.advance(60_000)
  expect((await disk.knownStates(['x']))[0]?.erased).toBeDefined()
})

test('what a layer brings later is owed to the upstream', async () => {
  const held = memoryStorage()
  const world = await createWorld(tidemarkJson, { storage: keptOpen(held) })
  const [a, b] = [durable(memoryStorage()), durable(memoryStorage())]
  await b.open()
  await b.append([
    { id: 'y', kind: 'json', priority: 3, header, runs: [{ session: 's', after: 0, transactions: [jsonPayload(1)] }] },
  ])
  const both = layers([{ storage: a, name: 'a' }], { clock: world.clock })
  const { client } = await world.client({ storage: both })
  await client.whenUploaded()
  await both.attach({ storage: b, name: 'b' })
  await world.clock.advance(600_000)
  expect([await heldBy(held, 'y'), client.status('y').uploaded]).toEqual([1, true])
})

test('what a layer that is new at the start holds is owed to the upstream', async () => {
  const held = memoryStorage()
  const world = await createWorld(tidemarkJson, { storage: keptOpen(held) })
  const [a, b] = [durable(memoryStorage()), durable(memoryStorage())]
  const layered = (names: ReadonlyMap<string, Storage>) =>
    layers(
      [...names].map(([name, storage]) => ({ storage: keptOpen(storage), name })),
      { clock: world.clock },
    )
  const first = await world.client({ storage: layered(new Map([['a', a]])) })
  await (await first.client.create('x', one)).close()
  await first.client.whenUploaded()
  await first.client.close()
  await b.open()
  await b.append([
    { id: 'y', kind: 'json', priority: 3, header, runs: [{ session: 's', after: 0, transactions: [jsonPayload(1)] }] },
  ])
  const { client } = await world.client({
    storage: layered(
      new Map([
        ['a', a],
        ['b', b],
      ]),
    ),
  })
  await world.clock.advance(60_000)
  expect([await heldBy(held, 'y'), client.status('y').uploaded]).toEqual([1, true])
})

test('a client that cannot be created closes the storage that it opened', async () => {
  let opened = 0
  const disk = memoryStorage()
  const failing = replaced(disk, {
    open(options) {
      opened += 1
      return disk.open(options)
    },
    close() {
      opened = 0
    },
    marks: () => Promise.reject(new Error('disk')),
  })
  await expect(createClient({ storage: failing, kind: 'json' })).rejects.toThrow('disk')
  expect(opened).toBe(0)
})

test('asking for a session leaves nothing on the signal', async () => {
  const world = await createWorld(tidemarkJson)
  const { client } = await world.client()
  const doc = await client.create('x', { header })
  const { signal } = new AbortController()
  const names: string[] = []
  const [add, remove] = [signal.addEventListener.bind(signal), signal.removeEventListener.bind(signal)]
  Object.assign(signal, {
    addEventListener(...given: Parameters<typeof add>) {
      names.push('added')
      add(...given)
    },
    removeEventListener(...given: Parameters<typeof remove>) {
      names.push('removed')
      remove(...given)
    },
  })
  await doc.session(signal)
  await rest()
  expect(names).toEqual(['added', 'removed'])
  await world.end()
})

test.each([0, 1, 2, 3, 4, 5])('going offline %i steps after the channel came is going offline', async (steps) => {
  const world = await createWorld(tidemarkJson)
  const client = await createClient({
    storage: memoryStorage(),
    clock: world.clock,
    kind: 'json',
    async connect(signal) {
      await rest()
      const channel = await world.server.connect(signal)
      let step = Promise.resolve()
      for (let index = 0; index < steps; index++) step = step.then(() => {})
      void step.then(() => client.disconnect())
      return channel
    },
  })
  await rest()
  await world.clock.advance(30_000)
  expect([client.connection, world.server.runner.sizes().connections]).toEqual(['offline', 0])
  await client.close()
})
