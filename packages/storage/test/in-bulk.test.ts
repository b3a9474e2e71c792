/** Asking about many documents at once: one call, and one by one when that failed (L2). */
import { expect, test } from 'vitest'
import { inBulk } from '../src/index.ts'

const asks = ['a', 'b', 'c'].map((id) => ({ id }))

test('many are asked for in one call, and answered in the same tick if the call answers values', () => {
  const calls: (readonly string[])[] = []
  const answers: unknown[] = []
  inBulk(
    asks,
    (ids) => {
      calls.push(ids)
      return ids.map((id) => id.toUpperCase())
    },
    (answered) => answers.push(answered.map(([{ id }, outcome]) => [id, outcome])),
  )
  expect(calls).toEqual([['a', 'b', 'c']])
  expect(answers).toEqual([
    [
      ['a', { value: 'A' }],
      ['b', { value: 'B' }],
      ['c', { value: 'C' }],
    ],
  ])
})

test('L2: one bad document fails alone, and its failure is no absence', async () => {
  const cause = new Error('damaged')
  const answers = new Map<string, unknown>()
  inBulk(
    asks,
    async (ids) => {
      if (ids.includes('b')) throw cause
      return ids.map(() => undefined)
    },
    (answered) => {
      for (const [{ id }, outcome] of answered) answers.set(id, outcome)
    },
  )
  await expect.poll(() => answers.size).toBe(3)
  expect(Object.fromEntries(answers)).toEqual({
    a: { value: undefined },
    b: { failed: cause },
    c: { value: undefined },
  })
})

test('about nothing nobody is asked', () => {
  inBulk(
    [],
    () => expect.unreachable(),
    () => expect.unreachable(),
  )
})
