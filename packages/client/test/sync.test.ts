/**
 * Two clients and a server, in all dialects: what each writes reaches the other, also from offline, and nothing crosses twice.
 */
import { dialects, tidemarkJson } from '@tidemark/protocol'
import { memoryStorage } from '@tidemark/storage'
import { describe, expect, test } from 'vitest'
import { jsonPayload } from '../src/index.ts'
import { rest } from './clock.ts'
import { collect, createWorld, delayed, keptOpen } from './world.ts'

const header = jsonPayload({ root: true })

describe.each(dialects.map((dialect) => [dialect.name, dialect] as const))('in the dialect %s', (_, dialect) => {
  test('two clients edit one document live', async () => {
    const world = await createWorld(dialect)
    const a = await world.client()
    const b = await world.client()
    const mine = await a.client.create('note', { header, session: 'a', transactions: [jsonPayload('one')] })
    await mine.whenUploaded()
    const theirs = b.client.open('note')
    expect(await theirs.settled()).toBe('present')
    const [atA, atB] = [collect(mine), collect(theirs)]
    await rest()

    await theirs.append('b', [jsonPayload('two')])
    await mine.append('a', [jsonPayload('three')])
    await rest()

    expect(atB).toEqual(['header', 'a:0="one"', 'a:1="three"'])
    expect(atA).toEqual(['b:0="two"'])
    expect(mine.known).toEqual(theirs.known)
    await world.end()
  })

  test('what two clients wrote offline converges after they reconnected', async () => {
    const world = await createWorld(dialect)
    const a = await world.client()
    const b = await world.client()
    const mine = await a.client.create('note', { header })
    await mine.whenUploaded()
    const theirs = b.client.open('note')
    await theirs.settled()
    const [atA, atB] = [collect(mine), collect(theirs)]
    a.client.disconnect()
    b.client.disconnect()

    await mine.append('a', [jsonPayload(1), jsonPayload(2)])
    await theirs.append('b', [jsonPayload(3)])
    await rest()
    expect([atA, atB]).toEqual([[], ['header']])

    a.client.reconnectNow()
    b.client.reconnectNow()
    await rest()
    expect(atA).toEqual(['b:0=3'])
    expect(atB).toEqual(['header', 'a:0=1', 'a:1=2'])
    await world.end()
  })

  test('a client that was reloaded downloads nothing again', async () => {
    const world = await createWorld(dialect)
    const storage = memoryStorage()
    const first = await world.client()
    const made = await first.client.create('note', { header, session: 's', transactions: [jsonPayload(1)] })
    await made.whenUploaded()
    const doc = (await world.client({ storage: keptOpen(storage) })).client.open('note')
    await doc.settled()
    await rest()

    await doc.close()
    const again = await world.client({ storage: keptOpen(storage) })
    const reopened = again.client.open('note')
    const got = collect(reopened)
    await rest()
    expect(got).toEqual(['header', 's:0=1'])
    expect(again.trace).toEqual(['C>S LOAD note=s:1', 'S>C KNOWN note=s:1'])
    await world.end()
  })

  test('a server that comes back empty gets everything back', async () => {
    const world = await createWorld(dialect)
    const { client } = await world.client()
    const doc = await client.create('note', { header, session: 's', transactions: [jsonPayload(1), jsonPayload(2)] })
    await client.whenUploaded('note')

    const empty = memoryStorage()
    await world.server.restart(empty)
    await world.clock.advance(1_000)
    await doc.whenUploaded()
    const [state] = await empty.knownStates(['note'])
    expect(state?.known).toEqual(doc.known)
    await world.end()
  })

  test('uploaded means durable at the server, and not before', async () => {
    const world = await createWorld(dialect)
    const storage = memoryStorage()
    await world.server.restart(delayed(storage, world.clock, 300))
    const { client } = await world.client()
    const doc = await client.create('note', { header, session: 's', transactions: [jsonPayload(1)] })
    let uploaded = false
    const waiting = doc.whenUploaded().then(() => {
      uploaded = true
    })
    await world.clock.advance(599)
    expect([uploaded, doc.status.uploaded]).toEqual([false, false])
    // One look-up and one append at the server, 300 ms each.
    await world.clock.advance(1)
    await waiting
    expect((await storage.knownStates(['note']))[0]?.known).toEqual(doc.known)
    expect(doc.status.uploaded).toBe(true)
    await world.end()
  })

  test('a document that is not open is uploaded for whoever waits for it', async () => {
    const held = memoryStorage()
    const world = await createWorld(dialect, { storage: held })
    const { client } = await world.client()
    client.disconnect()
    const doc = await client.create('note', { header, session: 's', transactions: [jsonPayload(1)] })
    await doc.close()
    const waiting = client.whenUploaded('note')
    client.reconnectNow()
    await waiting
    expect((await held.knownStates(['note']))[0]?.known).toEqual(doc.known)
    await world.end()
  })

  test('what was written offline and closed is sent when there is a connection', async () => {
    const held = memoryStorage()
    const world = await createWorld(dialect, { storage: held })
    const { client, trace } = await world.client()
    client.disconnect()
    const doc = await client.create('note', { header })
    await doc.append('s', [jsonPayload(1)])
    await doc.close()
    client.reconnectNow()
    await rest()
    expect((await held.knownStates(['note']))[0]?.known).toEqual(doc.known)

    // Confirmed, it is not sent again; nor even offered, where the server says that it is still the same.
    const heard = trace.length
    client.disconnect()
    client.reconnectNow()
    await rest()
    const compared = ['C>S LOAD note=s:1', 'S>C KNOWN note=s:1']
    expect(trace.slice(heard)).toEqual(dialect.traits.hello ? [] : compared)
    await world.end()
  })

  test('nothing of documents and connections is left when they are closed', async () => {
    const world = await createWorld(dialect)
    const { client } = await world.client()
    const doc = await client.create('note', { header, session: 's', transactions: [jsonPayload(1)] })
    const other = client.open('nowhere')
    await other.settled()
    await doc.whenUploaded()
    await Promise.all([doc.close(), other.close()])
    client.disconnect()
    await rest()
    const gone = { connections: 0, documents: 0, subscriptions: 0, parked: 0, queued: 0, checks: 0 }
    expect(client.sizes()).toMatchObject(gone)
    expect(world.server.runner.sizes()).toMatchObject(gone)
    await world.end()
  })
})

test('(own dialect) a server is told when a document is no longer wanted', async () => {
  const world = await createWorld(tidemarkJson)
  const { client, trace } = await world.client()
  const doc = await client.create('note', { header })
  await doc.whenUploaded()
  await doc.close()
  await rest()
  expect(trace.at(-1)).toBe('C>S DONE note')
  await world.end()
})

test('(own dialect) what a server refuses is said with the document, and it stays here', async () => {
  let allowed = false
  const world = await createWorld(tidemarkJson, { hooks: { authorize: () => allowed } })
  const { client } = await world.client()
  const doc = await client.create('note', { header, session: 's', transactions: [jsonPayload(1)] })
  await rest()
  expect(doc.status).toMatchObject({ uploaded: false, refused: { code: 'forbidden' } })
  expect(doc.state).toBe('present')

  allowed = true
  client.disconnect()
  client.reconnectNow()
  await doc.whenUploaded()
  await rest()
  expect(doc.status).toEqual({ uploaded: true, refused: undefined })
  await world.end()
})
