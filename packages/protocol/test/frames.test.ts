/** How messages are packed into frames, in all dialects. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { dialects, jazz, type Message } from '../src/index.ts'
import { id, messagesOf, textOf, utf8 } from './help.ts'

const content = (name: string, bytes: number): Message => ({
  action: 'content',
  id: name,
  kind: 'json',
  priority: 3,
  runs: [{ session: 's', after: 0, transactions: [utf8(JSON.stringify('é'.repeat(bytes / 2)))], seal: utf8('z') }],
})
const messages = fc.array(
  fc.oneof(
    id.map((name): Message => ({ action: 'done', id: name })),
    fc.tuple(id, fc.constantFrom(0, 100, 300, 10_000)).map(([name, bytes]) => content(name, bytes)),
  ),
  { maxLength: 30 },
)

const texts = dialects.filter(({ text }) => text)

describe.each(texts.map((dialect) => [dialect.name, dialect] as const))('%s', (_, dialect) => {
  const sizeOf = (frame: string | Uint8Array) => utf8(textOf(frame) ?? '').length

  test('frames carry all messages in order, none above its size unless it is one message', () => {
    fc.assert(
      fc.property(messages, fc.integer({ min: 1, max: 2000 }), (given, frameBytes) => {
        const frames = dialect.createCodec().encode(given, frameBytes)
        expect(frames.flatMap((frame) => messagesOf(dialect, frame))).toEqual(given)
        for (const frame of frames) {
          const lines = (textOf(frame) ?? '').split('\n')
          expect(lines).not.toContain('')
          expect(sizeOf(frame) <= frameBytes || lines.length === 1).toBe(true)
        }
      }),
    )
  })

  test('control messages alone make text, content makes bytes', () => {
    const done: Message = { action: 'done', id: 'a' }
    expect(dialect.createCodec().encode([done, done], 1000)).toHaveLength(1)
    expect(dialect.createCodec().encode([done, done], 1000)[0]).toBeTypeOf('string')
    expect(dialect.createCodec().encode([done, content('a', 10)], 1000)[0]).toBeInstanceOf(Uint8Array)
  })

  test('a frame is filled to the byte, counting UTF-8', () => {
    const done: Message = { action: 'done', id: 'ü🙂' }
    const one = sizeOf(dialect.createCodec().encode([done], 1000)[0] ?? '')
    expect(dialect.createCodec().encode([done, done], 2 * one + 1)).toHaveLength(1)
    expect(dialect.createCodec().encode([done, done], 2 * one)).toHaveLength(2)
  })

  test('large content is not copied into a frame with others', () => {
    const large = content('a', 20_000)
    const [alone] = dialect.createCodec().encode([large], 128 * 1024)
    const frames = dialect
      .createCodec()
      .encode([{ action: 'done', id: 'a' }, large, { action: 'done', id: 'b' }], 128 * 1024)
    expect(frames).toHaveLength(3)
    expect(frames[1]).toBe(alone)
  })

  test('nothing to say makes no frame', () => {
    expect(dialect.createCodec().encode([], 1000)).toEqual([])
  })
})

test('20,000 small documents arrive as one frame of many megabytes', () => {
  const transaction = utf8(JSON.stringify({ privacy: 'trusting', madeAt: 1, changes: 'x'.repeat(400) }))
  const all = Array.from(
    { length: 20_000 },
    (_, index): Message => ({
      action: 'content',
      id: `co_z${index}`,
      kind: 'json',
      priority: 3,
      header: utf8('{"type":"comap"}'),
      runs: [{ session: 'co_zA_session_z1', after: 0, transactions: [transaction], seal: utf8('signature_z1') }],
    }),
  )
  const [frame] = jazz.createCodec().encode(all, 64 * 1024 * 1024)
  let read = 0
  for (const decoded of jazz.createCodec().decode(frame ?? '')) if ('bytes' in decoded) read++
  expect(read).toBe(20_000)
})
