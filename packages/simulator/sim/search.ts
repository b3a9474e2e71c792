/**
 * Finds for every mutation the first seed that catches it, and by which checker: what `mutations.ts` records.
 *
 *     node --import ./sources.ts search.ts [words of names]
 */
import { firstCaught } from './mutated.ts'
import { mutations } from './mutations.ts'

/** A mutation that is not caught within so many worlds is a defect of the checkers. */
const SEEDS_MAX = 2_000
const words = process.argv.slice(2)
process.on('unhandledRejection', () => {})

for (const mutation of mutations.filter(({ name }) => words.every((word) => name.includes(word)))) {
  const { profile } = mutation.caught
  const found = await firstCaught(mutation, profile, 1, SEEDS_MAX)
  const said =
    found === undefined
      ? `NOT CAUGHT in ${SEEDS_MAX}`
      : `seed ${found.seed} ${found.checker}: ${found.text.slice(0, 160)}`
  console.log(`${mutation.name} (${profile}): ${said}`)
}
