/** What the tests of this package share. */
import fc from 'fast-check'
import type { Codec, ContentMessage, Decoded, Dialect, Frame, Limits, Message } from '../src/index.ts'
import { DEFAULT_LIMITS, ProtocolError } from '../src/index.ts'

const encoder = new TextEncoder()
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

export function utf8(text: string): Uint8Array {
  return encoder.encode(text)
}

export function textOf(frame: Frame | undefined): string | undefined {
  return frame instanceof Uint8Array ? decoder.decode(frame) : frame
}

/** A codec that heard of a peer what it takes by default. */
export function greeted(dialect: Dialect, own?: Partial<Limits>): Codec {
  const codec = dialect.createCodec(own)
  const { messageBytesMax, frameBytesMax } = DEFAULT_LIMITS
  const hello: Message = {
    action: 'hello',
    version: 1,
    features: [],
    generation: { id: 'g', sequence: 0 },
    level: 'durable',
    limits: { messageBytesMax, frameBytesMax },
    peer: 'p',
  }
  for (const frame of dialect.createCodec().encode([hello], 1_000)) [...codec.decode(frame)]
  return codec
}

export function decodeAll(dialect: Dialect, frame: Frame, limits?: Partial<Limits>): Decoded[] {
  return [...dialect.createCodec(limits).decode(frame)]
}

/** The messages of a frame without errors. */
export function messagesOf(dialect: Dialect, frame: Frame, limits?: Partial<Limits>): Message[] {
  return decodeAll(dialect, frame, limits).map((decoded) => {
    if (decoded instanceof ProtocolError) throw decoded
    return decoded.message
  })
}

/** The one thing in a frame. */
export function only(dialect: Dialect, frame: Frame, limits?: Partial<Limits>): Decoded {
  const all = decodeAll(dialect, frame, limits)
  if (all.length !== 1) throw new Error(`expected one message, got ${all.length}`)
  return all[0] as Decoded
}

export function errorOf(dialect: Dialect, frame: Frame, limits?: Partial<Limits>): ProtocolError {
  const decoded = only(dialect, frame, limits)
  if (!(decoded instanceof ProtocolError)) throw new Error(`expected an error, got ${decoded.message.action}`)
  return decoded
}

export function contentOf(dialect: Dialect, frame: Frame): ContentMessage {
  const [message] = messagesOf(dialect, frame)
  if (message?.action !== 'content') throw new Error(`expected content, got ${message?.action}`)
  return message
}

export function encodeAll(
  dialect: Dialect,
  messages: readonly Message[],
  frameBytes = 128 * 1024,
): (string | undefined)[] {
  return dialect.createCodec().encode(messages, frameBytes).map(textOf)
}

/** Ids as people make them and as they do not. */
export const id: fc.Arbitrary<string> = fc.oneof(
  fc.string({ unit: 'grapheme', minLength: 1, maxLength: 20 }),
  fc.constantFrom('__proto__', 'constructor', 'toString', '7', '-1', '"', '\\', '\n', '\u0000', '🙂', 'new', 'header'),
)

export const count: fc.Arbitrary<number> = fc.oneof(
  fc.integer({ min: 1, max: 9 }),
  fc.maxSafeInteger().map((value) => Math.max(1, Math.abs(value))),
)

export const sessions: fc.Arbitrary<Map<string, number>> = fc
  .array(fc.tuple(id, count), { maxLength: 6 })
  .map((pairs) => new Map(pairs))

export const known = fc.record({ header: fc.boolean(), sessions })

const space = fc.constantFrom('', '', '', ' ', '\t', '\r', '  ')

interface Json {
  readonly text: string
  readonly value: unknown
}
const spelled = (...pairs: readonly (readonly [text: string, value: unknown])[]): fc.Arbitrary<Json> =>
  fc.constantFrom(...pairs.map(([text, value]) => ({ text, value })))
const numbers = spelled(
  ['0', 0],
  ['-0', -0],
  ['1.0', 1],
  ['1e400', Number.POSITIVE_INFINITY],
  ['-1E-400', -0],
  ['123456789012345678901234567890', 123456789012345680000000000000],
  ['0.1e+2', 10],
)
const strings = fc.oneof(
  fc.string({ unit: 'grapheme', maxLength: 12 }).map((value): Json => ({ text: JSON.stringify(value), value })),
  spelled(
    ['"\\u00e9"', 'é'],
    ['"\\ud83d\\ude00"', '😀'],
    ['"\\ud800"', '\ud800'],
    ['"é🙂"', 'é🙂'],
    ['"{[\\"}]"', '{["}]'],
    ['"\\\\"', '\\'],
    ['"[{\\"op\\":\\"set\\"}]"', '[{"op":"set"}]'],
    ['"\\/"', '/'],
  ),
)
const keys = fc.oneof(
  strings as fc.Arbitrary<Json>,
  spelled(
    ['"a"', 'a'],
    ['"__proto__"', '__proto__'],
    ['"\\u006eew"', 'new'],
    ['"new"', 'new'],
    ['"header"', 'header'],
    ['"1"', '1'],
  ),
)

