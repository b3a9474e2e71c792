/**
 * `npm start`: install, build what the demo needs, run the demo.
 *
 * The server is started without a shell or a package manager between, so a signal reaches it once and nothing outlives it.
 */
import { existsSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { run } from './run.mjs'

const root = fileURLToPath(new URL('..', import.meta.url))
const demo = fileURLToPath(new URL('../apps/demo/', import.meta.url))
const locked = existsSync(new URL('../pnpm-lock.yaml', import.meta.url))

const preparation = [
  ['pnpm', ['install', locked ? '--frozen-lockfile' : '--no-frozen-lockfile']],
  ['pnpm', ['exec', 'turbo', 'run', 'build', '--filter=@tidemark/demo', '--output-logs=errors-only']],
]

process.exitCode = await start()

async function start() {
  for (const [command, args] of preparation) {
    const code = await run(command, args, { cwd: root })
    if (code !== 0) return code
  }
  return run(process.execPath, demoArguments(), { cwd: demo })
}

/** What follows `node` in the demo's own start command. */
function demoArguments() {
  const { scripts } = JSON.parse(readFileSync(`${demo}package.json`, 'utf8'))
  const [program, ...args] = scripts.start.split(' ')
  if (program !== 'node')
    throw new Error(`apps/demo/package.json: "start" has to begin with "node", and is "${scripts.start}"`)
  return args
}
