/**
 * The list: everybody who has the same operations has the same list.
 */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { createList, type Operation, readOperation } from '../src/list.ts'

const texts = (operations: readonly (readonly [string, Operation])[]) => {
  const list = createList()
  for (const [author, operation] of operations) list.apply(author, operation)
  return list.items().map(({ text, checked }) => `${checked ? '[x]' : '[ ]'} ${text}`)
}

test('items stand in the order in which they were added', () => {
  const list = createList()
  for (const text of ['bread', 'milk', 'tea']) list.apply('a', { op: 'add', time: list.nextTime(), item: text, text })
  expect(list.items().map(({ text }) => text)).toEqual(['bread', 'milk', 'tea'])
})

test('what was said last counts; at the same time, the greater author', () => {
  const add = ['a', { op: 'add', time: 1, item: 'i', text: 'bread' }] as const
  const early = ['b', { op: 'rename', time: 2, item: 'i', text: 'rye bread' }] as const
  const late = ['a', { op: 'rename', time: 3, item: 'i', text: 'toast' }] as const
  const same = ['z', { op: 'rename', time: 3, item: 'i', text: 'rolls' }] as const
  expect(texts([add, late, early])).toEqual(['[ ] toast'])
  expect(texts([same, add, late, early])).toEqual(['[ ] rolls'])
})

test('removed stays removed, also if the rest comes later', () => {
  const add = ['a', { op: 'add', time: 1, item: 'i', text: 'bread' }] as const
  const remove = ['b', { op: 'remove', time: 2, item: 'i' }] as const
  const check = ['a', { op: 'check', time: 9, item: 'i', checked: true }] as const
  expect(texts([remove, check, add])).toEqual([])
})

test('the order in which operations arrive, and how often, changes nothing', () => {
  const item = fc.constantFrom('i', 'j', 'k')
  const time = fc.integer({ min: 0, max: 5 })
  const text = fc.constantFrom('x', 'y', 'z')
  const operation: fc.Arbitrary<Operation> = fc.oneof(
    fc.record({ op: fc.constant('add' as const), time, item, text }),
    fc.record({ op: fc.constant('rename' as const), time, item, text }),
    fc.record({ op: fc.constant('check' as const), time, item, checked: fc.boolean() }),
    fc.record({ op: fc.constant('remove' as const), time, item }),
  )
  // One author says one thing at a time.
  const said = fc.uniqueArray(fc.tuple(fc.constantFrom('a', 'b', 'c'), operation), {
    selector: ([author, { time }]) => `${author} ${time}`,
  })
  const history = said.chain((all) =>
    fc.tuple(fc.constant(all), fc.shuffledSubarray([...all, ...all], { minLength: 2 * all.length })),
  )
  fc.assert(fc.property(history, ([all, shuffled]) => void expect(texts(shuffled)).toEqual(texts(all))))
})

test('what is no operation is left to whoever understands it', () => {
  const fine = { op: 'add', time: 1, item: 'i', text: 'bread' }
  expect(readOperation({ ...fine, extra: true })).toEqual(fine)
  const others = [
    null,
    7,
    'add',
    [],
    {},
    { ...fine, op: 'move' },
    { ...fine, time: -1 },
    { ...fine, time: 0.5 },
    { ...fine, text: 7 },
  ]
  for (const other of others) expect(readOperation(other)).toBeUndefined()
})
