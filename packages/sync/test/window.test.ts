/**
 * Our own LOADs: how many are in flight, which come first, what frees a slot. Scenarios 6–8, 10 and 11, as message logs.
 */
import type { Append } from '@tidemark/storage'
import { expect, test } from 'vitest'
import { DEFAULT_ENGINE_LIMITS } from '../src/options.ts'
import { append, content, createWorld, type Node, settled, state, type World } from './world.ts'

/** A document whose header says what it depends on. */
const needing = (id: string, ...dependencies: string[]): Append => ({
  ...append(id, 'a:0-1'),
  header: new TextEncoder().encode(JSON.stringify(dependencies)),
})
const hooks = {
  dependenciesOf: (header: Uint8Array | undefined): string[] => {
    const named: unknown = header && JSON.parse(new TextDecoder().decode(header))
    return Array.isArray(named) ? named : []
  },
}

/** What was asked for, in order. */
const asked = (world: World, peer = 'server'): string[] =>
  world.trace.filter((line) => line.includes(`> ${peer}  LOAD`)).map((line) => line.split(' ')[5] ?? '')

const known = (id: string, text = '') => ({ action: 'known', id, known: state(text), correction: false }) as const

/** Lets look-ups that ask for `id` wait until the answer is called. */
function holdBack(node: Node, id: string): () => void {
  let answer = () => {}
  const gate = new Promise<void>((resolve) => {
    answer = resolve
  })
  node.spy.replace = {
    knownStates: (ids) =>
      ids.includes(id) ? gate.then(() => node.spy.real.knownStates(ids)) : node.spy.real.knownStates(ids),
  }
  return answer
}

async function ofTwo() {
  const world = createWorld()
  const client = await world.node('client', { limits: { loadsInFlightMax: 2 } })
  const server = world.peer('server', client, { upstream: true })
  server.link.ask(['d1', 'd2', 'd3', 'd4'])
  await settled()
  expect(asked(world)).toEqual(['d1', 'd2'])
  return { world, client, server }
}

test('a slot is freed by KNOWN, by an error, by a deadline, each for exactly one more LOAD', async () => {
  const { world, server } = await ofTwo()
  server.say(known('d2'))
  await settled()
  expect(asked(world)).toEqual(['d1', 'd2', 'd3'])
  server.say({ action: 'error', id: 'd3', code: 'refused', message: 'not for you' })
  await settled()
  expect(asked(world)).toEqual(['d1', 'd2', 'd3', 'd4'])
  server.link.ask(['d5'])
  await world.clock.advance(29_000)
  expect(asked(world)).toHaveLength(4)
  await world.clock.advance(1_000)
  expect(asked(world)).toEqual(['d1', 'd2', 'd3', 'd4', 'd5'])
})

test('a slot is freed by the last page of an answer, not by the first', async () => {
  const { world, server } = await ofTwo()
  server.say({ ...content('d1', 'a:0-1'), expectUntil: state('a:2') })
  await settled()
  expect(asked(world)).toEqual(['d1', 'd2'])
  server.say(content('d1', 'a:1-2', false))
  await settled()
  expect(asked(world)).toEqual(['d1', 'd2', 'd3'])
})

test('a disconnect frees everything: what waited for a slot is not asked of anybody else', async () => {
  const { world, client, server } = await ofTwo()
  server.link.closed()
  const other = world.peer('other', client, { upstream: true })
  other.link.ask(['d9'])
  await settled()
  expect(asked(world)).toEqual(['d1', 'd2'])
  expect(asked(world, 'other')).toEqual(['d9'])
})

test('what the user opened comes first, then what is to be uploaded, then what only reconnecting wants', async () => {
  const { world, client, server } = await ofTwo()
  await client.spy.storage.append([append('written', 'a:0-1')])
  world.peer('user', client, { local: true }).say(content('written', 'a:1-2', false))
  await settled()
  world.peer('user', client, { local: true }).load('opened')
  await settled()
  for (const id of ['d1', 'd2', 'opened', 'written']) {
    server.say(known(id))
    await settled()
  }
  expect(asked(world)).toEqual(['d1', 'd2', 'opened', 'written', 'd3', 'd4'])
})

