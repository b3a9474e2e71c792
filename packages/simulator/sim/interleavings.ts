/**
 * Plays every interleaving of three operations of two clients of one server, and says as JSON how many states there were.
 *
 *     node --import ./sources.ts --import ./interleave/opened.ts interleavings.ts [--states-max 200000] [--only 0]
 */
import { parseArgs } from 'node:util'
import { explore } from './interleave/explore.ts'
import { createInterleavedWorld, type Operation } from './interleave/world.ts'

/** Three operations each. */
const PROGRAMS: readonly (readonly Operation[])[] = [
  ['anna writes', 'ben writes', 'anna writes'],
  ['anna writes', 'ben writes', 'anna is cut off'],
  ['anna writes', 'anna writes', 'anna is cut off'],
  ['anna writes', 'ben is cut off', 'anna is cut off'],
]

const { values } = parseArgs({ options: { 'states-max': { type: 'string' }, only: { type: 'string' } } })
const statesMax = Number(values['states-max'] ?? 200_000)

for (const [index, operations] of PROGRAMS.entries())
  if (values.only === undefined || Number(values.only) === index)
    console.log(JSON.stringify({ operations, ...explore(() => createInterleavedWorld(operations), statesMax) }))
