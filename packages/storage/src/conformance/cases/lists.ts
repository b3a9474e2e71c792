/**
 * Lists of documents, and changes in the order of their commits.
 */
import type { Change, Storage } from '../../contract.ts'
import { compareIds } from '../../ids.ts'
import { failsAs, holds, same } from '../assert.ts'
import { accepted, bytes } from '../build.ts'
import { group, type StorageCase, scenario } from '../subject.ts'
import { PECULIAR_IDS } from './ids.ts'

export const lists: readonly StorageCase[] = group('list', [
  scenario('is in bytewise order, not in that of JavaScript', ['list'], async ({ storage }) => {
    await storage.append(PECULIAR_IDS.map((id) => bytes.content(id)))
    same(await storage.list({ limit: 1000 }), [...PECULIAR_IDS].sort(compareIds), 'list')
    const astral = ['\u{10000}', '\u{10ffff}']
    const order = (await storage.list({ limit: 1000 })).filter((id) =>
      ['\ue000', '\ufffd', '\uffff', ...astral].includes(id),
    )
    same(order, ['\ue000', '\ufffd', '\uffff', ...astral], 'surrogate pairs beside U+E000 to U+FFFF')
  }),

  scenario('is in bytewise order in whatever order documents came', ['list'], async ({ storage }) => {
    const arriving = ['\u{1f600}', '\uffff', 'b', '\u{1f601}', '\ue000', 'a', '\ufffe']
    for (const [index, id] of arriving.entries()) {
      await storage.append([bytes.content(id)])
      same(await storage.list({ limit: 9 }), arriving.slice(0, index + 1).sort(compareIds), 'list')
    }
  }),

  scenario('goes on after an id, which need not be stored', ['list'], async ({ storage }) => {
    await storage.append(['b', 'd', 'f', 'h'].map((id) => bytes.content(id)))
    same(await storage.list({ limit: 2 }), ['b', 'd'], 'first two')
    same(await storage.list({ after: 'd', limit: 2 }), ['f', 'h'], 'two after d')
    same(await storage.list({ after: 'e', limit: 9 }), ['f', 'h'], 'after e')
    same(await storage.list({ after: 'a', limit: 1 }), ['b'], 'after a')
    same(await storage.list({ after: 'h', limit: 9 }), [], 'after the last')
    same(await storage.list({ limit: 0 }), [], 'limit 0')
  }),

  scenario('paged, each id comes once although documents are added meanwhile', ['list'], async ({ storage }) => {
    const first = Array.from({ length: 60 }, (_, index) => `m${String(index).padStart(3, '0')}`)
    await storage.append(first.map((id) => bytes.content(id)))
    const seen: string[] = []
    for (let round = 0; ; round++) {
      const after = seen.at(-1)
      const page = await storage.list(after === undefined ? { limit: 7 } : { after, limit: 7 })
      seen.push(...page)
      await storage.append([bytes.content(`a${round}`), bytes.content(`z${round}`)])
      if (page.length < 7 || seen.length > 200) break
    }
    same(
      seen.filter((id) => id.startsWith('m')),
      first,
      'ids that were there from the start',
    )
    same(new Set(seen).size, seen.length, 'ids seen, without repeats')
  }),

  scenario('counts documents', ['list'], async ({ storage }) => {
    await storage.append([bytes.content('x'), bytes.content('y', [bytes.run('a', 0, 1)]), bytes.content('x')])
    await storage.append([
      bytes.content('x', [bytes.run('a', 0, 1)]),
      bytes.content('gone', [bytes.run('a', 0, 1)], { header: false }),
    ])
    same(await storage.count(), 2, 'documents')
  }),

  scenario('a limit that is none is the caller’s mistake', ['list'], async ({ storage }) => {
    for (const limit of [-1, 0.5, Number.NaN])
      await failsAs('RangeError', () => storage.list({ limit }), `list with limit ${limit}`)
  }),
])

