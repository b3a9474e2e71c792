import { describe, expect, test } from 'vitest'
import { delayed, faults } from '../src/conformance.ts'
import { type Append, memoryStorage, StorageError } from '../src/index.ts'

const content = (id: string): Append => ({ id, kind: 'bytes', priority: 3, header: Uint8Array.of(1), runs: [] })

function opened() {
  const storage = memoryStorage()
  storage.open()
  return storage
}

describe('faults', () => {
  test('without a plan, a spy that counts calls by method, in the same tick', async () => {
    const storage = faults(opened())
    await storage.append([content('x')])
    expect(storage.knownStates(['y'])).toEqual([undefined])
    expect(storage.knownStates(['x', 'y'])).toMatchObject([{ known: { header: true } }, undefined])
    expect([storage.calls.append, storage.calls.knownStates, storage.calls.read]).toEqual([1, 2, 0])
  })

  test('fails the calls that the plan names, and only those', async () => {
    const storage = faults(opened(), ({ method, nth }) =>
      method === 'append' && nth === 2 ? { fails: 'QUOTA' } : undefined,
    )
    await storage.append([content('x')])
    expect(() => storage.append([content('y')])).toThrow(StorageError)
    await storage.append([content('z')])
    expect(storage.count()).toBe(2)
    storage.plan = () => ({ fails: new TypeError('mine') })
    expect(() => storage.count()).toThrow(TypeError)
    storage.plan = undefined
    expect(storage.count()).toBe(2)
  })

  test('can fail after the call was performed: unknown outcome', async () => {
    const inner = opened()
    const plan = () => ({ fails: 'IO', performed: true }) as const
    expect(() => faults(inner, plan).append([content('x')])).toThrow('append: made to fail')
    await expect(faults(delayed(inner), plan).append([content('y')])).rejects.toThrow('append: made to fail')
    expect(inner.count()).toBe(2)
  })

  test('can be slow, or never answer', async () => {
    let go = () => {}
    const gate = new Promise<void>((resolve) => {
      go = resolve
    })
    const storage = faults(opened(), ({ method }) => (method === 'append' ? { after: gate } : undefined))
    const append = storage.append([content('x')])
    expect(storage.count()).toBe(0)
    go()
    await append
    expect(storage.count()).toBe(1)
  })

  test('can fail single documents of a batch, with no mark set', async () => {
    const inner = opened()
    const plan = () => ({ failsFor: ({ id }: Append) => (id === 'y' ? 'QUOTA' : undefined) }) as const
    for (const storage of [faults(inner, plan), faults(delayed(inner), plan)]) {
      const marks = new Map([['m', Uint8Array.of(1)]])
      const results = await storage.append([content('x'), content('y'), content('z')], { marks })
      expect(results).toMatchObject([{ refused: new Map() }, { failed: 'QUOTA' }, { refused: new Map() }])
      expect(inner.list({ limit: 9 })).toEqual(['x', 'z'])
      expect(inner.marks({ prefix: '', limit: 9 })).toEqual([])
    }
  })
})
