/**
 * Digests as the 8 bytes that their 16 hex digits stand for, most significant first.
 */
import type { ByteReader } from './byte-reader.ts'
import type { ByteWriter } from './byte-writer.ts'
import { DIGEST_BYTES } from './tidemark-binary-format.ts'

const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'))

export function writeDigest(writer: ByteWriter, digest: string): void {
  if (digest.length !== 2 * DIGEST_BYTES)
    throw new TypeError(`expected a digest of 16 hex digits, got ${digest.length} characters`)
  writer.reserve(DIGEST_BYTES)
  const { bytes, end } = writer
  for (let index = 0; index < DIGEST_BYTES; index++)
    bytes[end + index] = (nibble(digest.charCodeAt(2 * index)) << 4) | nibble(digest.charCodeAt(2 * index + 1))
  writer.end = end + DIGEST_BYTES
}

export function readDigest(reader: ByteReader, field: string): string {
  const bytes = reader.take(DIGEST_BYTES, field)
  let digest = ''
  for (let index = 0; index < DIGEST_BYTES; index++) digest += HEX[bytes[index] as number]
  return digest
}

/** Of a lower-case hex digit. */
function nibble(unit: number): number {
  return unit <= 0x39 ? unit - 0x30 : unit - 0x57
}
