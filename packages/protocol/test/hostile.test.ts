/** Scenario 33: what a hostile peer sends costs it an error with a reason, and the lines beside it nothing. */
import { describe, expect, test } from 'vitest'
import { type Dialect, dialects, jazz, type Limits, ProtocolError, tidemarkJson } from '../src/index.ts'
import { decodeAll, errorOf, messagesOf, utf8 } from './help.ts'

interface Case {
  readonly title: string
  readonly line: string
  readonly code: ProtocolError['code']
  readonly field: string
  /** The document that the error names. */
  readonly id?: string
  readonly limits?: Partial<Limits>
}

const deep = 100_000
const name = (dialect: Dialect) => (dialect === jazz ? 'action' : 'type')

/** What both dialects say alike but for the name of the action. */
const both = (key: string): Case[] => {
  const load = (rest: string) => `{"${key}":"load",${rest}}`
  const state = (sessions: string) => load(`"id":"a","header":true,"sessions":${sessions}`)
  const malformed = (title: string, line: string, field: string, about?: string): Case => ({
    title,
    line,
    code: 'malformed',
    field,
    ...(about !== undefined && { id: about }),
  })
  const limit = (title: string, line: string, field: string, about?: string, limits?: Partial<Limits>): Case => ({
    title,
    line,
    code: 'limit',
    field,
    ...(about !== undefined && { id: about }),
    ...(limits && { limits }),
  })
  return [
    malformed('half a line', `{"${key}":"load","id":"a`, 'message'),
    malformed('text that is not JSON', 'hello', 'message'),
    malformed('two values on a line', '{} {}', 'message'),
    malformed('a number', '5', 'message'),
    malformed('null', 'null', 'message'),
    malformed('an array', `[{"${key}":"load"}]`, 'message'),
    malformed('white space only', ' ', 'message'),
    malformed('a byte order mark', `\ufeff${state('{}')}`, 'message'),
    malformed('no name', '{}', key),
    malformed('a name that is a number', `{"${key}":1}`, key),
    malformed('a name under __proto__', `{"__proto__":{"${key}":"done","id":"a"}}`, key),
    malformed('no id', load('"header":true,"sessions":{}'), 'id'),
    malformed('an empty id', load('"id":"","header":true,"sessions":{}'), 'id'),
    malformed('an id that is a number', load('"id":1,"header":true,"sessions":{}'), 'id'),
    malformed('an id with half a surrogate pair', load('"id":"a\\ud800","header":true,"sessions":{}'), 'id'),
    malformed('an id under __proto__', load('"__proto__":{"id":"a"},"header":true,"sessions":{}'), 'id'),
    malformed('a header that is 1', load('"id":"a","header":1,"sessions":{}'), 'header', 'a'),
    malformed('no header', load('"id":"a","sessions":{}'), 'header', 'a'),
    malformed('no sessions', load('"id":"a","header":true'), 'sessions', 'a'),
    malformed('sessions that are an array', state('[1]'), 'sessions', 'a'),
    malformed('a negative count', state('{"s":-1}'), 'sessions["s"]', 'a'),
    malformed('a fractional count', state('{"s":1.5}'), 'sessions["s"]', 'a'),
    malformed('a count beyond 2^53-1', state('{"s":9007199254740992}'), 'sessions["s"]', 'a'),
    malformed('an infinite count', state('{"s":1e400}'), 'sessions["s"]', 'a'),
    malformed('a count that is text', state('{"s":"1"}'), 'sessions["s"]', 'a'),
    malformed('a count that is null', state('{"s":null}'), 'sessions["s"]', 'a'),
    malformed('an array named __proto__', state('{"__proto__":[]}'), 'sessions["__proto__"]', 'a'),
    malformed('an empty session id', state('{"":1}'), 'sessions[""]', 'a'),
    malformed('a session with half a surrogate pair', state('{"\\udc00":1}'), 'sessions["\\udc00"]', 'a'),
    malformed('RECONCILE without values', `{"${key}":"reconcile","id":"b","batch":"b"}`, 'values'),
    malformed(
      'RECONCILE of ids without hashes',
      `{"${key}":"reconcile","id":"b","batch":"b","values":[["a","h"],["a"]]}`,
      'values[1]',
    ),
    malformed('RECONCILE of numbers', `{"${key}":"reconcile","id":"b","batch":"b","values":[[1,"h"]]}`, 'values[0][0]'),
    limit('an id of a megabyte', load(`"id":"${'x'.repeat(1 << 20)}","header":true,"sessions":{}`), 'id'),
    limit(
      'an id of 257 bytes that are 129 characters',
      load(`"id":"${'é'.repeat(128)}x","header":true,"sessions":{}`),
      'id',
    ),
    limit('a session id of a megabyte', state(`{"${'x'.repeat(1 << 20)}":1}`), `sessions["${'x'.repeat(40)}…"]`, 'a'),
    limit(
      'more sessions than allowed',
      state(JSON.stringify(Object.fromEntries(Array.from({ length: 10_001 }, (_, index) => [`s${index}`, 1])))),
      'sessions',
      'a',
    ),
    limit(
      'more entries to reconcile than allowed',
      `{"${key}":"reconcile","id":"b","batch":"b","values":${JSON.stringify(Array(10_001).fill(['a', 'h']))}}`,
      'values',
    ),
    limit('100,000 nested arrays', load(`"id":"a","x":${'['.repeat(deep)}${']'.repeat(deep)}`), 'message', 'a'),
    limit('100,000 nested objects, never closed', load(`"id":"a","x":${'{"a":'.repeat(deep)}`), 'message', 'a'),
    limit('65 levels', load(`"id":"a","x":${'['.repeat(64)}${']'.repeat(64)}`), 'message', 'a'),
    limit('a line longer than allowed', load(`"id":"a","x":"${'x'.repeat(1000)}"`), 'message', 'a', {
      messageBytesMax: 500,
    }),
    limit('a line longer than allowed in bytes only', load(`"id":"a","x":"${'€'.repeat(200)}"`), 'message', 'a', {
      messageBytesMax: 500,
    }),
    limit(
      'a line longer than allowed that hides its id',
      load(`"x":"${'x'.repeat(2000)}","id":"a"`),
      'message',
      undefined,
      { messageBytesMax: 500 },
    ),
  ]
}

