/**
 * What content weighs bounds what it comes to in every dialect, so that what is cut by weight is taken by its reader.
 */
import { expect, test } from 'vitest'
import { type ContentMessage, contentWeight, dialects, type PayloadKind, type Run, wireBytesOf } from '../src/index.ts'

const utf8 = (text: string) => new TextEncoder().encode(text)
const times = <T>(count: number, make: (index: number) => T): T[] =>
  Array.from({ length: count }, (_, index) => make(index))

const content = (kind: PayloadKind, runs: readonly Run[], id = 'note'): ContentMessage => ({
  action: 'content',
  id,
  kind,
  priority: 3,
  header: utf8('{}'),
  runs,
})
const wide = (make: (index: number) => string, kind: PayloadKind) =>
  content(
    kind,
    times(500, (index) => ({
      session: make(index),
      after: Number.MAX_SAFE_INTEGER - 2,
      transactions: [utf8('1')],
      seal: utf8('x'),
      ...(kind === 'bytes' && { digest: '0011223344556677' }),
    })),
  )

const contents: readonly (readonly [what: string, make: (kind: PayloadKind) => ContentMessage])[] = [
  [
    'transactions of no bytes, or one',
    (kind) =>
      content(kind, [{ session: 's', after: 0, transactions: times(8_000, () => utf8(kind === 'json' ? '1' : '')) }]),
  ],
  [
    'transactions of each size',
    (kind) =>
      content(kind, [{ session: 's', after: 0, transactions: times(300, (size) => utf8('1'.repeat(size + 1))) }]),
  ],
  ['sessions with short names', (kind) => wide((index) => `${index}`, kind)],
  ['sessions with the longest names', (kind) => wide((index) => `${index}`.padStart(256, 's'), kind)],
  ['names that are escaped', (kind) => wide((index) => `${index}`.padStart(256, '\u0001"\\'), kind)],
  ['names beyond ASCII', (kind) => wide((index) => `${index}`.padStart(60, 'é€'), kind)],
  ['a document with the longest name', (kind) => content(kind, [], '\u0001'.repeat(256))],
]

for (const dialect of dialects)
  for (const [what, make] of contents)
    test(`${dialect.name}: ${what}: no larger on the wire than their weight says`, () => {
      for (const kind of dialect.traits.kinds) {
        const message = make(kind)
        const [frame, ...more] = dialect.createCodec().encode([message], 100_000_000)
        expect(more).toEqual([])
        const bytes = typeof frame === 'string' ? utf8(frame).length : (frame?.length ?? 0)
        expect(bytes).toBeGreaterThan(0)
        expect(bytes).toBeLessThanOrEqual(wireBytesOf(contentWeight(message)))
      }
    })
