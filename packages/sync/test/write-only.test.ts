/**
 * Who may write a document and not read it learns nothing of what others wrote, whatever it says.
 */
import { EMPTY } from '@tidemark/known-state'
import type { ContentMessage, Message } from '@tidemark/protocol'
import { expect, test } from 'vitest'
import { append, bytes, content, createWorld, settled, state } from './world.ts'

const run = (session: string, after: number, ...texts: string[]): ContentMessage => ({
  ...content('note', '', false, 'bytes'),
  runs: [{ session, after, transactions: texts.map(bytes) }],
})
const wrongDigest: Message = {
  action: 'known',
  id: 'note',
  known: state('a:1'),
  digests: new Map([['a', '0000000000000000']]),
  correction: false,
}
const said: readonly (readonly [what: string, messages: readonly Message[], names: string])[] = [
  ['an empty run', [run('a', 0)], 'a'],
  ['an empty run ahead', [run('mine', 5)], ''],
  ['a gap', [run('mine', 5, 'x')], ''],
  ['a gap in what others wrote', [run('a', 5, 'x')], 'a'],
  ['a fork', [run('a', 0, 'other')], 'a'],
  ['a known state with a wrong digest', [run('mine', 0, 'm'), wrongDigest], 'a mine'],
  [
    'a correction',
    [run('mine', 0, 'm'), { ...wrongDigest, digests: undefined, correction: true } as unknown as Message],
    'mine',
  ],
  ['a LOAD', [{ action: 'load', id: 'note', known: EMPTY }], ''],
]

test.each(said)('%s is answered with what it names alone', async (_what, messages, names) => {
  const world = createWorld()
  const authorize = (principal: unknown, action: string) => principal !== 'writer' || action === 'write'
  const holds = [append('note', 'secret:0-3 a:0-1', true, 'bytes')]
  const server = await world.node('server', { holds, hooks: { authorize } })
  const writer = world.peer('writer', server, { principal: 'writer' })
  for (const message of messages) {
    writer.say(message)
    await settled()
  }
  expect(writer.heard).not.toEqual([])
  const named = new Set<string>()
  for (const message of writer.heard) {
    if (message.action === 'content') expect(message).toBeUndefined()
    if (message.action !== 'known' && message.action !== 'load') continue
    for (const session of [...message.known.sessions.keys(), ...(message.digests?.keys() ?? [])]) named.add(session)
  }
  expect([...named].sort().join(' ')).toBe(names)
  await server.runner.close()
})

const writeOnly = (_principal: unknown, action: string) => action === 'write'

test.each([
  ['nothing', []],
  ['some of it', [append('note', 'mine:0-1', true, 'bytes')]],
  ['all of it', [append('note', 'mine:0-2', true, 'bytes')]],
])('who may only write uploads what it wrote before it connected: the server has %s', async (_what, holds) => {
  const world = createWorld()
  const server = await world.node('server', { holds, hooks: { authorize: writeOnly } })
  const client = await world.node('client', { holds: [append('note', 'mine:0-2', true, 'bytes')] })
  const { client: link } = world.connect(client, server)
  link.ask(['note'])
  await settled()
  expect((await server.spy.storage.knownStates(['note']))[0]?.known).toEqual(state('mine:2'))
  expect(client.runner.status('note')).toMatchObject({ uploaded: true })
  const sent = world.trace.filter((line) => line.startsWith('client > server  CONTENT'))
  expect(sent.length).toBeLessThanOrEqual(2)
})

test('who may neither read nor write is refused twice, and says nothing more', async () => {
  const world = createWorld()
  const server = await world.node('server', { hooks: { authorize: () => false } })
  const client = await world.node('client', { holds: [append('note', 'mine:0-2', true, 'bytes')] })
  world.connect(client, server).client.ask(['note'])
  await settled()
  await world.clock.advance(600_000)
  expect(world.trace).toEqual([
    'client > server  LOAD note header mine:2',
    'server > client  ERROR note forbidden',
    'client > server  CONTENT note mine:2-2',
    'server > client  ERROR note forbidden',
  ])
})
