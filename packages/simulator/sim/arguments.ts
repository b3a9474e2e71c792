/**
 * What `pnpm sim` is asked for, from its arguments, and the line that asks for one world again.
 *
 * What makes no sense is answered with one sentence: what an option takes, what it was given, what to write. Not here: playing (`run.ts`).
 */
import type { WritePolicy } from '@tidemark/reconciliation/layers'
import { optionsOf, quoted, UsageError, whole } from './options.ts'

export { UsageError } from './options.ts'

/** How the server of the worlds is made; nothing is said of one on a single disk. */
export interface Layered {
  readonly disks: number
  readonly policy: WritePolicy
}

/** What the worlds are like. */
export interface Scene extends Partial<Layered> {
  /** What is spoken, carried and judged is the same in all of them. Otherwise it differs. */
  readonly plain?: boolean
}

/** One world, with its trace. */
export interface OneWorld extends Scene {
  readonly seed: number
  readonly profile: string
  /** Steps that are left out. */
  readonly without: ReadonlySet<number>
}

/** Both are played. */
export interface Seeds {
  readonly from: number
  readonly until: number
}

export interface ManyWorlds extends Seeds, Scene {
  readonly profiles: readonly string[]
  /** How many processes play them; default: as many as there are cores. */
  readonly workers: number | undefined
  /** A file to which the line about the run is appended. */
  readonly record: string | undefined
}

const OPTIONS = {
  seed: { takes: 'a whole number below 4,294,967,296', example: '42' },
  seeds: {
    takes: 'a number or a range that goes up, of 10,000,000 seeds at most, below 4,294,967,296',
    example: '1-1000',
  },
  profile: { takes: 'the name of a profile', example: 'storm' },
  without: { takes: 'the numbers of steps, as numbers and ranges that go up', example: '3,5-7' },
  workers: { takes: 'a number of processes from 1 to 256', example: '2' },
  record: { takes: 'the name of a file', example: 'runs.md' },
  disks: { takes: 'how many disks the server has, from 2 to 5', example: '2' },
  scenario: { takes: 'varied or plain', example: 'plain' },
  policy: { takes: 'all-required, any-durable, or how many disks have to have stored a write', example: 'any-durable' },
}
type Option = keyof typeof OPTIONS

/** Chance takes seeds of 32 bits. */
const SEED_END = 2 ** 32
const DISKS_MAX = 5

const SEEDS_MAX = 10_000_000
/** More than any world has. */
const STEPS_MAX = 100_000
const WORKERS_MAX = 256

/** @throws UsageError */
export function argumentsOf(given: readonly string[], profiles: readonly string[]): OneWorld | ManyWorlds {
  const { values, wrong } = optionsOf(OPTIONS, given)
  const seed = values.get('seed')
  const scene = { ...layeredOf(values, wrong), ...variationOf(values, wrong) }
  const names = profilesOf(values.get('profile'), profiles)
  if (seed === undefined) {
    if (values.has('without'))
      throw new UsageError(
        '--without leaves steps out of one world, but no --seed was given: add, for example, --seed 42',
      )
    const seeds = seedsOf(values.get('seeds') ?? '1-1000', wrong)
    return { ...seeds, profiles: names ?? profiles, ...aboutMany(values, wrong), ...scene }
  }
  for (const option of ['seeds', 'workers', 'record'] as const)
    if (values.has(option))
      throw new UsageError(
        `--seed plays one world and --${option} is for many, but both were given: leave one of them out`,
      )
  const [profile = 'storm', ...more] = names ?? []
  if (more.length > 0)
    throw new UsageError(
      `--seed plays one world with one profile, but --profile was given ${quoted(values.get('profile'))}: name one of them`,
    )
  const number = whole(seed) ?? wrong('seed', seed)
  if (number >= SEED_END) wrong('seed', seed)
  return { seed: number, profile, without: stepsOf(values.get('without'), wrong), ...scene }
}

