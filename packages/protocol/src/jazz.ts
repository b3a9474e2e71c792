/**
 * The Jazz dialect: the protocol of unmodified Classic Jazz clients (npm `cojson` 0.20), which name no sub-protocol.
 *
 * Headers and transactions stay the JSON text that their author wrote: ids and signatures are over what they mean, so they are
 * cut out of a line as bytes and spliced back into one, never serialised again. Seals are the UTF-8 of `lastSignature`.
 * There is no `hello`, `error` or digest here; what is unknown is left out (law L14: and disturbs nobody).
 * Not here: what is answered instead of an error, pings and their times.
 */
import type { KnownState } from '@tidemark/known-state'
import type { Codec, Dialect } from './dialect.ts'
import {
  firstValue,
  isKey,
  opensArray,
  opensObject,
  scanElements,
  scanMembers,
  skipValue,
  stringAt,
} from './json-spans.ts'
import { DEFAULT_LIMITS, type Limits } from './limits.ts'
import { decodeLines, decodeLinesInPortions, type Line, type LineReader, lineOf, packLines } from './lines.ts'
import type { ContentMessage, Message, PingMessage, Run } from './messages.ts'
import { decodeUtf8, encodeUtf8 } from './text.ts'
import {
  arrayOf,
  checkEnd,
  checkTransactions,
  countOf,
  documentId,
  entry,
  type Fields,
  flagOf,
  idOf,
  knownStateOf,
  malformed,
  objectOf,
  type Place,
  priorityOf,
  reconcileValues,
  sessionCounts,
  sessionsOf,
  textOf,
} from './validate.ts'

export const jazz: Dialect = {
  name: 'jazz',
  subprotocol: undefined,
  text: true,
  traits: {
    hello: false,
    errors: false,
    done: false,
    digests: false,
    claimsStreams: true,
    knownFirst: true,
    kinds: ['json'],
  },
  createCodec,
}

const readLine: LineReader = (fields, place, utf8, bytes) => {
  const message = readMessage(fields, place, utf8)
  return message && { message, bytes }
}

function createCodec(limits: Partial<Limits> = {}): Codec {
  const inForce = { ...DEFAULT_LIMITS, ...limits }
  return {
    decode: (frame) => decodeLines(frame, inForce, readLine),
    decodeInPortions: (frame) => decodeLinesInPortions(frame, inForce, readLine),
    encode: (messages, frameBytes) => packLines(messages.map(lineFor).filter(isSayable), frameBytes),
  }
}

function readMessage(fields: Fields, place: Place, utf8: () => Uint8Array): Message | undefined {
  const { action } = fields
  switch (action) {
    case 'load':
      return { action, id: documentId(place, fields.id), known: knownStateOf(place, fields) }
    case 'known': {
      const id = documentId(place, fields.id)
      return {
        action,
        id,
        known: knownStateOf(place, fields),
        correction: flagOf(place, fields.isCorrection, 'isCorrection'),
      }
    }
    case 'content':
      return readContent(fields, place, utf8)
    case 'done':
      return { action, id: documentId(place, fields.id) }
    case 'reconcile':
      return { action, batch: idOf(place, fields.id, 'id'), values: reconcileValues(place, fields.values) }
    case 'reconcile-ack':
      return { action, batch: idOf(place, fields.id, 'id') }
    case undefined:
      return fields.type === 'ping' ? readPing(fields, place) : readUnknown(fields.type, place)
    default:
      return readUnknown(action, place)
  }
}

function readUnknown(name: unknown, place: Place): undefined {
  if (typeof name !== 'string') throw malformed(place, 'action', 'a string', name)
}

function readPing(fields: Fields, place: Place): PingMessage {
  const time = countOf(place, fields.time, 'time')
  return { action: 'ping', time, from: fields.dc === undefined ? '' : textOf(place, fields.dc, 'dc') }
}

function readContent(fields: Fields, place: Place, utf8: () => Uint8Array): ContentMessage {
  const id = documentId(place, fields.id)
  const sessions = fields.new === undefined ? {} : objectOf(place, fields.new, 'new')
  const checked = checkedRuns(place, sessions)
  const held = fields.expectContentUntil
  const until = held === undefined ? undefined : sessionCounts(place, held, 'expectContentUntil')
  if (fields.header !== undefined) objectOf(place, fields.header, 'header')
  const cuts = cutContent(utf8())
  return {
    action: 'content',
    id,
    kind: 'json',
    priority: priorityOf(fields.priority),
    ...(cuts.header && { header: cuts.header }),
    runs: checked.map(({ length, ...run }) => {
      const transactions = cuts.runs.get(run.session)
      // The scanner and `JSON.parse` agree, or nothing of this is believed.
      if (transactions?.length !== length)
        throw malformed(place, entry('new', run.session), `${length} transactions`, transactions)
      return { ...run, transactions }
    }),
    ...(until && { expectUntil: { header: true, sessions: until } }),
  }
}

type CheckedRun = Omit<Run, 'transactions'> & { readonly length: number }

