/**
 * Small maps: per key the greater version stays, whoever comes first.
 */
import type { MapEntry, Version } from '../../contract.ts'
import { failsAs, same } from '../assert.ts'
import { text } from '../build.ts'
import { group, type StorageCase, scenario } from '../subject.ts'

const entry = (counter: number, actor: string, value?: string): MapEntry => ({
  version: [counter, actor],
  bytes: value === undefined ? undefined : text(value),
})
const map = (entries: Readonly<Record<string, MapEntry>>): ReadonlyMap<string, MapEntry> =>
  new Map(Object.entries(entries))

export const maps: readonly StorageCase[] = group('maps', [
  scenario('keep entries with their versions', ['maps'], async ({ storage }) => {
    const entries = map({ a: entry(1, 'me', 'one'), b: entry(7, 'you'), c: entry(1, '', '') })
    same(await storage.readMap('secrets'), new Map(), 'a map that nobody wrote')
    same(await storage.mergeMap('secrets', entries), { merged: ['a', 'b', 'c'], conflicts: [] }, 'merge')
    same(await storage.readMap('secrets'), entries, 'entries')
  }),

  scenario('a greater version replaces, a smaller one does not', ['maps'], async ({ storage }) => {
    await storage.mergeMap('m', map({ a: entry(5, 'x', 'five'), b: entry(5, 'x', 'five') }))
    const result = await storage.mergeMap('m', map({ a: entry(4, 'z', 'four'), b: entry(10, 'a', 'ten') }))
    same(result, { merged: ['b'], conflicts: [] }, 'merge')
    same(await storage.readMap('m'), map({ a: entry(5, 'x', 'five'), b: entry(10, 'a', 'ten') }), 'entries')
  }),

  scenario('of equal counters the greater actor stays, bytewise', ['maps'], async ({ storage }) => {
    await storage.mergeMap('m', map({ a: entry(1, 'b', 'b'), c: entry(1, '\ufffd', 'bmp'), d: entry(1, 'Z', 'Z') }))
    const result = await storage.mergeMap(
      'm',
      map({ a: entry(1, 'a', 'a'), c: entry(1, '\u{1f600}', 'astral'), d: entry(1, 'a', 'a') }),
    )
    same(result, { merged: ['c', 'd'], conflicts: [] }, 'merge')
    const kept = map({ a: entry(1, 'b', 'b'), c: entry(1, '\u{1f600}', 'astral'), d: entry(1, 'a', 'a') })
    same(await storage.readMap('m'), kept, 'entries')
  }),

  scenario('a tombstone is an entry like others', ['maps'], async ({ storage }) => {
    await storage.mergeMap('m', map({ a: entry(2, 'x', 'two') }))
    same(
      await storage.mergeMap('m', map({ a: entry(3, 'x') })),
      { merged: ['a'], conflicts: [] },
      'tombstone 3 over value 2',
    )
    same(await storage.mergeMap('m', map({ a: entry(2, 'x', 'two') })), { merged: [], conflicts: [] }, 'value 2 again')
    same(await storage.readMap('m'), map({ a: entry(3, 'x') }), 'entries')
    same(
      await storage.mergeMap('m', map({ a: entry(4, 'x', 'four') })),
      { merged: ['a'], conflicts: [] },
      'value 4 over tombstone 3',
    )
    same(await storage.readMap('m'), map({ a: entry(4, 'x', 'four') }), 'entries')
  }),

  scenario('an equal version with other bytes is a conflict and stays as it was', ['maps'], async ({ storage }) => {
    const held = map({ a: entry(2, 'x', 'two'), b: entry(2, 'x'), c: entry(2, 'x', '') })
    await storage.mergeMap('m', held)
    same(await storage.mergeMap('m', held), { merged: [], conflicts: [] }, 'the same again')
    const other = map({ a: entry(2, 'x', 'TWO'), b: entry(2, 'x', ''), c: entry(2, 'x') })
    same(await storage.mergeMap('m', other), { merged: [], conflicts: ['a', 'b', 'c'] }, 'other bytes')
    same(await storage.readMap('m'), held, 'entries')
  }),

  scenario('join to the same in any order', ['maps'], async ({ storage }) => {
    const steps = [
      map({ a: entry(1, 'x', '1'), b: entry(3, 'y') }),
      map({ a: entry(2, 'x', '2'), c: entry(1, 'x', 'c') }),
      map({ b: entry(2, 'z', 'b'), a: entry(2, 'w', 'w') }),
    ]
    for (const order of [
      [0, 1, 2],
      [2, 1, 0],
      [1, 0, 2],
    ]) {
      const name = order.join('')
      for (const step of order) await storage.mergeMap(name, steps[step] as ReadonlyMap<string, MapEntry>)
      same(
        await storage.readMap(name),
        map({ a: entry(2, 'x', '2'), b: entry(3, 'y'), c: entry(1, 'x', 'c') }),
        `order ${name}`,
      )
    }
  }),

  scenario('of different names are never mixed', ['maps'], async ({ storage }) => {
    const names = ['a', 'ab', 'a::b', 'a\u0000', '__proto__', '😀']
    for (const name of names) {
      const entries = new Map([
        ['b', entry(1, name, name)],
        ['__proto__', entry(1, 'p', name)],
        ['::b', entry(1, 'q', name)],
      ])
      same((await storage.mergeMap(name, entries)).merged.length, 3, `entries merged into ${name}`)
    }
    for (const name of names)
      same(
        await storage.readMap(name),
        new Map([
          ['b', entry(1, name, name)],
          ['__proto__', entry(1, 'p', name)],
          ['::b', entry(1, 'q', name)],
        ]),
        `entries of ${name}`,
      )
  }),

  scenario('an empty merge changes nothing', ['maps'], async ({ storage }) => {
    same(await storage.mergeMap('m', new Map()), { merged: [], conflicts: [] }, 'merge')
    same(await storage.readMap('m'), new Map(), 'entries')
  }),

  scenario('an answer stays what it was', ['maps'], async ({ storage }) => {
    await storage.mergeMap('m', map({ a: entry(1, 'x', '1') }))
    const before = await storage.readMap('m')
    await storage.mergeMap('m', map({ a: entry(2, 'x', '2'), b: entry(1, 'x', 'b') }))
    same(before, map({ a: entry(1, 'x', '1') }), 'entries read before the merge')
  }),

  scenario('a version that is none is the caller’s mistake', ['maps'], async ({ storage }) => {
    for (const version of [
      [-1, 'a'],
      [0.5, 'a'],
      [Number.NaN, 'a'],
    ] as readonly Version[])
      await failsAs(
        'RangeError',
        () => storage.mergeMap('m', new Map([['k', { version, bytes: undefined }]])),
        `version ${version}`,
      )
    same(await storage.readMap('m'), new Map(), 'entries')
  }),
])
