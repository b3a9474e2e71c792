/**
 * The small parts of the server and its command, each by itself.
 */
import { describe, expect, test } from 'vitest'
import { parseCommand } from '../src/command.ts'
import { reconcileHash } from '../src/index.ts'
import { authenticateByToken, createRegistry, readTokens } from '../src/node.ts'
import { storageFrom } from '../src/open-storage.ts'
import { createPenalties } from '../src/penalties.ts'
import { createLog } from '../src/stderr-log.ts'
import { manualClock, metric } from './help.ts'

describe('the reconcile hash', () => {
  // Taken from `crypto.shortHash` of cojson 0.20.19.
  const vectors: [hash: string, sessions: Record<string, number>][] = [
    ['shortHash_zMBw4j6zNH7AZixrHPX2D5bQF2X', {}],
    ['shortHash_zD59Fp2UTFuLUqj5rjqNfjESGq3', { co_zABC_session_zB: 3, co_zABC_session_zA: 12 }],
    [
      'shortHash_z8N1Fan6yjtfsKBGrHEo7NC7HWt',
      {
        co_zBBB_session_z9: 1,
        co_zAAA_session_z1: 100,
        'sealer_z1/signer_z2_session_z3': 7,
        co_zAAA_session_dQ$: 1,
      },
    ],
    ['shortHash_zC4ZthhmAeGhCCEufz53u9R43Bb', { co_zA_session_z10: 0, co_zA_session_z2: Number.MAX_SAFE_INTEGER }],
  ]
  for (const [hash, sessions] of vectors)
    test(`of ${Object.keys(sessions).length} sessions is that of a Jazz client, in any order`, () => {
      const entries = Object.entries(sessions)
      expect(reconcileHash(new Map(entries))).toBe(hash)
      expect(reconcileHash(new Map(entries.reverse()))).toBe(hash)
    })
})

describe('tokens', () => {
  const ask = authenticateByToken(readTokens('# comment\n\n  secret-1  \r\nsecret 2\n'))
  const from = (url: string, authorization?: string) =>
    ask({ url, headers: authorization === undefined ? {} : { authorization }, remoteAddress: '::1' })

  test('come from the header or the query, and become an opaque principal', () => {
    expect(from('/', 'Bearer secret-1')).toBe('token 1')
    expect(from('/', 'bearer   secret 2 ')).toBe('token 2')
    expect(from('/any?x=1&key=secret-1')).toBe('token 1')
    expect(from('/?key=secret%202')).toBe('token 2')
    expect(from('/?key=wrong', 'Bearer secret 2')).toBe('token 2')
  })

  test('nothing else is one', () => {
    for (const url of [
      '/',
      '/?key=',
      '/?key=secret',
      '/?key=secret-1x',
      '/?Key=secret-1',
      '/secret-1',
      '/?key=%23%20comment',
    ])
      expect([url, from(url)]).toEqual([url, undefined])
    for (const header of ['secret-1', 'Basic secret-1', 'Bearer', 'Bearer ', 'Bearer # comment'])
      expect([header, from('/', header)]).toEqual([header, undefined])
  })
})

describe('the command line', () => {
  const defaults = {
    host: '127.0.0.1',
    port: 4210,
    storages: ['sqlite:./tidemark.db'],
    tokenFile: undefined,
    logLevel: 'info',
  }

  test('has defaults for everything', () => {
    expect(parseCommand([])).toEqual(defaults)
  })

  test('takes options as one word or two', () => {
    expect(parseCommand(['--port=0', '--host', '::1', '--storage=memory:', '--log-level', 'debug'])).toEqual({
      ...defaults,
      host: '::1',
      port: 0,
      storages: ['memory:'],
      logLevel: 'debug',
    })
    expect(parseCommand(['--help', '--port', '0'])).toBe('help')
    expect(parseCommand(['--version'])).toBe('version')
  })

  const wrong: [args: string[], line: RegExp][] = [
    [['--nope'], /^Unknown option '--nope'; see --help$/],
    [['here'], /^Unexpected argument 'here'; see --help$/],
    [['--port'], /--port/],
    [['--port', '--host'], /--port/],
    [['--port', '65536'], /^--port: expected a number from 0 to 65535, got "65536"$/],
    [['--port', '-1'], /--port/],
    [['--port', '1e3'], /^--port: /],
    [['--port', ''], /^--port: /],
    [['--host='], /^--host: expected a value/],
    [['--log-level', 'loud'], /^--log-level: expected one of error, warn, info, debug, got "loud"$/],
    [['--upstream', 'http://x'], /^--upstream: expected an address like ws:/],
    [['--help=yes'], /--help/],
  ]
  for (const [args, line] of wrong)
    test(`${args.join(' ')} is one clear line`, () => {
      expect(() => parseCommand(args)).toThrow(line)
      expect(() => parseCommand(args)).toThrow(/^[^\n]+$/)
    })
})

