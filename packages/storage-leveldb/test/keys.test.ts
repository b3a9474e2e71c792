/**
 * Keys: bytes that sort as what they stand for, and are never taken for one another.
 */
import { compareIds } from '@tidemark/storage/adapter'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  changeKey,
  documentKey,
  entriesOf,
  entryIn,
  entryKey,
  idIn,
  type Key,
  markKey,
  marksAfter,
  numberIn,
  pieceKey,
  piecesFrom,
} from '../src/keys.ts'

const id = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 40 })
const count = fc.nat({ max: Number.MAX_SAFE_INTEGER })
const text = (key: Key) => new TextDecoder().decode(key)
const order = (a: Key, b: Key) => Math.sign(Buffer.compare(a, b))

describe('a key', () => {
  test('of an id is bytes in bytewise order, whatever the ids are', () => {
    fc.assert(
      fc.property(id, id, (a, b) => {
        expect(order(documentKey(a), documentKey(b))).toBe(Math.sign(compareIds(a, b)))
        expect(text(idIn(documentKey(a)))).toBe(a)
      }),
    )
  })

  test('of a number sorts as the number, up to the greatest', () => {
    fc.assert(
      fc.property(count, count, (a, b) => {
        expect(order(changeKey(a), changeKey(b))).toBe(Math.sign(a - b))
        expect(numberIn(changeKey(a))).toBe(a)
      }),
    )
    for (const edge of [0, 1, 255, 256, 65535, 65536, 2 ** 32 - 1, 2 ** 32, Number.MAX_SAFE_INTEGER])
      expect(numberIn(changeKey(edge))).toBe(edge)
  })

  test('of a piece sorts by document, then session, then count', () => {
    const numbers = fc.tuple(count, count, count)
    fc.assert(
      fc.property(numbers, numbers, (a, b) => {
        const [documents, sessions, counts] = [a[0] - b[0], a[1] - b[1], a[2] - b[2]]
        expect(order(pieceKey(...a), pieceKey(...b))).toBe(Math.sign(documents || sessions || counts))
      }),
    )
  })

  test('of a map is found by its name, and by no longer or shorter one', () => {
    fc.assert(
      fc.property(id, id, id, (map, other, key) => {
        const { gte, lt } = entriesOf(map)
        const inside = (found: Key) => order(found, gte as Key) >= 0 && order(found, lt as Key) < 0
        expect(inside(entryKey(map, key))).toBe(true)
        expect(text(entryIn(entryKey(map, key), map))).toBe(key)
        if (other !== map) expect(inside(entryKey(other, key))).toBe(false)
      }),
    )
  })
})

describe('a range', () => {
  test('of pieces has those of one session from a count on', () => {
    fc.assert(
      fc.property(count, count, count, count, (document, session, from, after) => {
        const { gte, lt } = piecesFrom(document, session, from)
        const inside = (key: Key) => order(key, gte as Key) >= 0 && order(key, lt as Key) < 0
        expect(inside(pieceKey(document, session, after))).toBe(after >= from)
        expect(inside(pieceKey(document, session + 1, after))).toBe(false)
        expect(inside(pieceKey(document + 1, session, after))).toBe(false)
      }),
    )
  })

  test('of marks has those with a prefix behind a key', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 3 }), fc.option(id, { nil: undefined }), id, (prefix, after, key) => {
        const { gte, gt, lt } = marksAfter(prefix, after)
        const begins = gte === undefined ? order(markKey(key), gt as Key) > 0 : order(markKey(key), gte) >= 0
        const inside = begins && order(markKey(key), lt as Key) < 0
        expect(inside).toBe(key.startsWith(prefix) && (after === undefined || compareIds(key, after) > 0))
      }),
    )
  })
})
