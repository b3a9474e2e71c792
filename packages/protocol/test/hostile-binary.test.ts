/** Scenario 33 in the binary dialect: what a hostile peer sends costs it an error with a reason, and other messages nothing. */
import { describe, expect, test } from 'vitest'
import { type Decoded, type Limits, ProtocolError, type ProtocolErrorCode, tidemarkBinary } from '../src/index.ts'

type RawMessage = readonly [type: number, ...body: (number | string)[]]

function frameOf(...messages: readonly RawMessage[]): Uint8Array {
  return Uint8Array.from(
    messages.flatMap(([type, ...parts]) => {
      const body = parts.flatMap((part) => (typeof part === 'number' ? part : [...new TextEncoder().encode(part)]))
      return [type, ...varint(body.length), ...body]
    }),
  )
}

function varint(value: number): number[] {
  return value < 128 ? [value] : [(value & 127) | 128, ...varint(value >> 7)]
}

const done: RawMessage = [7, 0, 1, 'n']
const A = [0, 1, 'a'] as const
const S = [0, 1, 's'] as const
const HUGE = [255, 255, 255, 255, 255, 255, 255, 15] as const
const state = (...rest: (number | string)[]): RawMessage => [3, ...A, 1, ...rest]
const content = (...rest: (number | string)[]): RawMessage => [6, ...A, ...rest]

interface Case {
  readonly title: string
  readonly message: RawMessage
  readonly code: ProtocolErrorCode
  readonly field: string
  readonly id?: string
  readonly limits?: Partial<Limits>
}

const bad = (title: string, message: RawMessage, field: string, ...about: undefined[]): Case => ({
  title,
  message,
  code: 'malformed',
  field,
  ...(about.length === 0 && { id: 'a' }),
})
const much = (title: string, message: RawMessage, field: string, limits: Partial<Limits> = {}): Case => ({
  title,
  message,
  code: 'limit',
  field,
  id: 'a',
  limits,
})
const unknown = (title: string, message: RawMessage, field: string): Case => ({
  title,
  message,
  code: 'unsupported',
  field,
  id: 'a',
})

