/**
 * Bindings: the example of `docs/test-a-binding.md`, as it stands there and with bugs planted into it.
 */
import { readFileSync } from 'node:fs'
import type { Doc } from '@tidemark/client'
import { expect, test } from 'vitest'
import { bindings, type Outcome, simulate, storm, withLastingDisks } from '../src/index.ts'

const page = readFileSync(new URL('../docs/test-a-binding.md', import.meta.url), 'utf8')
const example = /```ts\n([\s\S]*?)```/.exec(page)?.[1] ?? ''
const source = /^function bind[\s\S]*?^}/m.exec(example)?.[0] ?? ''

interface Bound {
  readonly elements: ReadonlySet<string>
  add(element: string): Promise<void>
}

/** The first of some worlds in which the binding of the example fails, with something in it changed. */
async function firstFailure(from: string, to: string): Promise<Outcome | undefined> {
  expect(source).toContain(from)
  const make = new Function('utf8', 'text', `${source.replace(from, () => to)}\nreturn bind`)
  const bind: (doc: Doc, session: string) => Bound = make(new TextEncoder(), new TextDecoder())
  const scenario = bindings({
    bind,
    write: (set, element) => set.add(element),
    read: ({ elements }) => [...elements].sort(),
  })
  for (let seed = 1; seed <= 20; seed++) {
    const outcome = await simulate(scenario, seed, withLastingDisks(storm))
    if (outcome.failure !== undefined) return outcome
  }
  return undefined
}

test('the example is twenty lines, and its binding survives twenty storms', async () => {
  const lines = example.split('\n').filter((line) => line.trim() !== '' && !line.startsWith('//'))
  expect(lines.length).toBeLessThanOrEqual(20)
  for (const line of lines) expect(line.length).toBeLessThanOrEqual(120)
  expect(await firstFailure('elements.add(element)', 'elements.add(element)')).toBeUndefined()
})

test('a binding that says too early that something is written is found', async () => {
  const found = await firstFailure(
    'await doc.append(session, [utf8.encode(element)])',
    'doc.append(session, [utf8.encode(element)]).catch(() => {})',
  )
  expect(found?.failure?.checker).toBe('binding')
})

test('a binding that takes the first run of a page only is found', async () => {
  const found = await firstFailure('of runs)', 'of runs.slice(0, 1))')
  expect(found?.failure?.checker).toBe('binding')
})

test('a binding that never writes is found', async () => {
  const found = await firstFailure(
    'if ((await doc.settled())',
    "throw new Error('never')\n    if ((await doc.settled())",
  )
  expect(String(found?.failure?.cause)).toContain('nothing was ever written')
})
