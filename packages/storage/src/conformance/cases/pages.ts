/**
 * Reading: what is on a page and where it ends. `readsBack` checks every rule of every page on the way.
 */
import { EMPTY, type KnownState } from '@tidemark/known-state'
import { type Append, RUN_TRANSACTIONS_MAX } from '../../contract.ts'
import { bytesOf } from '../../judge.ts'
import { failsAs, holds, same } from '../assert.ts'
import { accepted, bytes, json, judged, type Maker } from '../build.ts'
import { readsBack } from '../model.ts'
import { group, type StorageCase, scenario } from '../subject.ts'

const holding = (sessions: Readonly<Record<string, number>>): KnownState => ({
  header: true,
  sessions: new Map(Object.entries(sessions)),
})

/** Sealed and unsealed sessions of several lengths, each appended in pieces. */
function mixture(make: Maker): readonly Append[] {
  const contents = [make.content('x', [make.run('s', 0, 2, { seal: 's2' }), make.run('u', 0, 5), make.run('m', 0, 3)])]
  const later = [
    [make.run('s', 2, 9, { seal: 's9' }), make.run('m', 3, 4, { seal: 'm4' })],
    [make.run('s', 8, 12, { seal: 's12' }), make.run('u', 5, 30, { size: 30 }), make.run('m', 4, 6)],
    [make.run('m', 6, 20, { seal: 'm20' }), make.run('t', 0, 1, { seal: 't1' })],
    [make.run('m', 20, 23), make.run('s', 12, 13, { seal: 's13' })],
  ]
  for (const runs of later) contents.push(make.content('x', runs, { header: false }))
  return contents
}

export const seals: readonly StorageCase[] = group('seals', [
  scenario('a page ends at a seal, even if it is larger for it', async ({ storage }) => {
    const contents = [json.content('x', [json.run('a', 0, 10, { seal: 'a10' })])]
    contents.push(json.content('x', [json.run('a', 10, 13, { seal: 'a13' })], { header: false }))
    for (const content of contents) accepted((await storage.append([content]))[0])
    const [pages] = await readsBack(storage, contents, [20])
    same(
      pages?.map((page) => page.runs[0]?.transactions.length),
      [10, 3],
      'transactions per page',
    )
  }),

  scenario('runs with a seal are joined where they fit, under the last of them', async ({ storage }) => {
    const contents = [json.content('x', [json.run('a', 0, 2, { seal: 'a2' })])]
    for (let at = 2; at < 8; at++)
      contents.push(json.content('x', [json.run('a', at, at + 1, { seal: `a${at + 1}` })], { header: false }))
    for (const content of contents) accepted((await storage.append([content]))[0])
    const [pages] = await readsBack(storage, contents, [10_000])
    same(pages?.length, 1, 'pages')
  }),

  scenario('a part without a seal may be cut anywhere', async ({ storage }) => {
    const contents = [bytes.content('x', [bytes.run('a', 0, 100, { size: 20 })])]
    accepted((await storage.append(contents))[0])
    const [pages] = await readsBack(storage, contents, [200])
    holds((pages?.length ?? 0) >= 10, `at least 10 pages of 200 bytes for 2,000, got ${pages?.length}`)
  }),

  scenario('what follows a seal without one is never joined to it', async ({ storage }) => {
    const contents = [
      json.content('x', [json.run('a', 0, 3, { seal: 'a3' })]),
      json.content('x', [json.run('a', 3, 5)]),
    ]
    for (const content of contents) accepted((await storage.append([content]))[0])
    const [pages] = await readsBack(storage, contents, [1_000_000])
    same(
      pages?.map((page) => page.runs.map((run) => run.transactions.length)),
      [[3], [2]],
      'runs per page',
    )
  }),

  scenario('a seal of an overlap that was sliced is kept with its new part', async ({ storage }) => {
    const contents = [
      json.content('x', [json.run('a', 0, 3, { seal: 'a3' })]),
      json.content('x', [json.run('a', 0, 6, { seal: 'a6' })], { header: false }),
      json.content('x', [json.run('a', 5, 7)], { header: false }),
      json.content('x', [json.run('a', 6, 9, { seal: 'a9' })], { header: false }),
    ]
    for (const content of contents) accepted((await storage.append([content]))[0])
    await readsBack(storage, contents)
  }),

  scenario('with and without seals, in bytes and in json', async ({ storage, another }) => {
    for (const [store, make] of [
      [storage, bytes],
      [await another(), json],
    ] as const) {
      const contents = mixture(make)
      for (const content of contents) accepted((await store.append([content]))[0])
      await readsBack(store, contents, [0, 30, 100, 300, 1000, 100_000])
    }
  }),
])

