import { describe, expect, test } from 'vitest'
import { jsonEqual } from '../src/index.ts'

const utf8 = (text: string) => new TextEncoder().encode(text)
const equal = (a: string, b: string) => jsonEqual(utf8(a), utf8(b))

describe('two JSON texts', () => {
  test('mean the same whatever their spelling', () => {
    for (const [a, b] of [
      ['{"a":1,"b":[true,null]}', ' { "b" : [ true , null ] , "a" : 1.0 } '],
      ['"é"', '"\\u00e9"'],
      ['"\\ud83d\\ude00"', '"😀"'],
      ['"/"', '"\\/"'],
      ['100', '1e2'],
      ['-0', '0'],
      ['{"a":1,"a":2}', '{"a":2}'],
      ['[]', '[ ]'],
      ['{"__proto__":{"a":1}}', '{"__proto__": {"a":1}}'],
    ] as const)
      expect([a, b, equal(a, b)]).toEqual([a, b, true])
  })

  test('mean something else', () => {
    for (const [a, b] of [
      ['1', '2'],
      ['1', '"1"'],
      ['null', '{}'],
      ['[]', '{}'],
      ['[1,2]', '[2,1]'],
      ['[1]', '[1,1]'],
      ['{"a":1}', '{"a":1,"b":1}'],
      ['{"a":1}', '{"b":1}'],
      ['{"__proto__":{"a":1}}', '{"__proto__":{"a":2}}'],
      ['{"__proto__":1}', '{}'],
      ['{"toString":1}', '{"valueOf":1}'],
      ['{}', '{"constructor":null}'],
      ['"a"', '"A"'],
      ['true', 'false'],
    ] as const) {
      expect([a, b, equal(a, b)]).toEqual([a, b, false])
      expect([b, a, equal(b, a)]).toEqual([b, a, false])
    }
  })

  test('are compared byte by byte if one is malformed', () => {
    expect(equal('{', '{')).toBe(true)
    expect(equal('{', '{ ')).toBe(false)
    expect(equal('1', '1x')).toBe(false)
    expect(equal('', ' ')).toBe(false)
    expect(equal('1', '\ufeff1')).toBe(false)
    expect(jsonEqual(Uint8Array.of(0x22, 0xff, 0x22), Uint8Array.of(0x22, 0xfe, 0x22))).toBe(false)
    expect(jsonEqual(Uint8Array.of(0x22, 0xff, 0x22), utf8('"\ufffd"'))).toBe(false)
  })

  test('may be nested deeper than a call stack', () => {
    const deep = (inner: string) => '['.repeat(20_000) + inner + ']'.repeat(20_000)
    expect(equal(deep('1'), deep(' 1'))).toBe(true)
    expect(equal(deep('1'), deep('2'))).toBe(false)
  })
})
