/**
 * What a layer adds to a small map is told, and only once: whoever reads the map because of it comes to an end.
 */
import type { MapEntry } from '@tidemark/storage'
import { expect, test } from 'vitest'
import type { Layers } from '../../src/layers.ts'
import { disk, manualClock, of, over, passing, store } from './world.ts'

const secret = (count: number, value: number): MapEntry => ({
  version: [count, 'me'],
  bytes: new Uint8Array([value]),
})

const READS_MAX = 20

/** Reads the map whenever it is told of; answers what it read each time. */
function reading(all: Layers): readonly (readonly string[])[] {
  const reads: (readonly string[])[] = []
  let begun = 0
  all.listen(({ kind }) => {
    if (kind !== 'map' || ++begun > READS_MAX) return
    void Promise.resolve(all.readMap('map')).then((map) => reads.push([...map.keys()].sort()))
  })
  return reads
}

/** A has an entry and cannot take more, C says nothing, and N, which comes with another one, is being filled for ever. */
async function withNews() {
  const clock = manualClock()
  const disks = [disk(), disk(), disk()] as const
  disks[0].data.mergeMap('map', new Map([['here', secret(1, 1)]]))
  disks[2].data.mergeMap('map', new Map([['there', secret(1, 2)]]))
  const { all, events, a, b: c } = await over(disks.slice(0, 2), { clock, policy: 'any-durable' })
  a.plan = ({ method }) => (method === 'mergeMap' ? { fails: 'QUOTA' } : undefined)
  c.plan = () => ({ fails: 'IO' })
  const n = store(disks[2])
  await passing(clock, all.attach({ storage: n, name: 'N' }))
  await clock.advance(60_000)
  expect(of(events, 'map')).toEqual([])
  const read = async () => [...(await passing(clock, Promise.resolve(all.readMap('map')))).keys()].sort()
  return { clock, all, events, a, n, read }
}

test('what one layer alone adds to a small map, and no other takes, is told once and not with every read', async () => {
  const { clock, all, events, read } = await withNews()
  const reads = reading(all)
  for (let at = 0; at < 5; at++) expect(await read()).toEqual(['here', 'there'])
  await clock.advance(1_000_000)
  expect([of(events, 'map').length, reads]).toEqual([1, [['here', 'there']]])
})

test('what that layer adds later is told, and all of it again to whoever read without it', async () => {
  const { clock, events, n, read } = await withNews()
  await read()
  n.disk.data.mergeMap('map', new Map([['there', secret(2, 3)]]))
  await read()
  expect(of(events, 'map')).toHaveLength(2)
  n.plan = ({ method }) => (method === 'readMap' ? { fails: 'IO' } : undefined)
  expect(await read()).toEqual(['here'])
  n.plan = undefined
  await clock.advance(1_000)
  expect(await read()).toEqual(['here', 'there'])
  expect(of(events, 'map')).toHaveLength(3)
})

test('what a slow layer adds and no other takes is told once, and again when one took it', async () => {
  const { clock, all, events, a, n, read } = await withNews()
  n.plan = ({ method }) => (method === 'readMap' ? { after: clock.wait(1_500) } : undefined)
  const reads = reading(all)
  expect(await read()).toEqual(['here'])
  await clock.advance(10_000)
  expect([of(events, 'map').length, reads]).toEqual([1, [['here']]])
  a.plan = undefined
  await clock.advance(1_000_000)
  expect([of(events, 'map').length, reads]).toEqual([2, [['here'], ['here', 'there']]])
})

test('what a write brings from a layer of which no earlier answer was made is told', async () => {
  const { clock, all, events } = await withNews()
  await passing(clock, all.mergeMap('map', new Map([['new', secret(1, 3)]])))
  await clock.advance(1_000)
  expect(of(events, 'map')).toHaveLength(1)
})