export const pages: readonly StorageCase[] = group('pages', [
  scenario('each transaction is on exactly one page, at any size of page', async ({ storage }) => {
    const runs = Array.from({ length: 20 }, (_, index) =>
      bytes.run(`session ${index}`, 0, 1 + ((index * 7) % 13), { size: 10 + index }),
    )
    const contents = [bytes.content('x', runs)]
    accepted((await storage.append(contents))[0])
    for (const walk of await readsBack(storage, contents, [0, 1, 64, 250, 1000, 5000, 1_000_000])) {
      const read = walk.flatMap((page) => page.runs.flatMap((run) => run.transactions))
      same(
        read.length,
        runs.reduce((sum, run) => sum + run.transactions.length, 0),
        'transactions read',
      )
    }
  }),

  scenario('a document that fits is one page', async ({ storage }) => {
    const contents = [bytes.content('x', [bytes.run('a', 0, 5), bytes.run('b', 0, 5)])]
    accepted((await storage.append(contents))[0])
    const [walk] = await readsBack(storage, contents, [100_000])
    same(walk?.length, 1, 'pages')
  }),

  scenario('begin after the state that was asked', async ({ storage }) => {
    const contents = [bytes.content('x', [bytes.run('a', 0, 5), bytes.run('b', 0, 5), bytes.run('c', 0, 5)])]
    accepted((await storage.append(contents))[0])
    const page = await storage.read('x', holding({ a: 5, b: 2 }), { bytesMax: 10_000 })
    same(
      page?.runs.map((run) => [run.session, run.after]),
      [
        ['b', 2],
        ['c', 0],
      ],
      'runs',
    )
    await readsBack(storage, contents, [0, 40, 10_000], holding({ a: 5, b: 2 }))
  }),

  scenario('the header comes where it is not held', async ({ storage }) => {
    const contents = [bytes.content('x', [bytes.run('a', 0, 2)])]
    accepted((await storage.append(contents))[0])
    const headless = { header: false, sessions: new Map([['a', 2]]) }
    const page = await storage.read('x', headless, { bytesMax: 100 })
    same(
      [page?.header, page?.runs, page?.more],
      [bytes.header('x'), [], false],
      'a page for one who lacks only the header',
    )
    same(page?.end, { header: true, sessions: headless.sessions }, 'its end')
    await readsBack(storage, contents, [0, 100], headless)
  }),

  scenario('without anything missing there is a page without runs', async ({ storage }) => {
    const contents = [bytes.content('x', [bytes.run('a', 0, 2)]), bytes.content('empty')]
    await storage.append(contents)
    for (const [id, after] of [
      ['x', holding({ a: 2 })],
      ['empty', holding({})],
    ] as const) {
      const page = await storage.read(id, after, { bytesMax: 100 })
      same([page?.header, page?.runs, page?.more, page?.end], [undefined, [], false, after], `page of ${id}`)
    }
  }),

  scenario('a count inside a sealed run is answered with the rest of it', async ({ storage }) => {
    for (const make of [bytes, json]) {
      const id = make.kind
      const contents = [make.content(id, [make.run('a', 0, 6, { seal: 'a6' })])]
      contents.push(make.content(id, [make.run('a', 6, 9, { seal: 'a9' })], { header: false }))
      for (const content of contents) accepted((await storage.append([content]))[0])
      for (const count of [1, 5, 6, 7, 8]) await readsBack(storage, contents, [0, 20, 1000], holding({ a: count }))
    }
  }),

  scenario('a count beyond what is held is left alone, and the others are read', async ({ storage }) => {
    const content = bytes.content('x', [bytes.run('a', 0, 2), bytes.run('b', 0, 2)])
    accepted((await storage.append([content]))[0])
    const after = holding({ a: 7, unknown: 4 })
    const page = await storage.read('x', after, { bytesMax: 1000 })
    same(
      page?.runs.map((run) => run.session),
      ['b'],
      'sessions read',
    )
    same(
      page?.end.sessions,
      new Map([
        ['a', 7],
        ['unknown', 4],
        ['b', 2],
      ]),
      'end',
    )
    same(page?.more, false, 'more')
    await readsBack(storage, [content], [0, 1000], after)
  }),

  scenario('sessions come in bytewise order', async ({ storage }) => {
    const sessions = ['b', 'a', 'B', '\u{1f600}', '\ufffd', '\ue000', 'é', 'ab', 'a\u0000', 'z', '10', '9']
    const contents = [
      bytes.content(
        'x',
        sessions.map((session) => bytes.run(session, 0, 2)),
      ),
    ]
    accepted((await storage.append(contents))[0])
    const order = ['10', '9', 'B', 'a', 'a\u0000', 'ab', 'b', 'z', 'é', '\ue000', '\ufffd', '\u{1f600}']
    for (const walk of await readsBack(storage, contents, [0, 60, 10_000])) {
      const read = walk.flatMap((page) => page.runs.map((run) => run.session))
      same([...new Set(read)], order, 'sessions read')
    }
  }),

  scenario('a first transaction that is too large for the page is read all the same', async ({ storage }) => {
    const contents = [bytes.content('x', [bytes.run('a', 0, 2, { size: 5000 }), bytes.run('b', 0, 3)])]
    accepted((await storage.append(contents))[0])
    await readsBack(storage, contents, [0, 100, 5005])
  }),

  scenario('a header that is too large for the page is read with something', async ({ storage }) => {
    const contents = [bytes.content('x', [bytes.run('a', 0, 5)], { header: 'h'.repeat(3000) })]
    accepted((await storage.append(contents))[0])
    const [walk] = await readsBack(storage, contents, [100])
    holds((walk?.[0]?.runs.length ?? 0) === 1, 'one run beside the header')
  }),

  scenario('transactions of no bytes and sessions of one byte fill a page, too', async ({ storage, pageBytes }) => {
    const empty = Array.from({ length: Math.ceil(pageBytes / 4) }, () => new Uint8Array(0))
    const sessions = Array.from({ length: Math.ceil(pageBytes / 50) }, (_, index) => `s${index}`)
    const contents = [
      bytes.content('empty', [{ session: 'a', after: 0, transactions: empty }]),
      bytes.content(
        'wide',
        sessions.map((session) => ({ session, after: 0, transactions: [new Uint8Array(1)] })),
      ),
    ]
    for (const content of contents) {
      accepted((await storage.append([content]))[0])
      const [walk] = await readsBack(storage, [content], [pageBytes])
      holds((walk?.length ?? 0) >= 2, `several pages of ${content.id}, got ${walk?.length}`)
    }
  }),

  scenario('joining runs makes none that could not be appended again', async ({ storage, runBytesMax }) => {
    const size = Math.floor(runBytesMax * 0.4)
    const contents = [json.content('x', [json.run('a', 0, 1, { size, seal: 'a1' })])]
    for (let at = 1; at < 4; at++)
      contents.push(json.content('x', [json.run('a', at, at + 1, { size, seal: `a${at + 1}` })], { header: false }))
    for (const content of contents) accepted((await storage.append([content]))[0])
    const [walk] = await readsBack(storage, contents, [runBytesMax * 3])
    for (const page of walk ?? [])
      for (const run of page.runs)
        holds(bytesOf(run.transactions, run.seal) <= runBytesMax, `a run of at most ${runBytesMax} bytes`)
  }),

  scenario('what one store reads another can append', async ({ storage, another }) => {
    for (const make of [bytes, json]) {
      const contents = mixture(make).map((content) => ({ ...content, id: make.kind }))
      for (const content of contents) accepted((await storage.append([content]))[0])
      const [source] = await storage.knownStates([make.kind])
      for (const bytesMax of [0, 100, 10_000]) {
        const target = await another()
        const [walk] = await readsBack(storage, contents, [bytesMax])
        let state = source
        for (const { end: _, more: __, ...content } of walk ?? []) state = accepted((await target.append([content]))[0])
        same(
          [state?.known, state?.digests],
          [source?.known, source?.digests],
          `the copy made with pages of ${bytesMax}`,
        )
      }
    }
  }),

  scenario('a size that is none is the caller’s mistake', async ({ storage }) => {
    await storage.append([bytes.content('x')])
    for (const bytesMax of [-1, Number.NaN])
      await failsAs('RangeError', () => storage.read('x', EMPTY, { bytesMax }), `read with bytesMax ${bytesMax}`)
  }),
])