test('a waiting LOAD that becomes more urgent overtakes, with what it depends on before it, beyond the window', async () => {
  const world = createWorld()
  const holds = [
    needing('d1'),
    needing('d2'),
    needing('group'),
    needing('account'),
    needing('list', 'group', 'account'),
  ]
  const client = await world.node('client', { holds, hooks, limits: { loadsInFlightMax: 1 } })
  const server = world.peer('server', client, { upstream: true })
  server.link.ask(['d1', 'd2', 'account', 'group', 'list'])
  await settled()
  expect(asked(world)).toEqual(['d1'])
  world.peer('user', client, { local: true }).load('list', state('a:1'))
  server.say(known('d1', 'a:1'))
  await settled()
  expect(asked(world)).toEqual(['d1', 'group', 'account', 'list'])
  for (const id of ['group', 'account', 'list']) server.say(known(id, 'a:1'))
  await settled()
  expect(asked(world)).toEqual(['d1', 'group', 'account', 'list', 'd2'])
})

test('6: LOAD group leaves before LOAD list although its look-up is slow; an unrelated document does not wait', async () => {
  const world = createWorld()
  const client = await world.node('client', {
    holds: [needing('group'), needing('list', 'group'), needing('z')],
    hooks,
  })
  const answer = holdBack(client, 'group')
  const server = world.peer('server', client, { upstream: true })
  // Each in a look-up of its own.
  for (const id of ['list', 'group', 'z']) {
    server.link.ask([id])
    await settled()
  }
  expect(asked(world)).toEqual(['z'])
  answer()
  await settled()
  expect(world.trace).toEqual([
    'client > server  LOAD z header a:1',
    'client > server  LOAD group header a:1',
    'client > server  LOAD list header a:1',
  ])
})

test('6: a document that waits for a look-up without end leaves after as long as a LOAD may take', async () => {
  const world = createWorld()
  const client = await world.node('client', { holds: [needing('group'), needing('list', 'group')], hooks })
  holdBack(client, 'group')
  const server = world.peer('server', client, { upstream: true })
  server.link.ask(['list'])
  await world.clock.advance(29_000)
  expect(asked(world)).toEqual([])
  await world.clock.advance(1_000)
  expect(asked(world)).toEqual(['list'])
})

test('7: a dependency cycle is asked for, whole and once, and nothing hangs', async () => {
  const world = createWorld()
  const holds = [needing('a', 'b', 'a'), needing('b', 'c'), needing('c', 'a', 'd'), needing('d')]
  const client = await world.node('client', { holds, hooks })
  const server = world.peer('server', client, { upstream: true })
  server.link.ask(['a', 'b', 'c', 'd'])
  await settled()
  expect(asked(world).toSorted()).toEqual(['a', 'b', 'c', 'd'])
  expect(asked(world).indexOf('d')).toBeLessThan(asked(world).indexOf('c'))
  for (const id of ['a', 'b', 'c', 'd']) server.say(known(id, 'a:1'))
  await settled()
  expect(client.runner.sizes()).toMatchObject({ holdings: 0, parked: 0, checks: 0 })
})

test('a dependency that nobody here holds is asked for with nothing, before who needs it', async () => {
  const world = createWorld()
  const client = await world.node('client', { holds: [needing('list', 'group')], hooks })
  const server = world.peer('server', client, { upstream: true })
  server.link.ask(['list'])
  await settled()
  expect(world.trace).toEqual(['client > server  LOAD group ∅', 'client > server  LOAD list header a:1'])
})

