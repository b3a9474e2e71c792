/** The Jazz dialect, byte by byte. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type ContentMessage, jazz, type Message } from '../src/index.ts'
import { contentOf, decodeAll, encodeAll, id, known, messagesOf, only, sessions, textOf, utf8 } from './help.ts'

const note = 'co_zRfGBFJXyDdJHKQTsnNgjuKvyNyD'
const alice = 'co_zWqpWfMYJNjZjDqR9ZpBTgkZVqD_session_z8VfsFbU2Yc1'
const bob = 'co_zTRq8dHDJvdxRq2F8gJNCrcVTXD_session_zKZ5h1fJ7tZk'
const header = `{"type":"comap","ruleset":{"type":"ownedByGroup","group":"co_zGroup"},"meta":null,"createdAt":"2026-11-21T11:52:00.000Z","uniqueness":"zU"}`
const first = `{"privacy":"trusting","madeAt":1763722320000,"changes":"[{\\"op\\":\\"set\\",\\"key\\":\\"a\\",\\"value\\":1}]"}`
const second = `{"privacy":"private","madeAt":1763722320001,"keyUsed":"key_z1","encryptedChanges":"encrypted_Uabc="}`
const seal = 'signature_zMyxA1'

/** Each line with the message that it says, and that says it. */
const pairs: readonly (readonly [title: string, line: string, message: Message])[] = [
  [
    'LOAD of a document of which nothing is held',
    `{"action":"load","id":"${note}","header":false,"sessions":{}}`,
    { action: 'load', id: note, known: { header: false, sessions: new Map() } },
  ],
  [
    'LOAD with what is held',
    `{"action":"load","id":"${note}","header":true,"sessions":{"${alice}":6,"${bob}":1}}`,
    {
      action: 'load',
      id: note,
      known: {
        header: true,
        sessions: new Map([
          [alice, 6],
          [bob, 1],
        ]),
      },
    },
  ],
  [
    'KNOWN',
    `{"action":"known","id":"${note}","header":true,"sessions":{"${alice}":6}}`,
    { action: 'known', id: note, known: { header: true, sessions: new Map([[alice, 6]]) }, correction: false },
  ],
  [
    'KNOWN as a correction',
    `{"action":"known","id":"${note}","header":false,"sessions":{},"isCorrection":true}`,
    { action: 'known', id: note, known: { header: false, sessions: new Map() }, correction: true },
  ],
  [
    'CONTENT that is a header only',
    `{"action":"content","id":"${note}","header":${header},"priority":0,"new":{}}`,
    { action: 'content', id: note, kind: 'json', priority: 0, header: utf8(header), runs: [] },
  ],
  [
    'CONTENT with runs, and what to expect until',
    `{"action":"content","id":"${note}","header":${header},"priority":3,"new":{"${alice}":{"after":0,"newTransactions":[${first},${second}],"lastSignature":"${seal}"},"${bob}":{"after":7,"newTransactions":[${second}],"lastSignature":"${seal}"}},"expectContentUntil":{"${alice}":40,"${bob}":8}}`,
    {
      action: 'content',
      id: note,
      kind: 'json',
      priority: 3,
      header: utf8(header),
      runs: [
        { session: alice, after: 0, transactions: [utf8(first), utf8(second)], seal: utf8(seal) },
        { session: bob, after: 7, transactions: [utf8(second)], seal: utf8(seal) },
      ],
      expectUntil: {
        header: true,
        sessions: new Map([
          [alice, 40],
          [bob, 8],
        ]),
      },
    },
  ],
  [
    'CONTENT that probes with an empty run',
    `{"action":"content","id":"${note}","priority":6,"new":{"${alice}":{"after":6,"newTransactions":[],"lastSignature":"${seal}"}}}`,
    {
      action: 'content',
      id: note,
      kind: 'json',
      priority: 6,
      runs: [{ session: alice, after: 6, transactions: [], seal: utf8(seal) }],
    },
  ],
  [
    'CONTENT of a run without a seal',
    `{"action":"content","id":"${note}","priority":3,"new":{"${alice}":{"after":6,"newTransactions":[${first}]}}}`,
    {
      action: 'content',
      id: note,
      kind: 'json',
      priority: 3,
      runs: [{ session: alice, after: 6, transactions: [utf8(first)] }],
    },
  ],
  ['DONE', `{"action":"done","id":"${note}"}`, { action: 'done', id: note }],
  [
    'RECONCILE',
    `{"action":"reconcile","id":"batch-1","values":[["${note}","shortHash_zA"],["co_zB","shortHash_zB"]]}`,
    {
      action: 'reconcile',
      batch: 'batch-1',
      values: [
        [note, 'shortHash_zA'],
        ['co_zB', 'shortHash_zB'],
      ],
    },
  ],
  ['RECONCILE-ACK', '{"action":"reconcile-ack","id":"batch-1"}', { action: 'reconcile-ack', batch: 'batch-1' }],
  ['a ping', '{"type":"ping","time":1763722320000,"dc":"home"}', { action: 'ping', time: 1763722320000, from: 'home' }],
]

