/** What is remembered of the ends of sessions is bounded, copied, and never told for another stretch than it is. */
import { expect, test } from 'vitest'
import { RememberedTails } from '../src/adapter.ts'

const record = (...bytes: number[]) => Uint8Array.from(bytes)
const large = () => new Uint8Array(4096)

test('records that follow each other are told once, in order, with the count at which they begin', () => {
  const tails = new RememberedTails(100_000)
  const first = record(1, 2)
  tails.add('a', 3, 5, first)
  tails.add('a', 5, 6, record(3))
  first.fill(9)
  expect(tails.take('a', 6)).toEqual({ after: 3, records: [record(1, 2), record(3)] })
  expect(tails.take('a', 6)).toBeUndefined()
})

test('who asks for another end is told nothing, and what does not continue is forgotten', () => {
  const tails = new RememberedTails(100_000)
  tails.add('a', 0, 2, record(1))
  expect(tails.take('a', 3)).toBeUndefined()
  tails.add('a', 0, 2, record(1))
  // A commit that failed had counted to 2; the one after it stands at 1.
  tails.add('a', 1, 2, record(2))
  expect(tails.take('a', 2)).toEqual({ after: 1, records: [record(2)] })
})

test('a tail grows beyond what it began with', () => {
  const tails = new RememberedTails(1_000_000)
  for (let at = 0; at < 300; at++) tails.add('a', at, at + 1, new Uint8Array(100).fill(at))
  const tail = tails.take('a', 300)
  expect(tail?.records).toEqual(Array.from({ length: 300 }, (_, at) => new Uint8Array(100).fill(at)))
})

test('the tails that grew last stay, the others go', () => {
  const tails = new RememberedTails(64 * 1024)
  for (let session = 0; session < 1000; session++) {
    tails.add(`${session}`, 0, 1, large())
    tails.add('hot', session, session + 1, record(session % 256))
  }
  const left = Array.from({ length: 1000 }, (_, session) => tails.take(`${session}`, 1)).filter(Boolean)
  expect(left.length).toBeGreaterThan(0)
  expect(left.length * 4096).toBeLessThanOrEqual(64 * 1024)
  expect(tails.take('hot', 1000)?.records.length).toBe(1000)
  tails.add('hot', 0, 1, record(1))
  tails.clear()
  expect(tails.take('hot', 1)).toBeUndefined()
})