const inJazz: Case[] = (
  [
    ['a header that is true', '"header":true', 'header'],
    ['a header that is null', '"header":null', 'header'],
    ['`new` that is an array', '"new":[]', 'new'],
    ['a run that is null', '"new":{"s":null}', 'new["s"]'],
    ['a run without `after`', '"new":{"s":{"newTransactions":[]}}', 'new["s"].after'],
    ['a negative `after`', '"new":{"s":{"after":-1,"newTransactions":[]}}', 'new["s"].after'],
    ['an `after` under __proto__', '"new":{"s":{"__proto__":{"after":1},"newTransactions":[]}}', 'new["s"].after'],
    ['a run without transactions', '"new":{"s":{"after":0}}', 'new["s"].newTransactions'],
    [
      'transactions in an object',
      '"new":{"s":{"after":0,"newTransactions":{"0":1,"length":1}}}',
      'new["s"].newTransactions',
    ],
    ['a run that ends beyond 2^53-1', '"new":{"s":{"after":9007199254740991,"newTransactions":[1]}}', 'new["s"].after'],
    [
      'a signature that is a number',
      '"new":{"s":{"after":0,"newTransactions":[],"lastSignature":1}}',
      'new["s"].lastSignature',
    ],
    [
      'a signature with half a pair',
      '"new":{"s":{"after":0,"newTransactions":[],"lastSignature":"\\udfff"}}',
      'new["s"].lastSignature',
    ],
    ['an empty session id in `new`', '"new":{"":{"after":0,"newTransactions":[]}}', 'new[""]'],
    ['expectContentUntil that is a number', '"new":{},"expectContentUntil":5', 'expectContentUntil'],
    ['expectContentUntil with a fraction', '"new":{},"expectContentUntil":{"s":0.5}', 'expectContentUntil["s"]'],
  ] as const
).map(
  ([title, rest, field]): Case => ({
    title,
    line: `{"action":"content","id":"a",${rest}}`,
    code: 'malformed',
    field,
    id: 'a',
  }),
)
inJazz.push(
  {
    title: 'more transactions than allowed, over two runs',
    line: '{"action":"content","id":"a","new":{"s":{"after":0,"newTransactions":[1,2]},"t":{"after":0,"newTransactions":[3,4]}}}',
    code: 'limit',
    field: 'new',
    id: 'a',
    limits: { transactionsMax: 3 },
  },
  { title: 'a ping without a time', line: '{"type":"ping","dc":"x"}', code: 'malformed', field: 'time' },
  {
    title: 'a correction that is text',
    line: '{"action":"known","id":"a","header":true,"sessions":{},"isCorrection":"no"}',
    code: 'malformed',
    field: 'isCorrection',
    id: 'a',
  },
)