describe.each(pairs)('%s', (_, line, message) => {
  test('has exactly these bytes', () => expect(encodeAll(jazz, [message])).toEqual([line]))
  test('is read from text', () => expect(only(jazz, line)).toEqual({ message, bytes: line.length }))
  test('is read from bytes', () => expect(only(jazz, utf8(line))).toEqual({ message, bytes: line.length }))
})

test('messages share a frame, joined by one newline, with none at the end', () => {
  const messages = pairs.map(([, , message]) => message)
  const lines = pairs.map(([, line]) => line)
  expect(encodeAll(jazz, messages)).toEqual([lines.join('\n')])
  expect(messagesOf(jazz, lines.join('\n'))).toEqual(messages)
  expect(messagesOf(jazz, utf8(lines.join('\n')))).toEqual(messages)
})

test('an empty frame keeps the connection alive and says nothing', () => {
  expect(decodeAll(jazz, '')).toEqual([])
  expect(decodeAll(jazz, new Uint8Array())).toEqual([])
})

test('empty lines are tolerated on receipt', () => {
  const done = `{"action":"done","id":"${note}"}`
  for (const frame of [`\n${done}`, `${done}\n`, `\n\n${done}\n\n${done}\r\n\r\n`]) {
    const expected = frame
      .split('\n')
      .filter((line) => line.includes('done'))
      .map(() => ({ action: 'done', id: note }))
    expect(messagesOf(jazz, frame)).toEqual(expected)
    expect(messagesOf(jazz, utf8(frame))).toEqual(expected)
  }
})

test('what has no words in this dialect is left out, and so are digests and probes', () => {
  const state = { header: true, sessions: new Map([[alice, 1]]) }
  const messages: Message[] = [
    { action: 'error', code: 'forbidden', message: 'no' },
    { action: 'load', id: note, known: state, digests: new Map([[alice, '0123456789abcdef']]), probe: true },
    {
      action: 'hello',
      version: 1,
      features: [],
      generation: { id: 'g', sequence: 0 },
      level: 'durable',
      limits: { messageBytesMax: 1, frameBytesMax: 1 },
      peer: 'p',
    },
  ]
  expect(encodeAll(jazz, messages)).toEqual([
    `{"action":"load","id":"${note}","header":true,"sessions":{"${alice}":1}}`,
  ])
  expect(encodeAll(jazz, [messages[0] as Message])).toEqual([])
})

test('unknown actions and unknown fields are ignored', () => {
  const frame = [
    '{"action":"hello","version":1}',
    '{"action":"error","message":"x"}',
    '{"action":"ping","time":1,"dc":"x"}',
    '{"type":"pong"}',
    `{"action":"known","id":"${note}","header":true,"sessions":{},"asDependencyOf":"co_zX","isCorrection":false}`,
  ]
  const expected = [{ action: 'known', id: note, known: { header: true, sessions: new Map() }, correction: false }]
  expect(messagesOf(jazz, frame.join('\n'))).toEqual(expected)
})

test('a priority that is missing or unknown is the normal one', () => {
  for (const priority of ['', ',"priority":1', ',"priority":"0"', ',"priority":null', ',"priority":{}'])
    expect(contentOf(jazz, `{"action":"content","id":"a"${priority},"new":{}}`).priority).toBe(3)
})

test('content without `new` has no runs', () => {
  expect(contentOf(jazz, `{"action":"content","id":"a","header":${header}}`)).toMatchObject({
    header: utf8(header),
    runs: [],
  })
})

test('counts of 0 are dropped, and -0 is 0', () => {
  const [load] = messagesOf(jazz, '{"action":"load","id":"a","header":true,"sessions":{"a":0,"b":-0,"c":2}}')
  expect(load).toMatchObject({ known: { sessions: new Map([['c', 2]]) } })
  const content = contentOf(jazz, '{"action":"content","id":"a","new":{"s":{"after":-0,"newTransactions":[]}}}')
  expect(Object.is(content.runs[0]?.after, 0)).toBe(true)
})