/** What is known of the runs without the text of their transactions. */
function checkedRuns(place: Place, sessions: Fields): CheckedRun[] {
  let total = 0
  return sessionsOf(place, sessions, 'new').map((session) => {
    const field = entry('new', session)
    const run = objectOf(place, sessions[session], field)
    const after = countOf(place, run.after, `${field}.after`)
    const { length } = arrayOf(place, run.newTransactions, `${field}.newTransactions`)
    total += length
    checkTransactions(place, total, 'new')
    checkEnd(place, after, length, `${field}.after`)
    if (run.lastSignature === undefined) return { session, after, length }
    return { session, after, length, seal: encodeUtf8(textOf(place, run.lastSignature, `${field}.lastSignature`)) }
  })
}

interface Cuts {
  header: Uint8Array | undefined
  runs: Map<string, Uint8Array[]>
}

/** The texts of header and transactions of a line that was parsed and checked. Of equal keys the last one counts. */
function cutContent(line: Uint8Array): Cuts {
  const cuts: Cuts = { header: undefined, runs: new Map() }
  scanMembers(line, firstValue(line), (key, at) => {
    if (isKey(line, key, 'new')) {
      cuts.runs = new Map()
      if (opensObject(line, at))
        return scanMembers(line, at, (session, from) => cutRun(line, from, stringAt(line, session), cuts.runs))
    }
    const end = skipValue(line, at)
    if (isKey(line, key, 'header')) cuts.header = line.subarray(at, end)
    return end
  })
  return cuts
}

function cutRun(line: Uint8Array, start: number, session: string, runs: Map<string, Uint8Array[]>): number {
  let transactions: Uint8Array[] = []
  runs.set(session, transactions)
  if (!opensObject(line, start)) return skipValue(line, start)
  return scanMembers(line, start, (key, at) => {
    if (!isKey(line, key, 'newTransactions')) return skipValue(line, at)
    transactions = []
    runs.set(session, transactions)
    if (!opensArray(line, at)) return skipValue(line, at)
    return scanElements(line, at, (from) => {
      const until = skipValue(line, from)
      transactions.push(line.subarray(from, until))
      return until
    })
  })
}

/** A message as its line; `undefined` if the dialect has no words for it. */
function lineFor(message: Message): Line | undefined {
  switch (message.action) {
    case 'load':
      return `{"action":"load","id":${quote(message.id)},${stateText(message.known)}}`
    case 'known': {
      const correction = message.correction ? ',"isCorrection":true' : ''
      return `{"action":"known","id":${quote(message.id)},${stateText(message.known)}${correction}}`
    }
    case 'content':
      return contentLine(message)
    case 'done':
      return `{"action":"done","id":${quote(message.id)}}`
    case 'reconcile':
      return JSON.stringify({ action: 'reconcile', id: message.batch, values: message.values })
    case 'reconcile-ack':
      return `{"action":"reconcile-ack","id":${quote(message.batch)}}`
    case 'ping':
      return `{"type":"ping","time":${message.time},"dc":${quote(message.from)}}`
    default:
      return undefined
  }
}

function isSayable(line: Line | undefined): line is Line {
  return line !== undefined
}

/** Content is encoded once, however many peers it goes to; the bytes live as long as the message. */
const encoded = new WeakMap<ContentMessage, Uint8Array>()

function contentLine(message: ContentMessage): Uint8Array {
  const before = encoded.get(message)
  if (before !== undefined) return before
  const line = lineOf(contentParts(message))
  encoded.set(message, line)
  return line
}

function contentParts(message: ContentMessage): Line[] {
  const { id, kind, header, priority, runs, expectUntil } = message
  if (kind !== 'json')
    throw new TypeError(`document ${quote(id)}: the Jazz dialect carries payloads of kind 'json', got '${kind}'`)
  const parts: Line[] = [`{"action":"content","id":${quote(id)}`]
  if (header !== undefined) parts.push(',"header":', header)
  parts.push(`,"priority":${priority},"new":{`)
  const named = new Set<string>()
  for (const run of runs) {
    if (named.has(run.session))
      throw new TypeError(`document ${quote(id)}: expected one run per session, got two of ${quote(run.session)}`)
    parts.push(`${named.size > 0 ? ',' : ''}${quote(run.session)}:{"after":${run.after},"newTransactions":[`)
    named.add(run.session)
    run.transactions.forEach((transaction, index) => {
      if (index > 0) parts.push(',')
      parts.push(transaction)
    })
    parts.push(run.seal === undefined ? ']}' : `],"lastSignature":${sealText(run.seal, id)}}`)
  }
  parts.push(expectUntil === undefined ? '}}' : `},"expectContentUntil":${sessionsText(expectUntil.sessions)}}`)
  return parts
}

function sealText(seal: Uint8Array, id: string): string {
  const text = decodeUtf8(seal)
  if (text === undefined)
    throw new TypeError(`document ${quote(id)}: a seal of the Jazz dialect is UTF-8, got other bytes`)
  return quote(text)
}

function stateText(known: KnownState): string {
  return `"header":${known.header},"sessions":${sessionsText(known.sessions)}`
}

// Written by hand: an object could not hold a session named `__proto__`.
function sessionsText(sessions: ReadonlyMap<string, number>): string {
  let text = ''
  for (const [session, count] of sessions) text += `${text === '' ? '{' : ','}${quote(session)}:${count}`
  return text === '' ? '{}' : `${text}}`
}

function quote(text: string): string {
  return JSON.stringify(text)
}
