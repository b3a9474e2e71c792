/**
 * Keys: one letter for what stands there, then ids as UTF-8 or numbers that sort as numbers. All of it is bytes.
 *
 *     f                            format: what this database is, and which version of it
 *     g  open                      generations, one for each open
 *     d  id                        a document: all that a known state needs (rows.ts)
 *     c  sequence                  changes in order: the id of the document that stands there
 *     h  document                  headers
 *     k  document first            chunks of the known state of documents with very many sessions
 *     p  document session after    pieces of content, by the count at which they begin
 *     v  document session          what verifiers keep
 *     s  session id                the reference of a session · r  reference: its id
 *     m  key                       marks
 *     e  length map key            entries of small maps
 *
 * An id is always the rest of its key, or its length stands before it, so that no id is ever taken for a longer one; LevelDB
 * compares keys byte by byte, so ids stand in bytewise order. A number is its length and its bytes, greatest first.
 */
import { utf8Length } from '@tidemark/storage/adapter'

export type Key = Uint8Array

const letter = (text: string): number => text.charCodeAt(0)

const FORMAT = letter('f')
const GENERATION = letter('g')
const DOCUMENT = letter('d')
const CHANGE = letter('c')
const HEADER = letter('h')
const CHUNK = letter('k')
const PIECE = letter('p')
const VERIFIER = letter('v')
const SESSION = letter('s')
const REFERENCE = letter('r')
const MARK = letter('m')
const ENTRY = letter('e')

/** No UTF-8 has this byte and no number is so long: behind everything that begins alike. */
const BEHIND = 0xff

export const FORMAT_KEY: Key = Uint8Array.of(FORMAT)

export const documentKey = (id: string): Key => textKey(DOCUMENT, id)
export const sessionKey = (id: string): Key => textKey(SESSION, id)
export const markKey = (key: string): Key => textKey(MARK, key)
export const generationKey = (open: number): Key => numberKey(GENERATION, open)
export const changeKey = (sequence: number): Key => numberKey(CHANGE, sequence)
export const headerKey = (document: number): Key => numberKey(HEADER, document)
export const referenceKey = (session: number): Key => numberKey(REFERENCE, session)
export const chunkKey = (document: number, first: number): Key => numberKey(CHUNK, document, first)
export const verifierKey = (document: number, session: number): Key => numberKey(VERIFIER, document, session)

export function pieceKey(document: number, session: number, after: number): Key {
  return numberKey(PIECE, document, session, after)
}

export function entryKey(map: string, key: string): Key {
  const prefix = mapPrefix(map)
  const rest = textKey(0, key)
  const whole = new Uint8Array(prefix.length + rest.length - 1)
  whole.set(prefix)
  whole.set(rest.subarray(1), prefix.length)
  return whole
}

/** A stretch of keys, as abstract-level wants it. */
export interface KeyRange {
  readonly gt?: Key
  readonly gte?: Key
  readonly lt?: Key
}

export const GENERATIONS: KeyRange = rangeOf(Uint8Array.of(GENERATION))
export const CHANGES: KeyRange = rangeOf(Uint8Array.of(CHANGE))
export const HEADERS: KeyRange = rangeOf(Uint8Array.of(HEADER))
export const REFERENCES: KeyRange = rangeOf(Uint8Array.of(REFERENCE))

/** Documents with an id after `after`. */
export function documentsAfter(after: string | undefined): KeyRange {
  return { gt: textKey(DOCUMENT, after ?? ''), lt: Uint8Array.of(DOCUMENT, BEHIND) }
}

export function changesAfter(sequence: number): KeyRange {
  return { gt: changeKey(sequence), lt: Uint8Array.of(CHANGE, BEHIND) }
}

/** Marks whose key begins with `prefix` and comes after `after`. */
export function marksAfter(prefix: string, after: string | undefined): KeyRange {
  const start = markKey(prefix)
  const { lt } = rangeOf(start)
  const behind = markKey(after ?? '')
  if (compareKeys(behind, start) < 0) return { gte: start, lt }
  // Behind all keys with the prefix the range is empty: from its end to its end.
  return { gt: compareKeys(behind, lt) < 0 ? behind : lt, lt }
}

