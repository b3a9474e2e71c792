/** The vectors of `tidemark.1`: current, and understood by a decoder that was written from docs/protocol.md alone. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { base64 } from '../src/base64.ts'
import { type Message, ProtocolError, readJson, tidemarkBinary, tidemarkJson } from '../src/index.ts'
import { fieldsOf, renderVectors, type Vector } from '../vectors/render.ts'
import text from '../vectors/tidemark.1.json?raw'
import { anyMessage, messagesOf, utf8 } from './help.ts'
import { bytesOfHex, createSpecDecoder } from './spec-decoder.ts'

const vectors = readJson(utf8(text)) as Vector[]

test('the file says what the script makes', () => expect(vectors).toEqual(readJson(utf8(renderVectors()))))

describe.each(vectors.map((vector) => [vector.name, vector] as const))('%s', (_, { frames }) => {
  test('is understood by a decoder written from the specification alone', () => {
    const decoder = createSpecDecoder()
    // What is wrong is not its subject.
    for (const { hex, messages, errors } of frames)
      if (errors === undefined && messages.every(({ version = 1 }) => version === 1))
        expect(decoder.decodeFrame(bytesOfHex(hex))).toEqual(messages)
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
          const heard = frames.flatMap((frame) => [...decoder.decode(frame)].map(messageOf))
          expect(heard).toEqual(half)
          expect(frames.flatMap((frame) => spec.decodeFrame(frame))).toEqual(half.map(fieldsOf))
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
