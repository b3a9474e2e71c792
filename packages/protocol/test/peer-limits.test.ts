/**
 * What a `hello` says that its sender takes: frames, and parts of states, are no larger from then on.
 */
import { EMPTY } from '@tidemark/known-state'
import { expect, test } from 'vitest'
import {
  checkLimits,
  contentWeight,
  type Decoded,
  type Dialect,
  type Message,
  MINIMUM_LIMITS,
  ProtocolError,
  tidemarkBinary,
  tidemarkJson,
  wireBytesOf,
} from '../src/index.ts'

const hello = (version: number): Message => ({
  action: 'hello',
  version,
  features: [],
  generation: { id: 'g', sequence: 0 },
  level: 'durable',
  limits: { messageBytesMax: 65_536, frameBytesMax: 70_000 },
  peer: 'small',
})
const sessions = new Map(Array.from({ length: 2_000 }, (_, index) => [`${index}`.padStart(256, 's'), 5] as const))
const states: readonly Message[] = Array.from({ length: 3 }, (_, index) => ({
  action: 'known',
  id: `d${index}`,
  known: { header: true, sessions },
  correction: false,
}))

for (const dialect of [tidemarkBinary, tidemarkJson])
  test(`${dialect.name}: frames and parts of states are no larger than the peer takes`, () => {
    const [ours, theirs] = [dialect.createCodec(), dialect.createCodec({ messageBytesMax: 65_536 })]
    for (const frame of theirs.encode([hello(1)], 1_000)) [...ours.decode(frame)]
    const frames = ours.encode(states, 128 * 1024)
    expect(Math.max(...frames.map(({ length }) => length))).toBeLessThanOrEqual(70_000)
    const heard = frames.flatMap((frame) => [...theirs.decode(frame)])
    const named = heard.map((one) => {
      if (one instanceof ProtocolError) throw one
      return one.message.action === 'known' ? one.message.known.sessions.size : 0
    })
    expect(named).toEqual([2_000, 2_000, 2_000])
  })

for (const dialect of [tidemarkBinary, tidemarkJson])
  test(`${dialect.name}: what a content announces leaves room for what it brings`, () => {
    const [ours, theirs] = [dialect.createCodec(), dialect.createCodec({ messageBytesMax: 65_536 })]
    for (const frame of theirs.encode([hello(1)], 1_000)) [...ours.decode(frame)]
    // As large as the engine makes pages for this peer: three eighths of what it takes.
    const half = { session: 's', after: 0, transactions: [new Uint8Array(24_000)] }
    const expectUntil = { header: true, sessions }
    const page: Message = { action: 'content', id: 'd', kind: 'bytes', priority: 3, runs: [half], expectUntil }
    const heard = ours.encode([page], 128 * 1024).flatMap((frame) => [...theirs.decode(frame)])
    expect(heard).toMatchObject([{ message: { action: 'content', runs: [{ after: 0 }] } }])
  })

const own = [tidemarkBinary, tidemarkJson]
const named = (length: number, fill: string) =>
  new Map(Array.from({ length }, (_, index) => [`${index}`.padStart(256, fill), 5] as const))
const fills = { 'plain characters': 's', quotes: '"', 'control characters': '\u0001' }

/** What a receiver of at most so much hears of a message, in its own and its peer's dialect. */
function through(dialect: Dialect, messageBytesMax: number, message: Message): Message[] {
  const [ours, theirs] = [dialect.createCodec(), dialect.createCodec({ messageBytesMax })]
  const limits = { messageBytesMax, frameBytesMax: 64 * 1024 * 1024 }
  for (const frame of theirs.encode([{ ...hello(1), limits } as Message], 1_000)) [...ours.decode(frame)]
  return read(ours.encode([message], 128 * 1024).flatMap((frame) => [...theirs.decode(frame)]))
}

function read(heard: readonly Decoded[]): Message[] {
  return heard.map((one) => {
    if (one instanceof ProtocolError) throw one
    return one.message
  })
}

for (const dialect of own)
  for (const [what, fill] of Object.entries(fills))
    test(`${dialect.name}: parts of states are small enough where names are of ${what}`, () => {
      const sessions = named(6_000, fill)
      const digests = new Map([...sessions.keys()].map((session) => [session, '0011223344556677'] as const))
      for (const messageBytesMax of [65_536, 8 * 1024 * 1024])
        for (const said of [{}, { digests }]) {
          const state: Message = { action: 'load', id: 'd', known: { header: true, sessions }, ...said }
          expect(through(dialect, messageBytesMax, state)).toEqual([state])
        }
    })

