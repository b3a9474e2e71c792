/** Whether bytes are JSON is found out without parsing them, and always as the parser says. */
import { expect, test } from 'vitest'
import { oneOf, randomFrom } from '../../../scripts/fuzz-frames.ts'
import { jsonFault } from '../src/json-payload.ts'
import { utf8 } from './help.ts'

const RUNS = 100_000
const DEPTH_MAX = 60
const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

function parses(bytes: Uint8Array): boolean {
  try {
    JSON.parse(strict.decode(bytes))
    return true
  } catch {
    return false
  }
}

const texts = [
  '{"a":[1,2.5e-3,-0,true,false,null,"x\\u00e9\\n\\\\"],"b":{"c":{}},"é🙂":[]}',
  '[]',
  '0',
  '-1.0E+10',
  '"a"',
  ' { "a" : [ ] , "b" : "\u2028" } ',
  '[[[[]]],{}]',
  '123456789012345678901234567890',
  '{"__proto__":1,"":""}',
].map((text) => [...utf8(text)])
const pieces = [...'"\\{}[],:0-.eE+ \n\tu1tfn']
  .map((text) => [...utf8(text)])
  .concat([
    [0xff],
    [0x80],
    [0xc3],
    [0xc3, 0xa9],
    [0xc0, 0x80],
    [0xe0, 0x80, 0x80],
    [0xed, 0xa0, 0x80],
    [0xe2, 0x80, 0xa8],
    [0xef, 0xbb, 0xbf],
    [0xf0, 0x9f, 0x99, 0x82],
    [0xf0, 0x80, 0x80, 0x80],
    [0xf4, 0x90, 0x80, 0x80],
    [0],
    [0x1f],
    [0x7f],
  ])

test('what is JSON to the parser is JSON here, and nothing else, whatever was changed in it', () => {
  const random = randomFrom(1)
  let right = 0
  for (let run = 0; run < RUNS; run++) {
    const bytes = [...oneOf(texts, random)]
    for (let times = random(4); times >= 0; times--)
      bytes.splice(random(bytes.length + 1), random(3), ...(random(4) === 0 ? [] : oneOf(pieces, random)))
    const given = Uint8Array.from(bytes)
    const fault = parses(given) ? undefined : 'malformed'
    if (fault === undefined) right += 1
    if (jsonFault(given, DEPTH_MAX) !== fault) expect([strict.decode(given), jsonFault(given, DEPTH_MAX)]).toBe(fault)
  }
  expect(right).toBeGreaterThan(RUNS / 20)
})

test('nesting is counted in brackets, also in those that are never closed, and without recursion', () => {
  const nested = (levels: number) => utf8('['.repeat(levels) + ']'.repeat(levels))
  expect(jsonFault(nested(60), DEPTH_MAX)).toBeUndefined()
  expect(jsonFault(nested(61), DEPTH_MAX)).toBe('deep')
  expect(jsonFault(utf8('[{"a":'.repeat(1_000_000)), DEPTH_MAX)).toBe('deep')
  expect(jsonFault(utf8('"[[[["'), 1)).toBeUndefined()
})

test('a byte order mark, nothing and white space are no JSON', () => {
  for (const text of ['', ' ', '\ufeff1', '\n\n']) expect(jsonFault(utf8(text), DEPTH_MAX)).toBe('malformed')
})
