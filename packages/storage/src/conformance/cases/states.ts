/**
 * Known states and headers: what is stored of a document, without its content.
 */
import { EMPTY } from '@tidemark/known-state'
import { PAGE_BYTES } from '../../contract.ts'
import { EMPTY_DIGEST, extendDigest } from '../../digest.ts'
import { holds, same } from '../assert.ts'
import { accepted, bytes, json } from '../build.ts'
import { readsBack } from '../model.ts'
import { group, type StorageCase, scenario } from '../subject.ts'

export const states: readonly StorageCase[] = group('known states', [
  scenario('of an id that is not stored is undefined', async ({ storage }) => {
    accepted((await storage.append([bytes.content('x')]))[0])
    same(await storage.knownStates(['y']), [undefined], 'known state')
    same(await storage.headers(['y']), [undefined], 'header')
    same(await storage.read('y', EMPTY, { bytesMax: 100 }), undefined, 'page')
    same(await storage.verifierStates('y', ['a']), new Map(), 'verifier states')
  }),

  scenario('come in the order asked, repeats and absent ones included', async ({ storage }) => {
    await storage.append([bytes.content('x', [bytes.run('a', 0, 1)]), bytes.content('y', [bytes.run('a', 0, 2)])])
    const asked = ['y', 'absent', 'x', 'y']
    const counts = (await storage.knownStates(asked)).map((state) => state?.known.sessions.get('a'))
    same(counts, [2, undefined, 1, 2], 'known states')
    const headers = asked.map((id) => (id === 'absent' ? undefined : bytes.header(id)))
    same(await storage.headers(asked), headers, 'headers')
  }),

  scenario('of many ids at once', async ({ storage }) => {
    const ids = Array.from({ length: 500 }, (_, index) => `document ${index}`)
    await storage.append(ids.filter((_, index) => index % 2 === 0).map((id) => bytes.content(id)))
    const found = await storage.knownStates(ids)
    same(
      found.map((state) => state?.known.header ?? false),
      ids.map((_, index) => index % 2 === 0),
      'headers held',
    )
    same(
      (await storage.headers(ids)).map((header) => header !== undefined),
      ids.map((_, index) => index % 2 === 0),
      'headers',
    )
  }),

  scenario('empty lists answer empty lists', async ({ storage }) => {
    same(await storage.knownStates([]), [], 'known states')
    same(await storage.headers([]), [], 'headers')
    same(await storage.append([]), [], 'append')
    same(await storage.verifierStates('x', []), new Map(), 'verifier states')
  }),

  scenario('name header, sessions, kind and priority', async ({ storage }) => {
    const content = json.content('x', [json.run('a', 0, 2), json.run('b', 0, 1)], { priority: 6 })
    const state = accepted((await storage.append([content]))[0])
    same(
      state.known,
      {
        header: true,
        sessions: new Map([
          ['a', 2],
          ['b', 1],
        ]),
      },
      'known',
    )
    same(
      [state.kind, state.priority, state.paged, state.erased],
      ['json', 6, false, undefined],
      'kind, priority, paged, erased',
    )
    same((await storage.knownStates(['x']))[0], state, 'state asked for later')
  }),

  scenario('the priority stays as it was when the document was created', async ({ storage }) => {
    await storage.append([bytes.content('x', [], { priority: 0 })])
    const again = bytes.content('x', [bytes.run('a', 0, 1)], { priority: 6 })
    same(accepted((await storage.append([again]))[0]).priority, 0, 'priority')
    same((await storage.read('x', EMPTY, { bytesMax: 100 }))?.priority, 0, 'priority of a page')
  }),

  scenario('are those after the latest append', async ({ storage }) => {
    for (let at = 0; at < 5; at++) {
      const state = accepted((await storage.append([bytes.content('x', [bytes.run('a', at, at + 1)])]))[0])
      same(state.known.sessions, new Map([['a', at + 1]]), 'known state that the append answered')
      same(await storage.knownStates(['x']), [state], 'known state asked for')
    }
  }),

  scenario('an answer stays what it was when the document grows', async ({ storage }) => {
    const before = accepted((await storage.append([bytes.content('x', [bytes.run('a', 0, 1)])]))[0])
    const [asked] = await storage.knownStates(['x'])
    await storage.append([bytes.content('x', [bytes.run('a', 1, 4), bytes.run('b', 0, 1)], { header: false })])
    for (const state of [before, asked]) {
      same(state?.known.sessions, new Map([['a', 1]]), 'known state answered before the append')
      same([...(state?.digests.keys() ?? [])], ['a'], 'digests answered before the append')
    }
  }),

  scenario('the last sealed run of each session is where its new part began', async ({ storage }) => {
    const runs = [json.run('a', 0, 3, { seal: 'a3' }), json.run('b', 0, 2), json.run('c', 0, 2, { seal: 'c2' })]
    same(
      accepted((await storage.append([json.content('x', runs)]))[0]).lastRuns,
      new Map([
        ['a', 0],
        ['c', 0],
      ]),
      'at first',
    )
    const more = [json.run('a', 1, 5, { seal: 'a5' }), json.run('b', 2, 4, { seal: 'b4' }), json.run('c', 2, 3)]
    const state = accepted((await storage.append([json.content('x', more, { header: false })]))[0])
    same(
      state.lastRuns,
      new Map([
        ['a', 3],
        ['b', 2],
        ['c', 0],
      ]),
      'after an overlap, a first seal, and a part without a seal',
    )
  }),

  scenario('the last runs of bytes are not kept, nor the digests of json', async ({ storage }) => {
    const ofBytes = accepted((await storage.append([bytes.content('x', [bytes.run('a', 0, 3, { seal: 'a3' })])]))[0])
    same([ofBytes.lastRuns.size, ofBytes.digests.size], [0, 1], 'last runs and digests of a bytes document')
    const ofJson = accepted((await storage.append([json.content('y', [json.run('a', 0, 3, { seal: 'a3' })])]))[0])
    same([ofJson.lastRuns.size, ofJson.digests.size], [1, 0], 'last runs and digests of a json document')
  }),

  scenario('say whether the content exceeds a page', async ({ storage, pageBytes }) => {
    const size = Math.floor(pageBytes / 4)
    const first = accepted((await storage.append([bytes.content('x', [bytes.run('a', 0, 2, { size })])]))[0])
    same(first.paged, false, 'paged, at half a page')
    const more = bytes.content('x', [bytes.run('a', 2, 4, { size }), bytes.run('b', 0, 2, { size })], { header: false })
    same(accepted((await storage.append([more]))[0]).paged, true, 'paged, at one and a half pages')
    same((await storage.knownStates(['x']))[0]?.paged, true, 'paged, asked for later')
  }),
])

