/**
 * Frames of JSON lines: one object per line, joined by a single `\n`. Shared by both text dialects.
 *
 * L14: a line that cannot be understood costs only itself. Lengths and depth are checked before anything is parsed. Frames are
 * decoded one message at a time, as the caller asks for them, so that somebody who sends a million bad lines is heard only as
 * far as the caller likes. Sending: no trailing newline and no empty line (a cojson client would drop the whole frame);
 * receiving: empty lines are skipped, and an empty frame is a keep-alive.
 * Not here: what the objects mean (the dialects).
 */
import { type Decoded, type Frame, PASSED_BYTES, PASSED_STEP_BYTES } from './dialect.ts'
import { ProtocolError } from './errors.ts'
import { parseJson } from './json-parse.ts'
import { peekString } from './json-spans.ts'
import type { Limits } from './limits.ts'
import type { Message } from './messages.ts'
import { decodeUtf8, encodeUtf8, survey, utf8Length, writeUtf8 } from './text.ts'
import { excess, type Fields, idOf, isObject, malformed, type Place } from './validate.ts'

/**
 * Reads one parsed line of so many bytes; `undefined` leaves it out (an unknown message, a part). `utf8` answers the bytes of the line.
 * Answers the message with what it took in all.
 */
export type LineReader = (
  fields: Fields,
  place: Place,
  utf8: () => Uint8Array,
  bytes: number,
) => { readonly message: Message; readonly bytes: number } | undefined

/** One encoded message, a line without its newline. Bytes may be shared between frames. */
export type Line = string | Uint8Array

const NEWLINE = 0x0a
/** Unknown messages cost their sender nothing, so a frame may not consist of them. */
const LEFT_OUT_MAX = 1000
/** Lines of bytes from this size on travel in a frame of their own, so that they are not copied for every receiver. */
const ALONE_BYTES = 8 * 1024

export function decodeLines(frame: Frame, limits: Limits, read: LineReader): Iterable<Decoded> {
  return decodeEvery(frame, limits, read, false) as Iterable<Decoded>
}

export function decodeLinesInPortions(frame: Frame, limits: Limits, read: LineReader): Iterable<Decoded | undefined> {
  return decodeEvery(frame, limits, read, true)
}

function decodeEvery(frame: Frame, limits: Limits, read: LineReader, portions: boolean): Iterable<Decoded | undefined> {
  const tooLong = frameExcess(frame, limits)
  if (tooLong !== undefined) return [tooLong]
  const received = typeof frame === 'string' ? frame : plain(frame)
  // Most frames are one line.
  if (typeof received === 'string' ? received.includes('\n') : received.includes(NEWLINE))
    return decodeEach(received, limits, read, portions)
  const one = received.length > 0 ? decodeLine(received, limits, read) : undefined
  if (one !== undefined) return [one]
  return portions && received.length >= PASSED_BYTES ? [undefined] : []
}

function* decodeEach(
  frame: Frame,
  limits: Limits,
  read: LineReader,
  portions: boolean,
): Generator<Decoded | undefined, void> {
  let leftOut = 0
  let passedBytes = 0
  for (const line of typeof frame === 'string' ? linesOfText(frame) : linesOfBytes(frame)) {
    const one = decodeLine(line, limits, read)
    if (one !== undefined) yield one
    else if (++leftOut > LEFT_OUT_MAX)
      yield new ProtocolError('unsupported', {
        field: 'frame',
        expected: `at most ${LEFT_OUT_MAX} unknown messages`,
        got: 'one more',
      })
    passedBytes = one === undefined ? passedBytes + line.length + PASSED_STEP_BYTES : 0
    if (passedBytes < PASSED_BYTES || !portions) continue
    passedBytes = 0
    yield undefined
  }
}

function* linesOfText(frame: string): Generator<string, void> {
  let start = 0
  while (start < frame.length) {
    while (frame.charCodeAt(start) === NEWLINE) start++
    const found = frame.indexOf('\n', start)
    const end = found < 0 ? frame.length : found
    if (end > start) yield frame.slice(start, end)
    start = end + 1
  }
}

function* linesOfBytes(frame: Uint8Array): Generator<Uint8Array, void> {
  let start = 0
  while (start < frame.length) {
    while (frame[start] === NEWLINE) start++
    const found = frame.indexOf(NEWLINE, start)
    const end = found < 0 ? frame.length : found
    if (end > start) yield frame.subarray(start, end)
    start = end + 1
  }
}

/** Frames of at most `frameBytes` with `lines` in order. Text alone stays text; what contains bytes becomes bytes. */
export function packLines(lines: readonly Line[], frameBytes: number): Frame[] {
  if (lines.length <= 1) return [...lines]
  const frames: Frame[] = []
  let group: Line[] = []
  let size = 0
  const close = () => {
    if (group.length > 0) frames.push(joinLines(group, size))
    group = []
    size = 0
  }
  for (const line of lines) {
    const length = typeof line === 'string' ? utf8Length(line) : line.length
    const alone = typeof line !== 'string' && length >= ALONE_BYTES
    if (alone || (group.length > 0 && size + 1 + length > frameBytes)) close()
    size += group.length > 0 ? 1 + length : length
    group.push(line)
    if (alone) close()
  }
  close()
  return frames
}

