/** Base64 by whatever the runtime has: all ways agree. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type Base64Scope, base64, base64In } from '../src/base64.ts'
import { utf8 } from './help.ts'

class Plain {}
const { atob, btoa } = globalThis
const { Buffer } = globalThis as unknown as Base64Scope
const ways = [
  ['of this runtime', base64],
  ['of Node', base64In({ Uint8Array: Plain, ...(Buffer && { Buffer }), atob, btoa })],
  ['of a browser', base64In({ Uint8Array: Plain, atob, btoa })],
] as const

describe.each(ways)('base64 %s', (_, way) => {
  test('agrees with RFC 4648', () => {
    const vectors = {
      '': '',
      f: 'Zg==',
      fo: 'Zm8=',
      foo: 'Zm9v',
      foob: 'Zm9vYg==',
      fooba: 'Zm9vYmE=',
      foobar: 'Zm9vYmFy',
    }
    for (const [text, encoded] of Object.entries(vectors)) {
      expect(way.encode(utf8(text))).toBe(encoded)
      expect(way.decode(encoded)).toEqual(utf8(text))
    }
  })

  test('gives back any bytes, also of a view and of many', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (values) => {
        const view = Uint8Array.from([0, ...values, 0]).subarray(1, values.length + 1)
        const back = way.decode(way.encode(view))
        expect(back).toEqual(Uint8Array.from(values))
        expect(back?.constructor).toBe(Uint8Array)
      }),
    )
    const many = new Uint8Array(100_001).map((_, index) => index)
    expect(way.decode(way.encode(many))).toEqual(many)
  })

  test('accepts one spelling only', () => {
    for (const text of [
      'Z',
      'Zg',
      'Zg=',
      'Zh==',
      'Zg==Zg==',
      'Z g=',
      ' Zg=',
      'Zg=\n',
      '__8=',
      '====',
      'Zg=A',
      'é===',
      'Zm9v\n',
    ])
      expect(way.decode(text), JSON.stringify(text)).toBeUndefined()
  })
})