for (const dialect of own)
  for (const [what, fill] of Object.entries(fills))
    test(`${dialect.name}: content that fills a message announces what there is room for, of ${what}`, () => {
      const messageBytesMax = 1024 * 1024
      const expectUntil = { header: true, sessions: named(6_000, fill) }
      for (const bytes of [1, 500_000, 600_000, 750_000, 784_000]) {
        const run = { session: 's', after: 0, transactions: [new Uint8Array(bytes)] }
        const page: Message = { action: 'content', id: 'd', kind: 'bytes', priority: 3, runs: [run], expectUntil }
        expect(wireBytesOf(contentWeight(page))).toBeLessThanOrEqual(messageBytesMax)
        const [heard] = through(dialect, messageBytesMax, page)
        expect(heard).toMatchObject({ action: 'content', runs: [{ after: 0 }] })
        const announced = heard?.action === 'content' ? heard.expectUntil?.sessions.size : undefined
        if (bytes < 750_000) expect(announced).toBeGreaterThan(10)
      }
    })

for (const dialect of own)
  test(`${dialect.name}: until a hello was heard nothing is larger than every receiver takes`, () => {
    const [ours, theirs] = [dialect.createCodec(), dialect.createCodec(MINIMUM_LIMITS)]
    const state: Message = { action: 'load', id: 'd', known: { header: true, sessions: named(30_000, 's') } }
    const heard = ours.encode([state, state, state], 1_000_000_000).flatMap((frame) => [...theirs.decode(frame)])
    expect(read(heard).map(({ action }) => action)).toEqual(['load', 'load', 'load'])
  })

for (const dialect of own)
  test(`${dialect.name}: who says that it takes less than every receiver does is spoken to as if it did not`, () => {
    const ours = dialect.createCodec()
    const tiny = { ...hello(1), limits: { messageBytesMax: 1, frameBytesMax: 1 } } as Message
    for (const frame of dialect.createCodec().encode([tiny], 1_000)) [...ours.decode(frame)]
    const state: Message = { action: 'load', id: 'd', known: { header: true, sessions: named(100, 's') } }
    expect(ours.encode([state], 128 * 1024)).toHaveLength(1)
  })

for (const dialect of own)
  test(`${dialect.name}: the first hello counts: what another one says changes nothing`, () => {
    const [ours, theirs] = [dialect.createCodec(), dialect.createCodec({ messageBytesMax: 65_536, namesMax: 1_024 })]
    const more = { ...hello(1), limits: { messageBytesMax: 8_000_000, frameBytesMax: 8_000_000 } } as Message
    for (const frame of theirs.encode([hello(1)], 1_000)) [...ours.decode(frame)]
    // It offers more slots, too.
    for (const frame of dialect.createCodec().encode([more], 1_000)) [...ours.decode(frame)]
    const questions = Array.from(
      { length: 3_000 },
      (_, index): Message => ({ action: 'load', id: `n${index}`, known: EMPTY }),
    )
    const frames = ours.encode([...states, ...questions], 1_000_000)
    expect(Math.max(...frames.map(({ length }) => length))).toBeLessThanOrEqual(70_000)
    expect(read(frames.flatMap((frame) => [...theirs.decode(frame)]))).toHaveLength(3_003)
  })

test('limits below what every peer may send are refused', () => {
  expect(() => checkLimits({})).not.toThrow()
  expect(() => checkLimits(MINIMUM_LIMITS)).not.toThrow()
  for (const limits of [{ messageBytesMax: 65_535 }, { frameBytesMax: 0 }, { sessionsMax: 500 }])
    expect(() => checkLimits(limits)).toThrow(new RegExp(`limits.${Object.keys(limits)[0]}: expected at least`))
})

test('limits that are no whole numbers, or more than a hello can say, are refused with what came and what to do', () => {
  const faults: readonly (readonly [limit: unknown, got: string])[] = [
    [Number.POSITIVE_INFINITY, 'Infinity'],
    [Number.NaN, 'NaN'],
    [70_000.5, '70000.5'],
    [2 ** 53, '9007199254740992'],
    ['100000', 'a string'],
    [100_000n, 'a bigint'],
    [null, 'null'],
  ]
  for (const name of Object.keys(MINIMUM_LIMITS) as (keyof typeof MINIMUM_LIMITS)[]) {
    for (const [limit, got] of faults)
      expect(() => checkLimits({ [name]: limit })).toThrow(
        new TypeError(
          `limits.${name}: expected a whole number from ${MINIMUM_LIMITS[name]} to 2^53−1; got ${got}; leave it out for the default`,
        ),
      )
    expect(() => checkLimits({ [name]: -1 })).toThrow(`limits.${name}: expected at least ${MINIMUM_LIMITS[name]}`)
  }
  for (const limits of [{ messageBytesMax: Number.MAX_SAFE_INTEGER }, { namesMax: undefined as never }])
    expect(() => checkLimits(limits)).not.toThrow()
})
