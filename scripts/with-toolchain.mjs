/**
 * Runs a command with the Node and pnpm that this repository is developed with.
 *
 *     node scripts/with-toolchain.mjs pnpm build
 *
 * Where the Node on PATH is recent enough and pnpm is the right major, nothing is added. Elsewhere both are fetched into
 * npm's own cache, so a machine with an old Node and npm needs no other preparation. Works with Node 20 itself: this is
 * the one file that must.
 */
import { execFileSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { needsShell, run } from './run.mjs'

const nodeMin = [22, 18]
const pnpmMajor = '12'
const fetched = ['node@26.10.0', 'pnpm@12.21.0']
const root = fileURLToPath(new URL('..', import.meta.url))

const [command, ...args] = process.argv.slice(2)
if (command === undefined) {
  console.error('usage: node scripts/with-toolchain.mjs <command> [arguments]')
  process.exit(2)
}
process.exitCode = await run(command, args, { env: environment() })

function environment() {
  const env = { ...process.env, TURBO_TELEMETRY_DISABLED: '1', TURBO_NO_UPDATE_NOTIFIER: '1', DO_NOT_TRACK: '1' }
  // Output that goes to a file is read as plain text.
  if (!process.stdout.isTTY && env.FORCE_COLOR === undefined) env.NO_COLOR = '1'
  if (!(nodeIsRecent() && pnpmIsRight())) env.PATH = fetchedPath()
  return env
}

function nodeIsRecent() {
  const [major, minor] = process.versions.node.split('.').map(Number)
  return major > nodeMin[0] || (major === nodeMin[0] && minor >= nodeMin[1])
}

function pnpmIsRight() {
  try {
    return output('pnpm', ['--version'], 'ignore').split('.')[0] === pnpmMajor
  } catch {
    return false
  }
}

function fetchedPath() {
  const packages = fetched.flatMap((name) => ['--package', name])
  try {
    return output('npx', [
      '--yes',
      '--prefer-offline',
      '--loglevel=error',
      ...packages,
      '--',
      'node',
      '-p',
      'process.env.PATH',
    ])
  } catch (error) {
    console.error(`${fetched.join(' and ')} could not be fetched through npx: ${error.message}`)
    process.exit(1)
  }
}

function output(name, words, stderr = 'inherit') {
  const stdio = ['ignore', 'pipe', stderr]
  return execFileSync(name, words, { cwd: root, encoding: 'utf8', stdio, shell: needsShell(name) }).trim()
}
