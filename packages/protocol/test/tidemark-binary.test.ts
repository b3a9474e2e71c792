/** The dialect tidemark.1: how many bytes, what is announced, what is shared. What is where is in the vectors. */
import { expect, test } from 'vitest'
import {
  type Codec,
  type ContentMessage,
  DEFAULT_LIMITS,
  type Frame,
  type Message,
  ProtocolError,
  tidemarkBinary,
} from '../src/index.ts'
import { greeted, utf8 } from './help.ts'

const FRAME_BYTES = 128 * 1024
const session = (index: number) => `co_zWqpWfMYJNjZjDqR9ZpBTgkZVqD${index}_session_z8VfsFbU2Yc${index}`
const sessions = (length: number, from = 0) =>
  new Map(Array.from({ length }, (_, index) => [session(from + index), 200 + 40 * index]))
const id = 'co_zRfGBFJXyDdJHKQTsnNgjuKvyNyD'
const load = (length: number): Message => ({ action: 'load', id, known: { header: true, sessions: sessions(length) } })
const known = (length: number): Message => ({
  action: 'known',
  id,
  known: { header: true, sessions: sessions(length) },
  correction: false,
})
const done = (name: string): Message => ({ action: 'done', id: name })

function only(frames: readonly Frame[]): Uint8Array {
  expect(frames).toHaveLength(1)
  return frames[0] as Uint8Array
}

function heard(codec: Codec, frames: readonly Frame[]): Message[] {
  return frames.flatMap((frame) =>
    [...codec.decode(frame)].map((decoded) => {
      if (decoded instanceof ProtocolError) throw decoded
      return decoded.message
    }),
  )
}

test('on a warm connection LOAD with 3 sessions takes at most 30 bytes, KNOWN with 20 at most 85', () => {
  const codec = tidemarkBinary.createCodec()
  // A connection that has spoken of 1,000 documents and 1,000 sessions.
  for (let index = 0; index < 1_000; index++) codec.encode([done(`co_z${index}`)], FRAME_BYTES)
  codec.encode([{ action: 'load', id, known: { header: true, sessions: sessions(1_000, 100) } }, load(20)], FRAME_BYTES)
  expect(only(codec.encode([load(3)], FRAME_BYTES)).length).toBeLessThanOrEqual(30)
  expect(only(codec.encode([known(20)], FRAME_BYTES)).length).toBeLessThanOrEqual(85)
})

test('payloads are views of the frame, whatever their number', () => {
  const transactions = Array.from({ length: 100 }, (_, index) => utf8(`{"transaction":${index}}`))
  const message: Message = {
    action: 'content',
    id,
    kind: 'bytes',
    priority: 3,
    header: utf8('header'),
    runs: [{ session: session(1), after: 0, transactions, seal: utf8('seal') }],
  }
  const encoder = tidemarkBinary.createCodec()
  const decoder = tidemarkBinary.createCodec()
  heard(decoder, encoder.encode([done(id), message], FRAME_BYTES))
  // As it arrives: in a buffer of its own.
  const frame = only(encoder.encode([message], FRAME_BYTES)).slice()
  const [content] = heard(decoder, [frame]) as ContentMessage[]
  expect(content).toEqual(message)
  const payloads = [content?.header, content?.runs[0]?.seal, ...(content?.runs[0]?.transactions ?? [])]
  expect(payloads).toHaveLength(102)
  for (const payload of payloads) expect(payload?.buffer).toBe(frame.buffer)
})

test('a small message does not keep a large buffer alive: its payloads are copied, once', () => {
  const encoder = tidemarkBinary.createCodec()
  const run = { session: 's', after: 0, transactions: [utf8('one'), utf8('two')] }
  const frame = only(encoder.encode([{ action: 'content', id, kind: 'bytes', priority: 3, runs: [run] }], FRAME_BYTES))
  const chunk = new Uint8Array(64 * 1024)
  chunk.set(frame, 100)
  const [content] = heard(tidemarkBinary.createCodec(), [chunk.subarray(100, 100 + frame.length)]) as ContentMessage[]
  const [one, two] = content?.runs[0]?.transactions ?? []
  expect([one, two]).toEqual(run.transactions)
  expect(one?.buffer.byteLength).toBeLessThan(100)
  expect(two?.buffer).toBe(one?.buffer)
})

test('large content is encoded once for all receivers, small content for each with its own names', () => {
  const content = (bytes: number): ContentMessage => ({
    action: 'content',
    id,
    kind: 'bytes',
    priority: 3,
    runs: [{ session: 's', after: 0, transactions: [new Uint8Array(bytes)] }],
  })
  const large = content(10_000)
  const [one, two] = [tidemarkBinary.createCodec(), tidemarkBinary.createCodec()]
  expect(only(one.encode([large], FRAME_BYTES))).toBe(only(two.encode([large], FRAME_BYTES)))
  const frames = one.encode([done('a'), large, done('b'), content(10), done('c')], FRAME_BYTES)
  expect(frames).toHaveLength(3)
  expect(frames[1]).toBe(only(two.encode([large], FRAME_BYTES)))
})

test('frames are filled to the byte, and none exceeds its size unless it is one message', () => {
  const codec = tidemarkBinary.createCodec()
  codec.encode([done('a')], FRAME_BYTES)
  expect(codec.encode([done('a'), done('a')], 6)).toHaveLength(1)
  expect(codec.encode([done('a'), done('a')], 5)).toHaveLength(2)
  expect(codec.encode([], 5)).toEqual([])
})

