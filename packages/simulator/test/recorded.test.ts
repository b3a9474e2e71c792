/**
 * What is recorded of an application: also what it creates without asking, so that nothing it did is held against the engine.
 */
import type { Client } from '@tidemark/client'
import { expect, test } from 'vitest'
import { calm, simulate, type World } from '../src/index.ts'

const utf8 = new TextEncoder()
const header = utf8.encode('h')

async function rest(world: World): Promise<void> {
  await world.pass(10_000)
  await world.heal()
  await world.pass(100_000)
  await world.judge()
}

test.each(['nothing', 'append', 'subscribe'])(
  'who creates with transactions and then does %s breaks no law',
  async (then) => {
    const { failure, world } = await simulate(
      async (world) => {
        const server = await world.server('server')
        await world.client('ben', {
          server,
          application: async ({ client, number }) => {
            const session = `ben.${number}`
            const doc = await client.create('d', { header, session, transactions: [utf8.encode('x1')] })
            if (then === 'subscribe') doc.subscribe(() => {})
            if (then === 'append') await doc.append(session, [utf8.encode('x2')])
          },
        })
        await rest(world)
      },
      1,
      calm,
    )
    expect(failure).toBeUndefined()
    expect(world.trace.join('\n')).toContain('application of ben: wrote d ben.1 x1')
  },
)

test('an append of nothing is nothing to stand behind', async () => {
  const { failure } = await simulate(
    async (world) => {
      const server = await world.server('server')
      await world.client('ben', {
        server,
        application: async ({ client }) => {
          const doc = await client.create('d', { header })
          await doc.append('ben.1', [])
          await doc.append('ben.1', [utf8.encode('x1')])
        },
      })
      await rest(world)
    },
    1,
    calm,
  )
  expect(failure).toBeUndefined()
})

/** Somebody reads a document for a second, in its own way; then somebody else creates it. */
function readForASecond(read: (client: Client, after: (leave: () => void) => void) => void) {
  return simulate(
    async (world) => {
      const server = await world.server('server')
      await world.client('anna', {
        server,
        application: ({ client }) => read(client, (leave) => world.after(1_000, leave)),
      })
      await world.pass(5_000)
      await world.client('ben', {
        server,
        application: async ({ client }) => {
          await client.create('d', { header, session: 'ben.1', transactions: [utf8.encode('x1')] })
        },
      })
      await rest(world)
    },
    1,
    calm,
  )
}

test('a handle whose signal is aborted is closed, and nobody expects more of it', async () => {
  const { failure, world } = await readForASecond((client, after) => {
    const abort = new AbortController()
    client.open('d', { signal: abort.signal }).subscribe(() => {})
    after(() => abort.abort())
  })
  expect(failure).toBeUndefined()
  expect(world.trace.filter((line) => line.endsWith('handle 1 of d closed'))).toHaveLength(1)
})

test('a handle that is disposed of is closed, and nobody expects more of it', async () => {
  const { failure, world } = await readForASecond((client, after) => {
    const doc = client.open('d')
    doc.subscribe(() => {})
    after(() => void doc[Symbol.asyncDispose]())
  })
  expect(failure).toBeUndefined()
  expect(world.trace.filter((line) => line.endsWith('handle 1 of d closed'))).toHaveLength(1)
})

test('a write that is refused is told as such, also one of a handle that creates', async () => {
  const { failure, world } = await simulate(
    async (world) => {
      const server = await world.server('server')
      await world.client('ben', {
        server,
        application: ({ client }) => {
          client
            .open('nothing')
            .append('ben.1', [utf8.encode('x1')])
            .catch(() => {})
          client.create('d', { header: utf8.encode('{'), kind: 'json' }).catch(() => {})
        },
      })
      await rest(world)
    },
    1,
    calm,
  )
  expect(failure).toBeUndefined()
  expect(world.trace.join('\n')).toContain('application of ben: could not write nothing ben.1 x1')
  expect(world.trace.join('\n')).toContain('application of ben: could not write d')
  expect(world.trace.join('\n')).toContain('handle 2 of d closed')
})
