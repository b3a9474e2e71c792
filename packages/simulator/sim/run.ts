/**
 * `pnpm sim`: plays seeds on all cores; of the first that fails, the shortest schedule that still fails, as a message log.
 *
 *     pnpm sim --seed 42 --profile storm [--without 3,5,7]     one world, with its trace
 *     pnpm sim --seeds 1-100000 --profile storm [--workers 2]  many; without a profile all of them, in turn
 *     … [--record FILE]                                        appends a line about the run to a file
 */
import { fork } from 'node:child_process'
import { appendFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { profiles, shrink } from '@tidemark/simulator'
import { type Played, playOne, profileOf, scenario } from './play.ts'
import type { Portion } from './worker.ts'

const { values } = parseArgs({
  options: {
    seed: { type: 'string' },
    seeds: { type: 'string' },
    profile: { type: 'string' },
    without: { type: 'string' },
    workers: { type: 'string' },
    record: { type: 'string' },
  },
})

const PORTION = 20
const PROGRESS_EVERY_MS = 5_000

if (values.seed !== undefined) await one(Number(values.seed), values.profile ?? 'storm', numbers(values.without))
else await many(values.seeds ?? '1-1000')

async function one(seed: number, profile: string, without: ReadonlySet<number>): Promise<void> {
  const { failure, world } = await playOne(seed, profile, without)
  console.log(world.trace.join('\n'))
  console.log(
    failure === undefined ? `seed ${seed}, ${profile}: all is well` : `seed ${seed}, ${profile}: ${failure.cause}`,
  )
  process.exitCode = failure === undefined ? 0 : 1
}

async function many(range: string): Promise<void> {
  const [from = 1, until = from] = range.split('-').map(Number)
  const names = values.profile === undefined ? profiles.map(({ name }) => name) : values.profile.split(',')
  for (const name of names) profileOf(name)
  const portions = portionsOf(from, until, names)
  const began = performance.now()
  let played = 0
  const failed: Played[] = []
  const speed = () => (played / (performance.now() - began)) * 1_000
  const line = () => `${played} worlds, ${speed().toFixed(0)} per second, ${failed.length} failed`
  const progress = setInterval(() => console.log(line()), PROGRESS_EVERY_MS)
  await onAllCores(portions, Number(values.workers ?? availableParallelism()), (portion, found) => {
    played += portion.until - portion.from + 1
    failed.push(...found)
    for (const one of found) console.log(`seed ${one.seed}, ${one.profile}: ${one.text.slice(0, 300)}`)
    return failed.length < 10
  })
  clearInterval(progress)
  console.log(line())
  if (values.record !== undefined)
    appendFileSync(values.record, `${new Date().toISOString()} seeds ${from}-${until} ${names.join(',')}: ${line()}\n`)
  if (failed[0] !== undefined) await explain(failed[0])
}

function* portionsOf(from: number, until: number, names: readonly string[]): Generator<Portion> {
  for (let start = from; start <= until; start += PORTION)
    for (const profile of names) yield { from: start, until: Math.min(until, start + PORTION - 1), profile }
}

/** Hands out portions to as many processes until there are none left, or `done` says that it is enough. */
function onAllCores(
  portions: Iterator<Portion>,
  workers: number,
  done: (portion: Portion, failed: readonly Played[]) => boolean,
): Promise<unknown> {
  let enough = false
  return Promise.all(
    Array.from(
      { length: workers },
      () =>
        new Promise<void>((resolve, reject) => {
          const worker = fork(fileURLToPath(new URL('worker.ts', import.meta.url)))
          const next = () => {
            const portion = portions.next()
            if (enough || portion.done === true) worker.disconnect()
            else worker.send(portion.value)
          }
          worker.on('message', (answer: { portion: Portion; failed: readonly Played[] }) => {
            if (!done(answer.portion, answer.failed)) enough = true
            next()
          })
          worker.on('exit', (code) => (code === 0 ? resolve() : reject(new Error(`a worker ended with ${code}`))))
          next()
        }),
    ),
  )
}

async function explain({ seed, profile }: Played): Promise<void> {
  process.exitCode = 1
  const { without, outcome } = await shrink(scenario, await playOne(seed, profile), profileOf(profile))
  console.log(`\nseed ${seed}, ${profile}, with ${outcome.world.steps.length - without.size} of its steps:\n`)
  console.log(outcome.world.trace.join('\n'))
  console.log(`\n${outcome.failure?.cause}`)
  console.log(`\npnpm sim --seed ${seed} --profile ${profile} --without ${ranges(without)}`)
}

/** `3,5-7`, there and back. */
function numbers(text: string | undefined): ReadonlySet<number> {
  const all = new Set<number>()
  for (const part of text?.split(',').filter(Boolean) ?? []) {
    const [from = 0, until = from] = part.split('-').map(Number)
    for (let number = from; number <= until; number++) all.add(number)
  }
  return all
}

function ranges(all: ReadonlySet<number>): string {
  const parts: [number, number][] = []
  for (const number of [...all].sort((a, b) => a - b)) {
    const last = parts.at(-1)
    if (last !== undefined && last[1] === number - 1) last[1] = number
    else parts.push([number, number])
  }
  return parts.map(([from, until]) => (from === until ? `${from}` : `${from}-${until}`)).join(',')
}
