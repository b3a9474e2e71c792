/**
 * What the vectors say: messages that are encoded, and bytes that no encoder makes, with what docs/protocol.md says is wrong with them.
 *
 * Errors are written here by hand, from the page; nothing in this file asks the package what it makes of a frame.
 */
import type { Message } from '../src/index.ts'

export interface Conversation {
  readonly name: string
  readonly frames: readonly (readonly Message[] | RawFrame)[]
}

export interface RawFrame {
  readonly bytes: Uint8Array
  readonly errors: readonly ErrorExpected[]
}

/** In place of a message, after so many that are understood. */
export interface ErrorExpected {
  readonly before: number
  readonly code: 'malformed' | 'unsupported' | 'limit'
  /** The connection has to be closed. */
  readonly fatal?: true
}

type RawMessage = readonly [type: number, ...body: (number | string)[]]

/** A frame by hand: bodies of bytes and ASCII, with the length put in front. */
function raw(...messages: RawMessage[]): RawFrame {
  const bytes = messages.flatMap(([type, ...parts]) => {
    const body = parts.flatMap((part) => (typeof part === 'number' ? part : [...part].map((c) => c.charCodeAt(0))))
    return [type, ...varint(body.length), ...body]
  })
  return { bytes: Uint8Array.from(bytes), errors: [] }
}

/** Its first message is not understood, and what follows is. */
function bad(code: ErrorExpected['code'], ...messages: RawMessage[]): RawFrame {
  return { ...raw(...messages), errors: [{ before: 0, code }] }
}

/** Nothing is understood any more, after so many messages. */
function breaks(code: ErrorExpected['code'], before: number, frame: Uint8Array | RawFrame): RawFrame {
  return { bytes: 'bytes' in frame ? frame.bytes : frame, errors: [{ before, code, fatal: true }] }
}

const varint = (value: number): number[] => (value < 128 ? [value] : [(value & 127) | 128, ...varint(value >> 7)])

const HEALTHY: RawMessage = [7, 0, 1, 'a']
const HEALTHY_TOO: RawMessage = [7, 0, 1, 'b']

const utf8 = (text: string) => new TextEncoder().encode(text)
const bytes = (...values: number[]) => Uint8Array.from(values)
const state = (header: boolean, ...sessions: [string, number][]) => ({ header, sessions: new Map(sessions) })
const digest = '0011223344556677'
const DIGEST = [0, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77]

const hello: Message = {
  action: 'hello',
  version: 1,
  features: ['done', 'digests', 'probe'],
  generation: { id: 'g1', sequence: 42 },
  level: 'durable',
  limits: { messageBytesMax: 8388608, frameBytesMax: 67108864 },
  peer: 'server-1',
}
const load = (id: string, ...sessions: [string, number][]): Message => ({
  action: 'load',
  id,
  known: state(sessions.length > 0, ...sessions),
})
const content = (message: Partial<Extract<Message, { action: 'content' }>>): Message => ({
  action: 'content',
  id: 'note',
  kind: 'bytes',
  priority: 3,
  runs: [],
  ...message,
})

