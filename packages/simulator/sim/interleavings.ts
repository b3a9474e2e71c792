/**
 * Plays every interleaving of the operations of two clients of one server, and says as JSON how many states there were.
 *
 *     node --import ./sources.ts --import ./interleave/opened.ts interleavings.ts
 *         [--operations 3] [--states-max 200000] [--only 0] [--unreduced]
 *
 * It exits with 2 and a sentence if it cannot make sense of what it was asked for (`interleave/arguments.ts`).
 */
import { wantedOf } from './interleave/arguments.ts'
import { explore } from './interleave/explore.ts'
import { type ClientName, createInterleavedWorld, type Operation } from './interleave/world.ts'
import { UsageError } from './options.ts'

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

try {
  const { operations, statesMax, only, reduced } = wantedOf(process.argv.slice(2), (count) => programs(count).length)
  for (const [index, program] of programs(operations).entries())
    if (only === undefined || only === index) {
      const create = () => createInterleavedWorld(program, { reduced })
      console.log(JSON.stringify({ operations: program, ...explore(create, statesMax) }))
    }
} catch (cause) {
  if (!(cause instanceof UsageError)) throw cause
  console.error(`interleavings.ts: ${cause.message}`)
  process.exitCode = 2
}
