/**
 * Writing and reading the blobs of this package: varints, digests, and a checksum at the end.
 *
 * SQLite has no checksum of its own, so every blob carries a CRC-32: what was damaged on the disk is found when it is read and
 * never served as content. Counts are varints (7 bits a byte, least first) up to 2^53-1.
 * Not here: what the blobs mean (known-blob.ts, packed.ts).
 */
import { crc32 } from 'node:zlib'
import { digestFromBytes, digestToBytes } from '@tidemark/storage/adapter'

const CRC_BYTES = 4
/** The CRC-32 of any bytes that are followed by their own CRC-32, least byte first. */
const CRC_RESIDUE = 0x2144df1c

/** A blob is not what was written. Becomes a `StorageError` with code `CORRUPT` that names the document. */
export class DamagedBlob extends Error {
  override readonly name = 'DamagedBlob'
}

/** Builds one blob at a time in memory that is used again for the next. */
export class Writer {
  #bytes = new Uint8Array(16 * 1024)
  #length = 0

  begin(): this {
    this.#length = 0
    return this
  }

  byte(value: number): void {
    this.#reserve(1)
    this.#bytes[this.#length++] = value
  }

  varint(value: number): void {
    this.#reserve(8)
    let rest = value
    // Not `>>>`: counts go beyond 32 bits.
    while (rest >= 0x80) {
      this.#bytes[this.#length++] = (rest % 0x80) | 0x80
      rest = Math.floor(rest / 0x80)
    }
    this.#bytes[this.#length++] = rest
  }

  digest(digest: string): void {
    this.raw(digestToBytes(digest))
  }

  raw(bytes: Uint8Array): void {
    this.#reserve(bytes.length)
    this.#bytes.set(bytes, this.#length)
    this.#length += bytes.length
  }

  /** The blob with its checksum. A view: valid until the next `begin`. */
  end(): Uint8Array {
    const sum = crc32(this.#bytes.subarray(0, this.#length))
    this.#reserve(CRC_BYTES)
    for (let shift = 0; shift < 32; shift += 8) this.#bytes[this.#length++] = (sum >>> shift) & 0xff
    const blob = this.#bytes.subarray(0, this.#length)
    // A single huge transaction must not be held for as long as the store is open.
    if (this.#bytes.length > WRITER_BYTES_KEPT) this.#bytes = new Uint8Array(16 * 1024)
    return blob
  }

  #reserve(bytes: number): void {
    if (this.#length + bytes <= this.#bytes.length) return
    const larger = new Uint8Array(Math.max(2 * this.#bytes.length, this.#length + bytes))
    larger.set(this.#bytes.subarray(0, this.#length))
    this.#bytes = larger
  }
}

const WRITER_BYTES_KEPT = 1024 * 1024

/**
 * Reads a blob from its start, checksum first.
 *
 * @throws DamagedBlob from any method, if the blob is not what `Writer` wrote.
 */
export class Reader {
  readonly bytes: Uint8Array
  at = 0
  readonly #end: number

  constructor(blob: Uint8Array) {
    if (blob.length < CRC_BYTES || crc32(blob) !== CRC_RESIDUE) throw new DamagedBlob('its checksum does not fit')
    this.bytes = blob
    this.#end = blob.length - CRC_BYTES
  }

  get left(): number {
    return this.#end - this.at
  }

  byte(): number {
    if (this.at >= this.#end) throw new DamagedBlob('it ends too early')
    return this.bytes[this.at++] as number
  }

  varint(): number {
    let byte = this.byte()
    if (byte < 0x80) return byte
    let value = byte & 0x7f
    for (let scale = 0x80; byte >= 0x80; scale *= 0x80) {
      byte = this.byte()
      value += (byte & 0x7f) * scale
    }
    if (!Number.isSafeInteger(value)) throw new DamagedBlob('a count is too large')
    return value
  }

  digest(): string {
    this.skip(8)
    return digestFromBytes(this.bytes, this.at - 8)
  }

  skip(bytes: number): void {
    if (bytes > this.left) throw new DamagedBlob('it ends too early')
    this.at += bytes
  }

  /** A view of the next `bytes` bytes, always a plain `Uint8Array`. */
  view(bytes: number): Uint8Array {
    this.skip(bytes)
    return viewOf(this.bytes, this.at - bytes, bytes)
  }

  finish(): void {
    if (this.left !== 0) throw new DamagedBlob('it is longer than what it holds')
  }
}

/** Drivers answer `Buffer`s, whose `slice` shares memory: what leaves this package is a plain `Uint8Array`. */
export function viewOf(bytes: Uint8Array, start = 0, length: number = bytes.length): Uint8Array {
  return new Uint8Array(bytes.buffer, bytes.byteOffset + start, length)
}

// An id may begin with U+FEFF: that is no byte order mark.
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** An id that was read as bytes: some versions of Node cut a text at its first NUL. */
export function textOf(bytes: unknown): string {
  return utf8.decode(bytes as Uint8Array)
}
