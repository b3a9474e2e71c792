/**
 * Erasing: content goes, the header and the tombstones stay, and nothing comes back.
 */
import { EMPTY } from '@tidemark/known-state'
import type { Storage, StoredState } from '../../contract.ts'
import { same } from '../assert.ts'
import { accepted, bytes, json, text } from '../build.ts'
import { readsBack } from '../model.ts'
import { group, type StorageCase, scenario } from '../subject.ts'

const FULL = bytes.content(
  'x',
  [bytes.run('a', 0, 5), bytes.run('b', 0, 3, { seal: 'b3' }), bytes.run('tomb', 0, 1, { seal: 't' })],
  {
    verifier: { a: 'va', b: 'vb', tomb: 'vt' },
  },
)
const LEFT = bytes.content('x', [bytes.run('tomb', 0, 1, { seal: 't' })])

async function stateOf(storage: Storage, id = 'x'): Promise<StoredState | undefined> {
  return (await storage.knownStates([id]))[0]
}

export const erase: readonly StorageCase[] = group('erase', [
  scenario('keeps the header and the tombstones, and says so', ['erase'], async ({ storage }) => {
    await storage.append([FULL, bytes.content('y', [bytes.run('a', 0, 2)])])
    const state = await storage.erase('x', [3, 'me'], { keep: ['tomb'] })
    same(state?.known, { header: true, sessions: new Map([['tomb', 1]]) }, 'known state')
    same(state?.erased, [3, 'me'], 'erased')
    same(await stateOf(storage), state, 'state asked for later')
    same(await storage.headers(['x']), [bytes.header('x')], 'header')
    await readsBack(storage, [LEFT])
    await readsBack(storage, [bytes.content('y', [bytes.run('a', 0, 2)])])
  }),

  scenario('takes the verifier’s states along', ['erase'], async ({ storage }) => {
    await storage.append([FULL])
    await storage.erase('x', [1, 'me'], { keep: ['tomb'] })
    same(await storage.verifierStates('x', ['a', 'b', 'tomb']), new Map([['tomb', text('vt')]]), 'verifier states')
  }),

  scenario('an erased document stores nothing and refuses nothing', ['erase'], async ({ storage }) => {
    await storage.append([FULL])
    const state = await storage.erase('x', [1, 'me'], { keep: ['tomb'] })
    for (const content of [
      FULL,
      bytes.content('x', [bytes.run('a', 5, 9), bytes.run('tomb', 1, 2)], { header: false }),
      bytes.content('x', [bytes.run('new', 7, 8)], { header: 'another' }),
      json.content('x', [json.run('a', 0, 1)]),
    ]) {
      const [result] = await storage.append([content])
      same(result, { state, refused: new Map() }, 'result')
    }
    await readsBack(storage, [LEFT])
  }),

  scenario('covers every claim: nothing is read for it', ['erase'], async ({ storage }) => {
    await storage.append([FULL])
    await storage.erase('x', [1, 'me'], { keep: [] })
    const after = { header: true, sessions: new Map([['a', 3]]) }
    same((await storage.read('x', after, { bytesMax: 1000 }))?.runs, [], 'runs after a count of what was erased')
    same((await storage.read('x', EMPTY, { bytesMax: 1000 }))?.header, bytes.header('x'), 'header read')
  }),

  scenario('a smaller or equal version changes nothing', ['erase'], async ({ storage, opened }) => {
    await storage.append([FULL])
    const state = await storage.erase('x', [5, 'm'], { keep: ['tomb', 'b'] })
    const before = opened.capabilities.changes ? await storage.changes({ since: 0, limit: 9 }) : []
    for (const version of [
      [5, 'm'],
      [4, 'z'],
      [5, 'a'],
      [0, ''],
    ] as const)
      same(await storage.erase('x', version, { keep: [] }), state, `state after version ${version}`)
    await readsBack(storage, [
      bytes.content('x', [bytes.run('b', 0, 3, { seal: 'b3' }), bytes.run('tomb', 0, 1, { seal: 't' })]),
    ])
    if (opened.capabilities.changes) same(await storage.changes({ since: 0, limit: 9 }), before, 'changes')
  }),

  scenario('a greater version is recorded and may keep less', ['erase'], async ({ storage }) => {
    await storage.append([FULL])
    await storage.erase('x', [5, 'm'], { keep: ['tomb', 'b'] })
    const state = await storage.erase('x', [5, 'n'], { keep: ['tomb', 'a'] })
    same([state?.erased, state?.known.sessions], [[5, 'n'], new Map([['tomb', 1]])], 'state')
    await readsBack(storage, [LEFT])
  }),

  scenario(
    'of a document that is not stored answers undefined and leaves nothing',
    ['erase'],
    async ({ storage, opened }) => {
      same(await storage.erase('x', [1, 'me'], { keep: ['tomb'] }), undefined, 'state')
      if (opened.capabilities.list) same(await storage.count(), 0, 'documents')
      if (opened.capabilities.changes) same(await storage.changes({ since: 0, limit: 9 }), [], 'changes')
      const content = bytes.content('x', [bytes.run('a', 0, 1)])
      accepted((await storage.append([content]))[0])
      await readsBack(storage, [content])
    },
  ),

  scenario('may keep nothing, or sessions that are not held', ['erase'], async ({ storage }) => {
    await storage.append([FULL, { ...FULL, id: 'y' }])
    same((await storage.erase('x', [1, 'me'], { keep: [] }))?.known.sessions, new Map(), 'sessions kept of x')
    same(
      (await storage.erase('y', [1, 'me'], { keep: ['c', 'tomb', 'tomb', '__proto__'] }))?.known.sessions,
      new Map([['tomb', 1]]),
      'of y',
    )
    await readsBack(storage, [bytes.content('x')])
  }),

  scenario('what is left decides whether it is paged', ['erase'], async ({ storage, pageBytes }) => {
    const size = Math.floor(pageBytes * 0.6)
    const long = [bytes.run('a', 0, 2, { size }), bytes.run('half', 0, 1, { size })]
    const first = bytes.content('x', [...long, bytes.run('tomb', 0, 1, { seal: 't' })])
    same(accepted((await storage.append([first]))[0]).paged, true, 'paged before')
    same((await storage.erase('x', [1, 'me'], { keep: ['half', 'half', 'tomb'] }))?.paged, false, 'paged at 0.6 pages')
    same((await storage.erase('x', [2, 'me'], { keep: ['tomb'] }))?.paged, false, 'paged at almost nothing')
    await readsBack(storage, [LEFT])
  }),

  scenario('is a change', ['erase', 'changes'], async ({ storage }) => {
    await storage.append([FULL, bytes.content('y')])
    const before = await storage.changes({ since: 0, limit: 9 })
    await storage.erase('x', [1, 'me'], { keep: [] })
    const after = await storage.changes({ since: before.at(-1)?.sequence ?? 0, limit: 9 })
    same(
      after.map((change) => change.id),
      ['x'],
      'changes since',
    )
  }),

  scenario('an erased document is still listed and counted', ['erase', 'list'], async ({ storage }) => {
    await storage.append([FULL, bytes.content('y')])
    await storage.erase('x', [1, 'me'], { keep: [] })
    same([await storage.list({ limit: 9 }), await storage.count()], [['x', 'y'], 2], 'documents')
  }),

  scenario('last runs of json go with their sessions', ['erase'], async ({ storage }) => {
    await storage.append([
      json.content('x', [json.run('a', 0, 2, { seal: 'a2' }), json.run('tomb', 0, 1, { seal: 't' })]),
    ])
    same((await storage.erase('x', [1, 'me'], { keep: ['tomb'] }))?.lastRuns, new Map([['tomb', 0]]), 'last runs')
  }),
])
