/** Dependencies leave before their dependents (L9), in generated graphs too. */
import { expect, test } from 'vitest'
import { order } from '../src/index.ts'
import { generator } from './world.ts'

const graph = (edges: Record<string, string[]>) => (id: string) => edges[id] ?? []

test('dependencies come first, everything else stays where it was', () => {
  const edges = graph({ list: ['group'], group: ['account'] })
  expect(order(['a', 'list', 'b', 'account', 'group'], edges)).toEqual(['a', 'account', 'group', 'list', 'b'])
})

test('a cycle is cut, and nothing is lost or said twice', () => {
  const edges = graph({ a: ['b'], b: ['a'], c: ['c', 'a'] })
  expect(order(['a', 'b', 'c', 'a'], edges)).toEqual(['b', 'a', 'c'])
})

test('a dependency that is not among the documents is not added', () => {
  expect(order(['list'], graph({ list: ['group'] }))).toEqual(['list'])
})

test('a chain of 100,000 documents is no matter of the call stack', () => {
  const length = 100_000
  const ids = Array.from({ length }, (_, index) => String(index))
  const ordered = order(ids, (id) => (id === String(length - 1) ? [] : [String(Number(id) + 1)]))
  expect(ordered.join()).toBe(ids.toReversed().join())
})

test('in 500 generated graphs every edge that is in no cycle points back, and each document is asked about once', () => {
  for (let seed = 1; seed <= 500; seed++) {
    const random = generator(seed)
    const ids = Array.from({ length: 1 + Math.floor(random() * 12) }, (_, index) => `d${index}`)
    const edges = new Map(ids.map((id) => [id, ids.filter(() => random() < 0.2)]))
    const asked: string[] = []
    const ordered = order(ids, (id) => {
      asked.push(id)
      return edges.get(id) ?? []
    })
    expect(ordered.toSorted(), `seed ${seed}`).toEqual(ids.toSorted())
    expect(asked.toSorted(), `seed ${seed}`).toEqual(ids.toSorted())
    for (const [id, dependencies] of edges)
      for (const dependency of dependencies.filter((other) => !reaches(edges, other, id)))
        expect(ordered.indexOf(dependency), `seed ${seed}: ${id} needs ${dependency}`).toBeLessThan(ordered.indexOf(id))
  }
})

function reaches(edges: ReadonlyMap<string, readonly string[]>, from: string, to: string): boolean {
  const seen = new Set([from])
  for (const id of seen) for (const next of edges.get(id) ?? []) seen.add(next)
  return seen.has(to)
}
