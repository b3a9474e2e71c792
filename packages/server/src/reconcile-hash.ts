/**
 * The hash by which Jazz clients compare documents in bulk: `shortHash_z` and the base58 text of the first 19 bytes of BLAKE3 over
 * the session counts as JSON, keys sorted by UTF-16 units, without spaces.
 *
 * Not here: what follows from a difference (the engine).
 */
import { blake3 } from '@noble/hashes/blake3.js'

const HASH_BYTES = 19
const ALPHABET = '123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz'

export function reconcileHash(sessions: ReadonlyMap<string, number>): string {
  // The order of JavaScript's own sort, as their clients use it; not the bytewise order of the storage.
  const names = [...sessions.keys()].sort()
  const members = names.map((name) => `${JSON.stringify(name)}:${sessions.get(name)}`)
  const digest = blake3(new TextEncoder().encode(`{${members.join(',')}}`), { dkLen: HASH_BYTES })
  return `shortHash_z${base58(digest)}`
}

function base58(bytes: Uint8Array): string {
  let rest = 0n
  for (const byte of bytes) rest = rest * 256n + BigInt(byte)
  let text = ''
  for (; rest > 0n; rest /= 58n) text = ALPHABET[Number(rest % 58n)] + text
  for (const byte of bytes) {
    if (byte !== 0) break
    text = ALPHABET[0] + text
  }
  return text
}
