/**
 * Text as bytes: UTF-8 both ways, and one walk over a line that answers all that must be known of it before it is parsed.
 *
 * Not here: JSON (json-spans.ts), limits (lines.ts).
 */

const encoder = new TextEncoder()
// A byte order mark is kept: JSON does not allow one, so it has to be seen.
const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

export function encodeUtf8(text: string): Uint8Array {
  return encoder.encode(text)
}

/** Writes `text` into `target` from `index` on; answers where it ends. The target must be large enough. */
export function writeUtf8(text: string, target: Uint8Array, index: number): number {
  return index + encoder.encodeInto(text, target.subarray(index)).written
}

/** The text of `bytes`, or `undefined` if they are not UTF-8. */
export function decodeUtf8(bytes: Uint8Array): string | undefined {
  try {
    return strict.decode(bytes)
  } catch {
    return undefined
  }
}

/** Bytes that `text` takes as UTF-8, or -1 if it has a lone surrogate (which has no UTF-8). */
export function utf8Length(text: string): number {
  let bytes = text.length
  for (let index = 0; index < text.length; index++) {
    const unit = text.charCodeAt(index)
    if (unit < 0x80) continue
    const extra = extraBytes(text, index, unit)
    if (extra < 0) return -1
    bytes += extra
    if (unit >= 0xd800 && unit <= 0xdfff) index++
  }
  return bytes
}

/** Whether `text` has no lone surrogate. */
export const isWellFormed: (text: string) => boolean =
  'isWellFormed' in String.prototype
    ? (text) => (text as string & { isWellFormed(): boolean }).isWellFormed()
    : (text) => utf8Length(text) >= 0

export interface Survey {
  /** Length as UTF-8; -1 if the text has a lone surrogate. */
  readonly bytes: number
  /** Levels of `{` and `[`, if the text is JSON; otherwise at least as many as a parser would enter before it notices. */
  readonly depth: number
  /** Whether some key has a backslash in it. */
  readonly escapedKeys: boolean
}

/** What must be known of a text that should be JSON, in one walk without recursion. Stops where `depthMax` is exceeded. */
export function survey(text: string, depthMax: number): Survey {
  let bytes = text.length
  let level = 0
  let depth = 0
  let quoted = false
  let escaped = false
  let escapedKeys = false
  for (let index = 0; index < text.length; index++) {
    const unit = text.charCodeAt(index)
    if (unit >= 0x80) {
      const extra = extraBytes(text, index, unit)
      if (extra < 0) return { bytes: -1, depth, escapedKeys }
      bytes += extra
      if (unit >= 0xd800 && unit <= 0xdfff) index++
    } else if (unit === 0x22) {
      quoted = !quoted
      if (quoted || !escaped) continue
      escaped = false
      escapedKeys ||= isBeforeColon(text, index + 1)
    } else if (quoted) {
      if (unit !== 0x5c) continue
      escaped = true
      // What follows is one ASCII character, or the text is not JSON; a `u` and its digits mean nothing here.
      if (text.charCodeAt(index + 1) < 0x80) index++
    } else if (unit === 0x7b || unit === 0x5b) {
      if (++level > depth) depth = level
      if (depth > depthMax) return { bytes, depth, escapedKeys }
    } else if (unit === 0x7d || unit === 0x5d) level--
  }
  return { bytes, depth, escapedKeys }
}

function isBeforeColon(text: string, start: number): boolean {
  let index = start
  while (text.charCodeAt(index) <= 0x20) index++
  return text.charCodeAt(index) === 0x3a
}

/** How many bytes more than UTF-16 units a character beyond ASCII takes (a pair: 2 for both), or -1 for half a pair. */
function extraBytes(text: string, index: number, unit: number): number {
  if (unit < 0x800) return 1
  if (unit < 0xd800 || unit > 0xdfff) return 2
  const next = text.charCodeAt(index + 1)
  return unit < 0xdc00 && next >= 0xdc00 && next <= 0xdfff ? 2 : -1
}
