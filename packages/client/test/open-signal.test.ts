/**
 * A signal that outlives the documents that were opened with it.
 */

import { memoryStorage } from '@tidemark/storage'
import { expect, test } from 'vitest'
import { createClient } from '../src/index.ts'

test('a document that is closed leaves nothing on the signal it was opened with', async () => {
  const client = await createClient({ storage: memoryStorage() })
  const { signal } = new AbortController()
  let listening = 0
  const add = signal.addEventListener.bind(signal)
  const remove = signal.removeEventListener.bind(signal)
  signal.addEventListener = ((...args: Parameters<typeof add>) => {
    listening += 1
    add(...args)
  }) as typeof add
  signal.removeEventListener = ((...args: Parameters<typeof remove>) => {
    listening -= 1
    remove(...args)
  }) as typeof remove
  for (let index = 0; index < 10; index++) await client.open(`note-${index}`, { signal }).close()
  await client.close()
  expect(listening).toBe(0)
})
