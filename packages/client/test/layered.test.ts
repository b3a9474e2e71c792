/**
 * A client over layers: what it owes is marked for as long as it is owed, whatever becomes of a layer, and no longer.
 *
 * Not here: runs without an upstream, kills (`forgotten.test.ts`), layers themselves (`@tidemark/reconciliation`).
 */
import { tidemarkJson } from '@tidemark/protocol'
import { layers } from '@tidemark/reconciliation/layers'
import { type Append, memoryStorage, type Storage } from '@tidemark/storage'
import { expect, test } from 'vitest'
import { jsonPayload } from '../src/index.ts'
import { createWorld, keptOpen, replaced } from './world.ts'

const header = jsonPayload({ root: true })
const run = (session: string, count: number) => ({
  session,
  after: 0,
  transactions: Array.from({ length: count }, (_, index) => jsonPayload(index)),
})
const document = (...runs: Append['runs']): Append => ({ id: 'x', kind: 'json', priority: 3, header, runs })

/** A store on a disk, which may be silent. */
function disk(content?: Append) {
  const real = memoryStorage()
  const opened = { ...real.open(), level: 'durable' as const }
  if (content !== undefined) real.append([content])
  const store = { real, isSilent: false, storage: real as Storage }
  store.storage = replaced(keptOpen(real), {
    open: () => opened,
    knownStates: (ids) => (store.isSilent ? new Promise(() => {}) : real.knownStates(ids)),
  })
  return store
}

const heldBy = (storage: Storage, session: string) =>
  Promise.resolve(storage.knownStates(['x'])).then(([state]) => state?.known.sessions.get(session))

test.each([false, true])(
  'a layer returns with more than the upstream has: uploaded, and its mark goes (open: %s)',
  async (isOpen) => {
    const held = memoryStorage()
    held.open()
    held.append([document(run('s', 1), run('t', 2))])
    const world = await createWorld(tidemarkJson, { storage: held })
    const [a, b] = [disk(document(run('s', 1))), disk(document(run('s', 3)))]
    a.real.append([], { marks: new Map([['tidemark outbox 1', new TextEncoder().encode('"x"')]]) })
    b.isSilent = true
    const storage = layers(
      [
        { storage: a.storage, name: 'a' },
        { storage: b.storage, name: 'b', write: 'best-effort' },
      ],
      { clock: world.clock },
    )
    const { client } = await world.client({ storage })
    if (isOpen) client.open('x').subscribe(() => {})
    await world.clock.advance(60_000)
    expect(client.status()).toMatchObject({ uploaded: false, pending: 1 })
    b.isSilent = false
    await world.clock.advance(600_000)
    expect([await heldBy(held, 's'), await heldBy(a.real, 't')]).toEqual([3, 2])
    expect([client.status('x').uploaded, client.status()]).toEqual([true, { uploaded: true, pending: 0 }])
    expect(await a.real.marks({ prefix: 'tidemark outbox', limit: 9 })).toEqual([])
    await world.end()
  },
)

test.each([0, 1, 3])(
  'an attached layer adds to %i of what is open and in step: owed until the upstream has it',
  async (count) => {
    const held = memoryStorage()
    const world = await createWorld(tidemarkJson, { storage: held })
    const a = disk(document(run('s', 1)))
    const storage = layers([{ storage: a.storage, name: 'a' }], { clock: world.clock })
    const { client } = await world.client({ storage })
    client.open('x').subscribe(() => {})
    await world.clock.advance(60_000)
    expect(client.status()).toEqual({ uploaded: true, pending: 0 })
    const b = disk(count === 0 ? undefined : document(run('s', count), run('u', count)))
    await storage.attach({ storage: b.storage, name: 'b' })
    await world.clock.advance(600_000)
    const expected = count === 0 ? [1, undefined] : [Math.max(1, count), count]
    expect([await heldBy(held, 's'), await heldBy(held, 'u')]).toEqual(expected)
    expect(client.status()).toEqual({ uploaded: true, pending: 0 })
    await world.end()
  },
)

test('what a remote layer brought while the upstream was away is owed to it, when the document is closed too', async () => {
  const held = memoryStorage()
  const world = await createWorld(tidemarkJson, { storage: held })
  const [a, far] = [disk(), disk(document(run('s', 2)))]
  // As another server: it does not say which documents it holds.
  const { list: _, ...capabilities } = far.real.open().capabilities
  const opened = { ...far.real.open(), level: 'durable' as const, capabilities: { ...capabilities, list: false } }
  const storage = layers(
    [
      { storage: a.storage, name: 'a' },
      { storage: replaced(far.storage, { open: () => opened }), name: 'far', remote: true },
    ],
    { clock: world.clock },
  )
  const { client } = await world.client({ storage })
  await world.clock.advance(60_000)
  expect(client.status()).toEqual({ uploaded: true, pending: 0 })
  client.disconnect()
  const doc = client.open('x')
  expect(await doc.settled()).toBe('present')
  await doc.close()
  await world.clock.advance(60_000)
  expect([await heldBy(a.real, 's'), client.status('x').uploaded]).toEqual([2, false])
  client.reconnectNow()
  await client.whenUploaded()
  expect(await heldBy(held, 's')).toBe(2)
  await world.end()
})
