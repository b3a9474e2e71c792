import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { checkId, checkText, compareIds, utf8Length } from '../src/adapter.ts'

const encoder = new TextEncoder()

describe('an id', () => {
  test('is well-formed Unicode of 1 to 256 bytes', () => {
    for (const id of ['a', '\u0000', 'é', '😀', '__proto__', 'a'.repeat(256), '😀'.repeat(64)])
      expect(checkId(id, 'document id')).toBe(id)
  })

  test('of another size is refused with what was expected and what came', () => {
    expect(() => checkId('', 'document id')).toThrow(
      new RangeError('document id: expected 1 to 256 bytes of UTF-8, got an empty string'),
    )
    expect(() => checkId('é'.repeat(129), 'session id')).toThrow(
      new RangeError('session id: expected at most 256 bytes of UTF-8, got 258'),
    )
    expect(() => checkId('a'.repeat(1_000_000), 'session id')).toThrow(
      /at most 256 bytes of UTF-8, got at least 1000000/,
    )
  })

  test('with a lone surrogate, or that is no text, is refused', () => {
    for (const id of ['\ud800', '\udc00', 'a\ud83d', '\ude00\ud83d', '\ud83d\ud83d\ude00'])
      expect(() => checkId(id, 'document id')).toThrow(TypeError)
    expect(() => checkId(7 as unknown as string, 'document id')).toThrow(
      new TypeError('document id: expected a string, got number'),
    )
  })

  test('may be empty only as a prefix or a position', () => {
    expect(checkText('', 'prefix')).toBe('')
    expect(() => checkText('\ud800', 'prefix')).toThrow(TypeError)
  })
})

const texts = fc.string({ unit: 'binary', maxLength: 12 })

test('the length of an id as UTF-8 is that of its bytes', () => {
  fc.assert(fc.property(texts, (text) => utf8Length(text) === encoder.encode(text).length))
})

test('ids are ordered as their bytes are', () => {
  const bytewise = (a: string, b: string) => {
    const [left, right] = [encoder.encode(a), encoder.encode(b)]
    const index = left.findIndex((byte, at) => byte !== right[at])
    return index < 0 ? left.length - right.length : (left[index] as number) - (right[index] ?? -1)
  }
  fc.assert(fc.property(texts, texts, (a, b) => Math.sign(compareIds(a, b)) === Math.sign(bytewise(a, b))))
  const edges = [
    '',
    'a',
    '\u007f',
    '\u0080',
    '\u07ff',
    '\u0800',
    '\ud7ff',
    '\ue000',
    '\ufffd',
    '\uffff',
    '\u{10000}',
    '\u{1f600}',
    '\u{10ffff}',
  ]
  expect([...edges].reverse().sort(compareIds)).toEqual(edges)
})