/**
 * JSON spelled in ways that no serialiser would choose, with what it means. Not by `JSON.parse`: some engines read keys with
 * escapes wrongly (src/json-parse.ts).
 */
export const json: fc.Arbitrary<Json> = fc.letrec<{ any: Json; array: Json; object: Json }>((tie) => ({
  any: fc.oneof(
    { depthSize: 'small' },
    numbers,
    strings,
    spelled(['true', true], ['false', false], ['null', null]),
    tie('array'),
    tie('object'),
  ),
  array: fc.tuple(fc.array(fc.tuple(space, tie('any'), space), { maxLength: 3 }), space).map(([items, empty]) => ({
    text: items.length === 0 ? `[${empty}]` : `[${items.map(([a, item, b]) => `${a}${item.text}${b}`).join(',')}]`,
    value: items.map(([, item]) => item.value),
  })),
  object: fc
    .tuple(fc.array(fc.tuple(space, keys, space, space, tie('any'), space), { maxLength: 3 }), space)
    .map(([members, empty]) => ({
      text:
        members.length === 0
          ? `{${empty}}`
          : `{${members.map(([a, key, b, c, item, d]) => `${a}${key.text}${b}:${c}${item.text}${d}`).join(',')}}`,
      value: Object.fromEntries(members.map(([, key, , , item]) => [key.value, item.value])),
    })),
})).any

export const jsonText: fc.Arbitrary<string> = json.map(({ text }) => text)

export const objectText = fc
  .tuple(
    fc.array(
      fc.tuple(
        keys.map(({ text }) => text),
        jsonText,
      ),
      { maxLength: 3 },
    ),
    space,
  )
  .map(([members, gap]) => `{${gap}${members.map(([key, value]) => `${key}:${gap}${value}`).join(`${gap},`)}}`)

const option = <T>(arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> => fc.option(arbitrary, { nil: undefined })
const hex = fc.string({ unit: fc.constantFrom(...'0123456789abcdef'), minLength: 16, maxLength: 16 })
const payload = fc.uint8Array({ maxLength: 200 }).map((values) => Uint8Array.from(values))

/** A known state with a digest for each of its sessions, or for none. */
const digested = fc.tuple(known, fc.boolean(), hex).map(([state, said, digest]) => ({
  known: state,
  ...(said && state.sessions.size > 0 && { digests: new Map([...state.sessions.keys()].map((key) => [key, digest])) }),
}))

const content = fc
  .record({
    kind: fc.constantFrom('bytes', 'json'),
    id,
    priority: fc.constantFrom(0, 3, 6),
    raw: option(payload),
    texts: fc.array(jsonText, { maxLength: 3 }),
    raws: fc.array(payload, { maxLength: 3 }),
    names: fc.uniqueArray(id, { maxLength: 3 }),
    after: count.map((value) => Math.min(value, 2 ** 52)),
    digest: option(hex),
    expectUntil: option(known),
  })
  .map(({ kind, raw, texts, raws, names, after, digest, expectUntil, ...rest }) => ({
    action: 'content',
    kind,
    ...rest,
    ...(raw && { header: kind === 'json' ? utf8('{"a":1}') : raw }),
    runs: names.map((session) => ({
      session,
      after,
      transactions: kind === 'json' ? texts.map(utf8) : raws,
      ...(raw && { seal: kind === 'json' ? utf8('sé') : raw }),
      ...(kind === 'bytes' && digest !== undefined && { digest }),
    })),
    ...(expectUntil && { expectUntil }),
  }))

/** Whatever can be said in both our dialects. */
export const anyMessage = fc.oneof(
  fc.tuple(id, digested, fc.boolean()).map(([name, state, probe]) => ({
    action: 'load',
    id: name,
    ...state,
    ...(probe && { probe }),
  })),
  fc.tuple(id, digested, fc.boolean()).map(([name, state, correction]) => ({
    action: 'known',
    id: name,
    ...state,
    correction,
  })),
  content,
  fc.record({ action: fc.constant('done'), id }),
  fc.record({ action: fc.constant('reconcile'), batch: id, values: fc.array(fc.tuple(id, id), { maxLength: 4 }) }),
  fc.record({ action: fc.constant('reconcile-ack'), batch: id }),
  fc.record({ action: fc.constant('ping'), time: fc.maxSafeNat(), from: id }),
  fc
    .tuple(option(id), fc.constantFrom('busy', 'fork', 'failed'), id, option(fc.maxSafeNat()))
    .map(([about, code, message, retryAfterMs]) => ({
      action: 'error',
      ...(about !== undefined && { id: about }),
      code,
      message,
      ...(retryAfterMs !== undefined && { retryAfterMs }),
    })),
) as unknown as fc.Arbitrary<Message>
