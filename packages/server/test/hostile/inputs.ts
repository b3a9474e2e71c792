/**
 * Inputs of bad clients, in any dialect: messages that are well-formed and mean harm, frames that were damaged, and noise.
 *
 * A dialect is known by its codec alone, so one more dialect is one more entry of the list. Everything comes from a seed.
 */
import type { KnownState } from '@tidemark/known-state'
import type { Codec, Dialect, Frame, Message } from '@tidemark/protocol'

/** In [0, 1). */
export type Chance = () => number

/** The same numbers for the same seed (mulberry32). */
export function seeded(seed: number): Chance {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}

const below = (random: Chance, end: number) => Math.floor(random() * end)
const pick = <T>(random: Chance, list: readonly T[]): T => list[below(random, list.length)] as T

/** Names that mean something to JavaScript, to a storage or to nobody. */
export const AWKWARD_NAMES: readonly string[] = [
  '__proto__',
  'constructor',
  'prototype',
  'hasOwnProperty',
  'toString',
  'valueOf',
  'then',
  'length',
  'a\u0000b',
  '🙈',
  'x'.repeat(256),
  ' ',
  '../../etc/passwd',
  "'; DROP TABLE documents; --",
  'co_z1_session_z1',
]
const COUNTS = [0, 1, 2, 7, 100, 65_536, 2 ** 31, 2 ** 32 + 1, Number.MAX_SAFE_INTEGER]
/** What stands where something else is expected. */
const WRONG = [
  'null',
  'true',
  '-1',
  '1.5',
  '1e400',
  '9007199254740993',
  '""',
  '[]',
  '{}',
  '[[[[[[]]]]]]',
  '"\\ud800"',
  '{"__proto__":{"polluted":1}}',
  '{"constructor":{"prototype":{"polluted":1}}}',
  `"${'x'.repeat(5_000)}"`,
  '['.repeat(200),
]

const utf8 = new TextEncoder()

/** Frames for one connection; `codec` is the connection's own, because what was said before may matter. */
export function createInputs(dialect: Dialect, codec: Codec, random: Chance): () => Frame {
  const frame = () => wellFormed(codec, random)
  return () => {
    const kind = random()
    if (kind < 0.35) return frame()
    if (kind < 0.75)
      return dialect.text && random() < 0.5 ? wrongValue(textOf(frame()), random) : damaged(frame(), dialect, random)
    if (kind < 0.9) return damaged(damaged(frame(), dialect, random), dialect, random)
    return noise(dialect, random)
  }
}

function wellFormed(codec: Codec, random: Chance): Frame {
  const messages = Array.from({ length: 1 + below(random, 3) }, () => message(random))
  try {
    return codec.encode(messages, 64 * 1024)[0] ?? ''
  } catch {
    // The dialect has no words for one of them.
    return codec.encode([{ action: 'load', id: nameOf(random), known: stateOf(random) }], 64 * 1024)[0] ?? ''
  }
}

function message(random: Chance): Message {
  if (random() < CRUMBS_SHARE) return crumbs(random, 10_000)
  const id = nameOf(random)
  switch (below(random, 9)) {
    case 0:
    case 1:
      return { action: 'load', id, known: stateOf(random), ...(random() < 0.2 && { probe: true }) }
    case 2:
      return { action: 'known', id, known: stateOf(random), correction: random() < 0.5 }
    case 3:
    case 4:
      return content(id, random)
    case 5:
      return { action: 'done', id }
    case 6: {
      const values = Array.from({ length: below(random, 5) }, () => [nameOf(random), 'shortHash_z1'] as const)
      return { action: 'reconcile', batch: nameOf(random), values }
    }
    case 7:
      return { action: 'error', id, code: 'busy', message: id, retryAfterMs: pick(random, COUNTS) }
    default:
      return { action: 'reconcile-ack', batch: id }
  }
}

