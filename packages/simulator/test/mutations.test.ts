/**
 * Mutations: laws broken on purpose, each caught by a checker in the world of its recorded seed.
 *
 * They are played in a process of their own, on the sources with one of them changed (`sim/mutated.ts`). A checker that catches
 * nothing is a defect.
 */
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { mutations } from '../sim/mutations.ts'
import { checkers } from '../src/index.ts'

const file = (path: string) => fileURLToPath(new URL(path, import.meta.url))

test('there are fifteen broken laws and more, and every checker catches one of them', () => {
  expect(mutations.length).toBeGreaterThanOrEqual(15)
  expect(new Set(mutations.map(({ caught }) => caught.checker)).size).toBe(checkers.length)
})

test('every broken law is caught by the checker and in the world that are recorded', { timeout: 120_000 }, async () => {
  const play = [`--import=${file('../sim/sources.ts')}`, file('../sim/replay-mutations.ts')]
  const { stdout } = await promisify(execFile)(process.execPath, play)
  expect(JSON.parse(stdout)).toEqual(mutations.map(({ name, caught }) => ({ name, caught })))
})
