/**
 * Calls that are not waited for: writes take effect in the order in which they were called, and none is seen half.
 */
import { holds, same, started } from '../assert.ts'
import { accepted, bytes, judged } from '../build.ts'
import { readsBack } from '../model.ts'
import { group, type StorageCase, scenario } from '../subject.ts'

export const order: readonly StorageCase[] = group('order', [
  scenario('appends to one document, not waited for, continue each other', async ({ storage }) => {
    const contents = [bytes.content('x', [bytes.run('a', 0, 1)])]
    for (let at = 1; at < 30; at++) contents.push(bytes.content('x', [bytes.run('a', at, at + 1)], { header: false }))
    const results = await Promise.all(contents.map((content) => started(() => storage.append([content]))))
    same(
      results.map(([result]) => accepted(result).known.sessions.get('a')),
      contents.map((_, index) => index + 1),
      'counts',
    )
    await readsBack(storage, contents)
  }),

  scenario('appends to many documents, not waited for, are all stored', async ({ storage, opened }) => {
    const contents = Array.from({ length: 100 }, (_, index) =>
      bytes.content(`d${index}`, [bytes.run('a', 0, 3), bytes.run('b', 0, 1)]),
    )
    const results = await Promise.all(contents.map((content) => started(() => storage.append([content]))))
    for (const [result] of results) accepted(result)
    for (const content of contents) await readsBack(storage, [content], [1000])
    if (opened.capabilities.changes) {
      const found = await storage.changes({ since: 0, limit: 1000 })
      same(
        found.map((change) => change.id),
        contents.map((content) => content.id),
        'changes in the order of the calls',
      )
    }
  }),

  scenario('of two continuations of one session the first is stored, the second is a fork', async ({ storage }) => {
    const first = bytes.content('x', [bytes.run('a', 0, 2)])
    await storage.append([first])
    const one = bytes.content('x', [bytes.run('a', 2, 4)], { header: false })
    const two = bytes.content('x', [bytes.run('a', 2, 3, { salt: 'other' })], { header: false })
    const [kept, refused] = await Promise.all([one, two].map((content) => started(() => storage.append([content]))))
    accepted(kept?.[0])
    same(judged(refused?.[0]).refused, new Map([['a', { why: 'fork', have: 4 }]]), 'refused')
    await readsBack(storage, [first, one])
  }),

  scenario('of two headers of one document the first is stored, the second is a fork', async ({ storage }) => {
    const one = bytes.content('x', [bytes.run('a', 0, 1)])
    const two = bytes.content('x', [bytes.run('b', 0, 1)], { header: 'another' })
    const [kept, refused] = await Promise.all([one, two].map((content) => started(() => storage.append([content]))))
    accepted(kept?.[0])
    same(judged(refused?.[0]).headerRefused, 'fork', 'header refused')
    await readsBack(storage, [one])
  }),

  scenario('no reader sees half of an append', async ({ storage }) => {
    const contents = [bytes.content('x', [bytes.run('a', 0, 1), bytes.run('b', 0, 1)])]
    for (let at = 1; at < 15; at++)
      contents.push(bytes.content('x', [bytes.run('a', at, at + 1), bytes.run('b', at, at + 1)], { header: false }))
    const appends: Promise<unknown>[] = []
    const reads: Promise<readonly (readonly [number, number])[]>[] = []
    for (const content of contents) {
      appends.push(started(() => storage.append([content])))
      reads.push(
        started(() => storage.knownStates(['x'])).then(([state]) => [
          [state?.known.sessions.get('a') ?? 0, state?.known.sessions.get('b') ?? 0],
        ]),
        started(() => storage.read('x', { header: true, sessions: new Map() }, { bytesMax: 100_000 })).then((page) => [
          [page?.runs[0]?.transactions.length ?? 0, page?.runs[1]?.transactions.length ?? 0],
        ]),
      )
    }
    for (const counts of await Promise.all(reads))
      for (const [a, b] of counts) same(a, b, 'counts of two sessions that grow together')
    await Promise.all(appends)
    await readsBack(storage, contents)
  }),

  scenario('reads of one document at the same time answer what each alone would', ['reopen'], async (given) => {
    const contents = [
      bytes.content('x', [bytes.run('a', 0, 12, { size: 20_000 }), bytes.run('b', 0, 3, { size: 20_000 })]),
      bytes.content('x', [bytes.run('a', 12, 14), bytes.run('c', 0, 3)], { header: false }),
    ]
    for (const content of contents) accepted((await given.storage.append([content]))[0])
    // What a store keeps of one reading for the next is not there yet.
    const { storage } = await given.reopened()
    const read = (bytesMax: number, header: boolean) =>
      started(() => storage.read('x', { header, sessions: new Map() }, { bytesMax }))
    const together = await Promise.all([read(100, true), read(10_000_000, false)])
    for (const page of together) holds(page !== undefined, 'a page of what is stored')
    same(together[1]?.runs, (await read(10_000_000, false))?.runs, 'what was read together and alone')
    await readsBack(storage, contents)
  }),

  scenario('what an append answered is there for the next call', async ({ storage }) => {
    for (let at = 0; at < 10; at++) {
      accepted((await storage.append([bytes.content('x', [bytes.run('a', at, at + 1)])]))[0])
      same((await storage.knownStates(['x']))[0]?.known.sessions.get('a'), at + 1, 'count')
      const page = await storage.read('x', { header: true, sessions: new Map([['a', at]]) }, { bytesMax: 100 })
      same(page?.runs[0]?.transactions, bytes.run('a', at, at + 1).transactions, 'transactions read')
    }
  }),

  scenario('marks of appends that were not waited for are those of the last', async ({ storage }) => {
    const appends = Array.from({ length: 20 }, (_, index) =>
      started(() =>
        storage.append([], {
          marks: new Map([
            ['m', Uint8Array.of(index)],
            [`m${index}`, Uint8Array.of(index)],
          ]),
        }),
      ),
    )
    await Promise.all(appends)
    const found = new Map(await storage.marks({ prefix: '', limit: 100 }))
    same([found.size, found.get('m')], [21, Uint8Array.of(19)], 'marks')
  }),

  scenario('merges of a map and erasures take their turn', ['maps', 'erase'], async ({ storage }) => {
    const content = bytes.content('x', [bytes.run('a', 0, 3)])
    const calls = [
      started<unknown>(() => storage.append([content])),
      started<unknown>(() => storage.erase('x', [1, 'me'], { keep: [] })),
      started<unknown>(() => storage.append([content])),
      started<unknown>(() => storage.mergeMap('m', new Map([['k', { version: [1, 'a'], bytes: Uint8Array.of(1) }]]))),
      started<unknown>(() => storage.mergeMap('m', new Map([['k', { version: [2, 'a'], bytes: Uint8Array.of(2) }]]))),
    ]
    await Promise.all(calls)
    const [state] = await storage.knownStates(['x'])
    holds(state?.erased !== undefined && state.known.sessions.size === 0, 'the document to be erased')
    same((await storage.readMap('m')).get('k')?.version, [2, 'a'], 'version in the map')
  }),
])
