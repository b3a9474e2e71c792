/**
 * Frames of `tidemark.1` to messages: type and length in front of each body, and what an error costs.
 *
 * L14: a bad body costs only itself, because names are announced in messages of their own. Where a frame or an announcement
 * cannot be read, or was not heard, references would mean something else from there on: that error is fatal, and all that is
 * said afterwards. L10: a frame is decoded one message at a time, as the caller asks for them.
 * Not here: bodies (tidemark-binary-read.ts), what a slot stands for (names.ts).
 */
import { ByteReader } from './byte-reader.ts'
import { type Decoded, type Frame, PASSED_BYTES, PASSED_STEP_BYTES } from './dialect.ts'
import { ProtocolError } from './errors.ts'
import type { Limits } from './limits.ts'
import type { HelloMessage } from './messages.ts'
import { Announced } from './names.ts'
import { createJoiner, type Joined, type Joiner } from './spans.ts'
import { CONTENT, FRAME_MESSAGES_MAX, LOAD, MORE, NAMES } from './tidemark-binary-format.ts'
import { readBody, readDocument, type Source } from './tidemark-binary-read.ts'

/** One direction of one connection. */
export class Decoder {
  /** Why nothing can be understood any more. */
  broken: ProtocolError | undefined = undefined
  /** How many frames were given, and how many of them were heard to their end. */
  given = 0
  heard = 0
  readonly limits: Limits
  readonly names: Announced
  private readonly joiner: Joiner
  private readonly greeted: (hello: HelloMessage, namesMax: number) => void

  /** `greeted` hears what the peer takes, and how many slots it has. */
  constructor(limits: Limits, greeted: (hello: HelloMessage, namesMax: number) => void) {
    this.limits = limits
    this.names = new Announced(limits.namesMax)
    this.joiner = createJoiner(limits)
    this.greeted = greeted
  }

  /** Of a state of which more is to come, in memory. */
  get openBytes(): number {
    return this.joiner.openBytes()
  }

  decode(frame: Frame, portions: boolean): Iterable<Decoded | undefined> {
    if (typeof frame === 'string')
      return [new ProtocolError('malformed', { field: 'frame', expected: 'a binary message', got: 'text' })]
    this.given += 1
    const reader = new ByteReader(plain(frame))
    const source = { reader, names: this.names, limits: this.limits, namesOffered: 0, more: false }
    return new FrameMessages(this, source, this.given, portions)
  }

  breaks(error: ProtocolError): ProtocolError {
    const { code, field, expected, got } = error
    this.broken = new ProtocolError(code, { field, expected, got, fatal: true })
    return this.broken
  }

  /** One message, with what it took; nothing for announcements, parts and unknown types. */
  readOne(source: Source): Decoded | undefined {
    const { reader } = source
    const start = reader.at
    reader.at = start + 1
    reader.end = reader.bytes.length
    reader.id = undefined
    const type = reader.bytes[start] as number
    let end: number
    try {
      end = readLength(reader)
      if (type === NAMES) return this.readNames(reader)
    } catch (error) {
      return this.breaks(caught(error))
    }
    try {
      return this.readMessage(source, type, start, end)
    } catch (error) {
      this.joiner.drop()
      return caught(error)
    } finally {
      reader.at = end
    }
  }

  private readNames(reader: ByteReader): undefined {
    checkLength(reader, this.limits)
    this.names.read(reader, this.limits.idBytesMax)
  }

  private readMessage(source: Source, type: number, start: number, end: number): Joined | undefined {
    const { reader } = source
    if (end - reader.at > this.limits.messageBytesMax) peekDocument(source, type)
    checkLength(reader, this.limits)
    const from = type === CONTENT ? owning(source, end) : source
    const part = readBody(from, type)
    if (part?.action === 'hello') this.greeted(part, from.namesOffered)
    return part && this.joiner.join(part, from.more, end - start)
  }
}

const OVER: IteratorResult<Decoded | undefined, undefined> = { done: true, value: undefined }
const PORTION: IteratorResult<Decoded | undefined, undefined> = { done: false, value: undefined }