const b64 = (text: string) => btoa(text)
const inTidemark: Case[] = (
  [
    ['a kind that is missing', '"runs":[]', 'kind'],
    ['a header that is not base64', '"kind":"bytes","header":"a","runs":[]', 'header'],
    ['base64 with spaces', '"kind":"bytes","header":"YWI= ","runs":[]', 'header'],
    ['base64 without padding', '"kind":"bytes","header":"YWI","runs":[]', 'header'],
    ['base64 with stray bits', '"kind":"bytes","header":"YWJ=","runs":[]', 'header'],
    ['base64 for URLs', '"kind":"bytes","header":"__--","runs":[]', 'header'],
    ['a JSON document whose header is not JSON', `"kind":"json","header":"${b64('{"a":')}","runs":[]`, 'header'],
    ['a JSON document whose header is not UTF-8', '"kind":"json","header":"/w==","runs":[]', 'header'],
    ['runs that are an object', '"kind":"bytes","runs":{}', 'runs'],
    ['a run that is text', '"kind":"bytes","runs":["x"]', 'runs[0]'],
    ['a run without a session', '"kind":"bytes","runs":[{"after":0,"transactions":[]}]', 'runs[0].session'],
    ['a fractional `after`', '"kind":"bytes","runs":[{"session":"s","after":0.5,"transactions":[]}]', 'runs[0].after'],
    [
      'a transaction that is an object',
      '"kind":"bytes","runs":[{"session":"s","after":0,"transactions":["",{}]}]',
      'runs[0].transactions[1]',
    ],
    [
      'a transaction that is not JSON',
      `"kind":"json","runs":[{"session":"s","after":0,"transactions":["${b64('a b')}"]}]`,
      'runs[0].transactions[0]',
    ],
    [
      'a transaction with a mark before it',
      '"kind":"json","runs":[{"session":"s","after":0,"transactions":["77u/MQ=="]}]',
      'runs[0].transactions[0]',
    ],
    [
      'a JSON document whose seal is not text',
      '"kind":"json","runs":[{"session":"s","after":0,"transactions":[],"seal":"/w=="}]',
      'runs[0].seal',
    ],
    [
      'two runs of one session',
      '"kind":"bytes","runs":[{"session":"s","after":0,"transactions":[]},{"session":"s","after":0,"transactions":[]}]',
      'runs[1].session',
    ],
    [
      'a digest in capitals',
      '"kind":"bytes","runs":[{"session":"s","after":0,"transactions":[],"digest":"0123456789ABCDEF"}]',
      'runs[0].digest',
    ],
    [
      'a digest of 17 digits',
      '"kind":"bytes","runs":[{"session":"s","after":0,"transactions":[],"digest":"0123456789abcdef0"}]',
      'runs[0].digest',
    ],
    ['expectUntil without a header', '"kind":"bytes","runs":[],"expectUntil":{"sessions":{}}', 'header'],
  ] as const
).map(
  ([title, rest, field]): Case => ({
    title,
    line: `{"type":"content","id":"a",${rest}}`,
    code: 'malformed',
    field,
    id: 'a',
  }),
)
const hello =
  '"type":"hello","version":1,"generation":{"id":"g","sequence":0},"limits":{"messageBytesMax":1,"frameBytesMax":1}'
