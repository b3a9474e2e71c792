/**
 * Appending: what is stored, what is refused, and that one refusal costs nobody else anything.
 */
import type { Append } from '../../contract.ts'
import { failsAs, same } from '../assert.ts'
import { accepted, bytes, json, judged, text } from '../build.ts'
import { readsBack } from '../model.ts'
import { group, type StorageCase, scenario } from '../subject.ts'

const NOTHING = new Map<string, never>()

export const append: readonly StorageCase[] = group('append', [
  scenario('a header alone is stored', async ({ storage }) => {
    const content = bytes.content('x')
    same(accepted((await storage.append([content]))[0]).known, { header: true, sessions: NOTHING }, 'known state')
    same(await storage.headers(['x']), [content.header], 'header')
    await readsBack(storage, [content])
  }),

  scenario('a header with runs is stored at once', async ({ storage }) => {
    const content = bytes.content('x', [bytes.run('a', 0, 3), bytes.run('b', 0, 1)])
    accepted((await storage.append([content]))[0])
    await readsBack(storage, [content])
  }),

  scenario('later runs need no header', async ({ storage }) => {
    const contents = [
      bytes.content('x', [bytes.run('a', 0, 3)]),
      bytes.content('x', [bytes.run('a', 3, 4), bytes.run('b', 0, 2)], { header: false }),
      bytes.content('x', [bytes.run('b', 2, 5)], { header: false }),
    ]
    for (const content of contents) accepted((await storage.append([content]))[0])
    await readsBack(storage, contents)
  }),

  scenario('headerless content for an absent document is a gap with nothing held', async ({ storage, opened }) => {
    const content = bytes.content('x', [bytes.run('a', 0, 3), bytes.run('b', 7, 8)], { header: false })
    const result = judged((await storage.append([content]))[0])
    const gap = { why: 'gap', have: 0 }
    same(
      result,
      {
        state: undefined,
        refused: new Map([
          ['a', gap],
          ['b', gap],
        ]),
      },
      'result',
    )
    same(await storage.knownStates(['x']), [undefined], 'known state afterwards')
    if (opened.capabilities.list) same(await storage.count(), 0, 'documents counted')
    if (opened.capabilities.changes) same(await storage.changes({ since: 0, limit: 9 }), [], 'changes')
  }),

  scenario('a run that begins beyond what is held is a gap', async ({ storage }) => {
    const content = bytes.content('x', [bytes.run('a', 0, 3)])
    await storage.append([content])
    const result = judged((await storage.append([bytes.content('x', [bytes.run('a', 4, 6)], { header: false })]))[0])
    same(result.refused, new Map([['a', { why: 'gap', have: 3 }]]), 'refused')
    same(result.state?.known.sessions, new Map([['a', 3]]), 'known state in the result')
    await readsBack(storage, [content])
  }),

  scenario('a gap in one session keeps the others', async ({ storage }) => {
    const first = bytes.content('x', [bytes.run('a', 0, 3)])
    await storage.append([first])
    const runs = [bytes.run('a', 5, 6), bytes.run('b', 0, 2), bytes.run('c', 1, 2), bytes.run('d', 0, 1)]
    const result = judged((await storage.append([bytes.content('x', runs, { header: false })]))[0])
    same(
      result.refused,
      new Map([
        ['a', { why: 'gap', have: 3 }],
        ['c', { why: 'gap', have: 0 }],
      ]),
      'refused',
    )
    await readsBack(storage, [first, bytes.content('x', [bytes.run('b', 0, 2), bytes.run('d', 0, 1)])])
  }),

  scenario('a gap in a new document stores its header', async ({ storage }) => {
    const result = judged((await storage.append([bytes.content('x', [bytes.run('a', 2, 4)])]))[0])
    same(result.refused, new Map([['a', { why: 'gap', have: 0 }]]), 'refused')
    same(result.state?.known, { header: true, sessions: NOTHING }, 'known state')
    await readsBack(storage, [bytes.content('x')])
  }),

  scenario('an empty run stores nothing, not even its seal', async ({ storage }) => {
    const first = bytes.content('x', [bytes.run('a', 0, 2)])
    await storage.append([first])
    const empty = [bytes.run('a', 2, 2, { seal: 'later' }), bytes.run('a2', 0, 0), bytes.run('b', 0, 0, { seal: 'b' })]
    accepted((await storage.append([bytes.content('x', empty, { header: false })]))[0])
    accepted((await storage.append([bytes.content('x', [bytes.run('a', 1, 1)], { header: false })]))[0])
    await readsBack(storage, [first])
  }),

  scenario('an empty run beyond what is held is a gap', async ({ storage }) => {
    await storage.append([bytes.content('x', [bytes.run('a', 0, 2)])])
    const probes = [bytes.run('a', 3, 3), bytes.run('b', 1, 1)]
    const result = judged((await storage.append([bytes.content('x', probes, { header: false })]))[0])
    same(
      result.refused,
      new Map([
        ['a', { why: 'gap', have: 2 }],
        ['b', { why: 'gap', have: 0 }],
      ]),
      'refused',
    )
  }),

  scenario('the same header again is no fork', async ({ storage }) => {
    const contents = [bytes.content('x', [bytes.run('a', 0, 1)]), bytes.content('x', [bytes.run('a', 1, 2)])]
    for (const content of contents) accepted((await storage.append([content]))[0])
    await readsBack(storage, contents)
  }),

  scenario('a second, different header is a fork and the first stays', async ({ storage }) => {
    const first = bytes.content('x', [bytes.run('a', 0, 1)])
    await storage.append([first])
    const other = bytes.content('x', [bytes.run('a', 1, 2), bytes.run('b', 0, 1)], { header: 'another' })
    const result = judged((await storage.append([other]))[0])
    same([result.headerRefused, result.refused], ['fork', NOTHING], 'what is refused')
    same(result.state?.known.sessions, new Map([['a', 1]]), 'known state in the result')
    await readsBack(storage, [first])
  }),

  scenario('a json header that is spelled differently is the same', async ({ storage }) => {
    const first = json.content('x', [json.run('a', 0, 1)], { header: '{"type":"note","by":"me"}' })
    await storage.append([first])
    const again = json.content('x', [json.run('a', 1, 2)], { header: '{ "by": "m\\u0065", "type": "note" }' })
    accepted((await storage.append([again]))[0])
    await readsBack(storage, [first, again])
    const other = json.content('x', [], { header: '{"type":"note","by":"you"}' })
    same(judged((await storage.append([other]))[0]).headerRefused, 'fork', 'a header that means something else')
  }),

  scenario('another payload kind is a fork, with a header and without', async ({ storage }) => {
    const first = bytes.content('x', [bytes.run('a', 0, 1)])
    await storage.append([first])
    for (const options of [{}, { header: false as const }]) {
      const result = judged(
        (await storage.append([json.content('x', [json.run('a', 1, 2), json.run('b', 0, 1)], options)]))[0],
      )
      same([result.headerRefused, result.refused, result.state?.kind], ['fork', NOTHING, 'bytes'], 'what is refused')
    }
    await readsBack(storage, [first])
  }),

  scenario('the same batch again changes nothing', async ({ storage, opened }) => {
    const batch = [
      bytes.content('x', [bytes.run('a', 0, 3, { seal: 'a3' }), bytes.run('b', 0, 1)]),
      json.content('y', [json.run('a', 0, 3, { seal: 'a3' })]),
    ]
    const first = (await storage.append(batch)).map((result) => accepted(result))
    const changes = opened.capabilities.changes ? await storage.changes({ since: 0, limit: 9 }) : []
    same(
      (await storage.append(batch)).map((result) => accepted(result)),
      first,
      'states the second time',
    )
    for (const content of batch) await readsBack(storage, [content])
    if (opened.capabilities.changes)
      same(await storage.changes({ since: 0, limit: 9 }), changes, 'changes the second time')
  }),

  scenario('results come in the order of the batch', async ({ storage }) => {
    const ids = Array.from({ length: 40 }, (_, index) => `d${(index * 17) % 40}`)
    const results = await storage.append(ids.map((id, index) => bytes.content(id, [bytes.run('a', 0, index + 1)])))
    same(
      results.map((result) => accepted(result).known.sessions.get('a')),
      ids.map((_, index) => index + 1),
      'counts',
    )
  }),

  scenario('a document twice in a batch: the second continues the first', async ({ storage }) => {
    const batch = [
      bytes.content('x', [bytes.run('a', 0, 2)]),
      bytes.content('y', [bytes.run('a', 0, 1)]),
      bytes.content('x', [bytes.run('a', 2, 5), bytes.run('b', 0, 1)], { header: false }),
    ]
    const counts = (await storage.append(batch)).map((result) => accepted(result).known.sessions.get('a'))
    same(counts, [2, 1, 5], 'counts in the results')
    await readsBack(storage, [batch[0] as Append, batch[2] as Append])
  }),

  scenario('what is refused of one document costs its neighbours nothing', async ({ storage }) => {
    await storage.append([bytes.content('forked', [bytes.run('a', 0, 1)])])
    const good = [bytes.content('x', [bytes.run('a', 0, 2)]), bytes.content('y', [bytes.run('a', 0, 2)])]
    const [first, absent, forked, second] = await storage.append([
      good[0] as Append,
      bytes.content('absent', [bytes.run('a', 0, 1)], { header: false }),
      bytes.content('forked', [], { header: 'another' }),
      good[1] as Append,
    ])
    accepted(first)
    accepted(second)
    same(judged(absent).refused.size, 1, 'sessions refused of the absent document')
    same(judged(forked).headerRefused, 'fork', 'header refused of the forked document')
    for (const content of good) await readsBack(storage, [content])
  }),

  scenario('any bytes are kept as they are, also none', async ({ storage }) => {
    const all = Uint8Array.from({ length: 256 }, (_, index) => index)
    const transactions = [new Uint8Array(0), Uint8Array.of(0), all, new Uint8Array(0), Uint8Array.of(255, 254, 0)]
    const content: Append = {
      id: 'x',
      kind: 'bytes',
      priority: 3,
      header: new Uint8Array(0),
      runs: [
        { session: 'a', after: 0, transactions, seal: new Uint8Array(0) },
        { session: 'b', after: 0, transactions },
      ],
    }
    accepted((await storage.append([content]))[0])
    await readsBack(storage, [content])
  }),

  scenario('json is kept in its own spelling', async ({ storage }) => {
    const transactions = [
      text('{ "a":1.0,  "b" : "\\u00e9" }'),
      text('[ ]'),
      text('"\\ud800"'),
      text('12345678901234567890'),
    ]
    const header = text('{"z" : 1, "a":\t2}')
    const content: Append = {
      id: 'x',
      kind: 'json',
      priority: 3,
      header,
      runs: [{ session: 'a', after: 0, transactions }],
    }
    accepted((await storage.append([content]))[0])
    await readsBack(storage, [content])
  }),

  scenario('views of a larger buffer are stored as what they show', async ({ storage }) => {
    const buffer = text('..header..onetwothree..seal..')
    const view = (from: number, until: number) => buffer.subarray(from, until)
    const run = { session: 'a', after: 0, transactions: [view(10, 13), view(13, 16), view(16, 21)], seal: view(23, 27) }
    const content: Append = { id: 'x', kind: 'bytes', priority: 3, header: view(2, 8), runs: [run] }
    accepted((await storage.append([content]))[0])
    await readsBack(storage, [content])
  }),

  scenario('bytes handed over are the caller’s again after the answer', async ({ storage }) => {
    const content = bytes.content('x', [bytes.run('a', 0, 3, { seal: 'a3' })], { verifier: { a: 'state' } })
    const value = text('mark')
    accepted((await storage.append([content], { marks: new Map([['m', value]]) }))[0])
    const run = content.runs[0] as (typeof content.runs)[number]
    for (const given of [content.header, run.seal, value, content.verifier?.get('a'), ...run.transactions])
      given?.fill(0)
    await readsBack(storage, [bytes.content('x', [bytes.run('a', 0, 3, { seal: 'a3' })])])
    same(await storage.marks({ prefix: '', limit: 9 }), [['m', text('mark')]], 'marks')
    same(await storage.verifierStates('x', ['a']), new Map([['a', text('state')]]), 'verifier states')
  }),

  scenario('two runs of a session in one content are the caller’s mistake', async ({ storage }) => {
    const content = bytes.content('x', [bytes.run('a', 0, 1), bytes.run('a', 1, 2)])
    await failsAs('TypeError', () => storage.append([bytes.content('y'), content]), 'append')
    same(await storage.knownStates(['x', 'y']), [undefined, undefined], 'known states afterwards')
  }),

  scenario(
    'of what could not be read again is the caller’s mistake, and nothing of its batch is stored',
    async ({ storage }) => {
      const good = bytes.content('x', [bytes.run('a', 0, 1)])
      const [run] = good.runs
      const wrong: unknown = 'text'
      const mistakes: readonly (readonly [what: string, name: 'TypeError' | 'RangeError', content: object])[] = [
        ...[8, -1, 1.5, Number.NaN, undefined, '3'].map(
          (priority) => [`priority ${priority}`, 'RangeError', { ...good, priority }] as const,
        ),
        ['kind', 'TypeError', { ...good, kind: 'text' }],
        ['no kind', 'TypeError', { ...good, kind: undefined }],
        ['header', 'TypeError', { ...good, header: wrong }],
        ['transaction', 'TypeError', { ...good, runs: [{ ...run, transactions: [text('1'), wrong] }] }],
        ['seal', 'TypeError', { ...good, runs: [{ ...run, seal: wrong }] }],
        ['verifier state', 'TypeError', { ...good, verifier: new Map([['a', wrong]]) }],
      ]
      for (const [what, name, content] of mistakes)
        await failsAs(
          name,
          () => storage.append([bytes.content('y'), content as Append]),
          `append with a wrong ${what}`,
        )
      const marks = new Map([['m', wrong as Uint8Array]])
      await failsAs('TypeError', () => storage.append([good], { marks }), 'append with a wrong mark')
      same(await storage.knownStates(['x', 'y']), [undefined, undefined], 'known states afterwards')
      same(await storage.marks({ prefix: '', limit: 9 }), [], 'marks afterwards')
      accepted((await storage.append([good]))[0])
    },
  ),
])