export const changes: readonly StorageCase[] = group('changes', [
  scenario('come in the order of their commits, each with a greater sequence', ['changes'], async ({ storage }) => {
    for (const id of ['c', 'a', 'b']) await storage.append([bytes.content(id)])
    await storage.append([bytes.content('z'), bytes.content('y')])
    const found = await all(storage)
    same(
      found.map((change) => change.id),
      ['c', 'a', 'b', 'z', 'y'],
      'documents',
    )
    increasing(found)
  }),

  scenario('a document that changes again moves to the end and stands only there', ['changes'], async ({ storage }) => {
    for (const id of ['a', 'b', 'c']) await storage.append([bytes.content(id)])
    const before = await all(storage)
    await storage.append([bytes.content('a', [bytes.run('s', 0, 1)])])
    const after = await all(storage)
    same(
      after.map((change) => change.id),
      ['b', 'c', 'a'],
      'documents',
    )
    increasing(after)
    same(await all(storage, before.at(-1)?.sequence), [after.at(-1)], 'changes since the last one seen')
  }),

  scenario('that change nothing are none', ['changes'], async ({ storage }) => {
    await storage.append([bytes.content('x', [bytes.run('a', 0, 3)]), bytes.content('y')])
    const before = await all(storage)
    await storage.append([
      bytes.content('x', [bytes.run('a', 1, 3)], { header: false }),
      bytes.content('x', [bytes.run('a', 5, 6), bytes.run('b', 0, 0), bytes.run('a2', 1, 2)], { header: false }),
      bytes.content('x', [bytes.run('a', 2, 4, { salt: 'fork' })]),
      bytes.content('y', [bytes.run('a', 0, 1)], { header: 'another' }),
      bytes.content('absent', [bytes.run('a', 0, 1)], { header: false }),
    ])
    same(await all(storage), before, 'changes')
  }),

  scenario('nothing ever appears at or below a sequence that was answered', ['changes'], async ({ storage }) => {
    const seen = new Map<string, number>()
    let since = 0
    for (let round = 0; round < 12; round++) {
      const ids = [`d${round % 5}`, `d${(round * 3) % 7}`, `new ${round}`]
      const count = Math.floor(round / 1)
      await storage.append(ids.map((id) => bytes.content(id, [bytes.run(`round ${count}`, 0, 1)])))
      for (const change of await storage.changes({ since, limit: 2 })) {
        holds(change.sequence > since, `a sequence above ${since}, got ${change.sequence}`)
        holds((seen.get(change.id) ?? 0) < change.sequence, `${change.id} with a greater sequence than before`)
        seen.set(change.id, change.sequence)
        since = change.sequence
      }
    }
    for (const change of await all(storage, since)) seen.set(change.id, change.sequence)
    same(new Map((await all(storage)).map((change) => [change.id, change.sequence])), seen, 'what a follower saw')
  }),

  scenario('paged, each document comes once', ['changes'], async ({ storage }) => {
    const ids = Array.from({ length: 50 }, (_, index) => `d${index}`)
    await storage.append(ids.map((id) => bytes.content(id)))
    await storage.append(
      ids.filter((_, index) => index % 3 === 0).map((id) => bytes.content(id, [bytes.run('a', 0, 1)])),
    )
    const found: Change[] = []
    for (let since = 0; ; ) {
      const page = await storage.changes({ since, limit: 8 })
      found.push(...page)
      holds(found.length <= 50, 'no more changes than documents')
      if (page.length < 8) break
      since = (page.at(-1) as Change).sequence
    }
    same(found, await all(storage), 'changes read in pages')
    same(
      found.map((change) => change.id),
      [...ids.filter((_, index) => index % 3 !== 0), ...ids.filter((_, index) => index % 3 === 0)],
      'order',
    )
  }),

  scenario('beyond the last there are none', ['changes'], async ({ storage }) => {
    await storage.append([bytes.content('x')])
    const [change] = await all(storage)
    same(await storage.changes({ since: (change as Change).sequence, limit: 9 }), [], 'changes since the last')
    same(await storage.changes({ since: 2 ** 40, limit: 9 }), [], 'changes since far beyond')
    same(await storage.changes({ since: 0, limit: 0 }), [], 'limit 0')
    await failsAs('RangeError', () => storage.changes({ since: -1, limit: 1 }), 'changes since -1')
  }),

  scenario('a document twice in a batch is one change', ['changes'], async ({ storage }) => {
    const batch = [
      bytes.content('x', [bytes.run('a', 0, 1)]),
      bytes.content('y'),
      bytes.content('x', [bytes.run('a', 1, 2)]),
    ]
    for (const result of await storage.append(batch)) accepted(result)
    same((await all(storage)).map((change) => change.id).sort(), ['x', 'y'], 'documents')
  }),
])

function all(storage: Storage, since = 0): Promise<readonly Change[]> {
  return Promise.resolve(storage.changes({ since, limit: 100_000 }))
}

function increasing(found: readonly Change[]): void {
  for (const [index, change] of found.entries()) {
    holds(Number.isSafeInteger(change.sequence), `a sequence that is a safe integer, got ${change.sequence}`)
    holds(
      index === 0 || change.sequence > (found[index - 1] as Change).sequence,
      'each sequence greater than the one before',
    )
  }
}
