/**
 * Wires: what an end is told of a connection that was lost, whenever it opens it.
 */
import { tidemarkJson } from '@tidemark/protocol'
import type { Receiver } from '@tidemark/sync/run'
import { expect, test } from 'vitest'
import { createChance } from '../src/chance.ts'
import { calm } from '../src/faults.ts'
import { createProcess } from '../src/process.ts'
import { createSchedule } from '../src/schedule.ts'
import { createWire } from '../src/wire.ts'

function connect() {
  const schedule = createSchedule()
  const end = () => ({
    process: createProcess(schedule, createChance(1), () => 0),
    dialect: tidemarkJson,
    ended() {},
  })
  const ends = [end(), end()] as const
  const wire = createWire({ schedule, chance: createChance(1), faults: calm.network, ends, quietUntil: () => 0 })
  return { schedule, ends, wire }
}

function listener(told: string[]): Receiver {
  return {
    frame: () => void told.push('frame'),
    drained() {},
    closed: (code, reason) => void told.push(`closed ${code} ${reason}`),
  }
}

test('who opens a channel that was cut before is told once that it is over, and nothing else', async () => {
  const { schedule, wire } = connect()
  const told: string[] = []
  wire.channels[1].send('hello')
  await schedule.pass(100)
  wire.cut([0, 0])
  await schedule.pass(100)
  wire.channels[0].open(listener(told))
  expect(told).toEqual([])
  await schedule.pass(100)
  expect(told).toEqual(['closed 1006 the connection was lost'])
})

test('so is who opens a channel that its other end has closed; a process that has ended is told nothing', async () => {
  const { schedule, ends, wire } = connect()
  const [mine, dead]: [string[], string[]] = [[], []]
  wire.channels[1].close(1013, 'too many')
  await schedule.pass(100)
  wire.channels[0].open(listener(mine))
  ends[1].process.kill()
  wire.channels[1].open(listener(dead))
  await schedule.pass(100)
  expect({ mine, dead }).toEqual({ mine: ['closed 1013 too many'], dead: [] })
})
