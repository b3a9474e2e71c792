/**
 * Runs the measurements beside this file: all of them, or those whose name contains a word given on the command line.
 *
 * A measurement is a module `<subject>.bench.ts` that prints what it found. They import packages by name, as users do, so
 * what is measured is the built code.
 */
import { readdirSync } from 'node:fs'

const words = process.argv.slice(2)
const measurements = readdirSync(new URL('.', import.meta.url))
  .filter((name) => name.endsWith('.bench.ts'))
  .filter((name) => words.length === 0 || words.some((word) => name.includes(word)))
  .sort()

if (measurements.length === 0) console.log('no measurement to run')
for (const name of measurements) {
  console.log(`\n── ${name.replace('.bench.ts', '')} ──`)
  await import(new URL(name, import.meta.url).href)
}