export const sizes: readonly StorageCase[] = group('sizes', [
  scenario(
    'a transaction of exactly the largest size is stored, one byte more is refused',
    async ({ storage, runBytesMax }) => {
      const fits = bytes.content('x', [bytes.run('a', 0, 1, { size: runBytesMax })])
      accepted((await storage.append([fits]))[0])
      const runs = [bytes.run('b', 0, 1, { size: runBytesMax + 1 }), bytes.run('c', 0, 1)]
      const result = judged((await storage.append([bytes.content('x', runs, { header: false })]))[0])
      same(result.refused, new Map([['b', { why: 'tooLarge', have: 0 }]]), 'refused')
      await readsBack(storage, [fits, bytes.content('x', [bytes.run('c', 0, 1)])], [0, 1_000_000])
    },
  ),

  scenario(
    'a sealed run of exactly the largest size is stored, one byte more is refused',
    async ({ storage, runBytesMax }) => {
      const size = Math.floor(runBytesMax / 4)
      const seal = 's'.repeat(runBytesMax - 3 * size)
      const fits = bytes.content('x', [bytes.run('a', 0, 3, { size, seal })])
      accepted((await storage.append([fits]))[0])
      const runs = [bytes.run('b', 0, 3, { size, seal: `${seal}s` }), bytes.run('c', 0, 1)]
      const result = judged((await storage.append([bytes.content('x', runs, { header: false })]))[0])
      same(result.refused, new Map([['b', { why: 'tooLarge', have: 0 }]]), 'refused')
      await readsBack(storage, [fits, bytes.content('x', [bytes.run('c', 0, 1)])], [0, 1_000_000])
    },
  ),

  scenario('a sealed run of more transactions than a reader takes is refused', async ({ storage }) => {
    const nothing = new Uint8Array(0)
    const run = (session: string, after: number, length: number) => {
      return { session, after, transactions: Array.from({ length }, () => nothing), seal: new Uint8Array(1) }
    }
    const fits = bytes.content('x', [run('a', 0, RUN_TRANSACTIONS_MAX)])
    accepted((await storage.append([fits]))[0])
    const more = bytes.content('x', [run('b', 0, RUN_TRANSACTIONS_MAX + 1), run('c', 0, 1)], { header: false })
    same(judged((await storage.append([more]))[0]).refused, new Map([['b', { why: 'tooLarge', have: 0 }]]), 'refused')
    const next = bytes.content('x', [run('a', RUN_TRANSACTIONS_MAX, 1)], { header: false })
    accepted((await storage.append([next]))[0])
    const [walk] = await readsBack(storage, [fits, next, bytes.content('x', [run('c', 0, 1)])], [10_000_000])
    for (const { runs } of walk ?? []) {
      const count = runs.reduce((sum, { transactions }) => sum + transactions.length, 0)
      holds(count <= RUN_TRANSACTIONS_MAX, `a page of at most ${RUN_TRANSACTIONS_MAX} transactions`)
    }
  }),

  scenario('a run without a seal may be larger, and is cut', async ({ storage, runBytesMax }) => {
    const content = bytes.content('x', [bytes.run('a', 0, 6, { size: Math.floor(runBytesMax / 4) })])
    accepted((await storage.append([content]))[0])
    await readsBack(storage, [content], [0, 100_000])
  }),

  scenario('only what is new of a run counts', async ({ storage, runBytesMax }) => {
    const size = Math.floor(runBytesMax / 4)
    const contents = [
      json.content('x', [json.run('a', 0, 3, { size, seal: 'a3' })]),
      json.content('x', [json.run('a', 0, 6, { size, seal: 'a6' })], { header: false }),
    ]
    for (const content of contents) accepted((await storage.append([content]))[0])
    await readsBack(storage, contents, [100_000])
  }),

  scenario('a header that is too large is refused', async ({ storage, runBytesMax }) => {
    const content = bytes.content('x', [bytes.run('a', 0, 1)], { header: 'h'.repeat(runBytesMax + 1) })
    const result = judged((await storage.append([content]))[0])
    same([result.headerRefused, result.state, result.refused.size], ['tooLarge', undefined, 0], 'result')
    same(await storage.knownStates(['x']), [undefined], 'known state afterwards')
  }),

  scenario(
    'transactions of 1 MB are kept, or of the largest size where that is less',
    async ({ storage, runBytesMax }) => {
      const size = Math.min(1_000_000, runBytesMax - 1)
      const content = bytes.content('x', [bytes.run('a', 0, 2, { size }), bytes.run('b', 0, 1, { size, seal: 'b' })])
      accepted((await storage.append([content]))[0])
      await readsBack(storage, [content], [0, 100_000])
    },
  ),
])
