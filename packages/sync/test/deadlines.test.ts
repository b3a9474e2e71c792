import fc from 'fast-check'
import { expect, test } from 'vitest'
import { createDeadlines } from '../src/deadlines.ts'

test('what is due runs in order of time, then of age; the rest stays', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(20)), fc.nat(20), (times, now) => {
      const deadlines = createDeadlines()
      const ran: [number, number][] = []
      for (const [order, at] of times.entries()) deadlines.add(at, () => ran.push([at, order]))
      deadlines.run(now)
      const expected = times
        .map((at, order): [number, number] => [at, order])
        .sort((a, b) => a[0] - b[0] || a[1] - b[1])
      expect(ran).toEqual(expected.filter(([at]) => at <= now))
      expect(deadlines.next()).toBe(expected.find(([at]) => at > now)?.[0])
    }),
  )
})

test('a deadline that adds one that is already due runs it too', () => {
  const deadlines = createDeadlines()
  const ran: string[] = []
  deadlines.add(1, () => {
    ran.push('first')
    deadlines.add(1, () => ran.push('second'))
  })
  deadlines.run(1)
  expect(ran).toEqual(['first', 'second'])
})
