/** The vectors of `tidemark.1`: current, and understood by a decoder that was written from docs/protocol.md alone. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { base64 } from '../src/base64.ts'
import { type Message, ProtocolError, readJson, tidemarkBinary, tidemarkJson } from '../src/index.ts'
import digests from '../vectors/digests.json?raw'
import { type FrameVector, fieldsOf, heard, renderVectors, type Vector } from '../vectors/render.ts'
import text from '../vectors/tidemark.1.json?raw'
import { anyMessage, messagesOf, utf8 } from './help.ts'
import { bytesOfHex, createSpecDecoder } from './spec-decoder.ts'
import { specDigests } from './spec-digest.ts'

const vectors = readJson(utf8(text)) as Vector[]

test('the file says what the script makes', () => expect(vectors).toEqual(readJson(utf8(renderVectors()))))

describe.each(vectors.map((vector) => [vector.name, vector] as const))('%s', (_, { frames }) => {
  test('is understood by a decoder written from the specification alone', () => {
    const decoder = createSpecDecoder()
    for (const { hex, ...expected } of frames) {
      const { messages, errors } = decoder.hear(bytesOfHex(hex))
      expect({ messages, ...(errors.length > 0 && { errors }) }).toEqual(readVersion1(expected))
    }
  })

  test('is understood by this package, errors and all', () => {
    const decoder = tidemarkBinary.createCodec()
    for (const { hex, ...expected } of frames) expect(heard(decoder, bytesOfHex(hex))).toEqual(expected)
  })

  test('says what it says in the readable twin', () => {
    for (const { messages } of frames)
      for (const { version, ...fields } of messages) {
        if (version !== undefined && version !== 1) continue
        const line = JSON.stringify({ version, ...fields }, (key, value) => (BINARY.has(key) ? inBase64(value) : value))
        expect(messagesOf(tidemarkJson, line).map(fieldsOf)).toEqual([
          version === undefined ? fields : { version, ...fields },
        ])
      }
  })
})

/** Of a HELLO of another version only the version is read, and the rest is this package's own. */
function readVersion1({ messages, ...rest }: Omit<FrameVector, 'hex'>): Omit<FrameVector, 'hex'> {
  const isOther = ({ version = 1 }: Readonly<Record<string, unknown>>) => version !== 1
  return { messages: messages.map((one) => (isOther(one) ? { type: one.type, version: one.version } : one)), ...rest }
}

describe('digests', () => {
  const sessions = readJson(utf8(digests)) as { name: string; transactions: string[]; digests: string[] }[]
  test.each(sessions.map((session) => [session.name, session] as const))('%s', (_, session) => {
    expect(specDigests(session.transactions.map(bytesOfHex))).toEqual(session.digests)
  })
})

const BINARY = new Set(['header', 'seal', 'transactions'])

function inBase64(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(inBase64)
  return typeof value === 'string' ? base64.encode(bytesOfHex(value)) : value
}

test('random conversations mean the same to both decoders, whatever is announced where', () => {
  fc.assert(
    fc.property(
      fc.array(anyMessage, { maxLength: 12 }),
      fc.integer({ min: 10, max: 2_000 }),
      (messages, frameBytes) => {
        const encoder = tidemarkBinary.createCodec()
        const decoder = tidemarkBinary.createCodec()
        const spec = createSpecDecoder()
        for (const half of [messages, messages]) {
          const frames = encoder.encode(half, frameBytes) as Uint8Array[]
          const all = frames.flatMap((frame) => [...decoder.decode(frame)].map(messageOf))
          expect(all).toEqual(half)
          expect(frames.map((frame) => spec.hear(frame)).flatMap(({ messages }) => messages)).toEqual(
            half.map(fieldsOf),
          )
        }
      },
    ),
    { numRuns: 500 },
  )
})

function messageOf(decoded: ProtocolError | { readonly message: Message }): Message {
  if (decoded instanceof ProtocolError) throw decoded
  return decoded.message
}