/** The messages of one frame, decoded as they are asked for. Frames have to be heard in order, each to its end. */
class FrameMessages implements IterableIterator<Decoded | undefined, undefined> {
  private readonly decoder: Decoder
  private readonly source: Source
  private readonly order: number
  private readonly portions: boolean
  private count = 0
  private over = false

  constructor(decoder: Decoder, source: Source, order: number, portions: boolean) {
    this.decoder = decoder
    this.source = source
    this.order = order
    this.portions = portions
  }

  [Symbol.iterator](): this {
    return this
  }

  next(): IteratorResult<Decoded | undefined, undefined> {
    const { decoder, source, order } = this
    const { reader } = source
    if (this.over) return OVER
    if (this.count === 0) this.begin()
    const from = reader.at + this.count * PASSED_STEP_BYTES
    while (decoder.broken === undefined && reader.at < reader.bytes.length) {
      const one = this.count++ < FRAME_MESSAGES_MAX ? decoder.readOne(source) : decoder.breaks(tooMany(reader))
      if (one !== undefined && one !== decoder.broken) return { done: false, value: one }
      if (
        this.portions &&
        reader.at + this.count * PASSED_STEP_BYTES - from >= PASSED_BYTES &&
        decoder.broken === undefined
      )
        return PORTION
    }
    this.over = true
    decoder.heard = order
    return decoder.broken === undefined ? OVER : { done: false, value: decoder.broken }
  }

  return(): IteratorResult<Decoded | undefined, undefined> {
    const { reader } = this.source
    if (!this.over && reader.at < reader.bytes.length) this.decoder.broken ??= this.decoder.breaks(unheard(reader))
    this.over = true
    this.decoder.heard = this.order
    return OVER
  }

  private begin(): void {
    const { decoder, source, order } = this
    const { reader } = source
    const { frameBytesMax } = decoder.limits
    if (decoder.broken !== undefined) return
    if (decoder.heard !== order - 1) decoder.breaks(unheard(reader))
    else if (reader.bytes.length > frameBytesMax)
      decoder.breaks(reader.excess('frame', `at most ${frameBytesMax} bytes`, `${reader.bytes.length}`))
  }
}

const unheard = (reader: ByteReader) => reader.malformed('frame', 'every frame before to be heard to its end', 'less')
const tooMany = (reader: ByteReader) => reader.excess('frame', `at most ${FRAME_MESSAGES_MAX} messages`, 'one more')

/** Where the message ends; nothing beyond is read. */
function readLength(reader: ByteReader): number {
  const length = reader.varint('length')
  const end = reader.at + length
  if (end > reader.end) throw reader.malformed('length', 'at most what is left of the frame', `${length}`)
  reader.end = end
  return end
}

function checkLength(reader: ByteReader, { messageBytesMax }: Limits): void {
  const length = reader.end - reader.at
  if (length > messageBytesMax) throw reader.excess('message', `at most ${messageBytesMax} bytes`, `${length}`)
}

/** Finds out the document that a message is about which is too large to be read. */
function peekDocument(source: Source, type: number): void {
  const { reader } = source
  const { at } = reader
  try {
    if (type >= LOAD && type <= CONTENT && type !== MORE) readDocument(source)
  } catch {
    // Then nobody knows.
  }
  reader.at = at
}

/** L10: a view keeps its whole buffer alive, so a message that is less than half of it is copied, once. */
function owning(source: Source, end: number): Source {
  const { reader } = source
  if ((end - reader.at) * 2 >= reader.bytes.buffer.byteLength) return source
  return { ...source, reader: new ByteReader(reader.bytes.slice(reader.at, end)) }
}

/** Buffers of Node slice and print differently; what leaves here is a plain array of bytes. */
function plain(bytes: Uint8Array): Uint8Array {
  return bytes.constructor === Uint8Array ? bytes : new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

function caught(error: unknown): ProtocolError {
  if (error instanceof ProtocolError) return error
  throw error
}