const cases: readonly Case[] = [
  bad('an empty body', [7], 'id', undefined),
  bad('a slot that nobody announced', [7, 5], 'id', undefined),
  bad('the last slot there could be', [7, ...HUGE], 'id', undefined),
  bad('an empty id', [7, 0, 0], 'id', undefined),
  bad('an id that is not UTF-8', [7, 0, 1, 0xff], 'id', undefined),
  bad('an id that is half a surrogate pair', [7, 0, 3, 0xed, 0xa0, 0x80], 'id', undefined),
  bad('an id that is cut', [7, 0, 5, 'abc'], 'id', undefined),
  bad('a varint that is longer than it need be', [7, 0x80, 0], 'id', undefined),
  bad('a varint that never ends', [7, ...Array(20).fill(0x80)], 'id', undefined),
  bad('a varint beyond 2^53-1', [7, 255, 255, 255, 255, 255, 255, 255, 16], 'id', undefined),
  bad('a state without flags', [3, ...A], 'flags'),
  bad('a session without count', state(...S), 'sessions'),
  bad('a session twice', state(...S, 1, ...S, 2), 'sessions'),
  bad('an empty session id', state(0, 0, 1), 'sessions'),
  bad('a digest that is cut', [3, ...A, 3, ...S, 1, 0, 0], 'digests'),
  bad('content of JSON that is none', content(2, 1, ...S, 0, 4, 1, '{'), 'runs.transactions'),
  bad('a JSON header that is no UTF-8', content(10, 1, 0xff, 0), 'header'),
  bad('a JSON seal that is no UTF-8', content(2, 1, ...S, 0, 1, 1, 0xff), 'runs.seal'),
  bad('a transaction longer than its message', content(3, 1, ...S, 0, 4, 100, 'x'), 'runs.transactions'),
  bad('more transactions than bytes', content(3, 1, ...S, 0, 0x80, 2, 0), 'runs.transactions'),
  bad('a run that ends beyond 2^53-1', content(3, 1, ...S, ...HUGE, 4, 0), 'runs.after'),
  bad('two runs of one session', content(3, 2, ...S, 0, 0, ...S, 0, 0), 'runs'),
  bad('an announced state that is cut', content(19, 0, 1, ...S), 'expectUntil'),
  bad('a continuation of nothing', [5, ...A, 1], 'more'),
  bad('a session named again with nothing held', state(...S, 0, ...S, 5), 'sessions'),
  bad('a session named twice with nothing held', state(...S, 0, ...S, 0), 'sessions'),
  { ...bad('a continuation with a flag that it has not', [5, ...A, 8], 'flags'), code: 'unsupported' },
  bad('hello at a level that does not exist', [1, 1, 0, 1, 'g', 0, 2], 'level', undefined),
  bad('hello of nobody', [1, 1, 0, 1, 'g', 0, 1, 1, 1, 1, 0], 'peer', undefined),
  bad('a batch to reconcile without hashes', [8, 1, 'b', 2, ...A, 1, 'h', ...A], 'values.hash', undefined),
  unknown('unknown flags of a state', [4, ...A, 16], 'flags'),
  unknown('an unknown priority', content(7, 0), 'flags'),
  unknown('unknown flags of content', content(32, 0), 'flags'),
  unknown('unknown flags of an announced state', content(19, 0, 2), 'expectUntil'),
  { title: 'unknown flags of an error', message: [10, 4, 0, 0], code: 'unsupported', field: 'flags' },
  { title: 'an id of 257 bytes', message: [7, 0, 0x81, 2, 'x'.repeat(257)], code: 'limit', field: 'id' },
  { title: 'an id of a gigabyte', message: [7, 0, 255, 255, 255, 255, 3, 'x'], code: 'limit', field: 'id' },
  much('a session id of 257 bytes', state(0, 0x81, 2, 'x'.repeat(257), 1), 'sessions'),
  much(
    'more sessions than allowed',
    state(...Array.from({ length: 11 }, (_, index) => [0, 1, 65 + index, 1]).flat()),
    'sessions',
    {
      sessionsMax: 10,
    },
  ),
  much('more runs than allowed', content(3, 0x91, 0x4e, 'x'.repeat(40_000)), 'runs'),
  much('more transactions than allowed', content(3, 1, ...S, 0, 44, 0, 0, 0), 'runs', { transactionsMax: 10 }),
  much('deep JSON', content(2, 1, ...S, 0, 4, 122, '['.repeat(61) + ']'.repeat(61)), 'runs.transactions'),
  much('a message larger than allowed', content(3, 1, ...S, 0, 4, 100, 'x'.repeat(100)), 'message', {
    messageBytesMax: 50,
  }),
  { title: 'an error of 5,000 bytes', message: [10, 0, 0, 0x88, 0x27, 'x'], code: 'limit', field: 'message' },
  { title: 'hello with 100 features', message: [1, 1, 100, 0], code: 'limit', field: 'features' },
]

describe.each(cases)('$title', ({ message, code, field, id, limits }) => {
  test('is an error that says where, and disturbs nothing beside it', () => {
    const codec = tidemarkBinary.createCodec(limits)
    const [before, error, after, ...more] = [...codec.decode(frameOf(done, message, done))]
    expect(before).toMatchObject({ message: { action: 'done', id: 'n' } })
    expect(error).toMatchObject({ name: 'ProtocolError', code, field, id, fatal: false })
    expect(after).toEqual(before)
    expect(more).toEqual([])
    expect([...codec.decode(frameOf(done))]).toEqual([before])
  })
})

const announced = (...body: (number | string)[]) => frameOf([2, ...body])
test.each<readonly [title: string, frame: Uint8Array, field: string, code?: ProtocolErrorCode]>([
  ['a frame that ends within a length', Uint8Array.of(7), 'length'],
  ['a length that never ends', Uint8Array.of(7, ...Array(20).fill(0x80)), 'length'],
  ['a length beyond the frame', Uint8Array.of(7, 5, 0, 1), 'length'],
  ['a length beyond everything', Uint8Array.of(7, ...HUGE), 'length'],
  ['a length that leaves too little for the next message', Uint8Array.of(7, 3, 0, 1, 0x61, 7), 'length'],
  ['an announcement without id', announced(0), 'names.id'],
  ['an announcement that is cut', announced(0, 4, 'abc'), 'names.id'],
  ['an announcement of an empty id', announced(0, 0), 'names.id'],
  ['an announcement that is not UTF-8', announced(0, 1, 0xff), 'names.id'],
  ['an announcement that leaves out slots', announced(2, 1, 'a'), 'names.slot'],
  ['an announcement of a slot that nobody offered', announced(...HUGE, 1, 'a'), 'names.slot', 'limit'],
  ['an announcement of 257 bytes', announced(0, 0x81, 2, 'x'.repeat(257)), 'names.id', 'limit'],
])('%s is fatal: nothing is understood afterwards', (_, frame, field, code = 'malformed') => {
  const codec = tidemarkBinary.createCodec()
  const last = [...codec.decode(frame as Uint8Array)].at(-1)
  expect(last).toMatchObject({ name: 'ProtocolError', code, field, fatal: true })
  expect([...codec.decode(frameOf(done))]).toEqual([last])
})

