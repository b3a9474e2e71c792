/**
 * `pnpm long`: the tests as they run on a schedule, larger than anybody would wait for: hundreds of kills, the full sizes of the
 * conformance kit, random histories from other seeds than the usual ones. Some words name the projects, as in `pnpm long @tidemark/storage-sqlite`; without any all of them run.
 *
 * What such a run found is recorded in the README of the package. Not here: the tests, which read these variables.
 */
import { randomInt } from 'node:crypto'
import { fileURLToPath } from 'node:url'
import { run } from './run.mjs'

const root = fileURLToPath(new URL('..', import.meta.url))
// A fresh seed every time; `pnpm test` always plays the same.
const larger = { TIDEMARK_LARGE: '1', TIDEMARK_KILLS: '200', TIDEMARK_SEED: String(randomInt(2 ** 31)) }
const projects = process.argv.slice(2).flatMap((name) => ['--project', name])

// What is set already counts, such as the seed of a run that failed.
const env = { ...larger, ...process.env }
console.log(`TIDEMARK_SEED=${env.TIDEMARK_SEED}`)
process.exitCode = await run('pnpm', ['exec', 'vitest', 'run', ...projects], { cwd: root, env })
