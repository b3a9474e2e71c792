/**
 * Conversations that nobody should have: frames of a dialect made by its rules and then damaged, always the same for a seed.
 *
 * Structure first: messages that make sense, with ids, counts and sizes at their edges, encoded by a codec of the dialect, so that
 * what is damaged afterwards reaches the deeper checks. For tests of codecs and of whoever reads from sockets.
 * Not here: what has to hold for the answer (the tests).
 */
import type { Dialect, Frame, Message, Run } from '@tidemark/protocol'

export interface FrameFuzzer {
  /** The frames of one connection, in order: one to four. Some are as they should be. */
  conversation(): readonly Frame[]
}

export function createFrameFuzzer(dialect: Dialect, seed: number): FrameFuzzer {
  const random = randomFrom(seed)
  return {
    conversation() {
      const codec = dialect.createCodec()
      return Array.from({ length: 1 + random(4) }, () => {
        const messages = Array.from({ length: 1 + random(4) }, () => anyMessage(dialect, random))
        const frames = codec.encode(messages, 1 << 20)
        const frame = frames[random(frames.length)] ?? ''
        if (random(8) === 0) return frame
        if (dialect.text) return damagedText(frame, random)
        return random(4) === 0 ? damagedBytes(frame, random) : damagedBodies(frame as Uint8Array, random)
      })
    },
  }
}

/** An integer from 0 up to below a bound. */
export type Random = (below: number) => number

/** Small and repeatable (mulberry32). */
export function randomFrom(seed: number): Random {
  let state = seed
  return (below) => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * below)
  }
}

// ── messages ──

const IDS = [
  'a',
  'note',
  '__proto__',
  'constructor',
  '🙂',
  '\u0000',
  'x'.repeat(256),
  'é'.repeat(128),
  'co_z1_session_z2$',
]
const COUNTS = [0, 1, 2, 127, 128, 16_383, 16_384, 2 ** 31, 2 ** 32, 2 ** 49, 2 ** 53 - 1]
const JSON_TEXTS = ['{"a":[1,2]}', 'null', '"é\\u0000"', '-1e5', '[[[[]]]]', '{"__proto__":{}}', ' 0 ']
const utf8 = new TextEncoder()

function anyMessage(dialect: Dialect, random: Random): Message {
  const id = oneOf(IDS, random)
  switch (random(9)) {
    case 0:
      return { action: 'done', id }
    case 1:
      return { action: 'known', id, known: anyState(random), correction: random(2) === 0 }
    case 2:
      return { action: 'reconcile', batch: id, values: some(random, 4, () => [oneOf(IDS, random), 'shortHash_z1']) }
    case 3:
      return { action: 'reconcile-ack', batch: id }
    case 4:
      return { action: 'ping', time: oneOf(COUNTS, random), from: id }
    case 5:
      return { action: 'error', id, code: 'busy', message: 'later', retryAfterMs: oneOf(COUNTS, random) }
    case 6:
      return anyHello(random)
    case 7:
      return anyLoad(id, random)
    default:
      return anyContent(dialect, id, random)
  }
}

function anyState(random: Random) {
  return {
    header: random(2) === 0,
    sessions: new Map(some(random, 6, () => [oneOf(IDS, random), oneOf(COUNTS, random)])),
  }
}

function anyLoad(id: string, random: Random): Message {
  const known = anyState(random)
  const digests = new Map([...known.sessions.keys()].map((session) => [session, '0011223344556677']))
  return { action: 'load', id, known, ...(random(2) === 0 && { digests }), ...(random(3) === 0 && { probe: true }) }
}

function anyHello(random: Random): Message {
  return {
    action: 'hello',
    version: 1 + random(2),
    features: some(random, 3, () => oneOf(IDS, random)),
    generation: { id: 'g', sequence: oneOf(COUNTS, random) },
    level: 'stored',
    limits: { messageBytesMax: oneOf(COUNTS, random), frameBytesMax: oneOf(COUNTS, random) },
    peer: oneOf(IDS, random),
  }
}

