import { describe, expect, test } from 'vitest'
import { delayed, type StorageCase, storageCases } from '../src/conformance.ts'
import { memoryStorage } from '../src/index.ts'
import { shelf } from './shelf.ts'

/** What a store that keeps nothing cannot be asked. */
const LASTING = ['reopen', 'kill', 'loseTail', 'second', 'readOnly', 'failNext']

const lasting = ({ needs }: StorageCase) => needs.some((need) => LASTING.includes(need))

describe('memory', () => {
  for (const kitCase of storageCases) {
    test(kitCase.name, async () => {
      const outcome = await kitCase.run(() => memoryStorage())
      expect(outcome).toMatch(lasting(kitCase) ? /^skipped: needs / : /^passed$/)
    })
  }
})

describe('memory, asynchronous', () => {
  for (const kitCase of storageCases) {
    test(kitCase.name, async () => {
      const outcome = await kitCase.run(() => delayed(memoryStorage()))
      expect(outcome).toMatch(lasting(kitCase) ? /^skipped: needs / : /^passed$/)
    })
  }
})

describe('memory, with small limits', () => {
  for (const kitCase of storageCases) {
    test(kitCase.name, async () => {
      const limits = { pageBytes: 1000, runBytesMax: 100_000 }
      const outcome = await kitCase.run(() => ({ storage: memoryStorage(limits), ...limits }))
      expect(outcome).toMatch(lasting(kitCase) ? /^skipped: needs / : /^passed$/)
    })
  }
})

describe('a shelf that keeps what is in memory', () => {
  for (const kitCase of storageCases) {
    test(kitCase.name, async () => {
      expect(await kitCase.run(() => shelf())).toBe('passed')
    })
  }
})

describe('the kit', () => {
  test('has at least 90 cases, each with a name of its own that begins with its group', () => {
    expect(storageCases.length).toBeGreaterThanOrEqual(90)
    expect(new Set(storageCases.map(({ name }) => name)).size).toBe(storageCases.length)
    for (const { name, group } of storageCases) expect(name.startsWith(`${group}: `)).toBe(true)
  })

  test('skips what a store says it cannot do, aloud', async () => {
    const poor = () => {
      const storage = memoryStorage()
      const open = storage.open.bind(storage)
      storage.open = (options) => ({
        ...open(options),
        capabilities: { list: false, changes: false, maps: false, erase: false },
      })
      for (const method of ['list', 'count', 'changes', 'readMap', 'mergeMap', 'erase'] as const)
        storage[method] = () => {
          throw new TypeError(`this store has no ${method}`)
        }
      return storage
    }
    for (const { needs, run } of storageCases)
      expect(await run(poor)).toBe(needs[0] ? `skipped: needs ${needs[0]}` : 'passed')
  })

  test('destroys what it was given, also when a case fails', async () => {
    const destroyed: string[] = []
    const [first] = storageCases as [StorageCase]
    const make = (name: string) => () => ({ storage: memoryStorage(), destroy: () => void destroyed.push(name) })
    await first.run(make('passing'))
    const failing = make('failing')()
    failing.storage.open = () => ({ ...memoryStorage().open(), generation: { id: '', sequence: 0 } })
    await expect(first.run(() => failing)).rejects.toThrow('expected a generation with an id')
    expect(destroyed).toEqual(['passing', 'failing'])
  })
})
