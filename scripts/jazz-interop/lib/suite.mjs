/**
 * Runs checks one after the other and reports them, one line each.
 *
 * A check is `{ name, run }`; it passes unless `run` throws. The world that `run` gets is made anew for every check.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

// Longer than any honest check takes on a slow machine.
const CHECK_MS_MAX = 180_000

// A client that is torn down in mid-work may leave a promise behind; that is worth a line, not the end of the run.
process.on('unhandledRejection', (error) =>
  console.log(`  left behind by a client: ${String(error?.message ?? error)}`),
)

/** Reads `--only name[,name]` and `--list` from the arguments; answers them and what is left. */
export function parseArguments(argv) {
  const split = argv.indexOf('--')
  const own = split < 0 ? [...argv] : argv.slice(0, split)
  const command = split < 0 ? [] : argv.slice(split + 1)
  const options = { only: undefined, list: false, command, rest: [] }
  while (own.length > 0) {
    const word = own.shift()
    if (word === '--only') options.only = own.shift()?.split(',') ?? []
    else if (word === '--list') options.list = true
    else options.rest.push(word)
  }
  return options
}

/** The checks named by `--only`, or all; an unknown name ends the process. */
export function select(checks, only) {
  const unknown = only?.filter((name) => !checks.some((check) => check.name === name)) ?? []
  if (unknown.length > 0) {
    console.error(`no such check: ${unknown.join(', ')} (--list shows all)`)
    process.exit(2)
  }
  return only ? checks.filter((check) => only.includes(check.name)) : checks
}

/** Runs `checks`; `createWorld(check, folder)` answers `{ world, close }`. Exits with 0 if all passed. */
export async function runAll(checks, createWorld) {
  let failed = 0
  for (const check of checks) {
    const started = Date.now()
    const failure = await runOne(check, createWorld)
    const took = process.env.TIMES ? ` (${Date.now() - started} ms)` : ''
    if (failure) failed += 1
    console.log(failure ? `FAIL ${check.name}: ${failure}${took}` : `PASS ${check.name}${took}`)
  }
  console.log(`${checks.length - failed} passed, ${failed} failed`)
  return failed === 0 ? 0 : 1
}

/** Answers why the check failed, or nothing. Tidying up is part of the check: a server that does not stop has failed it. */
async function runOne(check, createWorld) {
  const folder = await mkdtemp(join(tmpdir(), 'jazz-interop-'))
  let close = async () => {}
  const work = async () => {
    const made = await createWorld(check, folder)
    close = made.close
    await inTime(check.run(made.world))
  }
  const failed = await failureOf(work)
  const untidy = await failureOf(() => close())
  await rm(folder, { recursive: true, force: true })
  return failed ?? untidy
}

async function failureOf(action) {
  try {
    await action()
    return undefined
  } catch (error) {
    return process.env.TRACE ? (error.stack ?? String(error)) : String(error.message ?? error)
  }
}

async function inTime(running) {
  let limit
  const tooLate = new Promise((_, reject) => {
    limit = setTimeout(() => reject(new Error(`not done after ${CHECK_MS_MAX} ms`)), CHECK_MS_MAX)
  })
  await Promise.race([running, tooLate]).finally(() => clearTimeout(limit))
}
