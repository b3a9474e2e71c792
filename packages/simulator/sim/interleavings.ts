/**
 * Plays every interleaving of the operations of two clients of one server, and says as JSON how many states there were.
 *
 *     node --import ./sources.ts --import ./interleave/opened.ts interleavings.ts
 *         [--operations 3] [--states-max 200000] [--only 0] [--unreduced]
 */
import { parseArgs } from 'node:util'
import { explore } from './interleave/explore.ts'
import { type ClientName, createInterleavedWorld, type Operation } from './interleave/world.ts'

/** All ways to write or be cut off so often, in order. */
function sequences(client: ClientName, count: number): readonly (readonly Operation[])[] {
  if (count === 0) return [[]]
  return sequences(client, count - 1).flatMap((before) => [
    [...before, `${client} writes`] as const,
    [...before, `${client} is cut off`] as const,
  ])
}

/** All programs of so many operations: their order between clients is what is explored, and Anna does as much as Ben or more. */
function programs(count: number): readonly (readonly Operation[])[] {
  const shares = Array.from({ length: Math.floor(count / 2) + 1 }, (_, of) => of)
  return shares.flatMap((share) =>
    sequences('anna', count - share).flatMap((anna) => sequences('ben', share).map((ben) => [...anna, ...ben])),
  )
}

const { values } = parseArgs({
  options: {
    operations: { type: 'string' },
    'states-max': { type: 'string' },
    only: { type: 'string' },
    unreduced: { type: 'boolean' },
  },
})
const statesMax = Number(values['states-max'] ?? 200_000)

for (const [index, operations] of programs(Number(values.operations ?? 3)).entries())
  if (values.only === undefined || Number(values.only) === index) {
    const create = () => createInterleavedWorld(operations, { reduced: values.unreduced !== true })
    console.log(JSON.stringify({ operations, ...explore(create, statesMax) }))
  }
