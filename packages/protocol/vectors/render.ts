/**
 * The vectors as text: conversations with their bytes, the messages that this package makes of them, and the errors that are expected.
 */
import type { Codec, Message } from '../src/index.ts'
import { DEFAULT_LIMITS, ProtocolError, readJson, tidemarkBinary, tidemarkJson } from '../src/index.ts'
import { type Conversation, conversations, type ErrorExpected, type RawFrame } from './conversations.ts'

export interface FrameVector {
  readonly hex: string
  readonly messages: readonly Readonly<Record<string, unknown>>[]
  readonly errors?: readonly ErrorExpected[]
}

export interface Vector {
  readonly name: string
  readonly frames: readonly FrameVector[]
}

export function renderVectors(): string {
  return `${JSON.stringify(conversations.map(vectorOf), undefined, 2)}\n`
}

function vectorOf({ name, frames }: Conversation): Vector {
  const encoder = tidemarkBinary.createCodec()
  const decoder = tidemarkBinary.createCodec()
  const given = frames.flatMap((frame) =>
    'bytes' in frame
      ? frame
      : encoder.encode(frame, Number.MAX_SAFE_INTEGER).map((one) => ({ bytes: one as Uint8Array, errors: [] })),
  )
  return { name, frames: given.map((frame) => frameVector(frame, decoder)) }
}

function frameVector({ bytes, errors }: RawFrame, decoder: Codec): FrameVector {
  const { messages } = heard(decoder, bytes)
  return { hex: hexOf(bytes), messages, ...(errors.length > 0 && { errors }) }
}

/** What a codec makes of a frame. */
export function heard(decoder: Codec, frame: Uint8Array): Omit<FrameVector, 'hex'> {
  const messages: Record<string, unknown>[] = []
  const errors: ErrorExpected[] = []
  for (const decoded of decoder.decode(frame)) {
    if (decoded instanceof ProtocolError) {
      const { code, fatal } = decoded
      errors.push({ before: messages.length, code, ...(fatal && { fatal: true as const }) })
    } else messages.push(fieldsOf(decoded.message))
  }
  return { messages, ...(errors.length > 0 && { errors }) }
}

/** As the readable twin says it, with payloads in hex and what only the binary dialect says. */
export function fieldsOf(message: Message): Record<string, unknown> {
  const [line] = tidemarkJson.createCodec().encode([message], Number.MAX_SAFE_INTEGER)
  // biome-ignore lint/suspicious/noExplicitAny: it is what the twin says.
  const fields = readJson(typeof line === 'string' ? new TextEncoder().encode(line) : (line as Uint8Array)) as any
  if (message.action === 'hello') fields.limits.namesMax = message.version === 1 ? DEFAULT_LIMITS.namesMax : 0
  if (message.action !== 'content') return fields
  if (message.header !== undefined) fields.header = hexOf(message.header)
  for (const [index, { transactions, seal }] of message.runs.entries()) {
    const run = fields.runs[index]
    run.transactions = transactions.map(hexOf)
    if (seal !== undefined) run.seal = hexOf(seal)
  }
  return fields
}

function hexOf(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
}
