/**
 * Ids: any well-formed Unicode of 1 to 256 bytes is one, and no two of them are ever mixed.
 */
import { EMPTY } from '@tidemark/known-state'
import type { Awaitable, Storage } from '../../contract.ts'
import { failsAs, same, show } from '../assert.ts'
import { accepted, bytes, text } from '../build.ts'
import { readsBack } from '../model.ts'
import { group, type StorageCase, scenario } from '../subject.ts'

/** Each of them was once taken for another by some engine, key scheme or object. */
// biome-ignore format: a line per family
export const PECULIAR_IDS: readonly string[] = [
  'doc-1', 'doc-10', 'doc-1:', 'doc-1::a', 'doc-1/a', 'doc', 'd', 'DOC-1', ' doc-1', 'doc-1 ',
  '::', ':', 'a::b', '\u0000', 'a\u0000', 'a\u0000b', '\u0000a', '\u0001', '\u007f', '\u0080', '\u00ff', '\u0100',
  '__proto__', 'constructor', 'toString', 'hasOwnProperty', 'length', 'undefined', 'null', 'true',
  '0', '-1', '1e3', '00', "'", '"', '\\', '%', '_', '*', '?', ';--', '\n', '\r\n', '\t', '..', '.', '~', '!', '\u2028',
  '😀', '😀😀', '👩‍👩‍👧', '\ufeff', '\ufffd', '\uffff', '\ue000', '\u{10000}', '\u{10ffff}',
  'é', 'e\u0301', 'ß', 'ss', 'İ', 'a'.repeat(255), 'a'.repeat(256),
]

/** As long as an id may be, in characters of 1 to 4 bytes. */
const LONGEST: readonly string[] = ['a'.repeat(256), 'é'.repeat(128), `${'\u20ac'.repeat(85)}a`, '😀'.repeat(64)]
const TOO_LONG: readonly string[] = [
  'a'.repeat(257),
  'é'.repeat(129),
  `${'\u20ac'.repeat(85)}aa`,
  '😀'.repeat(64).concat('a'),
  'a'.repeat(100_000),
]
const MALFORMED: readonly string[] = ['\ud800', '\udc00', 'a\ud83d', '\ude00\ud83d', '\ud83da', 'a\udfffb']

/** Every place where a caller names something. */
function places(storage: Storage, id: string): readonly (readonly [string, () => Awaitable<unknown>])[] {
  const marks = new Map([['m', text('1')]])
  return [
    ['knownStates', () => storage.knownStates(['x', id])],
    ['headers', () => storage.headers(['x', id])],
    ['read', () => storage.read(id, EMPTY, { bytesMax: 10 })],
    ['append, document', () => storage.append([bytes.content('x'), bytes.content(id)], { marks })],
    [
      'append, session',
      () => storage.append([bytes.content('x'), bytes.content('y', [bytes.run('a', 0, 1), bytes.run(id, 0, 1)])]),
    ],
    [
      'append, mark',
      () =>
        storage.append([bytes.content('x')], {
          marks: new Map([
            ['m', text('1')],
            [id, text('2')],
          ]),
        }),
    ],
    ['verifierStates, document', () => storage.verifierStates(id, ['a'])],
    ['verifierStates, session', () => storage.verifierStates('x', ['a', id])],
  ]
}

function furtherPlaces(
  storage: Storage,
  id: string,
): Readonly<Record<'maps' | 'erase', readonly (readonly [string, () => Awaitable<unknown>])[]>> {
  const entry = { version: [1, 'a'], bytes: text('v') } as const
  return {
    maps: [
      ['readMap', () => storage.readMap(id)],
      ['mergeMap, name', () => storage.mergeMap(id, new Map([['k', entry]]))],
      [
        'mergeMap, key',
        () =>
          storage.mergeMap(
            'map',
            new Map([
              ['k', entry],
              [id, entry],
            ]),
          ),
      ],
    ],
    erase: [
      ['erase, document', () => storage.erase(id, [1, 'a'], { keep: [] })],
      ['erase, session', () => storage.erase('x', [1, 'a'], { keep: ['a', id] })],
    ],
  }
}

