/**
 * The binary dialect beside JSON: bytes on the wire, and the time to encode and decode.
 *
 * JSON is measured twice. "Bare" is `JSON.stringify` of an object that is there already, and `JSON.parse` of a string: the least
 * that any JSON protocol does. "Same" begins and ends with what the codec begins and ends with: messages whose known states are
 * maps and whose payloads are bytes, frames that are bytes. The codec is warm: names were announced, as they are after the first
 * message about a document. `--quick` takes a few seconds.
 */
import { type Codec, type ContentMessage, jazz, type Message, ProtocolError, tidemarkBinary } from '@tidemark/protocol'
import { heading, print, type Row, round } from './harness.ts'

const ROUNDS = process.argv.includes('--quick') ? 8 : 40
/** Calls in one measurement: enough to be seen by the clock, few enough to fall between two interruptions. */
const CALL_US = 300
const FRAME_BYTES = 1 << 20

const utf8 = new TextEncoder()
const text = new TextDecoder()
const id = 'co_zRfGBFJXyDdJHKQTsnNgjuKvyNyD'
const session = (index: number) => `co_zWqpWfMYJNjZ${index}jDqR9ZpBTgkZVqD_session_z8VfsFbU2Yc${index}`
const sessions = (length: number) =>
  new Map(Array.from({ length }, (_, index) => [session(index), 200 + 40 * index] as const))
const load = (length: number): Message => ({ action: 'load', id, known: { header: true, sessions: sessions(length) } })
const known = (length: number): Message => ({
  action: 'known',
  id,
  known: { header: true, sessions: sessions(length) },
  correction: false,
})

/** As Jazz clients write them: encrypted, 240 bytes. */
const transaction = (index: number) =>
  utf8.encode(
    `{"privacy":"private","madeAt":${1_763_722_320_000 + index},"keyUsed":"key_z${'k'.repeat(20)}","encryptedChanges":"encrypted_U${'x'.repeat(140)}"}`,
  )

function content(length: number, kind: 'json' | 'bytes'): Message {
  const transactions = Array.from({ length }, (_, index) => transaction(index))
  const seal = utf8.encode(`signature_z${'S'.repeat(80)}`)
  return { action: 'content', id, kind, priority: 3, runs: [{ session: session(1), after: 17, transactions, seal }] }
}

/** What a connection carries while people write: edits and their acknowledgements, some catching up, some questions. */
const mix = (kind: 'json' | 'bytes'): readonly Message[] => [
  ...Array.from({ length: 20 }, () => [content(1, kind), known(1)]).flat(),
  ...Array.from({ length: 5 }, () => load(3)),
  ...Array.from({ length: 2 }, () => known(20)),
  content(10, kind),
  content(100, kind),
]

// ── the same in JSON, as anybody would write it ──

function jsonOf(message: Message): Record<string, unknown> {
  if (message.action === 'content') return contentOf(message)
  if (message.action !== 'load' && message.action !== 'known') throw new Error('not in the mix')
  const { action, known: state } = message
  return { action, id: message.id, header: state.header, sessions: Object.fromEntries(state.sessions) }
}

function contentOf({ id, priority, runs }: ContentMessage): Record<string, unknown> {
  const told = runs.map(({ session, after, transactions, seal }) => [
    session,
    {
      after,
      newTransactions: transactions.map((payload) => JSON.parse(text.decode(payload))),
      lastSignature: text.decode(seal),
    },
  ])
  return { action: 'content', id, priority, new: Object.fromEntries(told) }
}

interface JsonRun {
  readonly after: number
  readonly newTransactions: readonly unknown[]
  readonly lastSignature: string
}

function messageOf(frame: Uint8Array): Message {
  const { action, id, header, sessions, priority, new: told } = JSON.parse(text.decode(frame))
  if (action !== 'content')
    return { action, id, known: { header, sessions: new Map(Object.entries(sessions)) } } as Message
  const runs = Object.entries(told as Record<string, JsonRun>).map(([session, run]) => ({
    session,
    after: run.after,
    transactions: run.newTransactions.map((one) => utf8.encode(JSON.stringify(one))),
    seal: utf8.encode(run.lastSignature),
  }))
  return { action, id, kind: 'json', priority, runs }
}

// ── measuring ──

interface Subject {
  readonly what: string
  readonly bytes: string
  readonly runs: Readonly<Record<Way, () => unknown>>
  readonly best: Record<Way, number>
}

