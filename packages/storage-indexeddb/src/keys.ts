/**
 * Keys: bytes that stand in the order in which they are read, and that are never prefixes of one another by accident.
 *
 * Numbers have a fixed length, most significant byte first; a name within a key is preceded by its length. Ids are their UTF-8,
 * so they stand in bytewise order.
 */
import { textOf } from '@tidemark/storage/adapter'

const HEAD = 0
const SEGMENT = 1
const TAIL = 2

/** Beyond every key that begins with the same bytes: UTF-8 has no such byte, and no number here is that large. */
const LAST = 0xff

/** Not behind any text: the key of NUL. */
const FIRST = Uint8Array.of(0)

const utf8 = new TextEncoder()

export function textKey(text: string): Uint8Array<ArrayBuffer> {
  return utf8.encode(text)
}

/** The text whose `textKey` a key is. Engines answer keys as buffers. */
export function textOfKey(key: IDBValidKey): string {
  return textOf(bytesOfKey(key))
}

function bytesOfKey(key: IDBValidKey): Uint8Array {
  return new Uint8Array(key as ArrayBuffer)
}

/** Keys of texts that begin with `prefix` and come after `after`. */
export function textRange(prefix: string, after = ''): IDBKeyRange {
  const lower = textKey(prefix)
  const upper = beyond(lower)
  const from = textKey(after)
  // No text that is stored is empty, and not every engine takes an empty key.
  if (compareBytes(from, lower) < 0 || after === '') return IDBKeyRange.bound(prefix === '' ? FIRST : lower, upper)
  // Behind the last of them there is none: no text has the key `upper`.
  return compareBytes(from, upper) < 0 ? IDBKeyRange.bound(from, upper, true) : IDBKeyRange.only(upper)
}

/** The header of a document, and the little content that it was created with. */
export function headKey(document: number): Uint8Array<ArrayBuffer> {
  return content(document, HEAD, 0)
}

/** The segment of a session that ends at count `until`. */
export function segmentKey(document: number, session: number, until: number): Uint8Array<ArrayBuffer> {
  const key = content(document, SEGMENT, 10)
  putNumber(key, 5, session, 4)
  putNumber(key, 9, until, 6)
  return key
}

/** Segments of a session that end at count `from` or later, and at `until` or earlier. */
export function segmentRange(document: number, session: number, from: number, until?: number): IDBKeyRange {
  const lower = segmentKey(document, session, from)
  return IDBKeyRange.bound(
    lower,
    until === undefined ? beyond(lower.subarray(0, 9)) : segmentKey(document, session, until),
  )
}

/** Entry `index` of the tail of a document. */
export function tailKey(document: number, index: number): Uint8Array<ArrayBuffer> {
  const key = content(document, TAIL, 6)
  putNumber(key, 5, index, 6)
  return key
}

export function tailRange(document: number): IDBKeyRange {
  const lower = content(document, TAIL, 0)
  return IDBKeyRange.bound(lower, beyond(lower))
}

/** Something of a document that has a number: a chunk of its entries, the verifier's state of a session. */
export function numberedKey(document: number, number: number): Uint8Array<ArrayBuffer> {
  const key = new Uint8Array(8)
  putNumber(key, 0, document, 4)
  putNumber(key, 4, number, 4)
  return key
}

export function numberedRange(document: number): IDBKeyRange {
  const lower = numberedKey(document, 0)
  return IDBKeyRange.bound(lower, beyond(lower.subarray(0, 4)))
}

export function mapKey(name: string, key: string): Uint8Array<ArrayBuffer> {
  return joined(mapPrefix(name), utf8.encode(key))
}

export function mapRange(name: string): IDBKeyRange {
  const lower = mapPrefix(name)
  return IDBKeyRange.bound(lower, beyond(lower))
}

/** The key within its map. */
export function keyInMap(key: Uint8Array): string {
  return textOf(key.subarray(2 + (key[0] as number) * 256 + (key[1] as number)))
}

export function compareBytes(a: Uint8Array, b: Uint8Array): number {
  const shorter = Math.min(a.length, b.length)
  for (let index = 0; index < shorter; index++) {
    const difference = (a[index] as number) - (b[index] as number)
    if (difference !== 0) return difference
  }
  return a.length - b.length
}

// Two bytes for the length: names have up to 256 bytes.
function mapPrefix(name: string): Uint8Array<ArrayBuffer> {
  const bytes = utf8.encode(name)
  return joined(Uint8Array.of(bytes.length >> 8, bytes.length & 0xff), bytes)
}

function content(document: number, kind: number, more: number): Uint8Array<ArrayBuffer> {
  const key = new Uint8Array(5 + more)
  putNumber(key, 0, document, 4)
  key[4] = kind
  return key
}

function putNumber(bytes: Uint8Array, at: number, value: number, length: number): void {
  let rest = value
  // Not `>>>`: counts go beyond 32 bits.
  for (let index = at + length - 1; index >= at; index--) {
    bytes[index] = rest % 256
    rest = Math.floor(rest / 256)
  }
}

function beyond(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  return joined(bytes, Uint8Array.of(LAST))
}

function joined(a: Uint8Array, b: Uint8Array): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(a.length + b.length)
  bytes.set(a)
  bytes.set(b, a.length)
  return bytes
}
