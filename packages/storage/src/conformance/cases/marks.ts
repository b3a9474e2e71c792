/**
 * Marks and verifier states: what commits beside content.
 */
import type { Marks } from '../../contract.ts'
import { compareIds } from '../../ids.ts'
import { failsAs, same } from '../assert.ts'
import { bytes, judged, text } from '../build.ts'
import { group, type StorageCase, scenario } from '../subject.ts'

const ALL = { prefix: '', limit: 1000 }

function marking(entries: Readonly<Record<string, string | undefined>>): { readonly marks: Marks } {
  return {
    marks: new Map(Object.entries(entries).map(([key, value]) => [key, value === undefined ? undefined : text(value)])),
  }
}

function listed(entries: Readonly<Record<string, string>>): readonly (readonly [string, Uint8Array])[] {
  return Object.entries(entries).map(([key, value]) => [key, text(value)])
}

export const marks: readonly StorageCase[] = group('marks', [
  scenario('are set, replaced and removed', async ({ storage }) => {
    await storage.append([bytes.content('x')], marking({ a: '1', b: '2', c: '3' }))
    same(await storage.marks(ALL), listed({ a: '1', b: '2', c: '3' }), 'marks set')
    await storage.append([bytes.content('y')], marking({ a: undefined, b: 'two', d: '4', never: undefined }))
    same(await storage.marks(ALL), listed({ b: 'two', c: '3', d: '4' }), 'marks after some were replaced and removed')
  }),

  scenario('without bytes are marks', async ({ storage }) => {
    await storage.append([], marking({ empty: '' }))
    same(await storage.marks(ALL), listed({ empty: '' }), 'marks')
  }),

  scenario('are listed by prefix, in bytewise order', async ({ storage }) => {
    const keys = [
      'a',
      'a:',
      'a:1',
      'a:10',
      'a:2',
      'a;',
      'ab',
      'b',
      'b:\ue000',
      'b:\u{1f600}',
      'b:\ufffd',
      'A',
      'a\u0000',
      '\u{10ffff}',
      '\u{10ffff}x',
    ]
    await storage.append([], { marks: new Map([...keys].reverse().map((key) => [key, text(key)])) })
    for (const prefix of ['', 'a', 'a:', 'a:1', 'b:', 'c', 'a\u0000', '\u{10ffff}', 'ab', '__proto__']) {
      const expected = keys.filter((key) => key.startsWith(prefix)).sort(compareIds)
      same(
        (await storage.marks({ prefix, limit: 1000 })).map(([key]) => key),
        expected,
        `marks with prefix ${JSON.stringify(prefix)}`,
      )
    }
  }),

  scenario('are paged after a key', async ({ storage }) => {
    await storage.append([], marking({ 'o:': '0', 'o:1': '1', 'o:2': '2', 'o:3': '3', p: '4', n: '0' }))
    const after = (key: string, limit: number) => storage.marks({ prefix: 'o:', after: key, limit })
    same(await storage.marks({ prefix: 'o:', limit: 2 }), listed({ 'o:': '0', 'o:1': '1' }), 'first page')
    same(await after('o:1', 2), listed({ 'o:2': '2', 'o:3': '3' }), 'second page')
    same(await after('o:', 1), listed({ 'o:1': '1' }), 'after the key that is the prefix')
    same(await after('o:15', 1), listed({ 'o:2': '2' }), 'after a key that is not there')
    same(await after('a', 2), listed({ 'o:': '0', 'o:1': '1' }), 'after a key before all')
    same(await after('o:3', 9), [], 'after the last')
    same(await after('z', 9), [], 'after a key behind all')
    same(await storage.marks({ prefix: 'o:', limit: 0 }), [], 'limit 0')
    await failsAs('RangeError', () => storage.marks({ prefix: 'o:', limit: -1 }), 'limit -1')
  }),

  scenario('commit although all contents were refused, and without any', async ({ storage }) => {
    const gap = bytes.content('absent', [bytes.run('a', 1, 2)], { header: false })
    judged((await storage.append([gap], marking({ a: '1' })))[0])
    same(await storage.append([], marking({ b: '2' })), [], 'results of an empty batch')
    same(await storage.marks(ALL), listed({ a: '1', b: '2' }), 'marks')
  }),

  scenario('are not documents', async ({ storage, opened }) => {
    await storage.append([], marking({ x: '1' }))
    same(await storage.knownStates(['x']), [undefined], 'known state of an id that is a mark')
    if (opened.capabilities.list) same([await storage.list({ limit: 9 }), await storage.count()], [[], 0], 'documents')
    if (opened.capabilities.changes) same(await storage.changes({ since: 0, limit: 9 }), [], 'changes')
    if (opened.capabilities.maps) same(await storage.readMap('x'), new Map(), 'map of that name')
  }),

  scenario('of many keys, set and removed', async ({ storage }) => {
    const keys = Array.from({ length: 400 }, (_, index) => `outbox:${String((index * 7) % 400).padStart(4, '0')}`)
    await storage.append([], { marks: new Map(keys.map((key) => [key, text(key)])) })
    await storage.append([], {
      marks: new Map(keys.filter((_, index) => index % 2 === 0).map((key) => [key, undefined])),
    })
    const left = keys.filter((_, index) => index % 2 === 1).sort(compareIds)
    same(
      (await storage.marks({ prefix: 'outbox:', limit: 1000 })).map(([key]) => key),
      left,
      'marks left',
    )
  }),
])