test('a frame that is too large or has too many messages is fatal, and is not looked into', () => {
  const codec = tidemarkBinary.createCodec({ frameBytesMax: 1000 })
  expect([...codec.decode(new Uint8Array(1001))]).toMatchObject([{ code: 'limit', field: 'frame', fatal: true }])
  const many = new Uint8Array(20_000 * 2).fill(0)
  for (let index = 0; index < many.length; index += 2) many[index] = 200
  expect([...tidemarkBinary.createCodec().decode(many)]).toMatchObject([{ code: 'limit', field: 'frame', fatal: true }])
})

test('a frame of bad messages is read only as far as somebody listens, and then no further frame is', () => {
  const codec = tidemarkBinary.createCodec()
  const [first] = codec.decode(frameOf(...Array.from({ length: 1000 }, (): RawMessage => [7])))
  expect(first).toMatchObject({ code: 'malformed', fatal: false })
  expect([...codec.decode(frameOf(done))]).toMatchObject([{ fatal: true }])
})

test('text is one malformed message, and does not disturb others', () => {
  const codec = tidemarkBinary.createCodec()
  expect([...codec.decode('{"type":"done","id":"n"}')]).toMatchObject([{ code: 'malformed', fatal: false }])
  expect([...codec.decode(frameOf(done))]).toMatchObject([{ message: { action: 'done' } }])
})

test('a part that does not follow, or is damaged, costs its own state only', () => {
  const codec = tidemarkBinary.createCodec()
  const first: RawMessage = [3, ...A, 5, ...S, 1]
  const rest: RawMessage = [5, ...A, 1, 0, 1, 't', 2]
  const said = (...messages: RawMessage[]) => [...codec.decode(frameOf(...messages))].map(shown)
  expect(said(first, rest)).toEqual(['load a s:1 t:2'])
  expect(said(first, done, done)).toEqual(['malformed more', 'done'])
  expect(said(first, [5, ...A, 1, 9], rest, done)).toEqual(['malformed sessions', 'malformed more', 'done'])
  expect(said(first, [5, 0, 1, 'b', 1], done)).toEqual(['malformed more', 'done'])
})

function shown(decoded: Decoded): string {
  if (decoded instanceof ProtocolError) return `${decoded.code} ${decoded.field}`
  const { message } = decoded
  if (message.action !== 'load') return message.action
  return [message.action, message.id, ...[...message.known.sessions].map((pair) => pair.join(':'))].join(' ')
}

test('an entry to reconcile is as short as a slot and a hash of one character', () => {
  const frame = frameOf([2, 0, 1, 'd'], [8, 1, 'b', 1, 1, 1, 'h'])
  expect([...tidemarkBinary.createCodec().decode(frame)]).toMatchObject([
    { message: { action: 'reconcile', batch: 'b', values: [['d', 'h']] } },
  ])
})

test('memory is asked for only as bytes arrive: counts that promise more are refused at once', () => {
  const codec = tidemarkBinary.createCodec({ sessionsMax: 2 ** 40, transactionsMax: 2 ** 50, reconcileMax: 2 ** 40 })
  const frame = frameOf(
    content(3, 255, 255, 255, 255, 127),
    content(3, 1, ...S, 0, ...[255, 255, 255, 255, 255, 255, 127]),
    [8, 1, 'b', 255, 255, 255, 255, 127],
  )
  expect([...codec.decode(frame)].map((decoded) => (decoded instanceof ProtocolError ? decoded.code : ''))).toEqual(
    Array(3).fill('malformed'),
  )
})

test('sessions named like members of Object are sessions', () => {
  const frame = frameOf([3, 0, 9, '__proto__', 1, 0, 9, '__proto__', 3, 0, 11, 'constructor', 4])
  const sessions = new Map([
    ['__proto__', 3],
    ['constructor', 4],
  ])
  expect([...tidemarkBinary.createCodec().decode(frame)]).toMatchObject([
    { message: { action: 'load', id: '__proto__', known: { header: true, sessions } } },
  ])
})
