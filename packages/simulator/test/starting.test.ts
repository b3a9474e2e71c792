/**
 * Processes that do not start: tried again while that may pass, and at last the failure of their world.
 */
import { memoryStorage, type Storage, StorageError } from '@tidemark/storage'
import { expect, test } from 'vitest'
import { calm, createWorld, type Outcome, simulate, type World } from '../src/index.ts'

const broken = new StorageError('CORRUPT', 'nobody can read this')

/** A storage that opens for nobody, or so often only. */
function opening(times: number): (generation: string) => Storage {
  return (generation) => {
    const storage = memoryStorage({ generation })
    const open = () => {
      if (times-- > 0) return storage.open()
      throw broken
    }
    return { ...storage, open }
  }
}

const sentence =
  /^Error: seed 7: expected (server|anna) to start, and 1000 tries failed, at last with StorageError: nobody can read this: look at/

async function play(scenario: (world: World) => Promise<void>): Promise<Outcome> {
  return simulate(scenario, 7, calm)
}

test('a server that can never start fails its world with the seed, who it was and why', async () => {
  const { failure, world } = await play(async (world) => {
    await world.server('server', { makeStorage: opening(0) })
  })
  expect(String(failure?.cause)).toMatch(sentence)
  expect(failure?.cause).toMatchObject({ cause: broken })
  expect(world.trace.at(-1)).toContain('seed 7: expected server to start')
})

test('so does a client, and who is only started again', async () => {
  const { failure } = await play(async (world) => {
    const server = await world.server('server')
    const anna = await world.client('anna', { server, makeStorage: opening(1) })
    anna.crash('kept')
    await world.heal()
  })
  expect(String(failure?.cause)).toMatch(sentence)
})

test('a disk that fails for longer than that keeps nobody from starting when it works again', async () => {
  const world = createWorld(7, calm)
  const server = await world.server('server')
  server.crash('kept')
  server.disk.outage = 'fails'
  world.after(3_000_000, () => {
    server.disk.outage = undefined
  })
  void server.start()
  await world.pass(3_002_000)
  expect(server.server).toBeDefined()
})