const deepPayload = btoa('['.repeat(61) + ']'.repeat(61))
inTidemark.push(
  {
    title: 'a kind of a later version',
    line: '{"type":"content","id":"a","kind":"xml","runs":[]}',
    code: 'unsupported',
    field: 'kind',
    id: 'a',
  },
  {
    title: 'a payload that would be too deep in the Jazz dialect',
    line: `{"type":"content","id":"a","kind":"json","header":"${deepPayload}","runs":[]}`,
    code: 'limit',
    field: 'header',
    id: 'a',
  },
  {
    title: 'more runs than allowed',
    line: '{"type":"content","id":"a","kind":"bytes","runs":[1,2,3]}',
    code: 'limit',
    field: 'runs',
    id: 'a',
    limits: { sessionsMax: 2 },
  },
  {
    title: 'more transactions than allowed',
    line: '{"type":"content","id":"a","kind":"bytes","runs":[{"session":"s","after":0,"transactions":["",""]}]}',
    code: 'limit',
    field: 'runs',
    id: 'a',
    limits: { transactionsMax: 1 },
  },
  {
    title: 'digests that are a list',
    line: '{"type":"load","id":"a","header":true,"sessions":{},"digests":[]}',
    code: 'malformed',
    field: 'digests',
    id: 'a',
  },
  {
    title: 'a digest that is a number',
    line: '{"type":"known","id":"a","header":true,"sessions":{},"digests":{"s":1}}',
    code: 'malformed',
    field: 'digests["s"]',
    id: 'a',
  },
  {
    title: 'a probe that is 1',
    line: '{"type":"load","id":"a","header":true,"sessions":{},"probe":1}',
    code: 'malformed',
    field: 'probe',
    id: 'a',
  },
  {
    title: 'an error without a code',
    line: '{"type":"error","id":"a","message":"x"}',
    code: 'malformed',
    field: 'code',
    id: 'a',
  },
  {
    title: 'an error of 4,098 bytes',
    line: `{"type":"error","code":"busy","message":"${'é'.repeat(2049)}"}`,
    code: 'limit',
    field: 'message',
  },
  {
    title: 'an error that asks for a negative wait',
    line: '{"type":"error","code":"busy","message":"x","retryAfterMs":-1}',
    code: 'malformed',
    field: 'retryAfterMs',
  },
  {
    title: 'hello at an unknown level',
    line: `{${hello},"features":[],"level":"maybe","peer":"p"}`,
    code: 'malformed',
    field: 'level',
  },
  {
    title: 'hello with features that are text',
    line: `{${hello},"features":"all","level":"stored","peer":"p"}`,
    code: 'malformed',
    field: 'features',
  },
  {
    title: 'hello with 1,000 features',
    line: `{${hello},"features":${JSON.stringify(Array(1000).fill('f'))},"level":"stored","peer":"p"}`,
    code: 'limit',
    field: 'features',
  },
  { title: 'hello of nobody', line: `{${hello},"features":[],"level":"stored"}`, code: 'malformed', field: 'peer' },
)