export function entriesOf(map: string): KeyRange {
  return rangeOf(mapPrefix(map))
}

/** Pieces of a session from the one that begins at count `after` on. */
export function piecesFrom(document: number, session: number, after: number): KeyRange {
  return { gte: pieceKey(document, session, after), lt: rangeOf(numberKey(PIECE, document, session)).lt }
}

/** Pieces of a session that begin before count `after`. */
export function piecesBefore(document: number, session: number, after: number): KeyRange {
  return { gte: numberKey(PIECE, document, session), lt: pieceKey(document, session, after) }
}

/** The id in the key of a document, a session or a mark, as bytes. */
export function idIn(key: Key): Uint8Array {
  return key.subarray(1)
}

/** The map key in the key of an entry of `map`, as bytes. */
export function entryIn(key: Key, map: string): Uint8Array {
  return key.subarray(mapPrefix(map).length)
}

/** The number in a key that has one. */
export function numberIn(key: Key): number {
  let number = 0
  for (let index = 2; index < key.length; index++) number = number * 256 + (key[index] as number)
  return number
}

function mapPrefix(map: string): Key {
  const prefix = new Uint8Array(2 + utf8Length(map))
  prefix.set(textKey(0, map), 1)
  prefix[0] = ENTRY
  // Ids are 1–256 bytes: one byte is enough for what is beyond the first.
  prefix[1] = prefix.length - 3
  return prefix
}

function rangeOf(prefix: Key): { readonly gte: Key; readonly lt: Key } {
  const behind = new Uint8Array(prefix.length + 1)
  behind.set(prefix)
  behind[prefix.length] = BEHIND
  return { gte: prefix, lt: behind }
}

const utf8 = new TextEncoder()

/**
 * Keys are made by the thousand and forgotten at once: many stand in one piece of memory. An array of its own for each costs three
 * times as much to make, to hand over to native code and to collect.
 */
let memory = new Uint8Array(0)
let used = 0
const MEMORY_BYTES = 32 * 1024

/** Room for a key of `bytes` bytes at `memory[used]`. */
function reserve(bytes: number): void {
  if (used + bytes <= memory.length) return
  memory = new Uint8Array(MEMORY_BYTES)
  used = 0
}

/** The key that ends before `memory[end]`. */
function taken(end: number): Key {
  const key = memory.subarray(used, end)
  used = end
  return key
}

function textKey(kind: number, text: string): Key {
  const bytes = utf8Length(text)
  reserve(1 + bytes)
  memory[used] = kind
  if (bytes > text.length) utf8.encodeInto(text, memory.subarray(used + 1))
  else for (let index = 0; index < bytes; index++) memory[used + 1 + index] = text.charCodeAt(index)
  return taken(used + 1 + bytes)
}

/** Up to three numbers. */
function numberKey(kind: number, first: number, second?: number, third?: number): Key {
  reserve(1 + 3 * 8)
  memory[used] = kind
  let end = writeNumber(used + 1, first)
  if (second !== undefined) end = writeNumber(end, second)
  if (third !== undefined) end = writeNumber(end, third)
  return taken(end)
}

function writeNumber(at: number, number: number): number {
  const length = lengthOf(number)
  memory[at] = length
  let rest = number
  for (let index = at + length; index > at; index--) {
    memory[index] = rest & 0xff
    rest = Math.floor(rest / 256)
  }
  return at + 1 + length
}

function lengthOf(number: number): number {
  let length = 0
  for (let rest = number; rest > 0; rest = Math.floor(rest / 256)) length++
  return length
}

function compareKeys(a: Key, b: Key): number {
  const shorter = Math.min(a.length, b.length)
  for (let index = 0; index < shorter; index++)
    if (a[index] !== b[index]) return (a[index] as number) - (b[index] as number)
  return a.length - b.length
}
