/**
 * Closing and opening again: everything is there, and the store knows its own past.
 */
import type { Append } from '../../contract.ts'
import { isHonoured } from '../../generation.ts'
import { holds, same } from '../assert.ts'
import { accepted, bytes, json, judged, text } from '../build.ts'
import { readsBack } from '../model.ts'
import { group, type StorageCase, scenario } from '../subject.ts'
import { PECULIAR_IDS } from './ids.ts'

export const reopen: readonly StorageCase[] = group('reopen', [
  scenario(
    'keeps known states, digests, kinds, priorities and last runs',
    ['reopen'],
    async ({ storage, reopened, pageBytes }) => {
      const batch = [
        bytes.content('x', [bytes.run('a', 0, 5), bytes.run('b', 0, 1)], { priority: 0 }),
        json.content('y', [json.run('a', 0, 2, { seal: 'a2' })], { priority: 6 }),
        bytes.content('header only'),
        bytes.content('long', [bytes.run('a', 0, 6, { size: Math.floor(pageBytes / 4) })]),
      ]
      const states = (await storage.append(batch)).map((result) => accepted(result))
      const again = await reopened()
      const ids = batch.map((content) => content.id)
      same(await again.storage.knownStates(ids), states, 'states')
      same(
        await again.storage.headers(ids),
        batch.map((content) => content.header),
        'headers',
      )
    },
  ),

  scenario('keeps content and seals, and goes on where it ended', ['reopen'], async ({ storage, reopened }) => {
    const contents: readonly Append[] = [
      bytes.content('x', [bytes.run('a', 0, 20, { size: 100 }), bytes.run('s', 0, 3, { seal: 's3' })]),
      bytes.content('x', [bytes.run('a', 20, 22), bytes.run('s', 3, 9, { seal: 's9' })], { header: false }),
    ]
    for (const content of contents) accepted((await storage.append([content]))[0])
    const second = await reopened()
    await readsBack(second.storage, contents)
    const more = bytes.content(
      'x',
      [bytes.run('a', 21, 30), bytes.run('s', 9, 10, { seal: 's10' }), bytes.run('n', 0, 1)],
      { header: false },
    )
    accepted((await second.storage.append([more]))[0])
    const third = await reopened(second)
    await readsBack(third.storage, [...contents, more])
  }),

  scenario('still tells a gap and a fork', ['reopen'], async ({ storage, reopened }) => {
    await storage.append([bytes.content('x', [bytes.run('a', 0, 5), bytes.run('b', 0, 5), bytes.run('c', 0, 5)])])
    const again = await reopened()
    const runs = [
      bytes.run('a', 6, 7),
      bytes.run('b', 4, 7, { salt: 'fork' }),
      bytes.run('c', 5, 6, { digest: '0'.repeat(16) }),
    ]
    const result = judged((await again.storage.append([bytes.content('x', runs, { header: false })]))[0])
    const refused = new Map([
      ['a', { why: 'gap', have: 5 }],
      ['b', { why: 'fork', have: 5 }],
      ['c', { why: 'fork', have: 5 }],
    ])
    same(result.refused, refused, 'refused')
    const other = judged((await again.storage.append([bytes.content('x', [], { header: 'another' })]))[0])
    same(other.headerRefused, 'fork', 'header refused')
  }),

  scenario('keeps marks and verifier states', ['reopen'], async ({ storage, reopened }) => {
    const content = bytes.content('x', [bytes.run('a', 0, 1)], { verifier: { a: 'state' } })
    await storage.append([content], {
      marks: new Map([
        ['m', text('1')],
        ['gone', text('2')],
      ]),
    })
    await storage.append([], { marks: new Map([['gone', undefined]]) })
    const again = await reopened()
    same(await again.storage.marks({ prefix: '', limit: 9 }), [['m', text('1')]], 'marks')
    same(await again.storage.verifierStates('x', ['a']), new Map([['a', text('state')]]), 'verifier states')
  }),

  scenario('keeps maps', ['reopen', 'maps'], async ({ storage, reopened }) => {
    const entries = new Map([
      ['a', { version: [2, 'me'] as const, bytes: text('two') }],
      ['b', { version: [3, 'me'] as const, bytes: undefined }],
    ])
    await storage.mergeMap('m', entries)
    const again = await reopened()
    same(await again.storage.readMap('m'), entries, 'entries')
    const older = new Map([['b', { version: [2, 'z'] as const, bytes: text('old') }]])
    same(await again.storage.mergeMap('m', older), { merged: [], conflicts: [] }, 'an older value over a tombstone')
  }),

  scenario('keeps erasures', ['reopen', 'erase'], async ({ storage, reopened }) => {
    await storage.append([bytes.content('x', [bytes.run('a', 0, 2), bytes.run('tomb', 0, 1)])])
    const state = await storage.erase('x', [2, 'me'], { keep: ['tomb'] })
    const again = await reopened()
    same(await again.storage.knownStates(['x']), [state], 'state')
    same(
      await again.storage.append([bytes.content('x', [bytes.run('a', 0, 2)])]),
      [{ state, refused: new Map() }],
      'an append',
    )
    await readsBack(again.storage, [bytes.content('x', [bytes.run('tomb', 0, 1)])])
  }),

  scenario('keeps the order of changes, and goes on above it', ['reopen', 'changes'], async ({ storage, reopened }) => {
    for (const id of ['c', 'a', 'b']) await storage.append([bytes.content(id)])
    await storage.append([bytes.content('c', [bytes.run('a', 0, 1)])])
    const before = await storage.changes({ since: 0, limit: 9 })
    const again = await reopened()
    same(await again.storage.changes({ since: 0, limit: 9 }), before, 'changes')
    holds(
      again.opened.generation.sequence >= (before.at(-1)?.sequence ?? 0),
      'a generation that begins where changes ended',
    )
    await again.storage.append([bytes.content('a', [bytes.run('a', 0, 1)])])
    const later = await again.storage.changes({ since: again.opened.generation.sequence, limit: 9 })
    same(
      later.map((change) => change.id),
      ['a'],
      'changes since the second open',
    )
  }),

  scenario('keeps the list and its order', ['reopen', 'list'], async ({ storage, reopened }) => {
    await storage.append(PECULIAR_IDS.map((id) => bytes.content(id)))
    const before = await storage.list({ limit: 1000 })
    const again = await reopened()
    same(await again.storage.list({ limit: 1000 }), before, 'list')
    same(await again.storage.count(), PECULIAR_IDS.length, 'documents counted')
  }),

  scenario(
    'begins a new generation, and the history names the old ones',
    ['reopen'],
    async ({ storage, opened, reopened }) => {
      await storage.append([bytes.content('x'), bytes.content('y')])
      const second = await reopened()
      await second.storage.append([bytes.content('z')])
      const third = await reopened(second)
      const generations = [opened.generation, second.opened.generation, third.opened.generation]
      same(new Set(generations.map((generation) => generation.id)).size, 3, 'different ids of three generations')
      same(third.opened.history, generations, 'history')
      const sequences = generations.map((generation) => generation.sequence)
      holds(
        (sequences[0] as number) < (sequences[1] as number) && (sequences[1] as number) < (sequences[2] as number),
        `sequences that grow with the store, got ${sequences}`,
      )
    },
  ),

  scenario(
    'honours the marks of its past and no others',
    ['reopen', 'changes'],
    async ({ storage, opened, reopened, unopened }) => {
      await storage.append([bytes.content('x'), bytes.content('y')])
      const sequence = (await storage.changes({ since: 0, limit: 9 })).at(-1)?.sequence as number
      const again = await reopened()
      const other = await (await unopened()).open()
      const honoured = (id: string, at: number) =>
        isHonoured({ id, sequence: at }, again.opened.history ?? [], sequence)
      same(honoured(opened.generation.id, sequence), true, 'a mark of the first generation')
      same(honoured(opened.generation.id, sequence + 1), false, 'a mark beyond the end of the first generation')
      same(honoured(again.opened.generation.id, sequence), true, 'a mark of the present generation')
      same(honoured(other.generation.id, 0), false, 'a mark of another store')
    },
  ),

  scenario('of an empty store is an empty store', ['reopen'], async ({ reopened }) => {
    const again = await reopened()
    same(await again.storage.knownStates(['x']), [undefined], 'known state')
    same(await again.storage.marks({ prefix: '', limit: 9 }), [], 'marks')
    accepted((await again.storage.append([bytes.content('x')]))[0])
  }),

  scenario('keeps peculiar ids apart', ['reopen'], async ({ storage, reopened }) => {
    const contents = PECULIAR_IDS.map((id, index) => bytes.content(id, [bytes.run(id, 0, 1 + (index % 3))]))
    for (const result of await storage.append(contents)) accepted(result)
    const again = await reopened()
    for (const content of contents) await readsBack(again.storage, [content], [10_000])
  }),
])