describe.each([
  ['jazz', jazz, [...both('action'), ...inJazz]],
  ['tidemark.1.json', tidemarkJson, [...both('type'), ...inTidemark]],
] as const)('%s', (_, dialect, cases) => {
  const neighbour = `{"${name(dialect)}":"done","id":"n"}`
  const done = { action: 'done', id: 'n' }

  test.each(cases)('$title is an error that says where', ({ line, code, field, id, limits }) => {
    for (const frame of [line, utf8(line)]) {
      const error = errorOf(dialect, frame, limits)
      expect(error).toMatchObject({ name: 'ProtocolError', code, field, id })
      expect(error.message.length).toBeLessThan(250)
      expect(error.got.length).toBeLessThanOrEqual(60)
    }
  })

  test.each(cases)('$title does not disturb the lines beside it', ({ line, limits }) => {
    for (const frame of [`${neighbour}\n${line}\n${neighbour}`, utf8(`${neighbour}\n${line}\n${neighbour}`)]) {
      const [before, error, after, ...more] = decodeAll(dialect, frame, limits)
      expect(before).toMatchObject({ message: done })
      expect(error).toBeInstanceOf(ProtocolError)
      expect(after).toMatchObject({ message: done })
      expect(more).toEqual([])
    }
  })

  test('a frame larger than allowed is one error, and is not looked into', () => {
    const limits = { frameBytesMax: 1000 }
    for (const frame of [`${neighbour}\n`.repeat(50), utf8(`${neighbour}\n`.repeat(50)), `"${'€'.repeat(400)}"`])
      expect(errorOf(dialect, frame, limits)).toMatchObject({ code: 'limit', field: 'frame' })
  })

  test('bytes that are not UTF-8 cost only their line', () => {
    const frame = new Uint8Array([...utf8(`${neighbour}\n`), 0x7b, 0xff, 0x7d, ...utf8(`\n${neighbour}`)])
    const decoded = decodeAll(dialect, frame)
    expect(decoded).toHaveLength(3)
    expect(decoded[1]).toMatchObject({ code: 'malformed', field: 'message', expected: 'UTF-8' })
  })

  test('half a surrogate pair in a line that came as text costs only that line', () => {
    const decoded = decodeAll(dialect, `${neighbour}\n{"x":"\ud800"}\n${neighbour}`)
    expect(decoded).toHaveLength(3)
    expect(decoded[1]).toMatchObject({ code: 'malformed', expected: 'well-formed Unicode' })
  })

  test('64 MiB of newlines say nothing, soon', () => {
    expect(decodeAll(dialect, new Uint8Array(64 << 20).fill(0x0a))).toEqual([])
  })

  test('a frame of bad lines is read only as far as somebody listens', () => {
    const [first] = dialect.createCodec().decode('x\n'.repeat(1 << 20))
    expect(first).toBeInstanceOf(ProtocolError)
  })

  test('unknown messages are left out, but not a million of them', () => {
    const unknown = (times: number) => `{"${name(dialect)}":"dance"}\n`.repeat(times)
    expect(decodeAll(dialect, unknown(1000))).toEqual([])
    expect(errorOf(dialect, unknown(1001))).toMatchObject({ code: 'unsupported', field: 'frame' })
  })

  test('an error never quotes what came', () => {
    const secret = 'sealerSecret_z1234567890'
    const lines = [
      `{"x":${secret}}`,
      `{"${name(dialect)}":"load","id":["${secret}"]}`,
      `{"${name(dialect)}":"load","id":"a","header":"${secret}"}`,
    ]
    for (const line of lines) {
      const error = errorOf(dialect, line)
      expect(`${error.message} ${error.cause}`).not.toContain('Secret')
    }
  })

  test('sessions named like members of Object are sessions', () => {
    const line = `{"${name(dialect)}":"load","id":"__proto__","header":true,"sessions":{"__proto__":3,"constructor":4,"toString":5,"7":6}}`
    const sessions = new Map([
      ['7', 6],
      ['__proto__', 3],
      ['constructor', 4],
      ['toString', 5],
    ])
    expect(messagesOf(dialect, line)).toEqual([{ action: 'load', id: '__proto__', known: { header: true, sessions } }])
  })

  test('64 levels, 256 bytes of id and 10,000 sessions are within the limits', () => {
    const nested = `${'['.repeat(63)}${']'.repeat(63)}`
    const sessions = JSON.stringify(Object.fromEntries(Array.from({ length: 10_000 }, (_, index) => [`s${index}`, 1])))
    const line = `{"${name(dialect)}":"load","id":"${'é'.repeat(128)}","header":true,"sessions":${sessions},"x":${nested}}`
    expect(messagesOf(dialect, line)).toHaveLength(1)
  })
})

test('every dialect of text is in this table', () => expect(dialects.filter(({ text }) => text)).toHaveLength(2))
