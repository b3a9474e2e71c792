/**
 * Interleavings: two clients, one server, one document, three operations, in every order that there is.
 *
 * Here are those of one operation and the first states of the others; all of them: `sim/interleavings.ts`. They are played in a process of their own, on an engine whose tables are
 * in sight.
 */
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'

const STATES = 250
const file = (path: string) => fileURLToPath(new URL(path, import.meta.url))

async function interleavings(
  ...options: readonly string[]
): Promise<{ states: number; ends: number; endsHash: string; longest: number; isCut: boolean }[]> {
  const imports = ['sources.ts', 'interleave/opened.ts'].map((path) => `--import=${file(`../sim/${path}`)}`)
  const { stdout } = await promisify(execFile)(process.execPath, [
    ...imports,
    file('../sim/interleavings.ts'),
    ...options,
  ])
  return stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))
}

test(`the laws hold in the first ${STATES} states of every three operations`, { timeout: 120_000 }, async () => {
  const found = await interleavings('--states-max', String(STATES))
  expect(found.map(({ states }) => states)).toEqual(Array.from({ length: 16 }, () => STATES))
  // Worlds that came to rest were judged.
  for (const { ends, longest } of found) {
    expect(ends).toBeGreaterThan(0)
    expect(longest).toBeGreaterThan(10)
  }
})

test('what is left out of the orders comes to rest nowhere else', { timeout: 120_000 }, async () => {
  for (const program of [
    ['--operations', '1'],
    ['--operations', '2', '--only', '4'],
  ]) {
    const some = await interleavings(...program)
    const all = await interleavings(...program, '--unreduced')
    expect([...some, ...all].some(({ isCut }) => isCut)).toBe(false)
    expect(some.map(({ endsHash }) => endsHash)).toEqual(all.map(({ endsHash }) => endsHash))
    for (const [index, { states }] of some.entries()) expect(states).toBeLessThan(all[index]?.states ?? 0)
  }
})
