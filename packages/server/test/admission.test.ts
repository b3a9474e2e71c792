/**
 * Who may connect, and who may not for a while.
 */
import { jazz } from '@tidemark/protocol'
import { memoryStorage } from '@tidemark/storage'
import { createPipe } from '@tidemark/sync/run'
import { describe, expect, test, vi } from 'vitest'
import { createServer } from '../src/index.ts'
import { type ManualClock, settled } from './help.ts'
import { content, doc, load, session } from './jazz.ts'
import { hear, setUp } from './policy.ts'

vi.setConfig({ testTimeout: 30_000 })

const somebody = { url: '/', headers: {}, remoteAddress: '10.0.0.1' }
const somebodyElse = { url: '/', headers: {}, remoteAddress: '10.0.0.2' }

describe('admission', () => {
  const cases: [answer: unknown, outcome: unknown][] = [
    [undefined, { status: 401 }],
    [false, { status: 403 }],
    [null, { admitted: { principal: null } }],
    ['ada', { admitted: { principal: 'ada' } }],
    [Promise.resolve({ id: 7 }), { admitted: { principal: { id: 7 } } }],
    [Promise.reject(new Error('directory is down')), { status: 503 }],
  ]
  for (const [answer, outcome] of cases) {
    // It is only looked at when the hook is called.
    if (answer instanceof Promise) answer.catch(() => {})
    test(`authenticate answers ${answer instanceof Promise ? 'a promise' : JSON.stringify(answer)}: ${JSON.stringify(outcome)}`, async () => {
      const server = await createServer({ storage: memoryStorage(), hooks: { authenticate: () => answer } })
      expect(await server.admit(somebody)).toMatchObject(outcome as object)
      await server.close()
    })
  }

  test('without the hook everybody is let in, up to the largest number of connections', async () => {
    const server = await createServer({ storage: memoryStorage(), limits: { connectionsMax: 1 } })
    expect(await server.admit(somebody)).toMatchObject({ admitted: {} })
    const [ours, theirs] = createPipe(jazz)
    server.accept(ours)
    expect(await server.admit(somebody)).toMatchObject({ status: 503 })
    theirs.close(1000, '')
    await settled()
    expect(await server.admit(somebody)).toMatchObject({ admitted: {} })
    await server.close()
  })

  test('authorize decides about each document, with the principal; a refusal is an absent document or no growth', async () => {
    const asked: unknown[] = []
    const { clock, ready } = setUp({
      hooks: {
        authorize(principal, action, id) {
          asked.push([principal, action, id])
          return id !== doc('secret') && (action === 'read' || principal === 'writer')
        },
      },
    })
    const server = await ready
    const clients = ['writer', 'reader'].map((principal) => {
      const [ours, theirs] = createPipe(jazz)
      server.accept(ours, { principal })
      return hear(theirs, clock)
    })
    const [writer, reader] = clients as [(typeof clients)[0], (typeof clients)[0]]
    writer.say(content('note', 'a', 0, 2))
    writer.say(content('secret', 'a', 0, 2))
    await settled()
    reader.say(load('note'))
    reader.say(load('secret'))
    await settled()
    reader.say(content('note', 'b', 0, 1, false))
    await settled()
    expect(reader.lines()).toMatchObject([
      { action: 'content', id: doc('note') },
      { action: 'known', id: doc('secret'), header: false },
      { action: 'known', id: doc('note'), sessions: { [session('a')]: 2 } },
    ])
    expect(writer.lines().filter(({ action }) => action === 'content')).toEqual([])
    expect(asked).toContainEqual(['reader', 'write', doc('note')])
    await server.close()
  })
})

describe('penalties', () => {
  async function offend(server: Awaited<ReturnType<typeof createServer>>, clock: ManualClock, who = somebody) {
    const admission = await server.admit(who)
    if ('status' in admission) throw new Error(`not admitted: ${admission.status}`)
    const [ours, theirs] = createPipe(jazz)
    server.accept(ours, admission.admitted)
    const client = hear(theirs, clock)
    for (let count = 0; count < 30; count++) theirs.send('nonsense')
    await settled()
    return client
  }

  test('a client closed for cause is shut out for a growing time, and nobody else is', async () => {
    const { clock, ready } = setUp()
    const server = await ready
    const waits: number[] = []
    for (let round = 0; round < 3; round++) {
      const client = await offend(server, clock)
      expect(client.ends[0]?.code).toBe(1008)
      const admission = await server.admit(somebody)
      expect(admission).toMatchObject({ status: 429 })
      const { retryAfterMs = 0 } = admission as { retryAfterMs?: number }
      waits.push(retryAfterMs)
      expect(await server.admit(somebodyElse)).toMatchObject({ admitted: {} })
      await clock.pass(retryAfterMs)
    }
    expect(waits).toEqual([5_000, 10_000, 20_000])
    await clock.pass(3_600_000)
    await offend(server, clock)
    expect(await server.admit(somebody)).toMatchObject({ status: 429, retryAfterMs: 5_000 })
    await server.close()
  })

  test('users behind one address, or devices with one token, are told apart', async () => {
    const principals = [{ id: 'ada' }, { id: 'bob' }]
    const { clock, ready } = setUp({ hooks: { authenticate: ({ url }) => principals[Number(url)] } })
    const server = await ready
    await offend(server, clock, { ...somebody, url: '0' })
    expect(await server.admit({ ...somebody, url: '0' })).toMatchObject({ status: 429 })
    expect(await server.admit({ ...somebody, url: '1' })).toMatchObject({ admitted: { principal: { id: 'bob' } } })
    expect(await server.admit({ ...somebodyElse, url: '0' })).toMatchObject({ admitted: { principal: { id: 'ada' } } })
    const behindProxy = { ...somebody, url: '0', headers: { 'x-forwarded-for': '192.0.2.7' } }
    expect(await server.admit(behindProxy)).toMatchObject({ admitted: { principal: { id: 'ada' } } })
    await server.close()
  })
})