export const verifier: readonly StorageCase[] = group('verifier', [
  scenario('states are kept by session and replaced', async ({ storage }) => {
    const runs = [bytes.run('a', 0, 2), bytes.run('b', 0, 1)]
    await storage.append([
      bytes.content('x', runs, { verifier: { a: 'a2', b: 'b1' } }),
      bytes.content('y', runs, { verifier: { a: 'ya' } }),
    ])
    same(
      await storage.verifierStates('x', ['b', 'a', 'c']),
      new Map([
        ['a', text('a2')],
        ['b', text('b1')],
      ]),
      'of x',
    )
    same(await storage.verifierStates('y', ['a', 'b']), new Map([['a', text('ya')]]), 'of y')
    await storage.append([bytes.content('x', [bytes.run('a', 1, 4)], { header: false, verifier: { a: 'a4' } })])
    same(
      await storage.verifierStates('x', ['a', 'b']),
      new Map([
        ['a', text('a4')],
        ['b', text('b1')],
      ]),
      'of x, later',
    )
  }),

  scenario('a run that says nothing of it leaves the state as it was', async ({ storage }) => {
    await storage.append([bytes.content('x', [bytes.run('a', 0, 2)], { verifier: { a: 'a2' } })])
    await storage.append([bytes.content('x', [bytes.run('a', 2, 3)], { header: false })])
    same(await storage.verifierStates('x', ['a']), new Map([['a', text('a2')]]), 'state')
  }),

  scenario('of what was refused, held already or not sent are not stored', async ({ storage }) => {
    await storage.append([bytes.content('x', [bytes.run('a', 0, 3), bytes.run('b', 0, 3)], { verifier: { a: 'a3' } })])
    const runs = [
      bytes.run('a', 1, 3),
      bytes.run('b', 2, 4, { salt: 'fork' }),
      bytes.run('c', 1, 2),
      bytes.run('d', 0, 0),
    ]
    const states = { a: 'again', b: 'fork', c: 'gap', d: 'empty', e: 'no run' }
    await storage.append([bytes.content('x', runs, { header: false, verifier: states })])
    same(await storage.verifierStates('x', ['a', 'b', 'c', 'd', 'e']), new Map([['a', text('a3')]]), 'states')
  }),

  scenario('are peculiar to their sessions', async ({ storage }) => {
    await storage.append([
      bytes.content('x', [bytes.run('__proto__', 0, 1), bytes.run('a', 0, 1)], { verifier: { a: 'v' } }),
    ])
    same(
      await storage.verifierStates('x', ['__proto__', 'constructor', 'a:']),
      new Map(),
      'states of sessions that have none',
    )
  }),
])
