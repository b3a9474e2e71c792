/**
 * A storage that is closed for good under a client: everybody who waits is told, and nothing is left. Not here: tabs (`tabs-ending.test.ts`).
 */
import { tidemarkJson } from '@tidemark/protocol'
import { memoryStorage, StorageError } from '@tidemark/storage'
import { expect, test } from 'vitest'
import { jsonPayload } from '../src/index.ts'
import { rest } from './clock.ts'
import { createWorld, replaced } from './world.ts'

const header = jsonPayload({ root: true })

async function createLosing() {
  const world = await createWorld(tidemarkJson)
  const real = memoryStorage()
  const gone = new StorageError('CLOSED', 'another tab upgraded the store')
  let broken: readonly string[] = []
  const methods = ['knownStates', 'headers', 'read', 'append', 'marks', 'list'] as const
  const storage = replaced(
    real,
    Object.fromEntries(
      methods.map((name) => [
        name,
        (...args: never[]) =>
          broken.includes(name)
            ? Promise.reject(gone)
            : (real[name] as unknown as (...args: never[]) => never)(...args),
      ]),
    ),
  )
  const { client } = await world.client({ storage })
  function lose(...names: string[]): void {
    broken = names.length > 0 ? names : methods
  }
  return { ...world, client, gone, lose }
}

const outcome = (work: Promise<unknown>) =>
  work.then(
    (value) => value,
    (cause) => [cause.name, cause.code, cause.cause],
  )

test('a storage that is closed for good rejects what is written, asked and waited for, and the client is offline', async () => {
  const { client, clock, server, gone, lose, end } = await createLosing()
  const doc = await client.create('x', { header })
  client.disconnect()
  await doc.append('s', [jsonPayload(1)])
  const uploaded = outcome(client.whenUploaded())
  client.reconnectNow()
  lose()
  const works = [doc.append('s', [jsonPayload(2)]), client.open('y').settled(), client.create('z', { header })]
  const outcomes = Promise.all([...works.map(outcome), uploaded])
  await clock.advance(1_000)
  const told = ['ClientError', 'CLOSED', gone]
  expect(await outcomes).toEqual([told, told, told, told])
  expect(() => client.open('w')).toThrow('closed for good: another tab upgraded the store')
  expect(await outcome(client.whenUploaded())).toEqual(told)
  expect([client.connection, server.runner.sizes().connections]).toEqual(['offline', 0])
  const closing = client.close()
  await clock.advance(1)
  await closing
  await end()
  expect(clock.waits()).toEqual([])
})

test('one failure that says CLOSED is not believed while the storage itself answers', async () => {
  const { client, clock, lose, end } = await createLosing()
  await client.create('x', { header })
  lose('knownStates')
  const doc = client.open('y')
  await clock.advance(1_000)
  lose('none')
  await clock.advance(60_000)
  expect(await doc.settled()).toBe('absent')
  await end()
})

test('whoever waits for an upload is told when the storage is closed for good, also while online', async () => {
  const { client, clock, server, gone, lose } = await createLosing()
  await server.restart(replaced(memoryStorage(), { append: () => new Promise(() => {}) }))
  client.reconnectNow()
  const doc = await client.create('x', { header })
  await rest()
  const waits = [outcome(client.whenUploaded()), outcome(client.whenUploaded('x'))]
  await rest()
  lose()
  doc.append('s', [jsonPayload(1)]).catch(() => {})
  await clock.advance(1_000)
  const told = ['ClientError', 'CLOSED', gone]
  expect(await Promise.all(waits)).toEqual([told, told])
})

test('asking for an upload is enough to notice that the storage is closed for good', async () => {
  const { client, gone, lose } = await createLosing()
  await client.create('x', { header })
  lose()
  expect([await outcome(client.whenUploaded('x')), client.connection]).toEqual([
    ['ClientError', 'CLOSED', gone],
    'offline',
  ])
})

test('a mark that cannot be removed because the storage is closed for good is enough to notice it', async () => {
  const { client, clock, lose } = await createLosing()
  client.disconnect()
  await client.create('x', { header })
  lose('append', 'marks')
  client.reconnectNow()
  await clock.advance(1_000)
  expect(client.connection).toBe('offline')
  expect(() => client.open('w')).toThrow('closed for good')
})

test.each(['closed', 'lost'])('a look-up that is under way when the client is %s keeps nobody waiting', async (how) => {
  const world = await createWorld(tidemarkJson)
  const real = memoryStorage()
  const gone = () => Promise.reject(new StorageError('CLOSED', 'another tab upgraded the store'))
  let [isSlow, isGone] = [false, false]
  const { client } = await world.client({
    storage: replaced(real, {
      async knownStates(ids) {
        if (isGone) return gone()
        const states = await real.knownStates(ids)
        if (isSlow) await world.clock.wait(100)
        return states
      },
      append: (...args) => (isGone ? gone() : real.append(...args)),
      marks: (...args) => (isGone ? gone() : real.marks(...args)),
    }),
  })
  const doc = await client.create('x', { header })
  client.disconnect()
  await doc.append('s', [jsonPayload(1)])
  isSlow = true
  const waiting = outcome(client.whenUploaded('x'))
  isGone = how === 'lost'
  if (how === 'lost') doc.append('s', [jsonPayload(2)]).catch(() => {})
  else void client.close()
  await world.clock.advance(60_000)
  expect(await Promise.race([waiting, 'nothing'])).toEqual([
    'ClientError',
    'CLOSED',
    isGone ? expect.anything() : undefined,
  ])
})

test('after close() nobody waits for an upload', async () => {
  const { client, clock } = await createLosing()
  client.disconnect()
  await client.create('x', { header })
  const closing = client.close()
  await clock.advance(60_000)
  await closing
  for (const id of [undefined, 'x'])
    expect(await outcome(client.whenUploaded(id))).toEqual(['ClientError', 'CLOSED', undefined])
})
