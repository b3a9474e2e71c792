/**
 * Ids at the border: what a document id, a session id, a mark or a map key may be, and how they are ordered.
 *
 * Ids are well-formed Unicode of 1–256 bytes UTF-8. A lone surrogate has no UTF-8, so engines would store it as U+FFFD and
 * two ids would become one: it is refused here (law L14). Order is bytewise UTF-8 everywhere, so that the lists of different
 * engines merge; that is the order of code points, and not the order of JavaScript's `<`.
 */

export const ID_BYTES_MAX = 256

/**
 * `id` itself, if it may be one; `what` names it in the error ("document id").
 *
 * @throws TypeError if it is not a string or has a lone surrogate. RangeError if it is empty or longer than 256 bytes.
 */
export function checkId(id: string, what: string): string {
  checkText(id, what)
  if (id === '') throw new RangeError(`${what}: expected 1 to ${ID_BYTES_MAX} bytes of UTF-8, got an empty string`)
  return id
}

/** As `checkId`, but may be empty: prefixes and positions in a list. */
export function checkText(text: string, what: string): string {
  if (typeof text !== 'string') throw new TypeError(`${what}: expected a string, got ${typeof text}`)
  // A UTF-16 unit is at least one byte: nothing long is walked to be measured.
  const bytes = text.length > ID_BYTES_MAX ? text.length : utf8Length(text)
  if (bytes < 0)
    throw new TypeError(`${what}: expected well-formed Unicode, got a lone surrogate in ${JSON.stringify(text)}`)
  if (bytes > ID_BYTES_MAX)
    throw new RangeError(
      `${what}: expected at most ${ID_BYTES_MAX} bytes of UTF-8, got ${text.length === bytes ? 'at least ' : ''}${bytes}`,
    )
  return text
}

/** Bytes that `text` takes as UTF-8, or -1 if it has a lone surrogate. */
export function utf8Length(text: string): number {
  let bytes = text.length
  for (let index = 0; index < text.length; index++) {
    const unit = text.charCodeAt(index)
    if (unit < 0x80) continue
    if (unit < 0x800) bytes += 1
    else if (!isSurrogate(unit)) bytes += 2
    else {
      const next = text.charCodeAt(index + 1)
      if (unit >= 0xdc00 || !(next >= 0xdc00 && next <= 0xdfff)) return -1
      // Two units, four bytes.
      bytes += 2
      index++
    }
  }
  return bytes
}

/** Bytewise order of two ids as UTF-8: negative, 0 or positive. Both must be well-formed. */
export function compareIds(a: string, b: string): number {
  if (a === b) return 0
  const shorter = Math.min(a.length, b.length)
  for (let index = 0; index < shorter; index++) {
    const left = a.charCodeAt(index)
    const right = b.charCodeAt(index)
    if (left !== right) return inUtf8Order(left) - inUtf8Order(right)
  }
  return a.length - b.length
}

// Surrogates stand for code points from U+10000 on, beyond U+E000–U+FFFF, whose units are greater than theirs.
function inUtf8Order(unit: number): number {
  if (unit < 0xd800) return unit
  return unit < 0xe000 ? unit + 0x2000 : unit - 0x800
}

function isSurrogate(unit: number): boolean {
  return unit >= 0xd800 && unit <= 0xdfff
}
