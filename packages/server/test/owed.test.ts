/**
 * What an edge owes its core beyond what clients wrote: what a layer of its storage brought. And an edge that cannot be created.
 */
import { tidemarkJson } from '@tidemark/protocol'
import { layers } from '@tidemark/reconciliation/layers'
import { memoryStorage, type Storage } from '@tidemark/storage'
import { createPipe } from '@tidemark/sync/run'
import { expect, test } from 'vitest'
import { createServer } from '../src/index.ts'
import { manualClock, settled, wrapped } from './help.ts'

const bytes = (value: unknown) => new TextEncoder().encode(JSON.stringify(value))
const document = (id: string) =>
  ({
    id,
    kind: 'bytes',
    priority: 3,
    header: bytes({}),
    runs: [{ session: 's', after: 0, transactions: [bytes(1)] }],
  }) as const

/** A store that outlives whoever closes it, as a file would. */
function disk(...ids: string[]): Storage {
  const real = memoryStorage()
  const opened = { ...real.open(), level: 'durable' as const }
  real.append(ids.map(document))
  return wrapped(real, (method, call) => (method === 'open' ? opened : method === 'close' ? undefined : call()))
}

/** A core, and how edges over layers are made and ended. */
async function createCore() {
  const clock = manualClock()
  const held = memoryStorage()
  const core = await createServer({ storage: held, clock })
  const connect = async () => {
    const [ours, theirs] = createPipe(tidemarkJson)
    core.accept(theirs)
    return ours
  }
  return {
    clock,
    held: async (id: string) => (await held.knownStates([id]))[0]?.known.sessions.get('s'),
    async edge(disks: Readonly<Record<string, Storage>>) {
      const both = layers(
        Object.entries(disks).map(([name, storage]) => ({ name, storage })),
        { clock },
      )
      const server = await createServer({ storage: both, clock, upstream: { connect } })
      await settled()
      return { server, both }
    },
    close: () => core.close(),
  }
}

test('what a layer brings that is attached to an edge is owed to its core', async () => {
  const core = await createCore()
  const { server, both } = await core.edge({ a: disk('x') })
  await core.clock.pass(60_000)
  await both.attach({ name: 'b', storage: disk('y') })
  await core.clock.pass(600_000)
  expect([await core.held('x'), await core.held('y'), server.health().upstream?.owed]).toEqual([1, 1, 0])
  await server.close()
  await core.close()
})

test('what a layer brings that was not there in the run before is owed to the core', async () => {
  const core = await createCore()
  const a = disk('x')
  const first = await core.edge({ a })
  await core.clock.pass(60_000)
  await first.server.close()
  const { server } = await core.edge({ a, b: disk('y') })
  await core.clock.pass(600_000)
  expect([await core.held('y'), server.health().upstream?.owed]).toEqual([1, 0])
  await server.close()
  await core.close()
})

test('an edge that cannot be created closes the storage that it opened', async () => {
  let isOpen = false
  const storage = wrapped(memoryStorage(), (method, call) => {
    if (method === 'marks') throw new Error('disk')
    if (method === 'open' || method === 'close') isOpen = method === 'open'
    return call()
  })
  const connect = () => new Promise<never>(() => {})
  await expect(createServer({ storage, clock: manualClock(), upstream: { connect } })).rejects.toThrow('disk')
  expect(isOpen).toBe(false)
})

test('limits below what every peer may send, or that are no whole numbers, are refused before anything is opened', async () => {
  const called: string[] = []
  const storage = wrapped(memoryStorage(), (method, call) => {
    called.push(method)
    return call()
  })
  const connect = () => new Promise<never>(() => {})
  for (const upstream of [{ upstream: { connect } }, {}]) {
    await expect(createServer({ storage, limits: { messageBytesMax: 65_535 }, ...upstream })).rejects.toThrow(
      'limits.messageBytesMax: expected at least 65536',
    )
    for (const messageBytesMax of [Number.POSITIVE_INFINITY, 70_000.5, 2 ** 53, '100000' as never])
      await expect(createServer({ storage, limits: { messageBytesMax }, ...upstream })).rejects.toThrow(
        'limits.messageBytesMax: expected a whole number from 65536 to 2^53−1',
      )
  }
  expect(called.filter((method) => method === 'open' || method === 'marks')).toEqual([])
})