test('headers are read in bulk; those that cannot be read delay nobody, and that is reported', async () => {
  const world = createWorld()
  const ids = Array.from({ length: 100 }, (_, index) => `d${index}`)
  const client = await world.node('client', { holds: [needing('z'), ...ids.map((id) => needing(id, 'z'))], hooks })
  const server = world.peer('server', client, { upstream: true })
  client.spy.replace = {
    headers: (asked) => {
      if (asked.includes('d7')) throw new Error('disk on fire')
      return client.spy.real.headers(asked)
    },
  }
  server.link.ask(ids)
  await settled()
  // Bulk, one by one after it failed, and the header of what they all depend on.
  expect(client.spy.calls).toMatchObject({ knownStates: 2, headers: 102 })
  expect(asked(world).slice(0, 2)).toEqual(['d7', 'z'])
  expect(asked(world)).toHaveLength(101)
  expect(client.reports).toContainEqual(expect.objectContaining({ kind: 'check', question: 'dependencies' }))
})

test('8: a document that is opened while its look-up runs is asked for once, with what is held then', async () => {
  const world = createWorld()
  const client = await world.node('client', { holds: [append('note', 'a:0-3')] })
  const answer = holdBack(client, 'note')
  world.peer('server', client, { upstream: true }).link.ask(['note'])
  await settled()
  const user = world.peer('user', client, { local: true })
  user.load('note', state('a:3'))
  user.say(content('note', 'a:3-5', false))
  await settled()
  answer()
  await settled()
  expect(world.trace.filter((line) => line.includes('LOAD') && line.includes('server'))).toEqual([
    'client > server  LOAD note header a:3',
  ])
})

test('10: of two connections within a tick each gets at most one LOAD; no answer of the closed one is applied', async () => {
  const world = createWorld()
  const client = await world.node('client', { holds: [append('note', 'a:0-3')] })
  const answer = holdBack(client, 'note')
  const first = world.peer('first', client, { upstream: true })
  first.link.ask(['note'])
  const second = world.peer('second', client, { upstream: true })
  second.link.ask(['note'])
  first.link.closed()
  answer()
  await settled()
  expect(world.trace).toEqual(['client > second  LOAD note header a:3'])
  expect(client.spy.calls.knownStates).toBe(1)
  // The closed one answers nevertheless: nothing of it is believed.
  first.say(known('note', 'a:3'))
  await settled()
  expect(client.runner.status('note').uploaded).toBe(undefined)
})

test('11: 10,000 documents are looked up in bulk, LOADs never exceed the window, and what is opened now overtakes', async () => {
  const world = createWorld()
  const ids = Array.from({ length: 10_000 }, (_, index) => `d${index}`)
  const client = await world.node('client', { holds: ids.map((id) => append(id, 'a:0-1')) })
  const inFlight = new Set<string>()
  let most = 0
  const order: string[] = []
  const link = client.runner.connect({
    traits: { ...traits, upstream: true, local: false },
    send(sent) {
      for (const { message } of sent) {
        if (message.action !== 'load') continue
        order.push(message.id)
        inFlight.add(message.id)
      }
      most = Math.max(most, inFlight.size)
      const answers = sent.flatMap(({ message }) => (message.action === 'load' ? [message] : []))
      setImmediate(() => {
        for (const { id } of answers) inFlight.delete(id)
        link.receive(answers.map((load) => ({ message: { ...known(load.id), known: load.known }, bytes: 50 })))
      })
    },
    room: () => true,
    close() {},
    pause() {},
    resume() {},
  })
  link.ask(ids)
  world.peer('user', client, { local: true }).load('d9999', state('a:1'))
  await settled()
  expect(order).toHaveLength(10_000)
  expect(most).toBe(DEFAULT_ENGINE_LIMITS.loadsInFlightMax)
  expect(order.indexOf('d9999')).toBeLessThanOrEqual(most)
  // What is answered as it was asked is not looked up again.
  expect(client.spy.calls).toMatchObject({ read: 0, headers: 0 })
  expect(client.spy.calls.knownStates).toBeLessThanOrEqual(20)
})

declare function setImmediate(callback: () => void): unknown
const traits = {
  hello: false,
  errors: true,
  done: true,
  digests: true,
  claimsStreams: false,
  knownFirst: false,
  kinds: ['json', 'bytes'],
} as const
