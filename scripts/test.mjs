/**
 * `npm test` and `pnpm verify`: every check of this repository, one after the other.
 *
 * All checks run even if an early one fails, so that one run shows everything. The last line is always
 * `N passed, N failed`: the tests of all packages, and one failure more for each other step that failed.
 * `--packages` adds what matters before publishing: what the packages contain, how their types resolve, whether they install.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { run } from './run.mjs'

const root = fileURLToPath(new URL('..', import.meta.url))
const locked = existsSync(join(root, 'pnpm-lock.yaml'))
const scratch = mkdtempSync(join(tmpdir(), 'tidemark-test-'))
const report = join(scratch, 'tests.json')
const interrupted = [130, 143]

const turbo = (...tasks) => ['pnpm', 'exec', 'turbo', 'run', ...tasks, '--continue', '--output-logs=errors-only']
const steps = [
  { name: 'install', command: ['pnpm', 'install', locked ? '--frozen-lockfile' : '--no-frozen-lockfile'], vital: true },
  { name: 'lint', command: ['pnpm', 'exec', 'biome', 'ci', ...(process.env.NO_COLOR ? ['--colors=off'] : []), '.'] },
  { name: 'build', command: turbo('build') },
  { name: 'types', command: turbo('types', 'types:root') },
  {
    name: 'tests',
    command: ['pnpm', 'exec', 'vitest', 'run', '--reporter=default', '--reporter=json', `--outputFile.json=${report}`],
    count: countTests,
  },
]
if (process.argv.includes('--packages'))
  steps.push(
    { name: 'packages', command: turbo('check:package') },
    { name: 'packed', command: ['node', 'scripts/pack-check.mjs'] },
  )

const results = await runAll(steps)
rmSync(scratch, { recursive: true, force: true })
conclude(results)

/** Runs the steps in order; a failed vital one, or Ctrl-C, ends the run. */
async function runAll(steps) {
  const results = []
  for (const { name, command, vital, count } of steps) {
    console.log(`\n── ${name} ──`)
    const [program, ...args] = command
    const code = await run(program, args, { cwd: root })
    results.push({ name, code, ...(count ?? countStep)(code) })
    if (interrupted.includes(code) || (vital && code !== 0)) break
  }
  return results
}

function countStep(code) {
  return { passed: 0, failed: code === 0 ? 0 : 1 }
}

/** Counts tests; a file that could not be loaded, or a run that failed without a failed test, counts as one failure. */
function countTests(code) {
  const files = existsSync(report) ? JSON.parse(readFileSync(report, 'utf8')).testResults : []
  const tests = files.flatMap((file) => file.assertionResults)
  const passed = tests.filter((test) => test.status === 'passed').length
  const broken = files.filter((file) => file.status === 'failed' && !file.assertionResults.some(isFailed)).length
  const failed = tests.filter(isFailed).length + broken
  return { passed, failed: Math.max(failed, code === 0 ? 0 : 1) }
}

function isFailed(test) {
  return test.status === 'failed'
}

function conclude(results) {
  const sum = (key) => results.reduce((total, result) => total + result[key], 0)
  const failed = sum('failed')
  console.log('')
  for (const { name, code } of results)
    console.log(`${name.padEnd(10)}${code === 0 ? 'ok' : `FAILED (exit code ${code})`}`)
  console.log(`\n${sum('passed')} passed, ${failed} failed`)
  process.exitCode = failed === 0 ? 0 : 1
}
