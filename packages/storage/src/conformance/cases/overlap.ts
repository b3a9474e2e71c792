/**
 * Overlap: what is held already is compared and sliced off; what differs is a fork and never wins by length.
 */
import type { Append, Storage } from '../../contract.ts'
import { holds, same } from '../assert.ts'
import { accepted, bytes, json, judged, text } from '../build.ts'
import { readsBack } from '../model.ts'
import { group, type StorageCase, scenario } from '../subject.ts'

export const overlap: readonly StorageCase[] = group('overlap', [
  scenario('is sliced off, and only what is new is stored', async ({ storage }) => {
    const contents = [
      bytes.content('x', [bytes.run('a', 0, 5), bytes.run('b', 0, 2)]),
      bytes.content('x', [bytes.run('a', 2, 8), bytes.run('b', 0, 3)], { header: false }),
    ]
    for (const content of contents) accepted((await storage.append([content]))[0])
    await readsBack(storage, contents)
  }),

  scenario('that is complete writes nothing, not even a seal', async ({ storage, opened }) => {
    const first = bytes.content('x', [bytes.run('a', 0, 5), bytes.run('b', 0, 3, { seal: 'b3' })])
    await storage.append([first])
    const sequence = opened.capabilities.changes
      ? (await storage.changes({ since: 0, limit: 1 }))[0]?.sequence
      : undefined
    for (const runs of [
      [bytes.run('a', 0, 5, { seal: 'a5' })],
      [bytes.run('a', 1, 3, { seal: 'a3' }), bytes.run('b', 2, 3, { seal: 'other' })],
    ])
      accepted((await storage.append([bytes.content('x', runs, { header: false })]))[0])
    await readsBack(storage, [first])
    if (opened.capabilities.changes)
      same(
        (await storage.changes({ since: 0, limit: 9 })).map((change) => change.sequence),
        [sequence],
        'changes',
      )
  }),

  scenario('that differs is a fork and the first stays', async ({ storage }) => {
    const first = bytes.content('x', [bytes.run('a', 0, 5), bytes.run('b', 0, 2)])
    await storage.append([first])
    const longer = bytes.run('a', 0, 20, { salt: 'other' })
    const one = bytes.run('a', 3, 6)
    const forks = [
      longer,
      bytes.run('a', 4, 5, { salt: 'other' }),
      { ...one, transactions: [text('other'), ...one.transactions.slice(1)] },
    ]
    for (const fork of forks) {
      const result = judged((await storage.append([bytes.content('x', [fork], { header: false })]))[0])
      same(result.refused, new Map([['a', { why: 'fork', have: 5 }]]), 'refused')
      same(result.state?.known.sessions.get('a'), 5, 'count in the result')
    }
    await readsBack(storage, [first])
  }),

  scenario('that differs only in its last transaction, or by a byte, is a fork', async ({ storage }) => {
    await storage.append([bytes.content('x', [bytes.run('a', 0, 40, { size: 300 })])])
    const run = bytes.run('a', 0, 45, { size: 300 })
    const flipped = new Uint8Array(run.transactions[39] as Uint8Array)
    flipped[299] = (flipped[299] as number) ^ 1
    for (const changed of [flipped, flipped.subarray(0, 299), new Uint8Array(0)]) {
      const transactions = run.transactions.with(39, changed)
      const result = judged(
        (await storage.append([bytes.content('x', [{ ...run, transactions }], { header: false })]))[0],
      )
      same(result.refused, new Map([['a', { why: 'fork', have: 40 }]]), 'refused')
    }
    accepted((await storage.append([bytes.content('x', [run], { header: false })]))[0])
  }),

  scenario('that forks one session keeps the others', async ({ storage }) => {
    const first = bytes.content('x', [bytes.run('a', 0, 3), bytes.run('b', 0, 3)])
    await storage.append([first])
    const runs = [bytes.run('a', 2, 5, { salt: 'other' }), bytes.run('b', 1, 5), bytes.run('c', 0, 1)]
    const result = judged((await storage.append([bytes.content('x', runs, { header: false })]))[0])
    same(result.refused, new Map([['a', { why: 'fork', have: 3 }]]), 'refused')
    await readsBack(storage, [first, bytes.content('x', [bytes.run('b', 1, 5), bytes.run('c', 0, 1)])])
  }),

  scenario('of json that is spelled differently is no fork, and the first spelling stays', async ({ storage }) => {
    const run = (after: number, ...texts: string[]) => ({ session: 'a', after, transactions: texts.map(text) })
    const first = json.content('x', [run(0, '{"a":1,"b":[true,null]}', '"\\u00e9"', '1.0')])
    await storage.append([first])
    const respelled = run(0, '{ "b":[true, null],"a":1 }', '"é"', '1', '{"new":1}')
    const state = accepted((await storage.append([json.content('x', [respelled], { header: false })]))[0])
    same(state.known.sessions.get('a'), 4, 'count')
    await readsBack(storage, [first, json.content('x', [run(3, '{"new":1}')])])
  }),

  scenario('of json that means something else is a fork', async ({ storage }) => {
    const run = (...texts: string[]) => ({ session: 'a', after: 0, transactions: texts.map(text) })
    const first = json.content('x', [run('{"a":1}', '[1,2]', 'no json')])
    await storage.append([first])
    for (const texts of [
      ['{"a":2}'],
      ['{"a":1}', '[2,1]', 'no json'],
      ['{"a":1}', '[1,2]', 'no  json', '3'],
      ['{"a":"1"}'],
    ]) {
      const result = judged((await storage.append([json.content('x', [run(...texts)], { header: false })]))[0])
      same(result.refused, new Map([['a', { why: 'fork', have: 3 }]]), `refused for ${texts.join(' ')}`)
    }
    await readsBack(storage, [first])
  }),

  scenario('of bytes that are the same json in another spelling is a fork', async ({ storage }) => {
    const run = (value: string) => ({ session: 'a', after: 0, transactions: [text(value)] })
    await storage.append([bytes.content('x', [run('{"a":1}')])])
    const result = judged((await storage.append([bytes.content('x', [run('{ "a":1}')], { header: false })]))[0])
    same(result.refused, new Map([['a', { why: 'fork', have: 1 }]]), 'refused')
  }),

  scenario(
    'of the beginning of a long session that goes on in small runs is compared and sliced off',
    async ({ storage }) => {
      const contents = [
        bytes.content('x', [bytes.run('a', 0, 3, { size: 40_000 })]),
        bytes.content('x', [bytes.run('a', 3, 4)], { header: false }),
      ]
      for (const content of contents) accepted((await storage.append([content]))[0])
      for (const [after, until] of [
        [0, 1],
        [1, 2],
        [0, 3],
        [2, 3],
      ] as const) {
        const again = bytes.run('a', after, until, { size: 40_000 })
        accepted((await storage.append([bytes.content('x', [again], { header: false })]))[0])
        const other = bytes.run('a', after, until, { size: 40_000, salt: 'other' })
        const result = judged((await storage.append([bytes.content('x', [other], { header: false })]))[0])
        same(result.refused, new Map([['a', { why: 'fork', have: 4 }]]), `refused of ${after} to ${until}`)
      }
      await readsBack(storage, contents, [1_000_000])
    },
  ),

  scenario('a digest that differs from that of what is held is a fork', async ({ storage }) => {
    const first = bytes.content('x', [bytes.run('a', 0, 5)])
    await storage.append([first])
    const wrong = '0123456789abcdef'
    for (const run of [
      bytes.run('a', 5, 7, { digest: wrong }),
      bytes.run('a', 3, 7, { digest: wrong }),
      bytes.run('a', 5, 5, { digest: wrong }),
      bytes.run('a', 2, 2, { digest: wrong }),
      bytes.run('a', 1, 4, { digest: wrong }),
    ])
      await refusesFork(storage, bytes.content('x', [run], { header: false }))
    await readsBack(storage, [first])
  }),

  scenario('a digest that is that of what is held is accepted', async ({ storage }) => {
    const contents = [bytes.content('x', [bytes.run('a', 0, 5)])]
    await storage.append(contents)
    for (const [after, until] of [
      [5, 8],
      [3, 10],
      [2, 4],
      [0, 11],
    ] as const) {
      const page = await storage.read('x', { header: true, sessions: new Map([['a', after]]) }, { bytesMax: 0 })
      const state = (await storage.knownStates(['x']))[0]
      const digest = page?.runs[0]?.digest ?? state?.digests.get('a')
      holds(digest !== undefined, 'a digest')
      const content = bytes.content('x', [bytes.run('a', after, until, { digest })], { header: false })
      accepted((await storage.append([content]))[0])
      contents.push(content)
    }
    await readsBack(storage, contents)
  }),

  scenario('a digest on json says nothing', async ({ storage }) => {
    const contents = [
      json.content('x', [json.run('a', 0, 2)]),
      json.content('x', [json.run('a', 2, 3, { digest: '0'.repeat(16) })]),
    ]
    for (const content of contents) accepted((await storage.append([content]))[0])
  }),
])

async function refusesFork(storage: Storage, content: Append): Promise<void> {
  const result = judged((await storage.append([content]))[0])
  same(result.refused, new Map([['a', { why: 'fork', have: 5 }]]), `refused at ${content.runs[0]?.after}`)
}
