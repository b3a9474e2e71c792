/**
 * Worlds whose server keeps its documents in several disks, each with faults of its own: `layers` heals them (L12).
 */
import { expect, test } from 'vitest'
import { disks, households, losses, simulate, storm } from '../src/index.ts'

const WORLDS = 8

for (const [index, faults] of [disks, losses, storm].entries())
  for (const count of [2, 3])
    test(`${faults.name}: the laws hold in ${WORLDS} worlds of a server with ${count} disks`, async () => {
      const scenario = households({ clients: 3, operations: 40, server: { disks: count }, varied: true })
      for (let number = 1; number <= WORLDS; number++) {
        const seed = 5_000_000 + index * 10_000 + count * 1_000 + number
        const { failure, world } = await simulate(scenario, seed, faults)
        if (failure !== undefined)
          throw new Error(`seed ${seed}, ${faults.name}: ${failure.cause}`, { cause: failure.cause })
        expect(world.servers[0]?.disks.length).toBe(count)
      }
    })
