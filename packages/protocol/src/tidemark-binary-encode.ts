/**
 * Messages of `tidemark.1` to frames: type and length in front of each body, announcements in front of who needs them.
 *
 * Large content is written once for all receivers and shared; everything else is written for its connection, into a buffer that
 * all connections share (encoding calls nobody). Not here: bodies (tidemark-binary-write.ts).
 */
import { ByteWriter, putVarint, varintLength } from './byte-writer.ts'
import type { Codec, Frame } from './dialect.ts'
import type { ContentMessage } from './messages.ts'
import type { Announcer } from './names.ts'
import type { PartLimits, PeerLimits } from './peer-limits.ts'
import { isOnePart, type Part, partsOf } from './spans.ts'
import { FRAME_MESSAGES_MAX, NAMES } from './tidemark-binary-format.ts'
import { type Sink, writeBody } from './tidemark-binary-write.ts'

/** Content from this size on spells its names out and is a frame of its own, the same one for every receiver. */
const ALONE_BYTES = 8 * 1024

/** Room for lengths and names beside the payloads of large content; more is found if it does not suffice. */
const OVERHEAD_BYTES = 2 * 1024

const body = /* @__PURE__ */ new ByteWriter(0)
const announcements = /* @__PURE__ */ new ByteWriter(0)

/** `namesMax`: what our `hello` offers. */
export function createEncoder(names: Announcer, namesMax: number, peer: PeerLimits): Codec['encode'] {
  const sink: Sink = { body, announcements, names, namesMax }
  return (messages, bytesMax) => {
    const frameBytes = Math.min(bytesMax, peer.frameBytesMax)
    const frames: Frame[] = []
    let count = 0
    body.clear()
    try {
      for (const message of messages) {
        const alone = message.action === 'content' ? aloneFrame(message, peer) : undefined
        if (alone !== undefined) {
          finish(frames)
          count = 0
          frames.push(alone)
        } else if (isOnePart(message, peer)) count = write(sink, message, false, frames, count, frameBytes)
        else
          for (const part of partsOf(message, peer))
            count = write(sink, part.message, part.more, frames, count, frameBytes)
      }
    } catch (error) {
      // What was announced in frames that are lost with this error is announced again.
      names.forget()
      throw error
    }
    finish(frames)
    return frames
  }
}

function finish(frames: Frame[]): void {
  const length = body.end - body.start
  if (length > 0) frames.push(body.cut(length))
}

/** Adds a message to the frame being written, or begins another; answers how many messages that frame has. */
function write(
  sink: Sink,
  message: Part['message'],
  more: boolean,
  frames: Frame[],
  count: number,
  frameBytes: number,
): number {
  const before = body.end - body.start
  writeMessage(sink, message, more)
  // One of the two may be announcements.
  if (before === 0 || (body.end - body.start <= frameBytes && count + 2 <= FRAME_MESSAGES_MAX)) return count + 2
  frames.push(body.cut(before))
  return 2
}

/** A message with its type and length, behind the announcements that it needs. */
function writeMessage(sink: Sink, message: Part['message'], more: boolean): void {
  const { body, announcements, names } = sink
  const offset = body.end - body.start
  announcements.clear()
  names?.begin()
  body.reserve(2)
  body.end += 2
  const type = writeBody(sink, message, more)
  const length = body.end - body.start - offset - 2
  if (length >= 0x80) body.shift(offset + 2, varintLength(length) - 1)
  const at = body.start + offset
  body.bytes[at] = type
  putVarint(body.bytes, at + 1, length)
  if (announcements.end > announcements.start) insertAnnouncements(sink, offset)
}

function insertAnnouncements({ body, announcements }: Sink, offset: number): void {
  const { length } = announcements.cut(announcements.end - announcements.start)
  const from = announcements.start - length
  body.shift(offset, 1 + varintLength(length) + length)
  const at = body.start + offset
  body.bytes[at] = NAMES
  body.bytes.set(announcements.bytes.subarray(from, from + length), putVarint(body.bytes, at + 1, length))
}

/** The bytes live as long as the message. */
const encoded = /* @__PURE__ */ new WeakMap<ContentMessage, Uint8Array>()

function aloneFrame(message: ContentMessage, limits: PartLimits): Uint8Array | undefined {
  if (!isOnePart(message, limits)) return undefined
  const before = encoded.get(message)
  if (before !== undefined) return before
  const bytes = payloadBytes(message)
  if (bytes < ALONE_BYTES) return undefined
  const writer = new ByteWriter(bytes + OVERHEAD_BYTES)
  writeMessage({ body: writer, announcements, names: undefined, namesMax: 0 }, message, false)
  const frame = writer.cut(writer.end)
  encoded.set(message, frame)
  return frame
}

function payloadBytes({ header, runs }: ContentMessage): number {
  let bytes = header?.length ?? 0
  for (const { transactions, seal } of runs) {
    bytes += seal?.length ?? 0
    for (const transaction of transactions) bytes += transaction.length
  }
  return bytes
}
