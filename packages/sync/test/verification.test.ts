/**
 * Verification while other content of the same session is on its way: nothing is stored that nobody verified.
 */
import { expect, test } from 'vitest'
import { append, bytes, content, createWorld, gate, isGenuine, settled, state, verifyGenuine } from './world.ts'

test('verification: content that was judged by what stands behind it in the order is not stored before that', async () => {
  const world = createWorld()
  const judging = gate()
  let judged = 0
  const server = await world.node('server', {
    holds: [append('slow', 'x:0-1'), append('note', 'x:0-1')],
    hooks: {
      verify: async (offered) => {
        judged += 1
        if (judged === 1) await judging.opened
        return verifyGenuine(offered)
      },
    },
  })
  const slow = gate()
  server.spy.replace = {
    knownStates: async (ids) => {
      if (ids.includes('slow')) await slow.opened
      return server.spy.real.knownStates(ids)
    },
  }
  const [honest, liar] = [world.peer('honest', server), world.peer('liar', server)]
  // The first of the two is forged, and is judged slowly.
  const half = { session: 'a', after: 0, transactions: [bytes('{"forged":0}'), bytes('{"a":1}')], seal: bytes('half') }
  liar.say({ ...content('note', '', false), runs: [half] })
  await settled()
  // Meanwhile the genuine one is accepted; it stands behind a document that is still looked up.
  honest.say(content('slow', 'x:1-2', false))
  await settled()
  honest.say(content('note', 'a:0-1', false))
  await settled()
  judging.open()
  await settled()
  slow.open()
  await settled()
  const page = await server.spy.real.read('note', state('x:1'), { bytesMax: 1_000_000 })
  expect(page?.runs[0]?.transactions.filter((transaction) => !isGenuine(transaction))).toEqual([])
  expect(world.trace).toContain('server > honest  KNOWN note header a:1')
})

test('verification: content that repeats what is not stored yet is judged like any other', async () => {
  const world = createWorld()
  const server = await world.node('server', {
    holds: [append('slow', 'x:0-1'), append('note', 'x:0-1')],
    hooks: {
      verify: verifyGenuine,
    },
  })
  const slow = gate()
  server.spy.replace = {
    knownStates: async (ids) => {
      if (ids.includes('slow')) await slow.opened
      return server.spy.real.knownStates(ids)
    },
  }
  const [honest, liar] = [world.peer('honest', server), world.peer('liar', server)]
  // Genuine, accepted, and in the order of its connection behind a document that is still looked up.
  honest.say(content('slow', 'x:1-2', false))
  await settled()
  honest.say(content('note', 'a:0-1', false))
  await settled()
  liar.say({
    ...content('note', '', false),
    runs: [{ session: 'a', after: 0, transactions: [bytes('{"forged":0}')], seal: bytes('one') }],
  })
  await settled()
  slow.open()
  await settled()
  const page = await server.spy.real.read('note', state('x:1'), { bytesMax: 1_000_000 })
  expect(page?.runs.map((run) => run.transactions.every(isGenuine))).toEqual([true])
  expect(world.trace).toContain('server > honest  KNOWN note header a:1')
})

test('verification: who writes what others began, and is refused, is sent what they wrote (storm, seed 26009157)', async () => {
  const world = createWorld()
  const verify = ({ runs }: { readonly runs: readonly { readonly session: string }[] }) => ({
    accepted: new Map(runs.map(({ session }) => [session, session === 'evil' ? 0 : 1])),
    states: new Map(),
  })
  const server = await world.node('server', { holds: [append('note', 'x:0-1')], hooks: { verify } })
  world.peer('writer', server).say(content('note', 'evil:0-1'))
  await settled()
  expect(world.trace.slice(1)).toEqual([
    'server > writer  ERROR note refused',
    'server > writer  CONTENT note header x:0-1',
  ])
})