describe('--storage', () => {
  const wrong: [text: string, line: string][] = [
    ['postgres:x', '--storage: expected sqlite:PATH, leveldb:PATH or memory:, got "postgres:x"'],
    ['constructor:x', '--storage: expected sqlite:PATH, leveldb:PATH or memory:, got "constructor:x"'],
    ['./tidemark.db', '--storage: expected sqlite:PATH, leveldb:PATH or memory:, got "./tidemark.db"'],
    ['sqlite:', '--storage: expected sqlite:PATH, got "sqlite:"'],
    ['memory:x', '--storage: expected memory: without a path, got "memory:x"'],
    ['leveldb:', '--storage: expected leveldb:PATH, got "leveldb:"'],
  ]
  for (const [text, line] of wrong)
    test(`${text} is one clear line`, async () => {
      await expect(storageFrom(text)).rejects.toThrow(line)
    })
})

describe('the log', () => {
  function logged(...args: Parameters<ReturnType<typeof createLog>>) {
    const lines: string[] = []
    createLog('info', (line) => lines.push(line))(...args)
    return lines.map((line) => line.replace(/^\S+Z /, ''))
  }

  test('is one line each, whatever peers sent', () => {
    const facts = { id: 'co_z1', other: 'a\nb "c"', long: 'x'.repeat(1_000), nothing: undefined }
    const [line = ''] = logged('warn', 'something', facts)
    expect(line).toMatch(/^warn {2}something id=co_z1 other="a\\nb \\"c\\"" long="x/)
    expect(line.length).toBeLessThan(400)
    expect(line.split('\n')).toHaveLength(2)
  })

  test('leaves out what is below its level, and tells causes', () => {
    expect(logged('debug', 'never')).toEqual([])
    const cause = new Error('outer', { cause: Object.assign(new Error('inner'), { code: 'EIO' }) })
    expect(logged('error', 'failed', { cause })).toEqual(['error failed cause="outer: inner (EIO)"\n'])
  })
})

describe('the registry', () => {
  test('renders counters and gauges as Prometheus text', () => {
    const registry = createRegistry()
    const counter = registry.createCounter('tidemark.messages.sent', {
      description: 'Messages "sent"',
      unit: '{count}',
    })
    counter.add(2, { action: 'load' })
    counter.add(1, { action: 'load' })
    counter.add(1, { action: 'kno"wn\n' })
    registry.createCounter('tidemark.sent', { unit: 'By' }).add(1.5)
    registry.createCounter('tidemark.never')
    const gauge = registry.createObservableGauge('tidemark.open')
    const seven = ({ observe }: { observe(value: number): void }) => observe(7)
    gauge.addCallback(seven)
    expect(registry.render()).toBe(
      [
        '# HELP tidemark_messages_sent_total Messages \\"sent\\"',
        '# TYPE tidemark_messages_sent_total counter',
        'tidemark_messages_sent_total{action="load"} 3',
        'tidemark_messages_sent_total{action="kno\\"wn\\n"} 1',
        '# HELP tidemark_sent_bytes_total ',
        '# TYPE tidemark_sent_bytes_total counter',
        'tidemark_sent_bytes_total 1.5',
        '# HELP tidemark_never_total ',
        '# TYPE tidemark_never_total counter',
        'tidemark_never_total 0',
        '# HELP tidemark_open ',
        '# TYPE tidemark_open gauge',
        'tidemark_open 7',
        '',
      ].join('\n'),
    )
    gauge.removeCallback(seven)
    expect(metric(registry.render(), 'tidemark_open')).toBe(0)
    expect(() => registry.createCounter('tidemark.never')).toThrow(TypeError)
  })
})

describe('the table of penalties', () => {
  test('is bounded: the oldest offender is forgotten first', () => {
    const penalties = createPenalties(manualClock())
    for (let count = 0; count < 10_001; count++) penalties.punish(`${count}`)
    expect(penalties.waitMs('0')).toBe(0)
    expect(penalties.waitMs('1')).toBe(5_000)
  })

  test('a penalty has a longest time', () => {
    const penalties = createPenalties(manualClock())
    for (let count = 0; count < 50; count++) penalties.punish('x')
    expect(penalties.waitMs('x')).toBe(300_000)
  })
})
