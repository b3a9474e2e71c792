/**
 * The rolling digest of a session: 8 bytes over its transactions from the start, that two holders of equally many compare.
 *
 * L13: equal counts with different digests are a fork. It is made against accidents (restored backups, copied devices, two
 * writers), not against an adversary: anybody can make two sessions with one digest. The digest is the state itself, so a
 * session is extended from its digest alone, and how its transactions were grouped into runs does not matter.
 *
 * To make it again elsewhere (all arithmetic on unsigned 32 bits, `rotl` rotates left; test vectors in test/digest.test.ts):
 *
 *     state   two lanes a, b; at the start the ASCII bytes of "tidemark", big endian: a = 0x74696465, b = 0x6d61726b
 *     word w  k = rotl(w * 0xcc9e2d51, 15) * 0x1b873593;  a = rotl(a ^ k, 13) * 5 + 0xe6546b64
 *             k = rotl(w * 0x85ebca77, 16) * 0xc2b2ae3d;  b = rotl(b ^ k, 15) * 9 + 0x38495ab5
 *     transaction of n bytes
 *             1. word n
 *             2. its bytes as little-endian words, the last one filled up with zero bytes
 *             3. a = mix(a + rotl(b, 16));  b = mix(b + a)
 *     mix h   h ^= h >>> 16;  h *= 0x85ebca6b;  h ^= h >>> 13;  h *= 0xc2b2ae35;  h ^= h >>> 16
 *     text    a, then b, each as 8 hex digits, most significant first, lower case
 *
 * Each step can be undone, so two different states never become one by the same transaction.
 */

/** Digest of a session without transactions. */
export const EMPTY_DIGEST = '746964656d61726b'

/**
 * The digest after `transactions`, for a session whose digest was `digest` before them.
 *
 * @throws RangeError if `digest` is not 16 hex digits.
 */
export function extendDigest(digest: string, transactions: Iterable<Uint8Array>): string {
  if (!isDigest(digest))
    throw new RangeError(`digest: expected 16 lower-case hex digits, got ${JSON.stringify(digest)}`)
  let a = Number.parseInt(digest.slice(0, 8), 16) | 0
  let b = Number.parseInt(digest.slice(8), 16) | 0
  for (const bytes of transactions) {
    const length = bytes.length
    const whole = length & ~3
    a = wordA(a, length)
    b = wordB(b, length)
    // Assembled by hand: a DataView costs more than a short transaction.
    for (let index = 0; index < whole; index += 4) {
      const word =
        (bytes[index] as number) |
        ((bytes[index + 1] as number) << 8) |
        ((bytes[index + 2] as number) << 16) |
        ((bytes[index + 3] as number) << 24)
      a = wordA(a, word)
      b = wordB(b, word)
    }
    if (whole < length) {
      const word = (bytes[whole] as number) | ((bytes[whole + 1] ?? 0) << 8) | ((bytes[whole + 2] ?? 0) << 16)
      a = wordA(a, word)
      b = wordB(b, word)
    }
    a = mix(a + rotl(b, 16))
    b = mix(b + a)
  }
  return hex(a) + hex(b)
}

/** Whether `text` is written as a digest: 16 lower-case hex digits. */
export function isDigest(text: string): boolean {
  return /^[0-9a-f]{16}$/.test(text)
}

/** A digest as the 8 bytes it stands for, to be stored. */
export function digestToBytes(digest: string): Uint8Array {
  if (!isDigest(digest))
    throw new RangeError(`digest: expected 16 lower-case hex digits, got ${JSON.stringify(digest)}`)
  return Uint8Array.from({ length: 8 }, (_, index) => Number.parseInt(digest.slice(2 * index, 2 * index + 2), 16))
}

/**
 * The digest that stands in 8 bytes of `bytes`, from `index` on.
 *
 * @throws RangeError if there are fewer.
 */
export function digestFromBytes(bytes: Uint8Array, index = 0): string {
  if (bytes.length < index + 8)
    throw new RangeError(`digest: expected 8 bytes at ${index}, got ${bytes.length - index}`)
  let text = ''
  for (let at = index; at < index + 8; at++) text += (bytes[at] as number).toString(16).padStart(2, '0')
  return text
}

function wordA(lane: number, word: number): number {
  const key = Math.imul(rotl(Math.imul(word, 0xcc9e2d51), 15), 0x1b873593)
  return (Math.imul(rotl(lane ^ key, 13), 5) + 0xe6546b64) | 0
}

function wordB(lane: number, word: number): number {
  const key = Math.imul(rotl(Math.imul(word, 0x85ebca77), 16), 0xc2b2ae3d)
  return (Math.imul(rotl(lane ^ key, 15), 9) + 0x38495ab5) | 0
}

function mix(value: number): number {
  let h = value | 0
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return h ^ (h >>> 16)
}

function rotl(word: number, bits: number): number {
  return (word << bits) | (word >>> (32 - bits))
}

function hex(lane: number): string {
  return (lane >>> 0).toString(16).padStart(8, '0')
}
