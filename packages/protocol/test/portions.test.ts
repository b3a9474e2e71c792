/** What says nothing by itself (announcements, parts of states, unknown messages) is passed over in portions, and costs what it brings. */
import { describe, expect, test } from 'vitest'
import { type Dialect, type Message, PASSED_BYTES, ProtocolError, tidemarkBinary, tidemarkJson } from '../src/index.ts'
import { greeted, utf8 } from './help.ts'

const DIGEST = '0011223344556677'
const sessions = (from: number, to: number) =>
  Array.from({ length: to - from }, (_, index) => `s${String(from + index).padStart(5, '0')}`)

/** A part of a state about `d`, with digests; more follows. */
function partOf(dialect: Dialect, index: number, named: readonly string[]): Uint8Array {
  if (dialect.text) {
    const fields = (value: unknown) => Object.fromEntries(named.map((session) => [session, value]))
    const type = index === 0 ? 'load' : 'more'
    return utf8(
      `${JSON.stringify({ type, id: 'd', header: true, sessions: fields(1), digests: fields(DIGEST), more: true })}\n`,
    )
  }
  const body = [
    0,
    1,
    100,
    7,
    ...named.flatMap((session) => [0, 6, ...utf8(session), 1, 0, 17, 34, 51, 68, 85, 102, 119]),
  ]
  return binary(index === 0 ? 3 : 5, body)
}

const varint = (value: number): number[] => (value < 128 ? [value] : [(value & 127) | 128, ...varint(value >> 7)])
const binary = (type: number, body: readonly number[]) => Uint8Array.from([type, ...varint(body.length), ...body])

const padding = Array(16_384).fill(0)
const joined = (parts: readonly Uint8Array[]) => new Uint8Array(parts.flatMap((part) => [...part]))
const last = (dialect: Dialect) => dialect.createCodec().encode([{ action: 'done', id: 'd' } as Message], 1024)

describe.each([tidemarkBinary, tidemarkJson])('$name', (dialect) => {
  const state = {
    action: 'load',
    id: 'd',
    known: { header: true, sessions: new Map(sessions(0, 25_000).map((name) => [name, 1])) },
  }

  test('a state of several parts has taken what all its parts took', () => {
    const frames = greeted(dialect, { namesMax: 1_024 }).encode([state as Message], 1 << 24)
    const size = frames.reduce((sum, frame) => sum + frame.length, 0)
    const codec = dialect.createCodec()
    const heard = frames.flatMap((frame) => [...codec.decode(frame)])
    expect(heard).toMatchObject([{ message: state }])
    expect((heard[0] as { bytes: number }).bytes).toBeGreaterThan(size / 2)
  })

  test('a session that a later part names again is an error, and so is what follows of that state', () => {
    const parts = [sessions(0, 3), sessions(3, 4), sessions(1, 2), sessions(1, 2)]
    const frame = joined([
      ...parts.map((named, index) => partOf(dialect, index, named)),
      ...last(dialect).map((one) => (typeof one === 'string' ? utf8(one) : one)),
    ])
    const heard = [...dialect.createCodec().decode(frame)]
    expect(
      heard.map((one) => (one instanceof ProtocolError ? `${one.code} ${one.field} ${one.id}` : one.message.action)),
    ).toEqual(['malformed more d', 'malformed more d', 'done'])
  })

  test('a frame of parts hands back after every portion, and answers the whole state in the end', () => {
    const parts = Array.from({ length: 900 }, (_, index) =>
      partOf(dialect, index, sessions(index * 10, index * 10 + 10)),
    )
    const frame = joined(parts)
    const heard = [...dialect.createCodec().decodeInPortions(frame)]
    expect(new Set(heard)).toEqual(new Set([undefined]))
    expect(heard.length).toBeGreaterThanOrEqual(Math.floor(frame.length / (PASSED_BYTES + 1_000)))
    expect([...dialect.createCodec().decode(frame)]).toEqual([])
  })
})

test('a frame of announcements, or of unknown messages, hands back after every portion', () => {
  const announcements = binary(2, Array.from({ length: 6_000 }, () => [0, 1, 97]).flat())
  for (const message of [announcements, binary(99, padding)]) {
    const frame = joined(Array.from({ length: 32 }, () => message))
    const heard = [...tidemarkBinary.createCodec().decodeInPortions(frame)]
    expect(new Set(heard)).toEqual(new Set([undefined]))
    expect(heard.length).toBeGreaterThanOrEqual(Math.floor(frame.length / (PASSED_BYTES + message.length)))
  }
})

test('what one message announces is bounded by the slots that there are', () => {
  const announcements = binary(2, Array.from({ length: 2_049 }, () => [0, 1, 97]).flat())
  expect([...tidemarkBinary.createCodec({ namesMax: 1_024 }).decode(announcements)]).toMatchObject([
    { code: 'limit', field: 'names', fatal: true },
  ])
  expect([...tidemarkBinary.createCodec().decode(announcements)]).toEqual([])
})