export const digests: readonly StorageCase[] = group('digests', [
  scenario('chain over all transactions of a session', async ({ storage }) => {
    const runs = [bytes.run('a', 0, 3), bytes.run('b', 0, 1)]
    const state = accepted((await storage.append([bytes.content('x', runs)]))[0])
    for (const run of runs)
      same(state.digests.get(run.session), extendDigest(EMPTY_DIGEST, run.transactions), `digest of ${run.session}`)
    const rest = bytes.run('a', 3, 40)
    const later = accepted((await storage.append([bytes.content('x', [rest], { header: false })]))[0])
    same(
      later.digests.get('a'),
      extendDigest(EMPTY_DIGEST, bytes.run('a', 0, 40).transactions),
      'digest of a, extended',
    )
    same(later.digests.get('b'), state.digests.get('b'), 'digest of b, which did not grow')
  }),

  scenario('do not depend on how transactions were grouped', async ({ storage }) => {
    await storage.append([bytes.content('x'), bytes.content('y', [bytes.run('a', 0, 12)])])
    for (let index = 0; index < 12; index++)
      await storage.append([bytes.content('x', [bytes.run('a', index, index + 1)], { header: false })])
    const [one, whole] = await storage.knownStates(['x', 'y'])
    same(one?.digests, whole?.digests, 'digests of a session stored one by one')
  }),

  scenario('stand on each run at its start, wherever that is', async ({ storage }) => {
    const contents = [bytes.content('x', [bytes.run('a', 0, 30, { size: 40 })])]
    for (let at = 30; at < 60; at += 7)
      contents.push(bytes.content('x', [bytes.run('a', at, Math.min(60, at + 7), { size: 40 })], { header: false }))
    for (const content of contents) await storage.append([content])
    for (const count of [1, 7, 29, 30, 31, 44, 59])
      await readsBack(storage, contents, [0, 200, PAGE_BYTES], { header: true, sessions: new Map([['a', count]]) })
  }),

  scenario('of an overlap that was sliced are those of the whole', async ({ storage }) => {
    await storage.append([bytes.content('x', [bytes.run('a', 0, 5)])])
    const state = accepted((await storage.append([bytes.content('x', [bytes.run('a', 2, 9)], { header: false })]))[0])
    same(state.digests.get('a'), extendDigest(EMPTY_DIGEST, bytes.run('a', 0, 9).transactions), 'digest')
    holds(state.known.sessions.get('a') === 9, 'nine transactions to be held')
  }),
])
