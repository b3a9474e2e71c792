/**
 * What is not known yet: appends whose outcome is unknown, while other content of the same document waits.
 */
import { StorageError } from '@tidemark/storage'
import { expect, test } from 'vitest'
import { append, bytes, content, createWorld, gate, settled, state, verifyGenuine } from './world.ts'

/** A content of `one` for `note` is accepted and stands behind one that is still looked up; a first append for `note` is rejected. */
async function unknownOutcome(options: { readonly stores: boolean; readonly verify: boolean }) {
  const world = createWorld()
  const server = await world.node('server', {
    holds: [append('slow', 'a:0-1'), append('note', 'a:0-1')],
    hooks: options.verify ? { verify: verifyGenuine } : {},
  })
  const slow = gate()
  const note = gate()
  const disk = gate()
  let rejected = false
  server.spy.replace = {
    knownStates: async (ids) => {
      if (ids.includes('slow')) await slow.opened
      if (ids.includes('note') && rejected) await note.opened
      return server.spy.real.knownStates(ids)
    },
    append: async (batch, appendOptions) => {
      if (rejected) return server.spy.real.append(batch, appendOptions)
      await disk.opened
      if (options.stores) await server.spy.real.append(batch, appendOptions)
      rejected = true
      throw new StorageError('IO', 'no disk')
    },
  }
  const [one, two] = [world.peer('one', server), world.peer('two', server)]
  two.say(content('note', 'a:1-3', false))
  await settled()
  one.say(content('slow', 'a:1-2', false))
  await settled()
  return { world, server, one, open: { slow: slow.open, note: note.open, disk: disk.open } }
}

test('L2: nothing of a document is appended while the outcome of an append of it is unknown', async () => {
  const { world, server, one, open } = await unknownOutcome({ stores: true, verify: false })
  const reader = world.peer('reader', server)
  reader.load('note', state('a:1'))
  await settled()
  reader.full = true
  // It repeats the header only.
  one.say(content('note', ''))
  await settled()
  open.disk()
  await settled()
  open.slow()
  await settled()
  open.note()
  await settled()
  const pages = reader.heard.filter((message) => message.action === 'content')
  expect(pages.map(({ runs }) => runs.map(({ session, after }) => `${session}:${after}`))).toEqual([['a:1']])
})

test('verification: content that repeats what was on its way is not stored unverified while the outcome is unknown', async () => {
  const { server, one, open } = await unknownOutcome({ stores: false, verify: true })
  const forged = { session: 'a', after: 1, transactions: [bytes('{"x":1}'), bytes('{"x":2}')], seal: bytes('forged') }
  one.say({ ...content('note', '', false), runs: [forged] })
  await settled()
  open.disk()
  await settled()
  open.slow()
  await settled()
  open.note()
  await settled()
  expect((await server.spy.real.knownStates(['note']))[0]?.known).toEqual(state('a:1'))
})
