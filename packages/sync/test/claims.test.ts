/**
 * What peers said to hold, or have on its way, before somebody else brought as much of it (L13): a digest may show that it is not the same, and
 * nothing that is said of it reads as a confirmation.
 */
import type { KnownState } from '@tidemark/known-state'
import { type AppendResult, memoryStorage } from '@tidemark/storage'
import { expect, test } from 'vitest'
import { append, bytes, content, createWorld, gate, OWN, settled, state } from './world.ts'

type Kind = 'json' | 'bytes'

const other = (kind: Kind, sessions: string, header = true) => {
  const { runs, ...rest } = append('note', sessions, header, kind)
  const changed = runs.map((run) => ({
    ...run,
    transactions: run.transactions.map((_, at) => bytes(`{"other":${at}}`)),
  }))
  return { ...rest, runs: changed.map((run) => ({ ...run, seal: bytes('other') })) }
}

test.each(['json', 'bytes'] as const)(
  'of two histories of a session of %s the one that comes second is not said to be uploaded, while it waits or when it was refused',
  async (kind) => {
    const world = createWorld()
    const judging = gate()
    const authorize = (principal: unknown, action: string) =>
      principal === 'writer' || action === 'read' || judging.opened.then(() => true)
    const server = await world.node('server', {
      holds: [append('note', 'b:0-1', true, kind)],
      hooks: { authorize } as never,
    })
    const client = await world.node('client', { holds: [other(kind, 'a:0-2')], upstreamExpected: true })
    world.connect(client, server).client.ask(['note'], 'outbox')
    await settled()
    world.peer('writer', server, { ...OWN, principal: 'writer' }).say(content('note', 'a:0-2', false, kind))
    await settled()
    expect(client.runner.status('note').uploaded).toBe(false)
    judging.open()
    await settled()
    expect(client.runner.status('note').uploaded).toBe(false)
    expect([...client.reports, ...server.reports].filter((report) => report.kind === 'fork')).not.toEqual([])
  },
)

test('a fork of JSON that was told is not said to be uploaded when the other history has become as long', async () => {
  const world = createWorld()
  const server = await world.node('server', { holds: [append('note', 'a:0-1 b:0-1')] })
  const client = await world.node('client', { holds: [other('json', 'a:0-2')], upstreamExpected: true })
  world.connect(client, server).client.ask(['note'], 'outbox')
  await settled()
  expect(world.trace).toContain('server > client  ERROR note fork')
  world.peer('writer', server, OWN).say(content('note', 'a:1-2', false))
  await settled()
  expect(client.runner.status('note').uploaded).toBe(false)
})

test('content of JSON that forked at an equal count is not acknowledged beside the error', async () => {
  const world = createWorld()
  const server = await world.node('server', { holds: [append('note', 'a:0-2')] })
  const peer = world.peer('peer', server, OWN)
  peer.say({ action: 'content', ...other('json', 'a:0-2', false) })
  await settled()
  expect(peer.heard).toContainEqual(expect.objectContaining({ action: 'error', code: 'fork' }))
  for (const message of peer.heard) if (message.action === 'known') expect(message.known.sessions.has('a')).toBe(false)
})

/** A server, and a reader that says to hold two of session `a`, which the server lacks. */
async function claiming() {
  const world = createWorld()
  const server = await world.node('server', { holds: [append('note', 'b:0-1', true, 'bytes')] })
  const reader = world.peer('reader', server, OWN)
  reader.load('note', state('a:2 b:1'))
  await settled()
  const heard = reader.heard.length
  return { world, server, reader, since: () => reader.heard.slice(heard) }
}

test('who said to hold what somebody else brings is told the digest, also where it brings something else itself meanwhile', async () => {
  const { world, server, reader, since } = await claiming()
  reader.say(content('note', 'c:0-1', false, 'bytes'))
  world.peer('writer', server, OWN).say(content('note', 'a:0-2', false, 'bytes'))
  await settled()
  const told = since().flatMap((message) => (message.action === 'known' ? [message] : []))
  expect(told.some(({ known, digests }) => known.sessions.get('a') === 2 && digests?.has('a'))).toBe(true)
})

