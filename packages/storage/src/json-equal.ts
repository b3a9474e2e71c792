/**
 * Whether two JSON texts mean the same.
 *
 * The payloads of `json` documents may come back spelled differently (spaces, escapes, order of keys): that is the same
 * transaction and no fork. Numbers are compared as JavaScript reads them, so digits beyond a double do not count.
 */
import { readJson } from '@tidemark/protocol'

/** Compares UTF-8 JSON texts by meaning; where one of them is malformed, byte by byte. */
export function jsonEqual(a: Uint8Array, b: Uint8Array): boolean {
  if (bytesEqual(a, b)) return true
  const left = parse(a)
  const right = parse(b)
  return left !== undefined && right !== undefined && sameMeaning(left.value, right.value)
}

export function bytesEqual(a: Uint8Array, b: Uint8Array): boolean {
  if (a === b) return true
  if (a.length !== b.length) return false
  for (let index = 0; index < a.length; index++) if (a[index] !== b[index]) return false
  return true
}

function parse(bytes: Uint8Array): { readonly value: unknown } | undefined {
  try {
    return { value: readJson(bytes) }
  } catch {
    return undefined
  }
}

// A list of what is left to compare instead of recursion: `JSON.parse` takes texts nested deeper than the call stack.
function sameMeaning(a: unknown, b: unknown): boolean {
  const pairs: [unknown, unknown][] = [[a, b]]
  for (let pair = pairs.pop(); pair !== undefined; pair = pairs.pop()) {
    const [left, right] = pair
    if (left === right) continue
    if (typeof left !== 'object' || typeof right !== 'object' || left === null || right === null) return false
    if (Array.isArray(left) !== Array.isArray(right)) return false
    const keys = Object.keys(left)
    if (keys.length !== Object.keys(right).length) return false
    for (const key of keys) {
      if (!Object.hasOwn(right, key)) return false
      pairs.push([propertyOf(left, key), propertyOf(right, key)])
    }
  }
  return true
}

// Parsed JSON has `__proto__` as a property of its own, which `object[key]` reads like any other.
function propertyOf(object: object, key: string): unknown {
  return (object as Readonly<Record<string, unknown>>)[key]
}
