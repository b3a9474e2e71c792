/**
 * Several `--storage`: what layers note of each other goes by name, and the line they are named in may change.
 */
import { expect, test } from 'vitest'
import { layersOf } from '../src/layered.ts'
import { storagesFrom } from '../src/open-storage.ts'

async function names(texts: readonly string[]): Promise<readonly (string | undefined)[]> {
  const storage = await storagesFrom(texts, () => {})
  return (
    layersOf(storage)
      ?.health()
      .map(({ name }) => name) ?? []
  )
}

test('a storage keeps its name when others come before it, and its path is not in it', async () => {
  const [one, other, level] = ['sqlite:/secret/a.db', 'sqlite:/secret/b.db', 'leveldb:/secret/c']
  const first = await names([one, other, level])
  const second = await names(['memory:', level, other, one])
  expect(new Set(first).size).toBe(3)
  expect(second).toEqual(['memory', ...[...first].reverse()])
  expect(first.join()).not.toContain('secret')
})