function content(id: string, random: Chance): Message {
  const kind = random() < 0.5 ? 'json' : 'bytes'
  const payload = () => utf8.encode(JSON.stringify({ [nameOf(random)]: below(random, 100) }))
  const sessions = new Set(Array.from({ length: below(random, 3) }, () => nameOf(random)))
  return {
    action: 'content',
    id,
    kind,
    priority: pick(random, [0, 3, 6] as const),
    ...(random() < 0.6 && { header: payload() }),
    runs: [...sessions].map((session) => ({
      session,
      after: random() < 0.6 ? 0 : pick(random, COUNTS.slice(0, -1)),
      transactions: Array.from({ length: below(random, 4) }, payload),
      ...(random() < 0.8 && { seal: utf8.encode('signature_z1') }),
    })),
    ...(random() < 0.1 && { expectUntil: stateOf(random) }),
  }
}

/** Of inputs: each of them is as much work as a thousand others. */
const CRUMBS_SHARE = 0.002

/** Few bytes, and up to `count` things: transactions with nothing in them, runs, sessions that are announced. */
export function crumbs(random: Chance, count: number): Message {
  const kind = random() < 0.5 ? 'json' : 'bytes'
  const crumb = utf8.encode(kind === 'json' ? '1' : '')
  const runs = pick(random, [1, 10, Math.ceil(count / 100)])
  const sessions = Array.from({ length: runs }, (_, index) => `co_z1_session_z${index}`)
  const transactions = Array.from({ length: Math.ceil(count / 10 / runs) * 10 }, () => crumb)
  return {
    action: 'content',
    id: `co_zCrumbs${below(random, 10)}`,
    kind,
    priority: 3,
    header: utf8.encode('{}'),
    runs: sessions.map((session) => ({ session, after: 0, transactions, seal: utf8.encode('signature_z1') })),
    ...(random() < 0.5 && { expectUntil: { header: true, sessions: new Map(sessions.map((one) => [one, count])) } }),
  }
}

function stateOf(random: Chance): KnownState {
  const sessions = Array.from({ length: below(random, 4) }, () => [nameOf(random), pick(random, COUNTS)] as const)
  return { header: random() < 0.7, sessions: new Map(sessions) }
}

const nameOf = (random: Chance): string => (random() < 0.5 ? pick(random, AWKWARD_NAMES) : `co_z${below(random, 200)}`)

/** One value, key or bracket of a JSON text replaced by what does not belong there. */
function wrongValue(text: string, random: Chance): string {
  const tokens = [...text.matchAll(/"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?|true|false|null|[{}[\]:,]/g)]
  if (tokens.length === 0) return text
  const { index, 0: token } = pick(random, tokens) as RegExpExecArray
  return text.slice(0, index) + pick(random, WRONG) + text.slice(index + token.length)
}

/** Bytes changed, lost, doubled or moved; of a text mostly so that it is a text still. */
function damaged(frame: Frame, dialect: Dialect, random: Chance): Frame {
  const bytes = typeof frame === 'string' ? utf8.encode(frame) : frame
  const at = below(random, bytes.length + 1)
  const length = below(random, Math.min(16, bytes.length - at + 1))
  const [before, piece, after] = [bytes.slice(0, at), bytes.slice(at, at + length), bytes.slice(at + length)]
  const changed = piece.map((byte) => (dialect.text ? byte ^ (1 << below(random, 5)) : below(random, 256)))
  const parts = pick(random, [
    [before, changed, after],
    [before, after],
    [before, piece, piece, after],
    [before],
    [after, before],
    [before, utf8.encode(pick(random, WRONG)), after],
  ])
  return asFrame(Buffer.concat(parts), dialect, random)
}

function noise(dialect: Dialect, random: Chance): Frame {
  const size = pick(random, [0, 1, 10, 300, 3_000])
  const bytes = Uint8Array.from({ length: size }, () => below(random, dialect.text ? 128 : 256))
  if (!dialect.text) return bytes
  const texts = [
    '\n'.repeat(size),
    '{"action":"unknown"}\n'.repeat(1 + size / 10),
    '['.repeat(size),
    '{"a":'.repeat(size),
  ]
  return random() < 0.5 ? pick(random, texts) : asFrame(bytes, dialect, random)
}

/** Malformed UTF-8 ends a text connection before anything is decoded: now and then is enough. */
function asFrame(bytes: Uint8Array, dialect: Dialect, random: Chance): Frame {
  return dialect.text && random() < 0.95 ? Buffer.from(bytes).toString() : bytes
}

function textOf(frame: Frame): string {
  return typeof frame === 'string' ? frame : Buffer.from(frame).toString()
}
