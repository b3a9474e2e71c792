/**
 * Writing bytes: a buffer that grows, with the three things messages are made of (varints, text, payloads).
 *
 * What was written is cut off as views, not copied; the buffer goes on behind them, and is replaced when it is full.
 * A class with open fields, because this is the innermost loop. Not here: what is written (tidemark-binary-write.ts).
 */
import { utf8Length, writeUtf8 } from './text.ts'

/** A view that is still needed keeps its whole buffer, so buffers are small. */
const BUFFER_BYTES = 16 * 1024
/** Shorter text is written by hand: that is faster than calling an encoder. */
const BY_HAND = 64

export class ByteWriter {
  bytes: Uint8Array<ArrayBuffer>
  /** Where what is not cut off yet begins. */
  start = 0
  end = 0

  /** A buffer of `bytes` to begin with; the shared ones begin with nothing. */
  constructor(bytes: number) {
    this.bytes = new Uint8Array(bytes)
  }

  /** To be called before writing `more` bytes. May replace `bytes` and move `start` and `end`. */
  reserve(more: number): void {
    if (this.end + more > this.bytes.length) this.replace(more)
  }

  byte(value: number): void {
    this.reserve(1)
    this.bytes[this.end++] = value
  }

  /** Unsigned LEB128 in its shortest form; `value` is a count. */
  varint(value: number): void {
    this.reserve(8)
    if (value < 0x80) this.bytes[this.end++] = value
    else this.end = putVarint(this.bytes, this.end, value)
  }

  /** Length and UTF-8. */
  text(text: string): void {
    if (text.length <= BY_HAND && this.ascii(text)) return
    const bytes = utf8Length(text)
    // Half a surrogate pair has no UTF-8; what would stand for it would be another id.
    if (bytes < 0) throw new TypeError('expected well-formed Unicode, got a lone surrogate')
    this.varint(bytes)
    this.reserve(bytes)
    this.end = writeUtf8(text, this.bytes, this.end)
  }

  /** Length and bytes. */
  payload(payload: Uint8Array): void {
    this.varint(payload.length)
    this.raw(payload)
  }

  raw(from: Uint8Array): void {
    const { length } = from
    this.reserve(length)
    const { bytes, end } = this
    if (length <= BY_HAND) for (let index = 0; index < length; index++) bytes[end + index] = from[index] as number
    else bytes.set(from, end)
    this.end = end + length
  }

  /** Makes a gap of `length` bytes, `offset` bytes behind `start`; what stood there moves behind it. */
  shift(offset: number, length: number): void {
    this.reserve(length)
    const at = this.start + offset
    this.bytes.copyWithin(at + length, at, this.end)
    this.end += length
  }

  /** The first `length` bytes that are not cut off yet. */
  cut(length: number): Uint8Array {
    const { start } = this
    this.start = start + length
    return new Uint8Array(this.bytes.buffer, start, length)
  }

  /** Drops what is not cut off yet. */
  clear(): void {
    this.end = this.start
  }

  private replace(more: number): void {
    const { bytes, start, end } = this
    const length = end - start
    const grown = new Uint8Array(Math.max(BUFFER_BYTES, 2 * (length + more)))
    grown.set(bytes.subarray(start, end))
    this.bytes = grown
    this.start = 0
    this.end = length
  }

  /** Writes text that is ASCII, or takes it back. */
  private ascii(text: string): boolean {
    const { length } = text
    this.reserve(length + 1)
    const { bytes, end } = this
    bytes[end] = length
    for (let index = 0; index < length; index++) {
      const unit = text.charCodeAt(index)
      if (unit >= 0x80) return false
      bytes[end + 1 + index] = unit
    }
    this.end = end + 1 + length
    return true
  }
}

/** Bytes that `value` takes as a varint. */
export function varintLength(value: number): number {
  let length = 1
  for (let rest = value; rest >= 0x80; rest = Math.floor(rest / 0x80)) length++
  return length
}

/** Writes `value` into `bytes` at `at`; answers where it ends. */
export function putVarint(bytes: Uint8Array, at: number, value: number): number {
  let rest = value
  let end = at
  // Bit operations are for 32 bits, counts have 53.
  while (rest > 0x7fff_ffff) {
    bytes[end++] = (rest % 0x80) | 0x80
    rest = Math.floor(rest / 0x80)
  }
  while (rest >= 0x80) {
    bytes[end++] = (rest & 0x7f) | 0x80
    rest >>>= 7
  }
  bytes[end++] = rest
  return end
}
