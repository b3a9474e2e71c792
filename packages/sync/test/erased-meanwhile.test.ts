/**
 * A document is erased while something is appended to it, and the storage answers the erasure first.
 */
import { expect, test } from 'vitest'
import { content, createWorld, gate, settled, state } from './world.ts'

test('what was appended before an erasure and answered after it is not held any more, and owed to nobody (disks, seed 47027033)', async () => {
  const world = createWorld()
  const node = await world.node('node', {
    upstreamExpected: true,
    hooks: { isTombstone: (session) => session === 'eraser' },
  })
  const { spy } = node
  const [erasing, answering] = [gate(), gate()]
  const application = world.peer('application', node, { local: true })
  const upstream = world.peer('upstream', node, { upstream: true })
  application.say(content('note', 'a:0-1'))
  await settled()
  upstream.say({ action: 'known', id: 'note', known: state('a:1'), correction: false })
  await settled()
  spy.replace = {
    erase: (...erasure) => erasing.opened.then(() => spy.real.erase(...erasure)),
  }
  application.say(content('note', 'eraser:0-1', false))
  await settled()
  upstream.say({ action: 'known', id: 'note', known: state('eraser:1'), correction: false })
  await settled()
  spy.replace = {
    ...spy.replace,
    append: async (batch) => {
      const results = await spy.real.append(batch)
      await answering.opened
      return results
    },
  }
  application.say(content('note', 'a:1-3', false))
  await settled()
  erasing.open()
  await settled()
  answering.open()
  await settled()
  expect(node.reports.filter(({ kind }) => kind === 'confirmed').at(-1)).toMatchObject({ id: 'note', uploaded: true })
  expect((await spy.real.knownStates(['note']))[0]?.known).toEqual(state('eraser:1'))
})