export const conversations: readonly Conversation[] = [
  { name: 'hello', frames: [[hello]] },
  {
    name: 'names are announced once, and referred to afterwards',
    frames: [
      [load('note', ['anna-1', 3], ['ben-1', 300])],
      [load('note', ['ben-1', 301], ['anna-1', 3])],
      [load('list'), load('note', ['ben-2', 1])],
    ],
  },
  {
    name: 'known states: nothing, header alone, digests, probe, correction, sessions without header',
    frames: [
      [load('note')],
      [{ action: 'known', id: 'note', known: state(true), correction: false }],
      [{ action: 'load', id: 'note', known: state(true, ['s', 2]), digests: new Map([['s', digest]]), probe: true }],
      [{ action: 'known', id: 'note', known: state(true, ['s', 2]), correction: true }],
      [{ action: 'known', id: 'note', known: state(false, ['s', 1]), correction: false }],
    ],
  },
  {
    name: 'counts at the edges of varints',
    frames: [
      [
        load(
          'n',
          ...[1, 127, 128, 16_383, 16_384, 2 ** 31 - 1, 2 ** 31, 2 ** 32, 2 ** 49, Number.MAX_SAFE_INTEGER].map(
            (count, index): [string, number] => [`s${index}`, count],
          ),
        ),
      ],
    ],
  },
  {
    name: 'ids of all kinds',
    frames: [
      [load('__proto__', ['constructor', 1], ['\u0000', 2], ['🙂', 3], ['é'.repeat(128), 4], ['a b\n"c"', 5])],
      [{ action: 'done', id: '\ufeff' }],
    ],
  },
  {
    name: 'content of bytes: empty transactions, seals, digests, several runs, priorities, what several pages bring',
    frames: [
      [
        content({
          header: bytes(0, 255),
          priority: 0,
          runs: [
            { session: 'a', after: 0, transactions: [bytes(), bytes(1, 2)], seal: bytes(128), digest },
            { session: 'b', after: 2 ** 52, transactions: [bytes(3)] },
            { session: 'c', after: 9, transactions: [], digest },
          ],
          expectUntil: state(true, ['a', 9], ['d', 1]),
        }),
      ],
      [content({ priority: 6, runs: [{ session: 'b', after: 1, transactions: [bytes(4)], seal: bytes() }] })],
      [content({ header: bytes() })],
    ],
  },
  {
    name: 'content of JSON',
    frames: [
      [
        content({
          kind: 'json',
          header: utf8('{"type":"comap"}'),
          runs: [{ session: 'a', after: 4, transactions: [utf8('{"a":[1,"é"]}'), utf8('null')], seal: utf8('sig') }],
        }),
      ],
    ],
  },
  {
    name: 'large content spells its names out',
    frames: [
      [{ action: 'done', id: 'note' }],
      [content({ runs: [{ session: 'a', after: 1, transactions: [new Uint8Array(8192).fill(7)] }] })],
    ],
  },
  {
    name: 'done, reconcile, errors, ping',
    frames: [
      [
        { action: 'done', id: 'note' },
        {
          action: 'reconcile',
          batch: 'b',
          values: [
            ['note', 'shortHash_z1'],
            ['list', 'shortHash_z2'],
          ],
        },
        { action: 'reconcile-ack', batch: 'b' },
        { action: 'error', id: 'note', code: 'forbidden', message: 'no permission to read' },
        { action: 'error', code: 'unavailable', message: 'später', retryAfterMs: 500 },
        { action: 'error', id: 'note', code: 'busy', message: '', retryAfterMs: 0 },
        { action: 'ping', time: 1_763_722_320_000, from: 'server-1' },
      ],
    ],
  },
  {
    name: 'a state that goes on',
    frames: [
      raw([2, 0, 4, 'note', 1, 1, 'a', 3, 1, 'b', 5, 1, 'c'], [3, 1, 5, 1, 5], [5, 1, 5, 2, 6], [5, 1, 1, 3, 7]),
      raw([4, 1, 4 + 2, 1, 1, ...DIGEST], [2, 7, 1, 'd'], [5, 1, 2, 4, 2, ...DIGEST], HEALTHY),
    ],
  },
  {
    name: 'what later versions may send: unknown types, bytes behind the last field, unknown codes and versions',
    frames: [
      raw([200, 255, 255], HEALTHY),
      raw([7, 0, 1, 'a', 9, 9]),
      raw([10, 0, 99, 1, 'x']),
      raw([1, 2, 'whatever']),
    ],
  },
  {
    name: 'bodies that end too early',
    frames: [
      bad('malformed', [7], HEALTHY),
      bad('malformed', [3, 0, 1, 'a', 1, 0, 1, 's'], HEALTHY),
      bad('malformed', [4, 0, 1, 'a', 2, 0, 1, 's', 1, 0, 0], HEALTHY),
      bad('malformed', [6, 0, 1, 'a', 3, 1, 0, 1, 's', 0, 8, 1, '{'], HEALTHY),
      bad('malformed', [8, 1, 'b', 2, 0, 1, 'a', 1, 'h'], HEALTHY),
    ],
  },
  {
    name: 'names that are none',
    frames: [
      bad('malformed', [7, 8], HEALTHY),
      bad('malformed', [7, 0, 0], HEALTHY),
      bad('malformed', [7, 0, 1, 0xff], HEALTHY),
      bad('limit', [7, 0, 0x81, 2, 'x'.repeat(257)], HEALTHY),
      raw([7, 0, 0x80, 2, 'x'.repeat(256)], HEALTHY),
      bad('malformed', [3, 0, 1, 'a', 1, 7, 1], HEALTHY),
    ],
  },
  {
    name: 'counts that are none: not in their shortest form, nine bytes, beyond 2^53-1',
    frames: [
      bad('malformed', [7, 0x80, 0], HEALTHY),
      bad('malformed', [7, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1], HEALTHY),
      bad('malformed', [3, 0, 1, 'a', 1, 0, 1, 's', ...[255, 255, 255, 255, 255, 255, 255, 16]], HEALTHY),
      bad('malformed', [6, 0, 1, 'a', 3, 1, 0, 1, 's', ...[255, 255, 255, 255, 255, 255, 255, 15], 4, 0], HEALTHY),
    ],
  },
  {
    name: 'flags that the page does not name',
    frames: [
      bad('unsupported', [3, 0, 1, 'a', 16], HEALTHY),
      bad('unsupported', [4, 0, 1, 'a', 16], HEALTHY),
      bad('unsupported', [6, 0, 1, 'a', 7, 0], HEALTHY),
      bad('unsupported', [6, 0, 1, 'a', 32, 0], HEALTHY),
      bad('unsupported', [6, 0, 1, 'a', 17, 0, 2], HEALTHY),
      bad('unsupported', [10, 4, 0, 0], HEALTHY),
    ],
  },
  {
    name: 'flag 8 in a MORE, which has no such flag',
    frames: [{ ...raw([3, 0, 1, 'a', 4], [5, 0, 1, 'a', 8], HEALTHY), errors: [{ before: 0, code: 'unsupported' }] }],
  },
  {
    name: 'a session is named once in a part, also with a count of 0, and once with a count in all parts',
    frames: [
      bad('malformed', [3, 0, 1, 'a', 1, 0, 1, 's', 1, 0, 1, 's', 2], HEALTHY),
      bad('malformed', [3, 0, 1, 'a', 1, 0, 1, 's', 0, 0, 1, 's', 2], HEALTHY),
      bad('malformed', [3, 0, 1, 'a', 1, 0, 1, 's', 2, 0, 1, 's', 0], HEALTHY),
      bad('malformed', [6, 0, 1, 'a', 3, 2, 0, 1, 's', 0, 0, 0, 1, 's', 0, 0], HEALTHY),
      bad('malformed', [3, 0, 1, 'a', 5, 0, 1, 's', 1], [5, 0, 1, 'a', 0, 0, 1, 's', 2], HEALTHY),
      raw([3, 0, 1, 'a', 5, 0, 1, 's', 0, 0, 1, 't', 1], [5, 0, 1, 'a', 0, 0, 1, 's', 2, 0, 1, 't', 0], HEALTHY),
    ],
  },
  {
    name: 'a part that follows nothing, or something else; a state that does not go on',
    frames: [
      bad('malformed', [5, 0, 1, 'a', 1], HEALTHY),
      bad('malformed', [3, 0, 1, 'a', 5], [5, 0, 1, 'b', 1], HEALTHY),
      bad('malformed', [3, 0, 1, 'a', 5], HEALTHY, HEALTHY_TOO),
    ],
  },
  {
    name: 'JSON payloads that are none, and a seal of JSON that is no text',
    frames: [
      bad('malformed', [6, 0, 1, 'a', 0, 1, 0, 1, 's', 0, 4, 1, '{'], HEALTHY),
      bad('malformed', [6, 0, 1, 'a', 8, 2, '{]', 0], HEALTHY),
      bad('limit', [6, 0, 1, 'a', 8, 122, '['.repeat(61), ']'.repeat(61), 0], HEALTHY),
      bad('malformed', [6, 0, 1, 'a', 0, 1, 0, 1, 's', 0, 5, 1, '1', 1, 0xff], HEALTHY),
    ],
  },
  {
    name: 'entries of one byte: a slot and a hash of one character',
    frames: [raw([2, 0, 1, 'a'], [8, 1, 'b', 1, 1, 1, 'h'], HEALTHY)],
  },
  {
    name: 'a length beyond the frame',
    frames: [breaks('malformed', 0, bytes(7, 5, 0, 1)), breaks('malformed', 0, raw(HEALTHY))],
  },
  {
    name: 'a frame that ends within a length',
    frames: [breaks('malformed', 0, bytes(7)), breaks('malformed', 0, raw(HEALTHY))],
  },
  {
    name: 'an announcement that cannot be read',
    frames: [breaks('malformed', 1, raw(HEALTHY, [2, 0, 4, 0xff])), breaks('malformed', 0, raw(HEALTHY))],
  },
  { name: 'an announcement that leaves out slots', frames: [breaks('malformed', 0, raw([2, 4, 1, 'a']))] },
  {
    name: 'an announcement of a slot that nobody offered',
    frames: [breaks('limit', 0, raw([2, 0xff, 0xff, 7, 1, 'a']))],
  },
]
