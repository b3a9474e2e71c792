/**
 * Payloads of `json` documents, where they arrive as bytes: whether they are the UTF-8 of one JSON text (RFC 8259).
 *
 * L14: they have to be JSON already at the border, because the Jazz dialect will splice them into a line for others unread. One
 * walk over the bytes, without recursion: decoding and parsing them only to drop the result takes many times as long.
 * Not here: payloads that are cut out of a parsed line (jazz.ts), reading one (json-parse.ts).
 */

/** A transaction in a line of the Jazz dialect stands this deep; all dialects accept the same ones. */
const JAZZ_LEVELS = 4

const QUOTE = 0x22
const COMMA = 0x2c
const MINUS = 0x2d
const DOT = 0x2e
const ZERO = 0x30
const NINE = 0x39
const COLON = 0x3a
const OPEN_ARRAY = 0x5b
const BACKSLASH = 0x5c
const OPEN_OBJECT = 0x7b
const CLOSE_OBJECT = 0x7d
const LITERALS = /* @__PURE__ */ ['true', 'false', 'null'].map((text) =>
  Array.from(text, (letter) => letter.charCodeAt(0)),
)
/** What stands for itself in a string: ASCII but for controls, quote and backslash. */
const PLAIN = /* @__PURE__ */ Uint8Array.from({ length: 256 }, (_, unit) =>
  Number(unit >= 0x20 && unit < 0x80 && unit !== QUOTE && unit !== BACKSLASH),
)
/** What may follow a backslash, but for `u`. */
const ESCAPED = /* @__PURE__ */ Uint8Array.from({ length: 256 }, (_, unit) =>
  Number('"\\/bfnrt'.includes(String.fromCharCode(unit))),
)
const WRONG = -1

/** Levels that a payload may have where a line may have `jsonDepthMax`. */
export function payloadDepthMax(jsonDepthMax: number): number {
  return jsonDepthMax - JAZZ_LEVELS
}

/** What is wrong with a payload: it is no JSON, or nests deeper than `depthMax`. */
export function jsonFault(bytes: Uint8Array, depthMax: number): 'malformed' | 'deep' | undefined {
  const closers: number[] = []
  let at = 0
  for (;;) {
    at = skipSpace(bytes, at)
    const first = bytes[at]
    if (first === OPEN_OBJECT || first === OPEN_ARRAY) {
      if (closers.length >= depthMax) return 'deep'
      const closer = first + 2
      at = skipSpace(bytes, at + 1)
      if (bytes[at] !== closer) {
        closers.push(closer)
        if (closer === CLOSE_OBJECT) at = keyEnd(bytes, at)
        if (at === WRONG) return 'malformed'
        continue
      }
      at += 1
    } else at = first === QUOTE ? stringEnd(bytes, at + 1) : scalarEnd(bytes, at)
    if (at !== WRONG) at = valueFollows(bytes, at, closers)
    if (at === WRONG) return 'malformed'
    if (at === bytes.length) return undefined
  }
}

/** Behind a value: where the next one of the same array or object begins; the end of `bytes` if there is none. */
function valueFollows(bytes: Uint8Array, start: number, closers: number[]): number {
  for (let at = start; ; ) {
    at = skipSpace(bytes, at)
    const closer = closers[closers.length - 1]
    if (closer === undefined) return at === bytes.length ? at : WRONG
    const next = bytes[at++]
    if (next === closer) closers.pop()
    else if (next !== COMMA) return WRONG
    else if (closer === CLOSE_OBJECT) return keyEnd(bytes, skipSpace(bytes, at))
    // At the end of the bytes there is no value, though one has to follow.
    else return at < bytes.length ? at : WRONG
  }
}

/** Behind a key and its colon. */
function keyEnd(bytes: Uint8Array, start: number): number {
  const end = bytes[start] === QUOTE ? stringEnd(bytes, start + 1) : WRONG
  if (end === WRONG) return WRONG
  const at = skipSpace(bytes, end)
  return bytes[at] === COLON && at + 1 < bytes.length ? at + 1 : WRONG
}

function skipSpace(bytes: Uint8Array, start: number): number {
  let at = start
  while (at < bytes.length && isSpace(bytes[at] as number)) at++
  return at
}

function isSpace(unit: number): boolean {
  return unit === 0x20 || unit === 0x0a || unit === 0x0d || unit === 0x09
}

/** Behind the closing quote of a string that is entered already. */
function stringEnd(bytes: Uint8Array, start: number): number {
  const { length } = bytes
  let at = start
  while (at < length) {
    const unit = bytes[at++] as number
    if (PLAIN[unit] === 1) continue
    if (unit === QUOTE) return at
    if (unit === BACKSLASH) at = escapeEnd(bytes, at)
    else at = unit >= 0x80 ? sequenceEnd(bytes, at, unit) : WRONG
    if (at === WRONG) return WRONG
  }
  return WRONG
}

function escapeEnd(bytes: Uint8Array, start: number): number {
  if (start >= bytes.length) return WRONG
  if (ESCAPED[bytes[start] as number] === 1) return start + 1
  if (bytes[start] !== 0x75 || start + 4 >= bytes.length) return WRONG
  for (let at = start + 1; at <= start + 4; at++) if (!isHex(bytes[at])) return WRONG
  return start + 5
}

function isHex(unit: number | undefined): boolean {
  return unit !== undefined && (isDigit(unit) || ((unit | 0x20) >= 0x61 && (unit | 0x20) <= 0x66))
}

/** Behind a UTF-8 sequence that begins with `lead`: the shortest one of a character that is no surrogate. */
function sequenceEnd(bytes: Uint8Array, start: number, lead: number): number {
  const length = lead >= 0xf0 ? 3 : lead >= 0xe0 ? 2 : 1
  if (lead < 0xc2 || lead > 0xf4) return WRONG
  const least = lead === 0xe0 ? 0xa0 : lead === 0xf0 ? 0x90 : 0x80
  const most = lead === 0xed ? 0x9f : lead === 0xf4 ? 0x8f : 0xbf
  const second = bytes[start]
  if (second === undefined || second < least || second > most) return WRONG
  for (let at = start + 1; at < start + length; at++) if (((bytes[at] ?? 0) & 0xc0) !== 0x80) return WRONG
  return start + length
}

/** Behind a number, `true`, `false` or `null`. */
function scalarEnd(bytes: Uint8Array, start: number): number {
  const first = bytes[start]
  if (first === MINUS || isDigit(first)) return numberEnd(bytes, first === MINUS ? start + 1 : start)
  const literal = LITERALS.find(([letter]) => letter === first)
  return literal?.every((letter, index) => bytes[start + index] === letter) ? start + literal.length : WRONG
}

function numberEnd(bytes: Uint8Array, start: number): number {
  let at = bytes[start] === ZERO ? start + 1 : digitsEnd(bytes, start)
  if (at !== WRONG && bytes[at] === DOT) at = digitsEnd(bytes, at + 1)
  if (at === WRONG || ((bytes[at] ?? 0) | 0x20) !== 0x65) return at
  const sign = bytes[at + 1]
  return digitsEnd(bytes, sign === MINUS || sign === 0x2b ? at + 2 : at + 1)
}

/** Behind one digit or more. */
function digitsEnd(bytes: Uint8Array, start: number): number {
  let at = start
  while (isDigit(bytes[at])) at++
  return at > start ? at : WRONG
}

function isDigit(unit: number | undefined): boolean {
  return unit !== undefined && unit >= ZERO && unit <= NINE
}