test('of equal keys the last one counts, however they are spelled, as JSON.parse has it', () => {
  const frame = String.raw`{"action":"done","id":"x","new":{"a":{"after":1,"newTransactions":[1]}},"header":{"a":1},
"action":"content","id":"b","header":5,"header":{"b":2} ,"\u006eew":{"s":5,"\u0073":{"newTransactions":[1],"newTransaction\u0073": [ 2 , {"a":3} ],"after":9,"after":4},"__proto__":{"after":0,"newTransactions":[true]}}}`
  const content = contentOf(jazz, frame.replace('\n', ''))
  expect(content.id).toBe('b')
  expect(textOf(content.header)).toBe('{"b":2}')
  const runs = content.runs.map((run) => [run.session, run.after, run.transactions.map(textOf)])
  expect(runs).toEqual([
    ['s', 4, ['2', '{"a":3}']],
    ['__proto__', 0, ['true']],
  ])
})

test('a document of bytes cannot be said in this dialect', () => {
  const message: Message = { action: 'content', id: 'a', kind: 'bytes', priority: 3, runs: [] }
  expect(() => encodeAll(jazz, [message])).toThrow(TypeError)
})

test('two runs of one session, or a seal that is not text, are a mistake of the caller', () => {
  const run = { session: 's', after: 0, transactions: [] }
  const content = { action: 'content', id: 'a', kind: 'json', priority: 3 } as const
  expect(() => encodeAll(jazz, [{ ...content, runs: [run, run] }])).toThrow('expected one run per session')
  expect(() => encodeAll(jazz, [{ ...content, runs: [{ ...run, seal: Uint8Array.of(0xff) }] }])).toThrow(TypeError)
})

test('a line break between the tokens of a payload becomes a space, or it would end the line', () => {
  const message: Message = {
    action: 'content',
    id: 'a',
    kind: 'json',
    priority: 3,
    header: utf8('{\n"a":\n1}'),
    runs: [],
  }
  expect(encodeAll(jazz, [message])).toEqual(['{"action":"content","id":"a","header":{ "a": 1},"priority":3,"new":{}}'])
})

test('one message sent to many peers is encoded once', () => {
  const message: ContentMessage = { action: 'content', id: 'a', kind: 'json', priority: 3, runs: [] }
  const [one] = jazz.createCodec().encode([message], 1000)
  const [other] = jazz.createCodec().encode([message], 1000)
  expect(one).toBeInstanceOf(Uint8Array)
  expect(other).toBe(one)
})

test('payloads do not keep a large frame alive', () => {
  const line = '{"action":"content","id":"a","new":{"s":{"after":0,"newTransactions":[{"a":1}]}}}'
  const frame = utf8(`${line}\n${JSON.stringify({ action: 'x', padding: 'x'.repeat(100_000) })}`)
  const [message] = messagesOf(jazz, frame)
  const transaction = message?.action === 'content' ? message.runs[0]?.transactions[0] : undefined
  expect(transaction?.buffer.byteLength).toBeLessThan(2 * line.length + 1)
})

test('control messages survive the round trip, whatever their ids', () => {
  const control: fc.Arbitrary<Message> = fc.oneof(
    fc.record({ action: fc.constant('load'), id, known }),
    fc.record({ action: fc.constant('known'), id, known, correction: fc.boolean() }),
    fc.record({ action: fc.constant('done'), id }),
    fc.record({ action: fc.constant('reconcile'), batch: id, values: fc.array(fc.tuple(id, id)) }),
    fc.record({ action: fc.constant('reconcile-ack'), batch: id }),
    fc.record({ action: fc.constant('ping'), time: fc.nat(), from: fc.string({ unit: 'grapheme' }) }),
  ) as fc.Arbitrary<Message>
  fc.assert(
    fc.property(fc.array(control), fc.integer({ min: 1, max: 500 }), (messages, frameBytes) => {
      const frames = jazz.createCodec().encode(messages, frameBytes)
      expect(frames.flatMap((frame) => messagesOf(jazz, frame))).toEqual(messages)
      expect(frames.flatMap((frame) => messagesOf(jazz, utf8(textOf(frame) ?? '')))).toEqual(messages)
    }),
  )
})

test('expectContentUntil survives with sessions of any name', () => {
  fc.assert(
    fc.property(sessions, (counts) => {
      const message: Message = {
        action: 'content',
        id: 'a',
        kind: 'json',
        priority: 3,
        runs: [],
        expectUntil: { header: true, sessions: counts },
      }
      const [line] = encodeAll(jazz, [message])
      expect(contentOf(jazz, line ?? '')).toEqual(message)
    }),
  )
})
