/**
 * Keys stand in the order in which they are read, and never reach into what is another's.
 */
import 'fake-indexeddb/auto'
import { compareIds } from '@tidemark/storage/adapter'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { compareBytes, mapKey, mapRange, segmentKey, segmentRange, tailRange, textKey, textRange } from '../src/keys.ts'

const texts = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 12 })
const numbers = fc.nat({ max: 2 ** 31 })
const counts = fc.maxSafeNat().map((count) => count % 2 ** 47)

const sign = (value: number): number => Math.sign(value)

describe('keys', () => {
  test('of texts are in the order of the contract', () => {
    fc.assert(
      fc.property(texts, texts, (a, b) => {
        expect(sign(indexedDB.cmp(textKey(a), textKey(b)))).toBe(sign(compareIds(a, b)))
        expect(sign(compareBytes(textKey(a), textKey(b)))).toBe(sign(compareIds(a, b)))
      }),
    )
  })

  test('of segments are in the order of document, session, end', () => {
    const segments = fc.tuple(numbers, numbers, counts)
    fc.assert(
      fc.property(segments, segments, (a, b) => {
        const order = a[0] - b[0] || a[1] - b[1] || a[2] - b[2]
        expect(sign(indexedDB.cmp(segmentKey(...a), segmentKey(...b)))).toBe(sign(order))
      }),
    )
  })

  test('of a range of segments are those of the session that end there', () => {
    fc.assert(
      fc.property(numbers, numbers, counts, counts, numbers, (document, session, from, until, other) => {
        const range = segmentRange(document, session, from)
        expect(range.includes(segmentKey(document, session, until))).toBe(until >= from)
        if (other !== session) expect(range.includes(segmentKey(document, other, until))).toBe(false)
        if (other !== document) expect(range.includes(segmentKey(other, session, until))).toBe(false)
        expect(tailRange(document).includes(segmentKey(document, session, until))).toBe(false)
      }),
    )
  })

  test('with a prefix are those that begin with it and come after', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', maxLength: 3 }), fc.option(texts), texts, (prefix, after, text) => {
        const expected = text.startsWith(prefix) && (after === null || compareIds(text, after) > 0)
        expect(textRange(prefix, after ?? undefined).includes(textKey(text))).toBe(expected)
      }),
      {
        examples: [
          ['a', 'a', 'a'],
          ['a', 'b', 'a'],
          ['ab', 'a', 'ab'],
          ['', null, '\0'],
          ['a', 'a\uffff', 'a'],
        ],
      },
    )
  })

  test('of maps are never those of another', () => {
    fc.assert(
      fc.property(texts, texts, texts, (name, other, key) => {
        expect(mapRange(name).includes(mapKey(name, key))).toBe(true)
        if (other !== name) expect(mapRange(name).includes(mapKey(other, key))).toBe(false)
      }),
      {
        examples: [
          ['a', 'ab', 'c'],
          ['a'.repeat(256), 'a', 'b'],
        ],
      },
    )
  })
})
