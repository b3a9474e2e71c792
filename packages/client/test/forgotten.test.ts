/**
 * What is owed is not forgotten: runs without an upstream, kills between two commits, storages that answer a part only.
 *
 * A client that "crashes" is never closed; its storage outlives it. Not here: the outbox in its normal course (`outbox.test.ts`).
 */
import { tidemarkJson } from '@tidemark/protocol'
import { memoryStorage, type Storage } from '@tidemark/storage'
import { expect, test } from 'vitest'
import { createClient, jsonPayload, storageLocks } from '../src/index.ts'
import { rest } from './clock.ts'
import { createWorld, keptOpen, replaced, type World } from './world.ts'

const header = jsonPayload({ root: true })
const one = { header, session: 's', transactions: [jsonPayload(1)] }
const heldBy = async (storage: Storage, id: string) => (await storage.knownStates([id]))[0]?.known.sessions.get('s')

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
