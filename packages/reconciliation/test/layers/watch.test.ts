/**
 * Watchers of layers: what a change names as known before is what was answered last, no more and no less. In manual time.
 */
import type { KnownState } from '@tidemark/known-state'
import { expect, test } from 'vitest'
import { type LayersOptions, layers } from '../../src/layers.ts'
import { content, disk, manualClock, passing, store } from './world.ts'

const described = (known: KnownState | undefined) =>
  [...(known?.sessions ?? [])].map(([session, count]) => `${session}:${count}`).join(' ')

/** Two layers, with what is in each; what was said of the note is in `heard`. */
async function over(a: string | undefined, b: string | undefined, options: Partial<LayersOptions> = {}) {
  const clock = manualClock()
  const stores = [a, b].map((holds) => {
    const on = disk()
    if (holds !== undefined) on.data.append([content('note', holds)])
    return store(on)
  })
  const all = layers(stores, { clock, ...options })
  await all.open()
  const heard: string[] = []
  all.watch(({ id, before }) => {
    if (id === 'note') heard.push(described(before))
  })
  const look = async () => described((await passing(clock, all.knownStates(['note'])))[0]?.known)
  return { clock, stores, all, heard, look }
}

test('before less is answered, since a layer is silent, watchers are told what was answered', async () => {
  const { stores, heard, look } = await over('a:0-3', 'a:0-5')
  const [a, b] = stores
  if (a !== undefined) a.plan = ({ method }) => (method === 'append' ? { fails: 'QUOTA' } : undefined)
  expect(await look()).toBe('a:5')
  heard.length = 0
  if (b !== undefined) b.plan = ({ method }) => (method === 'knownStates' ? { fails: 'IO' } : undefined)
  expect([await look(), heard[0]]).toEqual(['a:3', 'a:5'])
})

test('when a layer is back, what was stored meanwhile counts as answered', async () => {
  const { clock, stores, all, heard, look } = await over('a:0-3', 'a:0-3', { policy: 'any-durable' })
  const [, b] = stores
  if (b !== undefined) b.plan = () => ({ fails: 'IO' })
  expect(await look()).toBe('a:3')
  await passing(
    clock,
    all.append([content('note', 'b:0-2', { header: false })]).then(() => {}),
  )
  heard.length = 0
  if (b !== undefined) b.plan = undefined
  await clock.advance(120_000)
  expect([...new Set(heard)]).toEqual(['a:3 b:2'])
})

test('what was stored of a batch that failed was answered to nobody', async () => {
  const { clock, stores, all, heard, look } = await over(undefined, undefined, { policy: 'any-durable' })
  const [a, b] = stores
  expect(await look()).toBe('')
  if (a !== undefined) a.plan = () => ({ failsFor: ({ id }) => (id === 'list' ? 'QUOTA' : undefined) })
  if (b !== undefined) b.plan = ({ method }) => (method === 'append' ? { fails: 'IO' } : undefined)
  const batch = [content('note', 'a:0-3'), content('list', 'a:0-3')]
  await expect(passing(clock, Promise.resolve(all.append(batch)))).rejects.toThrow('too few layers')
  if (b !== undefined) b.plan = undefined
  await clock.advance(120_000)
  expect([await look(), [...new Set(heard)]]).toEqual(['a:3', ['']])
})
