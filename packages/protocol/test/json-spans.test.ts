/** The scanner finds what stands in a text, and `parseJson` reads it. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { jazz } from '../src/index.ts'
import { parseJson } from '../src/json-parse.ts'
import { firstValue, peekString, scanElements, scanMembers, skipValue, stringAt } from '../src/json-spans.ts'
import { survey } from '../src/text.ts'
import { json, messagesOf, utf8 } from './help.ts'

test('walking with it gives what the text means: duplicate and escaped keys, `__proto__`, integer-like keys', () => {
  fc.assert(
    fc.property(json, fc.constantFrom('', ' ', '\n\t'), ({ text, value }, gap) => {
      const bytes = utf8(`${gap}${text}${gap}`)
      // Told that there are escaped keys, `parseJson` reads with the scanner.
      expect(parseJson(text, true, () => bytes)).toEqual(value)
      expect(parseJson(text, survey(text, 64).escapedKeys, () => bytes)).toEqual(value)
      expect(skipValue(bytes, firstValue(bytes))).toBe(bytes.length - gap.length)
    }),
    { numRuns: 3000 },
  )
})

test('keys with escapes are what they say, whatever the process has parsed before', () => {
  const before = String.raw`{"action":"load","id":"a","header":true,"sessions":{"q":1,"\\":5,"\\u":2}}`
  const after = String.raw`{"action":"load","id":"a","header":true,"sessions":{"q":1,"\n":5,"\u0062x":2}}`
  for (let times = 0; times < 3; times++) {
    expect(messagesOf(jazz, before)).toMatchObject([
      {
        known: {
          sessions: new Map([
            ['q', 1],
            ['\\', 5],
            ['\\u', 2],
          ]),
        },
      },
    ])
    expect(messagesOf(jazz, after)).toMatchObject([
      {
        known: {
          sessions: new Map([
            ['q', 1],
            ['\n', 5],
            ['bx', 2],
          ]),
        },
      },
    ])
  }
})

test('escaped keys are noticed, escaped values are not', () => {
  const noticed = (text: string) => survey(text, 64).escapedKeys
  expect(noticed(String.raw`{"a":"\n","b":["\\","\""]}`)).toBe(false)
  expect(noticed(String.raw`{"a":{"\"":1}}`)).toBe(true)
  expect(noticed('{"a\\n" \r\t: 1}')).toBe(true)
})

test('on any bytes it ends', () => {
  const soup = fc.array(fc.constantFrom(...utf8('{}[]":,\\ a1\n')), { maxLength: 40 })
  fc.assert(
    fc.property(soup, (bytes) => {
      const text = Uint8Array.from(bytes)
      skipValue(text, 0)
      scanMembers(text, 0, (key, at) => {
        stringAt(text, key)
        return skipValue(text, at)
      })
      scanElements(text, 0, (at) => skipValue(text, at))
      peekString(text, 'a')
    }),
    { numRuns: 20_000 },
  )
})

test('a string member is found at the beginning of a text that is cut off', () => {
  const text = `{"action":"load","\\u0069d":"co_z1","sessions":{"a":${'[1,'.repeat(1000)}`
  expect(peekString(utf8(text), 'id')).toBe('co_z1')
  expect(peekString(utf8('{"action":"load","id":"co_z'), 'id')).toBeUndefined()
  expect(peekString(utf8('{"x":{"id":"inner"},"id":5,'), 'id')).toBeUndefined()
  expect(peekString(utf8(`{"x":"${'x'.repeat(2000)}","id":"late"}`), 'id')).toBeUndefined()
})