export const ids: readonly StorageCase[] = group('ids', [
  scenario('of documents are never mixed', async ({ storage, opened }) => {
    const contents = PECULIAR_IDS.map((id, index) =>
      bytes.content(id, [bytes.run('a', 0, 1 + (index % 3), { salt: id })]),
    )
    for (const result of await storage.append(contents)) accepted(result)
    for (const content of contents) await readsBack(storage, [content], [10_000])
    same(await storage.headers(PECULIAR_IDS), PECULIAR_IDS.map(bytes.header), 'headers')
    if (opened.capabilities.list) same(await storage.count(), PECULIAR_IDS.length, 'documents counted')
  }),

  scenario('of sessions are never mixed', async ({ storage }) => {
    const runs = PECULIAR_IDS.map((session, index) => bytes.run(session, 0, 1 + (index % 4)))
    const more = PECULIAR_IDS.map((session, index) => bytes.run(session, 1 + (index % 4), 6))
    const contents = [bytes.content('x', runs), bytes.content('x', more, { header: false })]
    for (const content of contents) accepted((await storage.append([content]))[0])
    await readsBack(storage, contents, [0, 500, 100_000])
  }),

  scenario('of a document and a session that make the same text stay apart', async ({ storage }) => {
    const pairs = [
      ['a', 'bc'],
      ['ab', 'c'],
      ['a::b', 'c'],
      ['a', 'b::c'],
      ['a\u0000', 'b'],
      ['a', '\u0000b'],
      ['a:', ':b'],
      ['a::', 'b'],
    ] as const
    const contents = new Map<string, ReturnType<typeof bytes.content>[]>()
    for (const [id, session] of pairs) {
      const held = contents.get(id) ?? []
      held.push(bytes.content(id, [bytes.run(session, 0, 2, { salt: id })]))
      contents.set(id, held)
    }
    for (const held of contents.values()) for (const content of held) accepted((await storage.append([content]))[0])
    for (const held of contents.values()) await readsBack(storage, held)
  }),

  scenario('that look alike but are other code points are others', async ({ storage }) => {
    const composed = 'caf\u00e9'
    const decomposed = 'cafe\u0301'
    accepted((await storage.append([bytes.content(composed, [bytes.run(composed, 0, 2)])]))[0])
    same(
      await storage.knownStates([decomposed, 'CAFÉ', `${composed} `]),
      [undefined, undefined, undefined],
      'known states',
    )
    same(
      (await storage.knownStates([composed]))[0]?.known.sessions.get(decomposed),
      undefined,
      'count of the other session',
    )
  }),

  scenario('of 256 bytes are stored', async ({ storage, opened }) => {
    for (const id of LONGEST) {
      const content = bytes.content(id, [bytes.run(id, 0, 2)], { verifier: { [id]: 'v' } })
      accepted((await storage.append([content], { marks: new Map([[id, text(id)]]) }))[0])
      await readsBack(storage, [content])
      same(await storage.verifierStates(id, [id]), new Map([[id, text('v')]]), 'verifier states')
      if (opened.capabilities.maps) await storage.mergeMap(id, new Map([[id, { version: [1, id], bytes: text('v') }]]))
    }
    same((await storage.marks({ prefix: '', limit: 9 })).length, LONGEST.length, 'marks')
  }),

  scenario('of more than 256 bytes, or none, are the caller’s mistake', async ({ storage, opened }) => {
    for (const id of [...TOO_LONG, '']) await refusedEverywhere('RangeError', storage, id, opened.capabilities)
  }),

  scenario('with a lone surrogate are the caller’s mistake', async ({ storage, opened }) => {
    await storage.append([bytes.content('\ufffd', [bytes.run('\ufffd', 0, 1)])])
    for (const id of MALFORMED) await refusedEverywhere('TypeError', storage, id, opened.capabilities)
  }),
])

async function refusedEverywhere(
  name: 'TypeError' | 'RangeError',
  storage: Storage,
  id: string,
  capabilities: { readonly maps: boolean; readonly erase: boolean },
): Promise<void> {
  const further = furtherPlaces(storage, id)
  const all = [
    ...places(storage, id),
    ...(capabilities.maps ? further.maps : []),
    ...(capabilities.erase ? further.erase : []),
  ]
  for (const [place, call] of all) await failsAs(name, call, `${place} with ${show(id)}`)
  // Checked before anything is done: what stood beside the wrong id was not stored either.
  same(await storage.knownStates(['x', 'y']), [undefined, undefined], `what was stored beside ${show(id)}`)
  same(await storage.marks({ prefix: '', limit: 9 }), [], `marks set beside ${show(id)}`)
  if (capabilities.maps) same(await storage.readMap('map'), new Map(), `map merged beside ${show(id)}`)
}
