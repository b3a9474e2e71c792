/**
 * `pnpm sim`: plays seeds on all cores; of the first that fails, the shortest schedule that still fails, as a message log.
 *
 *     pnpm sim --seed 42 --profile storm [--without 3,5,7]     one world, with its trace
 *     pnpm sim --seeds 1-100000 --profile storm [--workers 2]  many; without a profile all of them, in turn
 *     … [--disks 2] [--policy any-durable]                     of a server whose storage is layers of so many disks
 *     … [--scenario plain]                                     in all of which the same is spoken, carried and judged
 *     … [--record FILE]                                        appends the line about the run to a file
 *
 * Ctrl-C ends a run of many after the seeds under way, and says with which seeds to go on. Not here: what arguments mean
 * (`arguments.ts`), processes (`cores.ts`).
 */
import { execFileSync } from 'node:child_process'
import { appendFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { profiles, shrink } from '@tidemark/simulator'
import { argumentsOf, type ManyWorlds, type OneWorld, replayOf, type Scene, UsageError } from './arguments.ts'
import { onAllCores } from './cores.ts'
import { type Played, type Portion, playOne, profileOf, scenarioOn } from './play.ts'

const PORTION = 20
const PROGRESS_EVERY_MS = 5_000
const FAILED_MAX = 10

const wanted = understood()
if (wanted === undefined) process.exitCode = 2
else if ('seed' in wanted) await one(wanted)
else await many(wanted)

function understood(): OneWorld | ManyWorlds | undefined {
  try {
    return argumentsOf(
      process.argv.slice(2),
      profiles.map(({ name }) => name),
    )
  } catch (cause) {
    if (!(cause instanceof UsageError)) throw cause
    console.error(`pnpm sim: ${cause.message}`)
    return undefined
  }
}

async function one(wanted: OneWorld): Promise<void> {
  const { seed, profile } = wanted
  const { failure, world } = await playOne(wanted)
  console.log(world.trace.join('\n'))
  console.log(
    failure === undefined ? `seed ${seed}, ${profile}: all is well` : `seed ${seed}, ${profile}: ${failure.cause}`,
  )
  process.exitCode = failure === undefined ? 0 : 1
}

async function many({ from, until, profiles: names, workers, record, ...scene }: ManyWorlds): Promise<void> {
  const all = (until - from + 1) * names.length
  const left = portionsOf(from, until, names, scene)
  const began = performance.now()
  const failed: Played[] = []
  let played = 0
  let enough = false
  const line = () => {
    const perSecond = (played / (performance.now() - began)) * 1_000
    return `${played} of ${all} worlds, ${perSecond.toFixed(0)} per second, ${failed.length} failed`
  }
  process.on('SIGINT', () => {
    enough = true
  })
  const progress = setInterval(() => console.log(line()), PROGRESS_EVERY_MS)
  const unplayed = await onAllCores(left, workers ?? availableParallelism(), (portion, found) => {
    played += portion.until - portion.from + 1
    failed.push(...found)
    for (const one of found) console.log(`${replayOf(one)}: ${one.text.slice(0, 300)}`)
    return !enough && failed.length < FAILED_MAX
  })
  clearInterval(progress)
  console.log(line())
  const next = unplayed?.from ?? until + 1
  const seconds = (performance.now() - began) / 1_000
  summarize({ seeds: `${from}-${next - 1}`, names, played, failed, seconds, record, scene })
  if (next <= until) console.log(`\ngo on with --seeds ${next}-${until}`)
  if (failed[0] !== undefined) await explain(failed[0])
}

/** In the order in which they are played: all profiles of a seed before the next seeds. */
function portionsOf(from: number, until: number, names: readonly string[], scene: Scene): Portion[] {
  const portions: Portion[] = []
  for (let start = from; start <= until; start += PORTION)
    for (const profile of names)
      portions.push({ from: start, until: Math.min(until, start + PORTION - 1), profile, ...scene })
  return portions
}

interface Summary {
  readonly seeds: string
  readonly names: readonly string[]
  readonly played: number
  readonly failed: readonly Played[]
  readonly seconds: number
  readonly scene: Scene
  /** The file that keeps it. */
  readonly record: string | undefined
}

/** As `docs/recorded-runs.md` keeps it. */
function summarize({ seeds, names, played, failed, seconds, record, scene }: Summary): void {
  const commit = execFileSync('git', ['describe', '--always', '--dirty', '--exclude=*'], { encoding: 'utf8' }).trim()
  const [day] = new Date().toISOString().split('T')
  const row = [
    day,
    commit,
    seeds,
    [...names, ...aboutScene(scene)].join(' '),
    played,
    failed.length,
    minutes(seconds),
    Math.round(played / seconds),
  ]
  const text = `| ${row.join(' | ')} |\n`
  console.log(`\n| day | commit | seeds | profiles | worlds | violations | duration | worlds/s |`)
  console.log(`|---|---|---|---|---|---|---|---|\n${text}`)
  for (const one of failed) console.log(`- \`${replayOf(one)}\`: ${one.text.slice(0, 300)}`)
  if (record !== undefined) appendFileSync(record, text)
}

/** As the command was given it. */
function aboutScene({ disks, policy, plain }: Scene): string[] {
  const about = plain === true ? ['--scenario plain'] : []
  if (disks === undefined || policy === undefined) return about
  return [`--disks ${disks} --policy ${typeof policy === 'object' ? policy.quorum : policy}`, ...about]
}

function minutes(seconds: number): string {
  return seconds < 60 ? `${seconds.toFixed(0)} s` : `${(seconds / 60).toFixed(0)} min`
}

async function explain(failed: Played): Promise<void> {
  process.exitCode = 1
  const { seed, profile } = failed
  const { without, outcome } = await shrink(scenarioOn(failed), await playOne(failed), profileOf(profile))
  console.log(`\nseed ${seed}, ${profile}, with ${outcome.world.steps.length - without.size} of its steps:\n`)
  console.log(outcome.world.trace.join('\n'))
  // Where it is not a law that failed, the place in the code says more than the words.
  const { checker, cause } = outcome.failure ?? {}
  console.log(`\n${checker === 'error' ? (cause as Error).stack : cause}`)
  console.log(`\n${replayOf({ ...failed, without })}`)
}
