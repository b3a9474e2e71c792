/**
 * What a `hello` says that its sender takes: frames, and parts of states, are no larger from then on.
 */
import { expect, test } from 'vitest'
import { type Message, ProtocolError, tidemarkBinary, tidemarkJson } from '../src/index.ts'

const hello = (version: number): Message => ({
  action: 'hello',
  version,
  features: [],
  generation: { id: 'g', sequence: 0 },
  level: 'durable',
  limits: { messageBytesMax: 16_384, frameBytesMax: 20_480 },
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
    const [ours, theirs] = [dialect.createCodec(), dialect.createCodec({ messageBytesMax: 16_384 })]
    for (const frame of theirs.encode([hello(1)], 1_000)) [...ours.decode(frame)]
    const frames = ours.encode(states, 128 * 1024)
    expect(Math.max(...frames.map(({ length }) => length))).toBeLessThanOrEqual(20_480)
    const heard = frames.flatMap((frame) => [...theirs.decode(frame)])
    const named = heard.map((one) => {
      if (one instanceof ProtocolError) throw one
      return one.message.action === 'known' ? one.message.known.sessions.size : 0
    })
    expect(named).toEqual([2_000, 2_000, 2_000])
  })

for (const dialect of [tidemarkBinary, tidemarkJson])
  test(`${dialect.name}: what a content announces leaves room for what it brings`, () => {
    const [ours, theirs] = [dialect.createCodec(), dialect.createCodec({ messageBytesMax: 16_384 })]
    for (const frame of theirs.encode([hello(1)], 1_000)) [...ours.decode(frame)]
    // As large as the engine makes pages for this peer: three eighths of what it takes.
    const half = { session: 's', after: 0, transactions: [new Uint8Array(6_000)] }
    const expectUntil = { header: true, sessions }
    const page: Message = { action: 'content', id: 'd', kind: 'bytes', priority: 3, runs: [half], expectUntil }
    const heard = ours.encode([page], 128 * 1024).flatMap((frame) => [...theirs.decode(frame)])
    expect(heard).toMatchObject([{ message: { action: 'content', runs: [{ after: 0 }] } }])
  })

for (const dialect of [tidemarkBinary, tidemarkJson])
  test(`${dialect.name}: until a hello was heard nothing is larger than everybody takes`, () => {
    const [ours, theirs] = [dialect.createCodec(), dialect.createCodec()]
    const many = new Map(Array.from({ length: 30_000 }, (_, index) => [`${index}`.padStart(256, 's'), 5] as const))
    const state: Message = { action: 'load', id: 'd', known: { header: true, sessions: many } }
    const heard = ours
      .encode([state, state, state, state, state, state, state, state, state], 1_000_000_000)
      .flatMap((frame) => [...theirs.decode(frame)])
    expect(heard.map((one) => (one instanceof ProtocolError ? one : one.message.action))).toEqual(
      Array.from({ length: 9 }, () => 'load'),
    )
  })