test('who brings as much of it itself meanwhile is told nothing of it before that was compared', async () => {
  const { world, server, reader, since } = await claiming()
  const gates = [gate(), gate()]
  let appends = 0
  server.spy.replace = {
    append: async (batch) => {
      await gates[appends++]?.opened
      return server.spy.real.append(batch)
    },
  }
  world.peer('writer', server, OWN).say(content('note', 'a:0-2', false, 'bytes'))
  await settled()
  reader.say({ action: 'content', ...other('bytes', 'a:0-2', false) })
  await settled()
  gates[0]?.open()
  await settled()
  expect(since()).toEqual([])
  gates[1]?.open()
  await settled()
  expect(since()).toContainEqual(expect.objectContaining({ action: 'error', code: 'fork' }))
})

test('who said to hold what another process brings is told the digest as well, and nobody anything of what did not grow', async () => {
  let changed = (_before?: KnownState) => {}
  const watch = (listener: (change: { id: string; before: KnownState | undefined }) => void) => {
    changed = (before) => listener({ id: 'note', before })
    return () => {}
  }
  const storage = Object.assign(memoryStorage(), { watch })
  const world = createWorld()
  const server = await world.node('server', { storage, holds: [append('note', 'b:0-1', true, 'bytes')] })
  const reader = world.peer('reader', server, OWN)
  reader.load('note', state('a:2 b:1'))
  await settled()
  const idle = world.peer('idle', server, OWN)
  idle.say({ action: 'content', ...append('note', 'b:0-1', false, 'bytes') })
  await settled()
  const [{ length }, { length: before }] = [reader.heard, idle.heard]
  await storage.append([append('note', 'a:0-2', false, 'bytes')])
  changed(state('b:1'))
  await settled()
  expect(idle.heard.slice(before).filter(({ action }) => action === 'known')).toEqual([])
  const told = reader.heard.slice(length).flatMap((message) => (message.action === 'known' ? [message] : []))
  expect(told.some(({ known, digests }) => known.sessions.get('a') === 2 && digests?.has('a'))).toBe(true)
})

test('where too few layers have it, and no digest is told, a claim is not confirmed', async () => {
  const { world, server, since } = await claiming()
  const enough = (result: AppendResult): AppendResult =>
    'failed' in result || result.state === undefined
      ? result
      : { ...result, state: { ...result.state, durable: state('a:2 b:1') } }
  server.spy.replace = { append: async (batch) => (await server.spy.real.append(batch)).map(enough) }
  world.peer('writer', server, OWN).say(content('note', 'a:0-2 c:0-1', false, 'bytes'))
  await settled()
  expect(since().filter(({ action }) => action === 'known')).toEqual([])
})

test('a session that a peer forked is not named when others go on with it, and who is in step is told nothing twice', async () => {
  const world = createWorld()
  const server = await world.node('server', { holds: [append('note', 'a:0-1 b:0-1', true, 'bytes')] })
  const forked = world.peer('forked', server, OWN)
  forked.say({ action: 'content', ...other('bytes', 'a:0-2', false) })
  const reader = world.peer('reader', server, OWN)
  reader.load('note', state('a:1 b:1'))
  await settled()
  const heard = [forked.heard.length, reader.heard.length]
  const writer = world.peer('writer', server, OWN)
  writer.say(content('note', 'a:1-2', false, 'bytes'))
  await settled()
  expect(forked.heard.slice(heard[0])).toEqual([])
  reader.say({ action: 'known', id: 'note', known: state('a:2 b:1'), correction: false })
  writer.say(content('note', 'a:0-2 b:1-2', false, 'bytes'))
  await settled()
  expect(reader.heard.slice(heard[1]).map(({ action }) => action)).toEqual(['content', 'content'])
})