test('a frame has no more messages than allowed', () => {
  const encoder = tidemarkBinary.createCodec()
  const decoder = tidemarkBinary.createCodec()
  const messages = Array.from({ length: 40_000 }, () => done('a'))
  const frames = encoder.encode(messages, 1 << 20)
  expect(frames.length).toBeGreaterThan(2)
  expect(heard(decoder, frames)).toHaveLength(40_000)
})

test('a small message costs a few bytes of names, not a copy of all that was said before', () => {
  const codec = tidemarkBinary.createCodec()
  const first = only(codec.encode([done('a')], FRAME_BYTES))
  const bytes = Array.from(first)
  for (let index = 0; index < 10_000; index++) codec.encode([done(`document ${index}`)], FRAME_BYTES)
  expect(Array.from(first)).toEqual(bytes)
})

test('more names than slots: slots are announced again, and every message means what it said', () => {
  const encoder = tidemarkBinary.createCodec()
  const decoder = tidemarkBinary.createCodec()
  const messages: Message[] = []
  for (let round = 0; round < 3; round++)
    for (let index = 0; index < 1_500; index++)
      messages.push({
        action: 'load',
        id: `document ${index}`,
        known: { header: true, sessions: sessions(3, (index * 7) % 2_000) },
      })
  expect(heard(decoder, encoder.encode(messages, 1_000))).toEqual(messages)
})

test('a message with more sessions than slots spells out what finds none', () => {
  const encoder = tidemarkBinary.createCodec()
  const decoder = tidemarkBinary.createCodec()
  const messages = [load(10), load(5_000), load(20), load(5_000)]
  expect(heard(decoder, encoder.encode(messages, FRAME_BYTES))).toEqual(messages)
})

test('more slots are used once the peer has offered them, and not more than we have ourselves', () => {
  const hello: Message = {
    action: 'hello',
    version: 1,
    features: [],
    generation: { id: 'g', sequence: 0 },
    level: 'stored',
    limits: { messageBytesMax: 1, frameBytesMax: 1 },
    peer: 'p',
  }
  const peer = tidemarkBinary.createCodec({ namesMax: 4_096 })
  const encoder = tidemarkBinary.createCodec()
  const messages = (length: number) => Array.from({ length }, (_, index) => done(`document ${index}`))
  const size = (length: number) => {
    const frames = encoder.encode(messages(length), 1 << 20) as Uint8Array[]
    expect(heard(peer, frames)).toHaveLength(length)
    return frames.reduce((sum, frame) => sum + frame.length, 0)
  }
  size(4_000)
  const before = size(4_000)
  heard(encoder, peer.encode([hello], FRAME_BYTES))
  size(4_000)
  expect(size(4_000)).toBeLessThan(before / 3)
  size(9_000)
})

test('a state with more sessions than a message may name spans several, and is one message again', () => {
  const digest = '0011223344556677'
  const state = { header: true, sessions: sessions(25_000) }
  const digests = new Map([...state.sessions.keys()].map((name) => [name, digest]))
  const messages: Message[] = [
    { action: 'load', id, known: state, digests, probe: true },
    { action: 'known', id, known: state, correction: true },
  ]
  for (const frameBytes of [1_000, 1 << 24]) {
    const frames = greeted(tidemarkBinary).encode(messages, frameBytes)
    expect(heard(tidemarkBinary.createCodec(), frames)).toEqual(messages)
  }
  const small = { stateSessionsMax: 20_000 }
  const frames = greeted(tidemarkBinary).encode([...messages, done('a')], FRAME_BYTES)
  const codec = tidemarkBinary.createCodec(small)
  const decoded = frames.flatMap((frame) => [...codec.decode(frame)])
  expect(decoded).toMatchObject([{ code: 'limit', id }, { code: 'limit', id }, { message: done('a') }])
  expect(DEFAULT_LIMITS.stateSessionsMax).toBe(100_000)
})

test('content with more runs than a message may have becomes several', () => {
  const runs = Array.from({ length: 25_000 }, (_, index) => ({
    session: session(index),
    after: 1,
    transactions: [Uint8Array.of(index & 255)],
  }))
  const expectUntil = { header: true, sessions: sessions(12_000) }
  const message: Message = { action: 'content', id, kind: 'bytes', priority: 3, header: utf8('h'), runs, expectUntil }
  const frames = greeted(tidemarkBinary).encode([message], FRAME_BYTES)
  const contents = heard(tidemarkBinary.createCodec(), frames) as ContentMessage[]
  expect(contents.flatMap((content) => content.runs)).toEqual(runs)
  expect(contents.map(({ header }) => header !== undefined)).toEqual([true, false, false])
  expect(contents[0]?.expectUntil?.sessions.size).toBe(10_000)
})

test('a mistake of the caller leaves the connection usable: what it announced is announced again', () => {
  const encoder = tidemarkBinary.createCodec()
  const decoder = tidemarkBinary.createCodec()
  heard(decoder, encoder.encode([done('a')], FRAME_BYTES))
  const run = { session: 's', after: 0, transactions: [] }
  const wrong: Message = { action: 'content', id, kind: 'bytes', priority: 3, runs: [run, run] }
  expect(() => encoder.encode([load(3), wrong], FRAME_BYTES)).toThrow('expected one run per session')
  expect(() => encoder.encode([done('\ud800')], FRAME_BYTES)).toThrow(TypeError)
  expect(heard(decoder, encoder.encode([load(3), done('a')], FRAME_BYTES))).toEqual([load(3), done('a')])
})

test('digests are said of all sessions or of none, and never of JSON', () => {
  const digests = new Map([[session(0), '0011223344556677']])
  const message = { ...load(2), digests } as Message
  const frames = tidemarkBinary.createCodec().encode([message], FRAME_BYTES)
  expect(heard(tidemarkBinary.createCodec(), frames)).toEqual([load(2)])
})
