/**
 * Worlds whose disks are SQLite databases in memory: the laws hold there as they do over plain memory.
 *
 * The simulator's disks bring the faults; that SQLite survives real ones is the subject of its own tests.
 */
import type { Storage } from '@tidemark/storage'
import { sqliteStorage } from '@tidemark/storage-sqlite'
import { afterEach, expect, test } from 'vitest'
import { households, profiles, simulate, type World } from '../src/index.ts'

const WORLDS = 2
const scenario = households({ clients: 3, operations: 40, varied: true })
let opened: Storage[] = []

afterEach(async () => {
  for (const storage of opened) await storage.close()
  opened = []
})

function makeStorage(): Storage {
  const storage = sqliteStorage({ path: ':memory:' })
  opened.push(storage)
  return storage
}

/** The same world, with other disks. */
function onSqlite(world: World): World {
  return new Proxy(world, {
    get(target, name: keyof World) {
      if (name === 'server')
        return (...[id, given]: Parameters<World['server']>) => target.server(id, { ...given, makeStorage })
      if (name === 'client')
        return (...[id, given]: Parameters<World['client']>) => target.client(id, { ...given, makeStorage })
      return target[name]
    },
  })
}

for (const [index, faults] of profiles.entries())
  test(`${faults.name}: the laws hold in ${WORLDS} worlds over SQLite`, async () => {
    for (let number = 1; number <= WORLDS; number++) {
      const seed = 4_000_000 + index * 1_000 + number
      const { failure, world } = await simulate((made) => scenario(onSqlite(made)), seed, faults)
      if (failure !== undefined)
        throw new Error(`seed ${seed}, ${faults.name}: ${failure.cause}`, { cause: failure.cause })
      expect(world.servers[0]?.disk.ids().length).toBeGreaterThan(0)
    }
    expect(opened.length).toBeGreaterThanOrEqual(4 * WORLDS)
  })
