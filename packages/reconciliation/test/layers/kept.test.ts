/**
 * What an erasure kept where layers kept different things: it is compared before it is put together (L13), as everything else is.
 */
import { EMPTY, type KnownState } from '@tidemark/known-state'
import type { Page } from '@tidemark/storage'
import { expect, test } from 'vitest'
import type { Layers } from '../../src/layers.ts'
import { content, disk, held, manualClock, of, over, passing, slow } from './world.ts'

const KINDS = ['json', 'bytes'] as const
const ERASED = [1, 'me'] as const

const entries = (pages: readonly Page[]) =>
  pages.flatMap(({ runs }) =>
    runs.flatMap(({ transactions }) => transactions.map((one) => JSON.parse(new TextDecoder().decode(one)))),
  )

/** Disks that hold these parts of a kept session, as salts of each entry, erased or not. */
function keeping(kind: 'json' | 'bytes', parts: readonly (readonly [string, string, erased?: boolean])[]) {
  return parts.map(([range, salt, erased = true]) => {
    const on = disk()
    on.data.append([content('note', `x:0-1 tomb:${range}`, { kind, salt })])
    if (erased) on.data.erase('note', ERASED, { keep: ['tomb'] })
    return on
  })
}

async function loadAll(all: Layers, into: Page[] = []) {
  const loaded = await all.load('note', { onPage: (page) => into.push(page) })
  return { ...loaded, handed: entries(into) }
}

async function readAll(all: Layers): Promise<readonly unknown[]> {
  const pages: Page[] = []
  for (let after: KnownState = EMPTY; ; ) {
    const page = await all.read('note', after, { bytesMax: 20 })
    if (page === undefined) return entries(pages)
    pages.push(page)
    if (!page.more) return entries(pages)
    after = page.end
  }
}

for (const kind of KINDS)
  for (const how of ['load', 'read'] as const)
    test(`${kind}: of a kept session that is a fork one history is given, and it is told, also by a process that did not see it before (${how})`, async () => {
      const clock = manualClock()
      const disks = keeping(kind, [
        ['0-2', ''],
        ['0-4', ' other'],
      ])
      const { all, events } = await over(disks, { clock })
      const handed = how === 'read' ? await passing(clock, readAll(all)) : (await passing(clock, loadAll(all))).handed
      expect(handed).toEqual(['tomb 0', 'tomb 1'])
      expect(of(events, 'fork').map(({ session }) => session)).toEqual(['tomb'])
      expect(disks.map((on) => held({ disk: on }))).toEqual(['tomb:2', 'tomb:4'])
    })

for (const kind of KINDS)
  test(`${kind}: of a kept session that is no fork all is given that any layer kept`, async () => {
    const clock = manualClock()
    const disks = keeping(kind, [
      ['0-2', ''],
      ['0-4', ''],
    ])
    const { all, events } = await over(disks, { clock })
    expect((await passing(clock, loadAll(all))).handed).toEqual(['tomb 0', 'tomb 1', 'tomb 2', 'tomb 3'])
    expect(of(events, 'fork')).toEqual([])
  })

test('json: what was handed over of a layer that is not erased is not gone on with in one that is', async () => {
  const clock = manualClock()
  const disks = keeping('json', [
    ['0-2', '', false],
    ['0-4', ' other'],
  ])
  const { all, b } = await over(disks, { clock, limits: { repairsMax: 0 } })
  slow(b, clock, 300, ['read', 'append'])
  const { handed, failed } = await passing(clock, loadAll(all))
  expect([handed, failed]).toEqual([['tomb 0', 'tomb 1', 'x 0'], ['B']])
})

for (const kind of KINDS)
  test(`${kind}: a kept session that is a fork is read where it is erased, also while a layer before those is not`, async () => {
    const clock = manualClock()
    const disks = keeping(kind, [
      ['0-1', '', false],
      ['0-4', ''],
      ['0-2', ' other'],
    ])
    const { all, a, events } = await over(disks, { clock })
    a.plan = ({ method }) => (method === 'erase' ? { fails: 'IO' } : undefined)
    expect(await passing(clock, readAll(all))).toEqual(['tomb 0', 'tomb 1', 'tomb 2', 'tomb 3'])
    expect(of(events, 'fork').map(({ session }) => session)).toEqual(['tomb'])
  })

test('json: a kept session that a silent layer kept more of is read from one that answers', async () => {
  const clock = manualClock()
  const disks = keeping('json', [
    ['0-2', ''],
    ['0-4', ''],
  ])
  const { all, b } = await over(disks, { clock })
  await all.knownStates(['note'])
  b.plan = () => ({ fails: 'IO' })
  await all.knownStates(['note'])
  const page = await passing(clock, Promise.resolve(all.read('note', EMPTY, { bytesMax: 1_000 })))
  expect([entries(page === undefined ? [] : [page]), page?.more]).toEqual([['tomb 0', 'tomb 1'], true])
})
