/**
 * Plays every mutation in the world of its recorded seed, and says as JSON what caught it.
 */
import { firstCaught } from './mutated.ts'
import { mutations } from './mutations.ts'

process.on('unhandledRejection', () => {})

const all: unknown[] = []
for (const mutation of mutations) {
  const { profile, seed } = mutation.caught
  const found = await firstCaught(mutation, profile, seed, seed)
  all.push({ name: mutation.name, caught: { profile, seed, checker: found?.checker } })
}
console.log(JSON.stringify(all))
