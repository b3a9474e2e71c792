/**
 * The checker of forks, where a server has several disks: what one of them mixes is seen also if another holds more.
 */
import { expect, test } from 'vitest'
import { forks } from '../src/checkers/forks.ts'
import { calm, createWorld } from '../src/index.ts'

const utf8 = new TextEncoder()

test('a disk that stores two histories of a session as one is seen beside one that holds more of it', async () => {
  const world = createWorld(1, calm, { checkers: [] })
  const { disks, process } = await world.server('server', { disks: 2 })
  const checker = forks(world)
  const wrote = { node: 'anna', handle: 1, id: 'note', session: 'a' }
  checker.happened({ type: 'resolved', ...wrote, texts: ['x', 'y', 'z'] })
  checker.happened({ type: 'resolved', ...wrote, texts: ['other', 'end'], behind: 'x' })
  const store = async (index: number, ...texts: string[]) => {
    const run = { session: 'a', after: 0, transactions: texts.map((text) => utf8.encode(text)) }
    const content = { id: 'note', kind: 'bytes', priority: 3, header: utf8.encode('h'), runs: [run] } as const
    void disks[index]?.mount(process).append([content])
    await world.pass(100)
  }
  await store(0, 'x', 'y', 'z')
  await checker.judge?.()
  await store(1, 'x', 'end')
  await expect(checker.judge?.()).rejects.toThrow(
    'disk 2 of server holds end of note a behind x; it was written behind other',
  )
})
