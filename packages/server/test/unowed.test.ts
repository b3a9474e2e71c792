/**
 * A server that runs for a while without the upstream that it had: what it stores then is compared later.
 */
import { memoryStorage } from '@tidemark/storage'
import { expect, test } from 'vitest'
import { appendUnowed } from '../src/upstream.ts'

const bytes = (value: unknown) => new TextEncoder().encode(JSON.stringify(value))

test('without its upstream, a server lets nothing count as confirmed from its first write on', async () => {
  const storage = memoryStorage()
  storage.open()
  const confirmed = { generation: { id: 'core', sequence: 7 } }
  await storage.append([], { marks: new Map([['tidemark upstream', bytes(confirmed)]]) })
  const append = appendUnowed(storage)
  await append([{ id: 'note', kind: 'json', priority: 3, header: bytes({}), runs: [] }], [])
  const [mark] = await storage.marks({ prefix: 'tidemark upstream', limit: 1 })
  expect(JSON.parse(new TextDecoder().decode(mark?.[1]))).toEqual({ after: '' })
  expect(storage.count()).toBe(1)
})
