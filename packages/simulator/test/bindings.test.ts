/**
 * Bindings: the example of `docs/test-a-binding.md`, as it stands there and with bugs planted into it.
 */
import { readFileSync } from 'node:fs'
import { stripTypeScriptTypes } from 'node:module'
import type { Doc } from '@tidemark/client'
import { expect, test } from 'vitest'
import {
  type BindingsOptions,
  bindings,
  disks,
  type Outcome,
  type Scenario,
  shrink,
  simulate,
  storm,
  withLastingDisks,
} from '../src/index.ts'

const page = readFileSync(new URL('../docs/test-a-binding.md', import.meta.url), 'utf8')
const example = /```ts\n([\s\S]*?)```/.exec(page)?.[1] ?? ''
const source = /^function bind[\s\S]*?^}/m.exec(example)?.[0] ?? ''

const faults = withLastingDisks(storm)

interface Bound {
  readonly elements: ReadonlySet<string>
  add(element: string): Promise<void>
}

/** Worlds of the binding of the example, with something in it changed. */
function scenarioWith(from: string, to: string, options: BindingsOptions = {}): Scenario {
  expect(source).toContain(from)
  const make = new Function('utf8', 'text', `${stripTypeScriptTypes(source.replace(from, () => to))}\nreturn bind`)
  const bind: (doc: Doc, session: string) => Bound = make(new TextEncoder(), new TextDecoder())
  const binding = {
    bind,
    write: (set: Bound, element: string) => set.add(element),
    read: ({ elements }: Bound) => [...elements].sort(),
  }
  return bindings(binding, options)
}

const saysTooEarly = () =>
  scenarioWith(
    'await doc.append(session, [utf8.encode(element)])',
    'doc.append(session, [utf8.encode(element)]).catch(() => {})',
  )

const neverWrites = () =>
  scenarioWith('if ((await doc.settled())', "throw new Error('never')\n    if ((await doc.settled())")

async function firstFailure(scenario: Scenario): Promise<Outcome | undefined> {
  for (let seed = 1; seed <= 20; seed++) {
    const outcome = await simulate(scenario, seed, faults)
    if (outcome.failure !== undefined) return outcome
  }
  return undefined
}

test('the example is twenty lines, and its binding survives twenty storms', async () => {
  const lines = example.split('\n').filter((line) => line.trim() !== '' && !line.startsWith('//'))
  expect(lines.length).toBeLessThanOrEqual(20)
  for (const line of lines) expect(line.length).toBeLessThanOrEqual(120)
  expect(await firstFailure(scenarioWith('elements.add(element)', 'elements.add(element)'))).toBeUndefined()
})

test('a binding that says too early that something is written is found', async () => {
  const found = await firstFailure(saysTooEarly())
  expect(found?.failure?.checker).toBe('binding')
})

test('a binding that takes the first run of a page only is found', async () => {
  const found = await firstFailure(scenarioWith('of runs)', 'of runs.slice(0, 1))'))
  expect(found?.failure?.checker).toBe('binding')
})

test('a binding that never writes is found', async () => {
  const found = await firstFailure(neverWrites())
  expect(found?.failure?.checker).toBe('written')
  expect(String(found?.failure?.cause)).toContain('nothing was ever written')
})

test('what is shrunk keeps the failure that it shows: what says too early shows too little, and was written', async () => {
  const scenario = saysTooEarly()
  const found = await firstFailure(scenario)
  if (found === undefined) throw new Error('nothing failed')
  const { without, outcome } = await shrink(scenario, found, faults, 60)
  const { steps } = outcome.world
  expect(outcome.failure?.checker).toBe('binding')
  expect(without.size).toBeGreaterThan(steps.length / 2)
  expect(steps.filter((step, number) => step.endsWith(' writes') && !without.has(number))).not.toEqual([])
  const again = await simulate(scenario, found.seed, faults, { without })
  expect(String(again.failure?.cause)).toBe(String(outcome.failure?.cause))
})

test('where nothing is ever written, a write is what is left', async () => {
  const scenario = neverWrites()
  const found = await firstFailure(scenario)
  if (found === undefined) throw new Error('nothing failed')
  const { without, outcome } = await shrink(scenario, found, faults, 60)
  expect(outcome.failure?.checker).toBe('written')
  expect(outcome.world.steps.filter((step, number) => step.endsWith(' writes') && !without.has(number))).not.toEqual([])
})

test('who was left without an answer for long is asked again once everything heals', async () => {
  const { failure } = await simulate(scenarioWith('runs', 'runs'), 56, withLastingDisks(disks))
  expect(failure).toBeUndefined()
})

test('somebody alone whose disk fails for as long as there is trouble is no bug of the binding', async () => {
  const alone = scenarioWith('runs', 'runs', { clients: 1 })
  for (let seed = 1; seed <= 20; seed++) {
    const { failure } = await simulate(alone, seed, faults)
    if (failure !== undefined) throw new Error(`seed ${seed}: ${failure.cause}`, { cause: failure.cause })
  }
})