/** What plays this world again. */
export function replayOf({
  seed,
  profile,
  without,
  disks,
  policy,
  plain,
}: Omit<OneWorld, 'without'> & Partial<OneWorld>): string {
  const line = [`pnpm sim --seed ${seed} --profile ${profile}`]
  if (disks !== undefined) line.push(`--disks ${disks}`)
  if (policy !== undefined) line.push(`--policy ${typeof policy === 'object' ? policy.quorum : policy}`)
  if (plain === true) line.push('--scenario plain')
  if (without !== undefined && without.size > 0) line.push(`--without ${rangesOf(without)}`)
  return line.join(' ')
}

type Values = ReadonlyMap<Option, string>
type Wrong = (option: Option, given: string | undefined) => never

function layeredOf(values: Values, wrong: Wrong): Layered | undefined {
  const [count, policy] = [values.get('disks'), values.get('policy')]
  if (count === undefined) {
    if (policy === undefined) return undefined
    throw new UsageError(
      '--policy is for a server on several disks, but no --disks was given: add, for example, --disks 2',
    )
  }
  const disks = whole(count) ?? wrong('disks', count)
  if (disks < 2 || disks > DISKS_MAX) wrong('disks', count)
  if (policy === undefined || policy === 'all-required' || policy === 'any-durable')
    return { disks, policy: policy ?? 'all-required' }
  const quorum = whole(policy) ?? wrong('policy', policy)
  return quorum < 1 || quorum > disks ? wrong('policy', policy) : { disks, policy: { quorum } }
}

function variationOf(values: Values, wrong: Wrong): Pick<Scene, 'plain'> {
  const scenario = values.get('scenario')
  if (scenario !== undefined && scenario !== 'varied' && scenario !== 'plain') wrong('scenario', scenario)
  return scenario === 'plain' ? { plain: true } : {}
}

function profilesOf(text: string | undefined, profiles: readonly string[]): readonly string[] | undefined {
  const names = text?.split(',')
  for (const name of names ?? [])
    if (!profiles.includes(name))
      throw new UsageError(`there is no profile ${quoted(name)}: give --profile one or more of ${profiles.join(',')}`)
  return names
}

function seedsOf(text: string, wrong: Wrong): Seeds {
  const [from, until] = rangeOf(text) ?? wrong('seeds', text)
  return until - from < SEEDS_MAX && until < SEED_END ? { from, until } : wrong('seeds', text)
}

function aboutMany(values: Values, wrong: Wrong): Pick<ManyWorlds, 'workers' | 'record'> {
  const text = values.get('workers')
  const workers = text === undefined ? undefined : (whole(text) ?? wrong('workers', text))
  if (workers !== undefined && (workers < 1 || workers > WORKERS_MAX)) wrong('workers', text)
  return { workers, record: values.get('record') }
}

function stepsOf(text: string | undefined, wrong: Wrong): ReadonlySet<number> {
  const all = new Set<number>()
  for (const part of text?.split(',') ?? []) {
    const [from, until] = rangeOf(part) ?? wrong('without', text)
    if (until > STEPS_MAX) wrong('without', text)
    for (let step = from; step <= until; step++) all.add(step)
  }
  return all
}

/** `3,5-7`. */
function rangesOf(steps: ReadonlySet<number>): string {
  const ranges: [number, number][] = []
  for (const step of [...steps].sort((a, b) => a - b)) {
    const last = ranges.at(-1)
    if (last !== undefined && last[1] === step - 1) last[1] = step
    else ranges.push([step, step])
  }
  return ranges.map(([from, until]) => (from === until ? `${from}` : `${from}-${until}`)).join(',')
}

/** `5-7`, or `5`, which is `5-5`. */
function rangeOf(text: string): readonly [number, number] | undefined {
  const [first = '', last = first, ...more] = text.split('-')
  const [from, until] = [whole(first), whole(last)]
  return from === undefined || until === undefined || until < from || more.length > 0 ? undefined : [from, until]
}
