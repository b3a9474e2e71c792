/**
 * Which session a client writes in: one of its own, gone on with only where nobody else can have written in it (L13).
 */
import { tidemarkJson } from '@tidemark/protocol'
import { memoryStorage, type Storage } from '@tidemark/storage'
import { expect, test } from 'vitest'
import { type ClientOptions, type Doc, jsonPayload, storageLocks } from '../src/index.ts'
import { rest } from './clock.ts'
import { createWorld, keptOpen } from './world.ts'

const header = jsonPayload({ root: true })
const numbers = (...values: number[]) => values.map(jsonPayload)

/** A world whose clients are runs of one program over one storage after the other. */
async function createRuns() {
  const world = await createWorld(tidemarkJson)
  let chance = 0
  const clock = { ...world.clock, random: () => (chance = (chance + 0.618) % 1) }
  return {
    ...world,
    async run(disk: Storage, options: Partial<ClientOptions> = {}) {
      const { client } = await world.client({
        storage: keptOpen(disk),
        sessionLocks: storageLocks(),
        clock,
        ...options,
      })
      return client
    },
  }
}

/** Appends in the session that the handle is given; answers which that was. */
async function write(doc: Doc, ...values: number[]): Promise<string> {
  if ((await doc.settled()) === 'absent') await doc.create({ header })
  const session = await doc.session()
  await doc.append(session, numbers(...values))
  return session
}

/** Opens a document and reads it, as an application does. */
function read(client: { open(id: string): Doc }): Doc {
  const doc = client.open('note')
  doc.subscribe(() => {})
  return doc
}

async function copyOf(storage: Storage): Promise<Storage> {
  const copy = memoryStorage()
  await copy.open()
  const marks = await storage.marks({ prefix: '', limit: 1_000 })
  const page = await storage.read('note', { header: false, sessions: new Map() }, { bytesMax: 1e9 })
  await copy.append(page === undefined ? [] : [page], { marks: new Map(marks) })
  return copy
}

test('a run goes on with the session of the run before, where the upstream has confirmed its end', async () => {
  const { run, end } = await createRuns()
  const disk = memoryStorage()
  const first = await run(disk)
  const session = await write(read(first), 1, 2)
  expect(await first.open('other').session()).toBe(session)
  await first.whenUploaded()
  await first.close()
  const second = await run(disk)
  const doc = read(second)
  expect(await write(doc, 3)).toBe(session)
  await doc.whenUploaded()
  expect([...doc.known.sessions]).toEqual([[session, 3]])
  await end()
})

test('without locks every run has a session of its own, and so has a second handle of a document', async () => {
  const { run, end } = await createRuns()
  const disk = memoryStorage()
  const withoutLocks = { sessionLocks: undefined } as unknown as Partial<ClientOptions>
  const first = await run(disk, withoutLocks)
  const one = read(first)
  const session = await write(one, 1)
  expect([await one.session(), (await read(first).session()) === session]).toEqual([session, false])
  await first.whenUploaded()
  await first.close()
  expect(await write(read(await run(disk, withoutLocks)), 2)).not.toBe(session)
  await end()
})

test('a session whose lock somebody has is left to them', async () => {
  const { run, end } = await createRuns()
  const disk = memoryStorage()
  const taken = new Set<string>()
  const sessionLocks = {
    async take(session: string) {
      if (taken.has(session)) return undefined
      taken.add(session)
      return () => taken.delete(session)
    },
  }
  const first = await run(disk, { sessionLocks })
  const session = await write(read(first), 1)
  await first.whenUploaded()
  const second = await run(disk, { sessionLocks })
  expect(await read(second).session()).not.toBe(session)
  await first.close()
  await second.close()
  expect(taken.size).toBe(0)
  await end()
})

test('offline nobody confirms anything: a new session is written', async () => {
  const { run, end } = await createRuns()
  const disk = memoryStorage()
  const first = await run(disk)
  const session = await write(read(first), 1)
  await first.whenUploaded()
  await first.close()
  const second = await run(disk)
  second.disconnect()
  await rest()
  expect(await write(read(second), 2)).not.toBe(session)
  await end()
})

test('a client whose storage was rolled back writes a new session, in this run and for ever', async () => {
  const { run, end } = await createRuns()
  const disk = memoryStorage()
  const first = await run(disk)
  const doc = read(first)
  const session = await write(doc, 1)
  await doc.whenUploaded()
  const backup = await copyOf(disk)
  await doc.append(session, numbers(2, 3))
  await doc.whenUploaded()
  await first.close()

  const second = await run(backup)
  const again = read(second)
  await rest()
  const other = await write(again, 4)
  expect(other).not.toBe(session)
  await again.whenUploaded()
  expect(again.known.sessions).toEqual(
    new Map([
      [session, 3],
      [other, 1],
    ]),
  )
  await second.close()
  expect(await write(read(await run(backup)), 5)).not.toBe(session)
  await end()
})

test('a copy of a storage in use elsewhere ends with two sessions, not with a fork', async () => {
  const { run, end } = await createRuns()
  const disk = memoryStorage()
  const first = await run(disk)
  const session = await write(read(first), 1)
  await first.whenUploaded()
  const copy = await copyOf(disk)
  await first.close()
  const [one, two] = [await run(disk), await run(copy)]
  const [atOne, atTwo] = [read(one), read(two)]
  await rest()
  expect(await write(atOne, 2)).toBe(session)
  await one.whenUploaded()
  await rest()
  expect(await write(atTwo, 3)).not.toBe(session)
  await two.whenUploaded()
  await rest()
  expect(atOne.known).toEqual(atTwo.known)
  await end()
})

test('a client without an upstream goes on with its session in every run', async () => {
  const { run, end } = await createRuns()
  const disk = memoryStorage()
  const alone = { connect: undefined } as unknown as Partial<ClientOptions>
  const sessions = new Set<string>()
  for (const value of [1, 2, 3]) {
    const client = await run(disk, alone)
    sessions.add(await write(read(client), value))
    await client.close()
  }
  expect([sessions.size, (await disk.knownStates(['note']))[0]?.known.sessions.size]).toEqual([1, 1])
  await end()
})
