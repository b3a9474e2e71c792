/**
 * What the cases assert with: no library, so that the kit runs in every test runner and in a browser.
 */
import type { Awaitable, StorageErrorCode } from '../contract.ts'
import { bytesEqual } from '../json-equal.ts'

/** Compares by structure: bytes, maps, arrays and plain objects (a property that is undefined counts as left out). */
export function same(actual: unknown, expected: unknown, what: string): void {
  if (!alike(actual, expected)) throw new Error(`${what}: expected ${show(expected)}, got ${show(actual)}`)
}

export function holds(condition: boolean, what: string): asserts condition {
  if (!condition) throw new Error(`expected ${what}`)
}

/** What `call` throws or rejects with. */
export async function failure(call: () => Awaitable<unknown>, what: string): Promise<unknown> {
  let answer: unknown
  try {
    answer = await call()
  } catch (cause) {
    return cause
  }
  throw new Error(`${what}: expected it to fail, got ${show(answer)}`)
}

export async function failsWith(code: StorageErrorCode, call: () => Awaitable<unknown>, what: string): Promise<void> {
  const cause = await failure(call, what)
  // By shape: an adapter may have its own copy of this package.
  const found = cause instanceof Error && cause.name === 'StorageError' && 'code' in cause ? cause.code : undefined
  if (found !== code) throw new Error(`${what}: expected StorageError ${code}, got ${show(cause)}`, { cause })
}

/** The caller's mistake: a `TypeError` or a `RangeError`. */
export async function failsAs(
  name: 'TypeError' | 'RangeError',
  call: () => Awaitable<unknown>,
  what: string,
): Promise<void> {
  const cause = await failure(call, what)
  if (!(cause instanceof Error && cause.name === name))
    throw new Error(`${what}: expected a ${name}, got ${show(cause)}`, { cause })
}

/** Starts a call without waiting for it; what it throws at once comes as a rejection. */
export function started<T>(call: () => Awaitable<T>): Promise<T> {
  try {
    const answer = Promise.resolve(call())
    // Looked at later, maybe after another one failed: not unhandled.
    answer.catch(() => {})
    return answer
  } catch (cause) {
    const failed = Promise.reject(cause)
    failed.catch(() => {})
    return failed
  }
}

export function show(value: unknown): string {
  const text = print(value)
  return text.length > 600 ? `${text.slice(0, 600)}… (${text.length} characters)` : text
}

function alike(a: unknown, b: unknown): boolean {
  if (Object.is(a, b)) return true
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false
  if (a instanceof Uint8Array || b instanceof Uint8Array)
    return a instanceof Uint8Array && b instanceof Uint8Array && bytesEqual(a, b)
  if (a instanceof Map || b instanceof Map) return a instanceof Map && b instanceof Map && alikeMaps(a, b)
  if (Array.isArray(a) || Array.isArray(b))
    return (
      Array.isArray(a) && Array.isArray(b) && a.length === b.length && a.every((value, index) => alike(value, b[index]))
    )
  return alikeMaps(new Map(definedEntries(a)), new Map(definedEntries(b)))
}

function alikeMaps(a: ReadonlyMap<unknown, unknown>, b: ReadonlyMap<unknown, unknown>): boolean {
  if (a.size !== b.size) return false
  for (const [key, value] of a) if (!b.has(key) || !alike(value, b.get(key))) return false
  return true
}

function definedEntries(object: object): [string, unknown][] {
  return Object.entries(object).filter(([, value]) => value !== undefined)
}

function print(value: unknown): string {
  if (value instanceof Uint8Array) return printBytes(value)
  if (value instanceof Map)
    return `Map { ${list([...value].map(([key, entry]) => `${print(key)} → ${print(entry)}`))} }`
  if (Array.isArray(value)) return `[${list(value.map(print))}]`
  if (value instanceof Error) return `${value.name}${'code' in value ? ` ${String(value.code)}` : ''}: ${value.message}`
  if (typeof value === 'string') return JSON.stringify(value)
  if (typeof value === 'object' && value !== null)
    return `{ ${list(definedEntries(value).map(([key, entry]) => `${key}: ${print(entry)}`))} }`
  return String(value)
}

function printBytes(bytes: Uint8Array): string {
  const start = bytes.subarray(0, 24)
  const readable = start.every((byte) => byte >= 0x20 && byte < 0x7f)
  const text = readable
    ? JSON.stringify(String.fromCharCode(...start))
    : [...start].map((byte) => byte.toString(16).padStart(2, '0')).join(' ')
  return `bytes ${text}${bytes.length > start.length ? `… (${bytes.length})` : ''}`
}

function list(parts: readonly string[]): string {
  return parts.length > 20 ? `${parts.slice(0, 20).join(', ')}, … (${parts.length})` : parts.join(', ')
}
