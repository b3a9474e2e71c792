/**
 * A server that runs for a while without the upstream that it had: what it stores then is compared later.
 */
import { tidemarkJson } from '@tidemark/protocol'
import { layers } from '@tidemark/reconciliation/layers'
import { memoryStorage, type Storage } from '@tidemark/storage'
import { createPipe } from '@tidemark/sync/run'
import { expect, test } from 'vitest'
import { createServer } from '../src/index.ts'
import { watchUnowed } from '../src/upstream.ts'
import { manualClock, wrapped } from './help.ts'

const bytes = (value: unknown) => new TextEncoder().encode(JSON.stringify(value))

test('without its upstream, a server lets nothing count as confirmed from its first write on', async () => {
  const storage = memoryStorage()
  storage.open()
  const confirmed = { generation: { id: 'core', sequence: 7 } }
  await storage.append([], { marks: new Map([['tidemark upstream', bytes(confirmed)]]) })
  const { append } = watchUnowed(storage)
  await append([{ id: 'note', kind: 'json', priority: 3, header: bytes({}), runs: [] }], [])
  const [mark] = await storage.marks({ prefix: 'tidemark upstream', limit: 1 })
  expect(JSON.parse(new TextDecoder().decode(mark?.[1]))).toEqual({ after: '' })
  expect(storage.count()).toBe(1)
})

test('what a layer brought while a server ran without its upstream is owed to it later', async () => {
  const clock = manualClock()
  const held = memoryStorage()
  const core = await createServer({ storage: held, clock })
  const connect = async () => {
    const [ours, theirs] = createPipe(tidemarkJson)
    core.accept(theirs)
    return ours
  }
  const [a, b] = [diskWith('x'), diskWith('y')]
  const open = (disks: Record<string, Storage>) =>
    layers(
      Object.entries(disks).map(([name, storage]) => ({ name, storage })),
      { clock },
    )
  const first = await createServer({ storage: open({ a }), clock, upstream: { connect } })
  await clock.pass(60_000)
  await first.close()
  const alone = await createServer({ storage: open({ a, b }), clock })
  await clock.pass(600_000)
  await alone.close()
  const third = await createServer({ storage: open({ a, b }), clock, upstream: { connect } })
  await clock.pass(60_000)
  const states = await held.knownStates(['x', 'y'])
  expect([states.map((state) => state?.known.sessions.get('s')), third.health().upstream?.owed]).toEqual([[1, 1], 0])
  await third.close()
  await core.close()
})

function diskWith(id: string): Storage {
  const real = memoryStorage()
  const opened = { ...real.open(), level: 'durable' as const }
  const runs = [{ session: 's', after: 0, transactions: [bytes(1)] }]
  real.append([{ id, kind: 'bytes', priority: 3, header: bytes({}), runs }])
  return wrapped(real, (method, call) => (method === 'open' ? opened : method === 'close' ? undefined : call()))
}
