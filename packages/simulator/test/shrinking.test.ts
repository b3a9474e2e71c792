/**
 * Shrinking: what is erased may be said to be less, and nothing else of the same node.
 */
import { type KnownState, knownState } from '@tidemark/known-state'
import { expect, test } from 'vitest'
import { shrinking } from '../src/checkers/shrinking.ts'
import { calm, createWorld } from '../src/index.ts'

test('who speaks of an erased document is still held to what it said of others', async () => {
  const world = createWorld(1, calm)
  const server = await world.server('server')
  const checker = shrinking(world)
  const says = (id: string, known: KnownState) =>
    checker.happened({
      type: 'said',
      connection: 1,
      from: 'server',
      to: 'anna',
      message: { action: 'known', id, known, correction: true },
    })
  says('erased', knownState(true, [['a', 2]]))
  says('kept', knownState(true, [['a', 2]]))
  const disk = server.disk as { state: (id: string) => unknown }
  disk.state = (id) => (id === 'erased' ? { erased: 1 } : undefined)
  says('erased', knownState(true, []))
  expect(() => says('kept', knownState(true, [['a', 1]]))).toThrow(/server held 2 of a and says kept header a:1/)
})
