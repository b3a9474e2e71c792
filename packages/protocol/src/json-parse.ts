/**
 * `JSON.parse` with the right keys.
 *
 * V8 13.6 to 14.6 (Node 24 and 26, and Chromium of that age) read a key with an escape in it as another key once the process
 * has seen that one in an object of the same shape: after `{"a":1,"\\u":1}`, `{"a":1,"\u0062x":2}` has a key `\u`
 * (nodejs/node#63785). A peer could so change what others' sessions are called. Texts with escaped keys are rare; they are put
 * together once more by our own scanner.
 */
import { firstValue, opensArray, opensObject, scanElements, scanMembers, skipValue, stringAt } from './json-spans.ts'
import { DEFAULT_LIMITS } from './limits.ts'
import { decodeUtf8, survey } from './text.ts'

/**
 * The value of a text whose nesting is within a limit (this recurses). `hasEscapedKeys` comes from `survey`.
 *
 * @throws SyntaxError
 */
export function parseJson(text: string, hasEscapedKeys: boolean, utf8: () => Uint8Array): unknown {
  const value: unknown = JSON.parse(text)
  if (!hasEscapedKeys) return value
  const bytes = utf8()
  return valueAt(bytes, firstValue(bytes)).value
}

/**
 * The value of a payload: UTF-8 JSON text of any depth. Beyond the depth that a message may have keys are read as the runtime reads them.
 *
 * @throws SyntaxError if it is not UTF-8 or not JSON.
 */
export function readJson(payload: Uint8Array): unknown {
  const text = decodeUtf8(payload) ?? ''
  const { depth, escapedKeys } = survey(text, DEFAULT_LIMITS.jsonDepthMax)
  return parseJson(text, escapedKeys && depth <= DEFAULT_LIMITS.jsonDepthMax, () => payload)
}

function valueAt(bytes: Uint8Array, start: number): { readonly value: unknown; readonly end: number } {
  const isArray = opensArray(bytes, start)
  if (!isArray && !opensObject(bytes, start)) return plainAt(bytes, start, skipValue(bytes, start))
  if (isArray) {
    const value: unknown[] = []
    const end = scanElements(bytes, start, (at) => {
      const element = valueAt(bytes, at)
      value.push(element.value)
      return element.end
    })
    return { value, end }
  }
  const members = new Map<string, unknown>()
  const end = scanMembers(bytes, start, (key, at) => {
    const member = valueAt(bytes, at)
    members.set(stringAt(bytes, key), member.value)
    return member.end
  })
  // `fromEntries` defines what it is given, `__proto__` too.
  return { value: Object.fromEntries(members), end }
}

function plainAt(bytes: Uint8Array, start: number, end: number): { readonly value: unknown; readonly end: number } {
  return { value: JSON.parse(decodeUtf8(bytes.subarray(start, end)) ?? ''), end }
}