function anyContent({ traits }: Dialect, id: string, random: Random): Message {
  const kind = traits.kinds.includes('bytes') && random(2) === 0 ? 'bytes' : 'json'
  const payload = () => utf8.encode(oneOf(JSON_TEXTS, random))
  const runs = new Map(
    some(random, 4, (): [string, Run] => {
      const session = oneOf(IDS, random)
      const after = Math.min(oneOf(COUNTS, random), 2 ** 52)
      return [session, { session, after, transactions: some(random, 5, payload), seal: utf8.encode('seal') }]
    }),
  )
  return {
    action: 'content',
    id,
    kind,
    priority: oneOf([0, 3, 6] as const, random),
    ...(random(2) === 0 && { header: utf8.encode('{"type":"comap"}') }),
    runs: [...runs.values()],
    ...(random(3) === 0 && { expectUntil: anyState(random) }),
  }
}

export function oneOf<T>(list: readonly T[], random: Random): T {
  return list[random(list.length)] as T
}

function some<T>(random: Random, most: number, make: () => T): T[] {
  return Array.from({ length: random(most + 1) }, make)
}

// ── damage ──

/** Bytes that mean much somewhere: flags, types, ends of varints, huge varints, halves of UTF-8. */
const BYTES = [
  [0],
  [1],
  [2],
  [5],
  [0x7f],
  [0x80],
  [0xff],
  [0x80, 0],
  [0xff, 0xff, 0xff, 0xff, 0x0f],
  Array(8).fill(0xff),
]
const TEXTS = [
  '"',
  '\\',
  '{',
  '}',
  '[',
  ']',
  ',',
  ':',
  '\n',
  '0',
  '-',
  'e9',
  '"__proto__":',
  '\\ud800',
  '\u0000',
  '€',
  'null',
  '1e400',
]

function damagedBytes(frame: Frame, random: Random): Uint8Array {
  let bytes = typeof frame === 'string' ? utf8.encode(frame) : frame
  for (let times = 1 + random(3); times > 0; times--) {
    const at = random(bytes.length + 1)
    switch (random(5)) {
      case 0:
        bytes = spliced(bytes, at, 1, [random(256)])
        break
      case 1:
        bytes = spliced(bytes, at, random(3), oneOf(BYTES, random))
        break
      case 2:
        bytes = spliced(bytes, at, random(20), [])
        break
      case 3:
        bytes = spliced(bytes, at, 0, bytes.subarray(random(bytes.length + 1)).subarray(0, random(40)))
        break
      default:
        bytes = bytes.slice(0, at)
    }
  }
  return bytes
}

/** Types and lengths stay as they should be (a type, a varint of seven bits a byte), so that what is damaged is looked into. */
function damagedBodies(frame: Uint8Array, random: Random): Uint8Array {
  const damaged: number[] = []
  for (let at = 0; at < frame.length; ) {
    const type = frame[at++] as number
    let length = 0
    for (let scale = 1; ; scale *= 128) {
      const next = frame[at++] as number
      length += (next & 127) * scale
      if (next < 128) break
    }
    const body = frame.subarray(at, at + length)
    at += length
    const told = random(2) === 0 || type === ANNOUNCEMENTS ? body : damagedBytes(body, random)
    damaged.push(type, ...varint(told.length), ...told)
  }
  return Uint8Array.from(damaged)
}

/** What everything else refers to is damaged with the others only (see docs/protocol.md). */
const ANNOUNCEMENTS = 2

function varint(value: number): number[] {
  return value < 128 ? [value] : [(value & 127) | 128, ...varint(Math.floor(value / 128))]
}

function damagedText(frame: Frame, random: Random): Frame {
  const text = typeof frame === 'string' ? frame : new TextDecoder('utf-8', { ignoreBOM: true }).decode(frame)
  return random(4) === 0 ? damagedBytes(text, random) : mutated(text, random)
}

/** Text with one to three places cut, doubled or replaced by what means much in JSON. */
export function mutated(text: string, random: Random): string {
  let result = text
  for (let times = 1 + random(3); times > 0; times--) {
    const at = random(result.length + 1)
    const cut = random(3) === 0 ? random(10) : random(2)
    const piece = random(3) === 0 ? result.slice(at, at + random(40)) : oneOf(TEXTS, random)
    result = result.slice(0, at) + piece + result.slice(at + cut)
  }
  return result
}

function spliced(bytes: Uint8Array, at: number, cut: number, piece: ArrayLike<number>): Uint8Array {
  const end = Math.min(bytes.length, at + cut)
  const made = new Uint8Array(at + piece.length + bytes.length - end)
  made.set(bytes.subarray(0, at))
  made.set(piece, at)
  made.set(bytes.subarray(end), at + piece.length)
  return made
}
