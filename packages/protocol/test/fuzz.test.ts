/** Mutated frames of text give messages or ProtocolErrors, never anything else. Seeds are fixed, a failure can be repeated. */
import { expect, test } from 'vitest'
import { mutated, randomFrom } from '../../../scripts/fuzz-frames.ts'
import { dialects as all, type Dialect, jazz, type Message, ProtocolError, tidemarkJson } from '../src/index.ts'
import { isWellFormed } from '../src/text.ts'
import { decodeAll, textOf, utf8 } from './help.ts'

const RUNS = 20_000
const dialects = all.filter(({ text }) => text)

const state = {
  header: true,
  sessions: new Map([
    ['co_zA_session_z1', 3],
    ['__proto__', 9],
  ]),
}
const run = {
  session: 'co_zA_session_z1',
  after: 2,
  transactions: [utf8('{"a":[1,"}\\"]"]}'), utf8('2')],
  seal: utf8('signature_zé'),
}
const seeds: readonly Message[] = [
  { action: 'load', id: 'co_z1', known: state },
  { action: 'known', id: 'co_z1', known: state, correction: true },
  {
    action: 'content',
    id: 'co_z1',
    kind: 'json',
    priority: 0,
    header: utf8('{"type":"comap"}'),
    runs: [run],
    expectUntil: state,
  },
  { action: 'reconcile', batch: 'b', values: [['co_z1', 'shortHash_z1']] },
  { action: 'ping', time: 1, from: 'x' },
  { action: 'error', code: 'busy', message: 'later', retryAfterMs: 5 },
]

test.each(dialects.map((dialect) => [dialect.name, dialect] as const))('%s survives mutated frames', (_, dialect) => {
  const frame = textOf(dialect.createCodec().encode(seeds, 1 << 20)[0]) ?? ''
  const lines = frame.split('\n')
  let understood = 0
  for (let seed = 0; seed < RUNS; seed++) {
    const random = randomFrom(seed)
    const text = mutated(lines[random(lines.length)] as string, random)
    const fromText = decodeAll(dialect, text)
    understood += fromText.filter((decoded) => !(decoded instanceof ProtocolError)).length
    // Both ways in agree, except where text has no UTF-8.
    if (isWellFormed(text)) expect(shown(decodeAll(dialect, utf8(text)))).toEqual(shown(fromText))
    for (const decoded of fromText) if ('bytes' in decoded) checkTold(dialect, decoded.message)
  }
  expect(understood).toBeGreaterThan(RUNS / 20)
})

test.each(dialects.map((dialect) => [dialect.name, dialect] as const))('%s survives mutated bytes', (_, dialect) => {
  const frame = utf8(textOf(dialect.createCodec().encode(seeds, 1 << 20)[0]) ?? '')
  for (let seed = 0; seed < RUNS / 10; seed++) {
    const random = randomFrom(seed)
    const bytes = frame.slice()
    for (let times = random(5); times >= 0; times--) bytes[random(bytes.length)] = random(256)
    for (const decoded of decodeAll(dialect, bytes)) if ('bytes' in decoded) checkTold(dialect, decoded.message)
  }
})

/** What was understood can be said again, in both dialects if it is JSON, and means the same. */
function checkTold(dialect: Dialect, message: Message): void {
  const told = dialect
    .createCodec()
    .encode([message], 1 << 20)
    .flatMap((frame) => decodeAll(dialect, frame))
  const isProbe = message.action === 'load' && message.probe === true
  if (!isProbe) expect(shown(told, false)).toEqual(shown([{ message, bytes: 0 }], false))
  if (message.action !== 'content' || message.kind !== 'json') return
  const other = dialect === jazz ? tidemarkJson : jazz
  for (const frame of other.createCodec().encode([message], 1 << 20))
    expect(
      decodeAll(other, frame).map((decoded) => (decoded instanceof ProtocolError ? decoded.field : 'told')),
    ).toEqual([message.header !== undefined && other === jazz && !isObjectText(message.header) ? 'header' : 'told'])
}

function isObjectText(bytes: Uint8Array): boolean {
  const value: unknown = JSON.parse(textOf(bytes) ?? '')
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function shown(decoded: readonly ReturnType<typeof decodeAll>[number][], withBytes = true): unknown[] {
  return decoded.map((one) =>
    one instanceof ProtocolError ? `${one.code} ${one.message}` : withBytes ? one : one.message,
  )
}