const ways = ['stringify', 'parse', 'sameOut', 'sameIn', 'encode', 'decode', 'jazzOut', 'jazzIn'] as const
type Way = (typeof ways)[number]

function heard(codec: Codec, frames: readonly (string | Uint8Array)[]): unknown {
  let last: unknown
  for (const frame of frames)
    for (const decoded of codec.decode(frame)) {
      if (decoded instanceof ProtocolError) throw decoded
      last = decoded
    }
  return last
}

/** Each message a frame, as when people write. Content is copied, or it would be encoded but once. */
function encoded(codec: Codec, messages: readonly Message[]): (string | Uint8Array)[] {
  const frames: (string | Uint8Array)[] = []
  for (const message of messages) {
    const fresh = message.action === 'content' ? { ...message } : message
    for (const frame of codec.encode([fresh], FRAME_BYTES)) frames.push(frame)
  }
  return frames
}

function subject(what: string, messages: readonly Message[], inJson = messages): Subject {
  const objects = inJson.map(jsonOf)
  const texts = objects.map((object) => JSON.stringify(object))
  const jsonFrames = texts.map((line) => utf8.encode(line))
  const [out, into, jazzOut, jazzIn] = [tidemarkBinary, tidemarkBinary, jazz, jazz].map((one) => one.createCodec()) as [
    Codec,
    Codec,
    Codec,
    Codec,
  ]
  heard(into, encoded(out, messages))
  // As they arrive: each in a buffer of its own.
  const frames = (encoded(out, messages) as Uint8Array[]).map((frame) => frame.slice())
  const size = (list: readonly Uint8Array[]) => list.reduce((sum, { length }) => sum + length, 0)
  const runs: Record<Way, () => unknown> = {
    stringify: () => objects.map((object) => JSON.stringify(object)),
    parse: () => texts.map((line) => JSON.parse(line)),
    sameOut: () => inJson.map((message) => utf8.encode(JSON.stringify(jsonOf(message)))),
    sameIn: () => jsonFrames.map(messageOf),
    encode: () => encoded(out, messages),
    decode: () => heard(into, frames),
    jazzOut: () => encoded(jazzOut, inJson),
    jazzIn: () => heard(jazzIn, jsonFrames),
  }
  const best = Object.fromEntries(ways.map((way) => [way, Number.POSITIVE_INFINITY])) as Record<Way, number>
  return { what, bytes: `${round(size(jsonFrames))} → ${round(size(frames))}`, runs, best }
}

/** The best of many short measurements in turn: other work on the machine only ever adds. */
function measure(subjects: readonly Subject[]): void {
  let sink: unknown
  for (let turn = 0; turn < ROUNDS; turn++)
    for (const { runs, best } of subjects)
      for (const way of ways) {
        const run = runs[way]
        const estimate = best[way] === Number.POSITIVE_INFINITY ? 20 : best[way]
        const calls = Math.max(3, Math.ceil(CALL_US / estimate))
        const start = performance.now()
        for (let call = 0; call < calls; call++) sink = run()
        best[way] = Math.min(best[way], ((performance.now() - start) * 1_000) / calls)
      }
  if (sink === undefined) throw new Error('nothing was measured')
}

function rowsOf({ what, bytes, best }: Subject): Row[] {
  const row = (way: string, own: number, bare: number, same: number, ours: number): Row => ({
    what: `${what}: ${way}`,
    figure: `${own.toFixed(2)} µs`,
    raw: `bare ${(bare / own).toFixed(1)} ×, same ${(same / own).toFixed(1)} ×, our Jazz codec ${(ours / own).toFixed(1)} ×`,
    target: '10 ×',
  })
  return [
    { what: `${what}: bytes`, figure: bytes },
    row('encode', best.encode, best.stringify, best.sameOut, best.jazzOut),
    row('decode', best.decode, best.parse, best.sameIn, best.jazzIn),
  ]
}

heading()
const subjects = [
  subject('LOAD, 3 sessions', [load(3)]),
  subject('KNOWN, 20 sessions', [known(20)]),
  subject('CONTENT, 1 transaction', [content(1, 'bytes')], [content(1, 'json')]),
  subject('CONTENT, 100 transactions', [content(100, 'bytes')], [content(100, 'json')]),
  subject('CONTENT, 100 transactions of JSON', [content(100, 'json')]),
  subject('typical mix', mix('bytes'), mix('json')),
  subject('typical mix of JSON documents', mix('json')),
]
measure(subjects)
print(subjects.flatMap(rowsOf))