function joinLines(lines: readonly Line[], size: number): Frame {
  const [first] = lines
  if (lines.length === 1 && first !== undefined) return first
  if (lines.every((line) => typeof line === 'string')) return lines.join('\n')
  const frame = new Uint8Array(size)
  let index = 0
  for (const line of lines) {
    if (index > 0) frame[index++] = NEWLINE
    index = typeof line === 'string' ? writeUtf8(line, frame, index) : writeBytes(line, frame, index)
  }
  return frame
}

/** `parts` as one line of bytes. A line break between the tokens of a payload becomes a space: it would end the line. */
export function lineOf(parts: readonly Line[]): Uint8Array {
  let size = 0
  for (const part of parts) size += typeof part === 'string' ? utf8Length(part) : part.length
  const line = new Uint8Array(size)
  let index = 0
  for (const part of parts)
    index = typeof part === 'string' ? writeUtf8(part, line, index) : writeBytes(part, line, index)
  for (let at = line.indexOf(NEWLINE); at >= 0; at = line.indexOf(NEWLINE, at + 1)) line[at] = 0x20
  return line
}

function decodeLine(line: Line, limits: Limits, read: LineReader): Decoded | undefined {
  if (typeof line === 'string') return decodeText(line, undefined, limits, read)
  if (line.length > limits.messageBytesMax) return lineExcess(line, `${line.length}`, limits)
  const text = decodeUtf8(line)
  return text === undefined ? notJson('UTF-8', 'other bytes') : decodeText(text, line, limits, read)
}

function decodeText(
  text: string,
  bytes: Uint8Array | undefined,
  limits: Limits,
  read: LineReader,
): Decoded | undefined {
  const { messageBytesMax, jsonDepthMax } = limits
  if (text.length > messageBytesMax) return lineExcess(head(text), `at least ${text.length}`, limits)
  if (text === '\r') return undefined
  const shape = survey(text, jsonDepthMax)
  if (shape.bytes < 0) return notJson('well-formed Unicode', 'a lone surrogate')
  if (shape.bytes > messageBytesMax) return lineExcess(head(text), `${shape.bytes}`, limits)
  if (shape.depth > jsonDepthMax)
    return excess(peekPlace(bytes ?? head(text), limits), 'message', `at most ${jsonDepthMax} nested levels`, 'more')
  const utf8 = () => (bytes === undefined ? encodeUtf8(text) : owned(bytes))
  let value: unknown
  try {
    value = parseJson(text, shape.escapedKeys, utf8)
  } catch {
    // Its error would quote the input.
    return notJson('a JSON object', 'text that is not JSON')
  }
  const place: Place = { limits, id: undefined }
  if (!isObject(value)) return malformed(place, 'message', 'a JSON object', value)
  try {
    return read(value, place, utf8, shape.bytes)
  } catch (error) {
    if (error instanceof ProtocolError) return error
    throw error
  }
}

function frameExcess(frame: Frame, limits: Limits): ProtocolError | undefined {
  const { frameBytesMax } = limits
  const { length } = frame
  if (
    length <= frameBytesMax &&
    (typeof frame !== 'string' || length * 3 <= frameBytesMax || utf8Length(frame) <= frameBytesMax)
  )
    return undefined
  return new ProtocolError('limit', {
    field: 'frame',
    expected: `at most ${frameBytesMax} bytes`,
    got: `${length} or more`,
  })
}

function lineExcess(line: Uint8Array, got: string, limits: Limits): ProtocolError {
  return excess(peekPlace(line, limits), 'message', `at most ${limits.messageBytesMax} bytes`, got)
}

/** The document that a line is about which is not parsed, if its beginning tells. */
function peekPlace(line: Uint8Array, limits: Limits): Place {
  const place: Place = { limits, id: undefined }
  try {
    place.id = idOf(place, peekString(line, 'id'), 'id')
  } catch {
    // Then nobody knows.
  }
  return place
}

function notJson(expected: string, got: string): ProtocolError {
  return new ProtocolError('malformed', { field: 'message', expected, got })
}

function head(text: string): Uint8Array {
  return encodeUtf8(text.slice(0, 1024))
}

function writeBytes(bytes: Uint8Array, target: Uint8Array, index: number): number {
  target.set(bytes, index)
  return index + bytes.length
}

/** Buffers of Node slice and print differently; what leaves here is a plain array of bytes. */
function plain(bytes: Uint8Array): Uint8Array {
  return bytes.constructor === Uint8Array ? bytes : new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

/** L10: a view keeps its whole buffer alive, so a line that is less than half of it is copied, once. */
function owned(line: Uint8Array): Uint8Array {
  return line.length * 2 < line.buffer.byteLength ? line.slice() : line
}
