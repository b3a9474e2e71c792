/**
 * Reading bytes that may be anything: varints, text and payloads, never beyond `end`.
 *
 * L14: lengths are checked against what is there and against a limit before anything is taken; errors name the field and never
 * quote. Payloads are views into the frame, nothing is copied.
 * Not here: what is read (tidemark-binary-read.ts).
 */
import { ProtocolError } from './errors.ts'
import { decodeUtf8 } from './text.ts'

const COUNT = 'a count (at most 2^53-1, in its shortest form)'

export class ByteReader {
  readonly bytes: Uint8Array
  at = 0
  /** Where what is being read ends; at most the end of `bytes`. */
  end: number
  /** The document that the message under examination is about. */
  id: string | undefined = undefined

  constructor(bytes: Uint8Array) {
    this.bytes = bytes
    this.end = bytes.length
  }

  byte(field: string): number {
    if (this.at >= this.end) throw this.cut(field)
    return this.bytes[this.at++] as number
  }

  varint(field: string): number {
    const { bytes, at } = this
    if (at >= this.end) throw this.cut(field)
    const first = bytes[at] as number
    if (first < 0x80) {
      this.at = at + 1
      return first
    }
    return this.longVarint(field)
  }

  /** A count of things of at least `bytesEach` bytes that follow; at most `most`. */
  countOf(field: string, bytesEach: number, most: number, unit: string): number {
    const count = this.varint(field)
    if (count > most) throw this.excess(field, `at most ${most} ${unit}`, `${count}`)
    if (count * bytesEach > this.end - this.at) throw this.cut(field)
    return count
  }

  /** `length` bytes, as a view. */
  take(length: number, field: string): Uint8Array {
    const { at } = this
    if (length > this.end - at) throw this.cut(field)
    this.at = at + length
    return this.bytes.subarray(at, at + length)
  }

  /** Length and bytes, as a view. */
  payload(field: string): Uint8Array {
    return this.take(this.varint(field), field)
  }

  /** Length and UTF-8 of at most `bytesMax` bytes. */
  text(field: string, bytesMax: number): string {
    const length = this.varint(field)
    if (length > bytesMax) throw this.excess(field, `at most ${bytesMax} bytes`, `${length}`)
    const text = decodeUtf8(this.take(length, field))
    if (text === undefined) throw this.malformed(field, 'UTF-8', 'other bytes')
    return text
  }

  /** Text that is not empty. */
  name(field: string, bytesMax: number): string {
    const name = this.text(field, bytesMax)
    if (name === '') throw this.malformed(field, 'an id (text that is not empty)', 'nothing')
    return name
  }

  malformed(field: string, expected: string, got: string): ProtocolError {
    return new ProtocolError('malformed', { field, expected, got, id: this.id })
  }

  excess(field: string, expected: string, got: string): ProtocolError {
    return new ProtocolError('limit', { field, expected, got, id: this.id })
  }

  unsupported(field: string, expected: string, got: string): ProtocolError {
    return new ProtocolError('unsupported', { field, expected, got, id: this.id })
  }

  private cut(field: string): ProtocolError {
    return this.malformed(field, 'more bytes', 'the end of the message')
  }

  private longVarint(field: string): number {
    const { bytes, end } = this
    let value = 0
    let scale = 1
    for (let at = this.at; at < end; at++) {
      const next = bytes[at] as number
      value += (next & 0x7f) * scale
      if (next < 0x80) {
        if (next === 0 || value > Number.MAX_SAFE_INTEGER) throw this.malformed(field, COUNT, 'another number')
        this.at = at + 1
        return value
      }
      scale *= 0x80
      // Eight bytes hold 56 bits: a count never takes more.
      if (at - this.at >= 7) throw this.malformed(field, COUNT, 'another number')
    }
    throw this.cut(field)
  }
}
