/**
 * CRC-32 as in zip and zlib (reflected 0xEDB88320): the checksum of what adapters store.
 *
 * Node's own is about twenty times faster than this one and is used where it is there; both give the same numbers.
 */

/** Finds out; nothing of Node is imported, so that bundles for browsers need no stand-in. */
interface NodeProcess {
  getBuiltinModule?(id: 'node:zlib'): { crc32?(bytes: Uint8Array): number }
}

const { process } = globalThis as { process?: NodeProcess }

/** The checksum of `bytes`, an unsigned 32-bit number. */
export const crc32: (bytes: Uint8Array) => number = process?.getBuiltinModule?.('node:zlib')?.crc32 ?? portableCrc32

/** The same of `bytes` from `start` to `end`, without Node: four bytes at a time. */
export function portableCrc32(bytes: Uint8Array, start = 0, end: number = bytes.length): number {
  tables ??= makeTables()
  const whole = start + ((end - start) & ~3)
  let sum = -1
  let index = start
  for (; index < whole; index += 4) {
    sum ^=
      (bytes[index] as number) |
      ((bytes[index + 1] as number) << 8) |
      ((bytes[index + 2] as number) << 16) |
      ((bytes[index + 3] as number) << 24)
    sum =
      (tables[768 + (sum & 0xff)] as number) ^
      (tables[512 + ((sum >>> 8) & 0xff)] as number) ^
      (tables[256 + ((sum >>> 16) & 0xff)] as number) ^
      (tables[sum >>> 24] as number)
  }
  for (; index < end; index++) sum = (tables[(sum ^ (bytes[index] as number)) & 0xff] as number) ^ (sum >>> 8)
  return ~sum >>> 0
}

/** Four tables behind each other: what a byte does to the sum when 0, 1, 2, 3 bytes follow it. Made when it is needed. */
let tables: Int32Array | undefined

function makeTables(): Int32Array {
  const made = new Int32Array(4 * 256)
  for (let byte = 0; byte < 256; byte++) {
    let sum = byte
    for (let bit = 0; bit < 8; bit++) sum = sum & 1 ? (sum >>> 1) ^ 0xedb88320 : sum >>> 1
    made[byte] = sum
  }
  for (let index = 256; index < made.length; index++) {
    const before = made[index - 256] as number
    made[index] = (made[before & 0xff] as number) ^ (before >>> 8)
  }
  return made
}
