/** The dialect tidemark.1.json, byte by byte. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type ContentMessage, type Message, tidemarkJson } from '../src/index.ts'
import { contentOf, count, encodeAll, greeted, id, jsonText, known, messagesOf, only, textOf, utf8 } from './help.ts'

const bytes = (...values: number[]) => Uint8Array.from(values)
const digest = '0123456789abcdef'
const state = { header: true, sessions: new Map([['a', 6]]) }

const pairs: readonly (readonly [title: string, line: string, message: Message])[] = [
  [
    'HELLO',
    '{"type":"hello","version":1,"features":["done"],"generation":{"id":"g1","sequence":42},"level":"durable","limits":{"messageBytesMax":4194304,"frameBytesMax":16777216},"peer":"p1"}',
    {
      action: 'hello',
      version: 1,
      features: ['done'],
      generation: { id: 'g1', sequence: 42 },
      level: 'durable',
      limits: { messageBytesMax: 4194304, frameBytesMax: 16777216 },
      peer: 'p1',
    },
  ],
  [
    'LOAD',
    '{"type":"load","id":"note","header":true,"sessions":{"a":6}}',
    { action: 'load', id: 'note', known: state },
  ],
  [
    'LOAD that probes, with digests',
    `{"type":"load","id":"note","header":true,"sessions":{"a":6},"digests":{"a":"${digest}"},"probe":true}`,
    { action: 'load', id: 'note', known: state, digests: new Map([['a', digest]]), probe: true },
  ],
  [
    'KNOWN',
    '{"type":"known","id":"note","header":true,"sessions":{"a":6}}',
    { action: 'known', id: 'note', known: state, correction: false },
  ],
  [
    'KNOWN as a correction, with digests',
    `{"type":"known","id":"note","header":true,"sessions":{"a":6},"digests":{"a":"${digest}"},"correction":true}`,
    { action: 'known', id: 'note', known: state, correction: true, digests: new Map([['a', digest]]) },
  ],
  [
    'CONTENT of bytes',
    `{"type":"content","id":"note","kind":"bytes","priority":6,"header":"AP8=","runs":[{"session":"a","after":4,"transactions":["","AQI="],"seal":"gA==","digest":"${digest}"}],"expectUntil":{"header":true,"sessions":{"a":9}}}`,
    {
      action: 'content',
      id: 'note',
      kind: 'bytes',
      priority: 6,
      header: bytes(0, 255),
      runs: [{ session: 'a', after: 4, transactions: [bytes(), bytes(1, 2)], seal: bytes(128), digest }],
      expectUntil: { header: true, sessions: new Map([['a', 9]]) },
    },
  ],
  [
    'CONTENT of JSON',
    '{"type":"content","id":"note","kind":"json","priority":3,"runs":[{"session":"a","after":0,"transactions":["eyJhIjoxfQ=="]}]}',
    {
      action: 'content',
      id: 'note',
      kind: 'json',
      priority: 3,
      runs: [{ session: 'a', after: 0, transactions: [utf8('{"a":1}')] }],
    },
  ],
  ['DONE', '{"type":"done","id":"note"}', { action: 'done', id: 'note' }],
  [
    'RECONCILE',
    '{"type":"reconcile","batch":"b","values":[["note","h"]]}',
    { action: 'reconcile', batch: 'b', values: [['note', 'h']] },
  ],
  ['RECONCILE-ACK', '{"type":"reconcile-ack","batch":"b"}', { action: 'reconcile-ack', batch: 'b' }],
  [
    'ERROR about a document',
    '{"type":"error","id":"note","code":"forbidden","message":"no permission to read"}',
    { action: 'error', id: 'note', code: 'forbidden', message: 'no permission to read' },
  ],
  [
    'ERROR about nothing in particular',
    '{"type":"error","code":"unavailable","message":"later","retryAfterMs":500}',
    { action: 'error', code: 'unavailable', message: 'later', retryAfterMs: 500 },
  ],
  ['a ping', '{"type":"ping","time":5,"from":"p1"}', { action: 'ping', time: 5, from: 'p1' }],
]

describe.each(pairs)('%s', (_, line, message) => {
  test('has exactly these bytes', () => expect(encodeAll(tidemarkJson, [message])).toEqual([line]))
  test('is read from text', () => expect(only(tidemarkJson, line)).toEqual({ message, bytes: line.length }))
  test('is read from bytes', () => expect(only(tidemarkJson, utf8(line))).toEqual({ message, bytes: line.length }))
})

test('unknown types and unknown fields are ignored', () => {
  const frame = '{"type":"dance","id":5}\n{"type":"done","id":"a","why":{"not":1}}\n\n{"type":"load2"}'
  expect(messagesOf(tidemarkJson, frame)).toEqual([{ action: 'done', id: 'a' }])
})

test('a priority of -0 is 0', () => {
  const line = '{"type":"content","id":"a","kind":"bytes","priority":-0,"runs":[]}'
  expect(contentOf(tidemarkJson, line).priority).toBe(0)
})

test('an error code of a later version reads as `failed`', () => {
  const [error] = messagesOf(tidemarkJson, '{"type":"error","code":"eclipse","message":"dark"}')
  expect(error).toEqual({ action: 'error', code: 'failed', message: 'dark' })
})

test('digests are for bytes: runs of JSON have none, said or heard', () => {
  const run = { session: 'a', after: 0, transactions: [], digest }
  const [line] = encodeAll(tidemarkJson, [{ action: 'content', id: 'x', kind: 'json', priority: 3, runs: [run] }])
  expect(line).not.toContain('digest')
  const heard = contentOf(tidemarkJson, (line ?? '').replace('"after":0', `"after":0,"digest":"${digest}"`))
  expect(heard.runs).toEqual([{ session: 'a', after: 0, transactions: [] }])
})

test('two runs of one session are a mistake of the caller', () => {
  const run = { session: 's', after: 0, transactions: [] }
  const message: Message = { action: 'content', id: 'a', kind: 'bytes', priority: 3, runs: [run, run] }
  expect(() => encodeAll(tidemarkJson, [message])).toThrow('expected one run per session')
})

test('one message sent to many peers is encoded once', () => {
  const message: ContentMessage = { action: 'content', id: 'a', kind: 'bytes', priority: 3, runs: [] }
  const [one] = tidemarkJson.createCodec().encode([message], 1000)
  expect(tidemarkJson.createCodec().encode([message], 1000)[0]).toBe(one)
})

test('every message survives the round trip, whatever its ids and bytes', () => {
  const hex = fc.string({ unit: fc.constantFrom(...'0123456789abcdef'), minLength: 16, maxLength: 16 })
  const digests = fc.dictionary(id, hex).map((fields) => new Map(Object.entries(fields)))
  const option = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined })
  const payload = fc.uint8Array({ maxLength: 50 }).map((values) => Uint8Array.from(values))
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
    .map(({ kind, raw, texts, raws, names, after, digest: at, ...rest }) => ({
      action: 'content',
      kind,
      ...rest,
      header: raw && (kind === 'json' ? utf8('{"a":1}') : raw),
      runs: names.map((session) => ({
        session,
        after,
        transactions: kind === 'json' ? texts.map(utf8) : raws,
        seal: raw && (kind === 'json' ? utf8('sé') : raw),
        digest: kind === 'json' ? undefined : at,
      })),
    }))
  const message = fc.oneof(
    fc.record({ action: fc.constant('load'), id, known, digests: option(digests), probe: option(fc.constant(true)) }),
    fc.record({ action: fc.constant('known'), id, known, correction: fc.boolean(), digests: option(digests) }),
    fc.record({ action: fc.constant('done'), id }),
    content,
  ) as unknown as fc.Arbitrary<Message>
  fc.assert(
    fc.property(fc.array(message, { maxLength: 5 }), (messages) => {
      const frames = tidemarkJson.createCodec().encode(messages, 500)
      // `toEqual` takes a missing member and `undefined` for the same.
      expect(frames.flatMap((frame) => messagesOf(tidemarkJson, utf8(textOf(frame) ?? '')))).toEqual(messages)
    }),
  )
})

test('a state with more sessions than a message may name spans several lines, and is one message again', () => {
  const sessions = new Map(Array.from({ length: 25_000 }, (_, index) => [`session ${index}`, index + 1]))
  const message: Message = { action: 'known', id: 'note', known: { header: true, sessions }, correction: true }
  const encoder = greeted(tidemarkJson)
  const decoder = tidemarkJson.createCodec()
  const frames = encoder.encode([message, { action: 'done', id: 'note' }], 128 * 1024)
  const lines = frames.flatMap((frame) => (textOf(frame) ?? '').split('\n'))
  expect(lines.map((line) => [...line.matchAll(/"(type|more)":("[a-z]+"|true)/g)].map(([, , said]) => said))).toEqual([
    ['"known"', 'true'],
    ['"more"', 'true'],
    ['"more"'],
    ['"done"'],
  ])
  const heard = frames.flatMap((frame) => [...decoder.decode(frame)])
  expect(heard).toMatchObject([{ message }, { message: { action: 'done' } }])
})
