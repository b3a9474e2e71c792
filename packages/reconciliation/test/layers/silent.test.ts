/**
 * What is read while a layer does not answer: all that the others have, and nothing is said to be all.
 */
import { EMPTY } from '@tidemark/known-state'
import { expect, test } from 'vitest'
import { content, counts, disk, manualClock, over, passing } from './world.ts'

async function world() {
  const clock = manualClock()
  const { all, a, b } = await over([disk(), disk()], { clock, policy: 'any-durable' })
  await all.append([content('note', 'a:0-1')])
  await passing(clock, all.whenSettled('note'))
  return { clock, all, a, b }
}

const isOfContent = (method: string, [batch]: readonly unknown[]) =>
  method === 'append' && (batch as readonly unknown[]).length > 0

test('a page says that there is more while the layer is silent that alone has it, and reading on fails until it is back', async () => {
  const { clock, all, a, b } = await world()
  a.plan = ({ method, args }) => (isOfContent(method, args) ? { fails: 'IO' } : undefined)
  await passing(clock, Promise.resolve(all.append([content('note', 'a:1-2', { header: false })])))
  b.plan = () => ({ fails: 'IO' })
  await all.knownStates(['note'])
  const page = await all.read('note', EMPTY, { bytesMax: 1_000 })
  expect([counts(page?.end), page?.more]).toEqual(['a:1', true])
  const readOn = () => Promise.resolve(all.read('note', page?.end ?? EMPTY, { bytesMax: 1_000 }))
  await expect(readOn()).rejects.toThrow('has nothing more in any layer that answered')
  for (const one of [a, b]) one.plan = undefined
  await clock.advance(60_000)
  const next = await readOn()
  expect([counts(next?.end), next?.more]).toEqual(['a:2', false])
})

test('a document is handed over while a layer is silent, page by page, and nothing is asked for beyond what is there', async () => {
  const { clock, all, a, b } = await world()
  b.plan = () => ({ fails: 'IO' })
  const pages: boolean[] = []
  const before = a.calls.read
  const loaded = await passing(clock, all.load('note', { onPage: ({ more }) => pages.push(more) }))
  expect([loaded.found, loaded.answered, loaded.failed, pages]).toEqual(['present', ['A'], ['B'], [true]])
  expect(a.calls.read - before).toBe(1)
})
