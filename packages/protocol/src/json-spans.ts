/**
 * Where values stand in a JSON text: a scanner over UTF-8 bytes that finds headers and transactions without re-serialising them.
 *
 * It is used on texts that `JSON.parse` accepted, and agrees with it on what a key is (escapes, `__proto__`) and, because its
 * users let the later of two equal keys win, on which value counts. On other texts its answers mean nothing, but it ends, and
 * stays within them. It does not recurse, and does not check.
 */
import { decodeUtf8 } from './text.ts'

const QUOTE = 0x22
const BACKSLASH = 0x5c
const COMMA = 0x2c
const BRACE_OPEN = 0x7b
const BRACE_CLOSE = 0x7d
const BRACKET_OPEN = 0x5b
const BRACKET_CLOSE = 0x5d

/**
 * Calls `visit` for each member of the object that opens at `start`: where its key starts (for `isKey` and `stringAt`) and
 * where its value does. `visit` answers where that value ends (see `skipValue`).
 *
 * @returns the index after the closing brace.
 */
export function scanMembers(bytes: Uint8Array, start: number, visit: (key: number, at: number) => number): number {
  let index = skipSpace(bytes, start + 1)
  while (bytes[index] === QUOTE) {
    // One byte further: the colon.
    const at = skipSpace(bytes, skipSpace(bytes, skipString(bytes, index)) + 1)
    index = skipSpace(bytes, visit(index, at))
    if (bytes[index] === COMMA) index = skipSpace(bytes, index + 1)
  }
  return index + 1
}

/** As `scanMembers`, for the elements of the array that opens at `start`. */
export function scanElements(bytes: Uint8Array, start: number, visit: (at: number) => number): number {
  let index = skipSpace(bytes, start + 1)
  while (index < bytes.length && bytes[index] !== BRACKET_CLOSE) {
    index = skipSpace(bytes, visit(index))
    if (bytes[index] === COMMA) index = skipSpace(bytes, index + 1)
  }
  return index + 1
}

/** The index after the value that starts at `index`. */
export function skipValue(bytes: Uint8Array, index: number): number {
  const first = bytes[index]
  if (first === QUOTE) return skipString(bytes, index)
  if (first === BRACE_OPEN || first === BRACKET_OPEN) return skipNested(bytes, index)
  let end = index + 1
  while (end < bytes.length && !endsPrimitive(bytes[end] as number)) end++
  return end
}

export function opensObject(bytes: Uint8Array, index: number): boolean {
  return bytes[index] === BRACE_OPEN
}

export function opensArray(bytes: Uint8Array, index: number): boolean {
  return bytes[index] === BRACKET_OPEN
}

/** Whether the string that starts at `start` means `name`, which is ASCII. Cheaper than `stringAt`. */
export function isKey(bytes: Uint8Array, start: number, name: string): boolean {
  for (let index = 0; index < name.length; index++) {
    const byte = bytes[start + 1 + index]
    if (byte === BACKSLASH) return stringAt(bytes, start) === name
    if (byte !== name.charCodeAt(index)) return false
  }
  return bytes[start + 1 + name.length] === QUOTE
}

/** What the string that starts at `start` means; empty if the text is not JSON. */
export function stringAt(bytes: Uint8Array, start: number): string {
  const text = decodeUtf8(bytes.subarray(start + 1, skipString(bytes, start) - 1)) ?? ''
  if (!text.includes('\\')) return text
  try {
    return JSON.parse(`"${text}"`) as string
  } catch {
    return ''
  }
}

/** The index of the first value of a text. */
export function firstValue(bytes: Uint8Array): number {
  return skipSpace(bytes, 0)
}

/**
 * The string member `key` of the object in a text that may be cut off, of the first 1024 bytes. For a message that is too
 * large to be parsed and still should be answered by name.
 */
export function peekString(bytes: Uint8Array, key: string): string | undefined {
  const head = bytes.subarray(0, 1024)
  let found: string | undefined
  const start = firstValue(head)
  if (!opensObject(head, start)) return undefined
  scanMembers(head, start, (name, at) => {
    const end = skipValue(head, at)
    // A string that ends with the head may be cut off.
    if (isKey(head, name, key) && head[at] === QUOTE && end < head.length) found = stringAt(head, at)
    return end
  })
  return found
}

function skipNested(bytes: Uint8Array, start: number): number {
  let index = start
  let level = 0
  while (index < bytes.length) {
    const byte = bytes[index] as number
    if (byte === QUOTE) {
      index = skipString(bytes, index)
      continue
    }
    index++
    if (byte === BRACE_OPEN || byte === BRACKET_OPEN) level++
    else if ((byte === BRACE_CLOSE || byte === BRACKET_CLOSE) && --level === 0) return index
  }
  return bytes.length
}

function skipString(bytes: Uint8Array, start: number): number {
  let index = start + 1
  while (index < bytes.length) {
    const byte = bytes[index]
    if (byte === QUOTE) return index + 1
    index += byte === BACKSLASH ? 2 : 1
  }
  return bytes.length
}

function skipSpace(bytes: Uint8Array, start: number): number {
  let index = start
  while (index < bytes.length && isSpace(bytes[index] as number)) index++
  return index
}

function endsPrimitive(byte: number): boolean {
  return byte === COMMA || byte === BRACE_CLOSE || byte === BRACKET_CLOSE || isSpace(byte)
}

function isSpace(byte: number): boolean {
  return byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09
}
