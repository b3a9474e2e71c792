/**
 * What `pnpm sim` is asked for, from its arguments, and the line that asks for one world again.
 *
 * What makes no sense is answered with one sentence: what an option takes, what it was given, what to write. Not here: playing (`run.ts`).
 */
import { parseArgs } from 'node:util'

/** One world, with its trace. */
export interface OneWorld {
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

export interface ManyWorlds extends Seeds {
  readonly profiles: readonly string[]
  /** How many processes play them; default: as many as there are cores. */
  readonly workers: number | undefined
  /** A file to which the line about the run is appended. */
  readonly record: string | undefined
}

/** What it was asked for makes no sense; the message is for whoever asked. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}

const OPTIONS = {
  seed: { takes: 'a whole number', example: '42' },
  seeds: { takes: 'a number or a range that goes up, of 10,000,000 seeds at most', example: '1-1000' },
  profile: { takes: 'the name of a profile', example: 'storm' },
  without: { takes: 'the numbers of steps, as numbers and ranges that go up', example: '3,5-7' },
  workers: { takes: 'a number of processes from 1 to 256', example: '2' },
  record: { takes: 'the name of a file', example: 'runs.md' },
}
type Option = keyof typeof OPTIONS

const SEEDS_MAX = 10_000_000
/** More than any world has. */
const STEPS_MAX = 100_000
const WORKERS_MAX = 256

/** @throws UsageError */
export function argumentsOf(given: readonly string[], profiles: readonly string[]): OneWorld | ManyWorlds {
  const values = valuesOf(given)
  const seed = values.get('seed')
  const names = profilesOf(values.get('profile'), profiles)
  if (seed === undefined) {
    if (values.has('without'))
      throw new UsageError(
        '--without leaves steps out of one world, but no --seed was given: add, for example, --seed 42',
      )
    return { ...seedsOf(values.get('seeds') ?? '1-1000'), profiles: names ?? profiles, ...aboutMany(values) }
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
  return { seed: whole(seed) ?? wrong('seed', seed), profile, without: stepsOf(values.get('without')) }
}

/** What plays this world again. */
export function replayOf({ seed, profile, without }: Omit<OneWorld, 'without'> & Partial<OneWorld>): string {
  const line = `pnpm sim --seed ${seed} --profile ${profile}`
  return without === undefined || without.size === 0 ? line : `${line} --without ${rangesOf(without)}`
}

function valuesOf(given: readonly string[]): ReadonlyMap<Option, string> {
  const options = Object.fromEntries(Object.keys(OPTIONS).map((name) => [name, { type: 'string' as const }]))
  // Not strict, because its errors are more than a sentence and name what is not ours.
  const { tokens } = parseArgs({ args: [...given], options, strict: false, tokens: true })
  const values = new Map<Option, string>()
  for (const token of tokens) {
    if (token.kind !== 'option') {
      const text = token.kind === 'positional' ? token.value : '--'
      throw new UsageError(`only options are expected, but ${quoted(text)} was given: write ${usage()}`)
    }
    if (!isOption(token.name))
      throw new UsageError(`there is no option ${quoted(token.rawName)}: the options are ${usage()}`)
    if (values.has(token.name)) throw new UsageError(`--${token.name} is expected once, but was given twice: keep one`)
    // A value that looks like an option is one, and the value is what is missing.
    if (token.value === undefined || token.value === '' || (!token.inlineValue && token.value.startsWith('--')))
      wrong(token.name, undefined)
    else values.set(token.name, token.value)
  }
  return values
}

function profilesOf(text: string | undefined, profiles: readonly string[]): readonly string[] | undefined {
  const names = text?.split(',')
  for (const name of names ?? [])
    if (!profiles.includes(name))
      throw new UsageError(`there is no profile ${quoted(name)}: give --profile one or more of ${profiles.join(',')}`)
  return names
}

function seedsOf(text: string): Seeds {
  const [from, until] = rangeOf(text) ?? wrong('seeds', text)
  return until - from < SEEDS_MAX ? { from, until } : wrong('seeds', text)
}

function aboutMany(values: ReadonlyMap<Option, string>): Pick<ManyWorlds, 'workers' | 'record'> {
  const text = values.get('workers')
  const workers = text === undefined ? undefined : (whole(text) ?? wrong('workers', text))
  if (workers !== undefined && (workers < 1 || workers > WORKERS_MAX)) wrong('workers', text)
  return { workers, record: values.get('record') }
}

function stepsOf(text: string | undefined): ReadonlySet<number> {
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

function whole(text: string): number | undefined {
  const number = /^\d+$/.test(text) ? Number(text) : Number.NaN
  return Number.isSafeInteger(number) ? number : undefined
}

function wrong(option: Option, given: string | undefined): never {
  const { takes, example } = OPTIONS[option]
  throw new UsageError(
    `--${option} takes ${takes}, but was given ${quoted(given)}: write, for example, --${option} ${example}`,
  )
}

const quoted = (text: string | undefined): string => (text === undefined ? 'nothing' : `"${text}"`)
const isOption = (name: string): name is Option => Object.hasOwn(OPTIONS, name)
const usage = (): string =>
  Object.keys(OPTIONS)
    .map((name) => `--${name}`)
    .join(', ')
