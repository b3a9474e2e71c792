/**
 * Writing and reading small binary records: varints, digests, and a checksum at the end. For adapters.
 *
 * Engines do not check what they read, or not always, so every record carries a CRC-32: what was damaged on the disk is found
 * when it is read and never served as content. Counts are varints (7 bits a byte, least first) up to 2^53-1.
 * Not here: what a record means.
 */
import { crc32, portableCrc32 } from './crc32.ts'
import { digestFromBytes } from './digest.ts'
import { utf8Length } from './ids.ts'

const CRC_BYTES = 4
/** The CRC-32 of any bytes that are followed by their own CRC-32, least byte first. */
const CRC_RESIDUE = 0x2144df1c
const MEMORY_BYTES = 64 * 1024
/** So little is summed up sooner than it is handed over. */
const SMALL_BYTES = 64

/** A record is not what was written. An adapter makes it a `StorageError` with code `CORRUPT` that names the document. */
export class DamagedBlob extends Error {
  override readonly name = 'DamagedBlob'
}

/**
 * Builds one record after the other, many of them in one piece of memory: a small array of its own costs more than filling it.
 */
export class BlobWriter {
  #bytes = new Uint8Array(MEMORY_BYTES)
  /** Where the record begins, and where it ends so far. */
  #start = 0
  #length = 0

  /** A new record. What `end` answered is written over, what `keep` answered is not. */
  begin(): this {
    // A single huge transaction must not be held for as long as a store is open.
    if (this.#bytes.length > MEMORY_BYTES) this.#renew(MEMORY_BYTES)
    this.#length = this.#start
    return this
  }

  byte(value: number): this {
    this.#reserve(1)
    this.#bytes[this.#length++] = value
    return this
  }

  varint(value: number): this {
    this.#reserve(8)
    let rest = value
    // Not `>>>`: counts go beyond 32 bits.
    while (rest >= 0x80) {
      this.#bytes[this.#length++] = (rest % 0x80) | 0x80
      rest = Math.floor(rest / 0x80)
    }
    this.#bytes[this.#length++] = rest
    return this
  }

  /** `digest` as `extendDigest` answers it: 8 bytes. */
  digest(digest: string): this {
    this.#reserve(8)
    for (let index = 0; index < 16; index += 2)
      this.#bytes[this.#length++] = (hexDigit(digest, index) << 4) | hexDigit(digest, index + 1)
    return this
  }

  raw(bytes: Uint8Array): this {
    this.#reserve(bytes.length)
    this.#bytes.set(bytes, this.#length)
    this.#length += bytes.length
    return this
  }

  /** Its length, then the text as UTF-8; it must be well-formed. */
  text(text: string): this {
    const bytes = utf8Length(text)
    this.varint(bytes).#reserve(bytes)
    if (bytes > text.length) utf8Encoder.encodeInto(text, this.#bytes.subarray(this.#length))
    else for (let index = 0; index < bytes; index++) this.#bytes[this.#length + index] = text.charCodeAt(index)
    this.#length += bytes
    return this
  }

  /** The record with its checksum. A view: valid until the next `begin`. */
  end(): Uint8Array {
    const sum = this.#sum()
    this.#reserve(CRC_BYTES)
    for (let shift = 0; shift < 32; shift += 8) this.#bytes[this.#length++] = (sum >>> shift) & 0xff
    return this.#bytes.subarray(this.#start, this.#length)
  }

  /** As `end`, and it stays: the view keeps about `MEMORY_BYTES` alive, so it is for what is written soon. */
  keep(): Uint8Array {
    const record = this.end()
    this.#start = this.#length
    return record
  }

  #sum(): number {
    const small = this.#length - this.#start <= SMALL_BYTES
    if (small) return portableCrc32(this.#bytes, this.#start, this.#length)
    return crc32(this.#bytes.subarray(this.#start, this.#length))
  }

  #reserve(bytes: number): void {
    if (this.#length + bytes <= this.#bytes.length) return
    const before = this.#bytes.subarray(this.#start, this.#length)
    this.#renew(Math.max(MEMORY_BYTES, 2 * (before.length + bytes)))
    this.#bytes.set(before)
    this.#length = before.length
  }

  #renew(bytes: number): void {
    this.#bytes = new Uint8Array(bytes)
    this.#start = 0
    this.#length = 0
  }
}

/**
 * Reads a record from its start, checksum first.
 *
 * @throws DamagedBlob from any method, if the record is not what `BlobWriter` wrote.
 */
export class BlobReader {
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

  /** What `BlobWriter.text` wrote. */
  text(): string {
    return textOf(this.view(this.varint()))
  }

  finish(): void {
    if (this.left !== 0) throw new DamagedBlob('it is longer than what it holds')
  }
}

/** Some engines answer `Buffer`s, whose `slice` shares memory: what leaves an adapter is a plain `Uint8Array`. */
export function viewOf(bytes: Uint8Array, start = 0, length: number = bytes.length): Uint8Array {
  return new Uint8Array(bytes.buffer, bytes.byteOffset + start, length)
}

const utf8Encoder = new TextEncoder()
// An id may begin with U+FEFF: that is no byte order mark.
const utf8Decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** The text that `bytes` are as UTF-8. @throws DamagedBlob */
export function textOf(bytes: Uint8Array): string {
  try {
    return utf8Decoder.decode(bytes)
  } catch {
    throw new DamagedBlob('a text in it is not UTF-8')
  }
}

function hexDigit(text: string, index: number): number {
  const unit = text.charCodeAt(index)
  // 0–9 begin at 48, a–f at 97.
  return unit < 58 ? unit - 48 : unit - 87
}
