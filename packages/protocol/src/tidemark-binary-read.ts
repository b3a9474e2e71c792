/**
 * Reading messages of `tidemark.1`: one body each, which may be anything.
 *
 * L14: counts are checked against limits and against the bytes that are there before anything is made for them; payloads of
 * `json` documents have to be JSON here already. Bytes after the last field are passed over and unknown error codes read as
 * `failed`, so that later versions can add. Not here: type and length in front of a body, frames (tidemark-binary.ts).
 */
import type { KnownState } from '@tidemark/known-state'
import type { ByteReader } from './byte-reader.ts'
import { readDigest } from './digest-bytes.ts'
import { jsonFault, payloadDepthMax } from './json-payload.ts'
import type { Limits } from './limits.ts'
import type {
  ContentMessage,
  Digests,
  ErrorMessage,
  HelloMessage,
  KnownMessage,
  LoadMessage,
  Message,
  PingMessage,
  Priority,
  ReconcileMessage,
  Run,
} from './messages.ts'
import { type Announced, DOCUMENTS, SESSIONS, type Table } from './names.ts'
import type { Part } from './spans.ts'
import { decodeUtf8 } from './text.ts'
import * as format from './tidemark-binary-format.ts'
import { unreadHello } from './unread-hello.ts'

/** Where messages are read from. */
export interface Source {
  readonly reader: ByteReader
  readonly names: Announced
  readonly limits: Limits
  /** Slots that the peer's `hello` offered. */
  namesOffered: number
  /** A continuation follows what was read last. */
  more: boolean
}

/** What a body says; nothing if its type is not known. `source.more` says whether a continuation follows. */
export function readBody(source: Source, type: number): Part['message'] | undefined {
  source.more = false
  switch (type) {
    case format.LOAD: {
      const state = readState(source)
      const message: Writable<LoadMessage> = { action: 'load', id: state.id, known: state.known }
      if (state.digests !== undefined) message.digests = state.digests
      if (state.special) message.probe = true
      return message
    }
    case format.KNOWN: {
      const state = readState(source)
      const message: Writable<KnownMessage> = {
        action: 'known',
        id: state.id,
        known: state.known,
        correction: state.special,
      }
      if (state.digests !== undefined) message.digests = state.digests
      return message
    }
    case format.MORE: {
      const { id, known, digests, special } = readState(source)
      if (special) throw source.reader.unsupported('flags', 'known flags', 'one more')
      return { action: 'more', id, known, ...(digests && { digests }) }
    }
    default:
      return readOther(source, type)
  }
}

/** Members are added one by one: spreading is slow, and this is the innermost loop. */
type Writable<T> = { -readonly [K in keyof T]: T[K] }

function readOther(source: Source, type: number): Message | undefined {
  switch (type) {
    case format.CONTENT:
      return readContent(source)
    case format.DONE:
      return { action: 'done', id: readDocument(source) }
    case format.RECONCILE:
      return readReconcile(source)
    case format.RECONCILE_ACK:
      return { action: 'reconcile-ack', batch: source.reader.name('batch', source.limits.idBytesMax) }
    case format.ERROR:
      return readError(source)
    case format.HELLO:
      return readHello(source)
    case format.PING:
      return readPing(source)
    default:
      return undefined
  }
}

/** The document that the message is about; errors name it from here on. */
export function readDocument(source: Source): string {
  const id = readName(source, DOCUMENTS, 'id')
  source.reader.id = id
  return id
}

function readName({ reader, names, limits }: Source, table: Table, field: string): string {
  const reference = reader.varint(field)
  if (reference === 0) return reader.name(field, limits.idBytesMax)
  const name = names.get(table, reference - 1)
  if (name === undefined) throw reader.malformed(field, 'a slot that was announced', `${reference - 1}`)
  return name
}

interface State {
  readonly id: string
  readonly known: KnownState
  readonly digests: Digests | undefined
  readonly special: boolean
}

function readState(source: Source): State {
  const { reader } = source
  const id = readDocument(source)
  const flags = reader.byte('flags')
  if (flags > 15) throw reader.unsupported('flags', 'known flags', `${flags}`)
  const digests = (flags & format.STATE_DIGESTS) === 0 ? undefined : new Map<string, string>()
  const sessions = readSessions(source, 'sessions', digests)
  source.more = (flags & format.STATE_MORE) !== 0
  const known = { header: (flags & format.STATE_HEADER) !== 0, sessions }
  return {
    id,
    known,
    digests: digests?.size === 0 ? undefined : digests,
    special: (flags & format.STATE_SPECIAL) !== 0,
  }
}

/** Up to the end of the message. */
function readSessions(source: Source, field: string, digests: Map<string, string> | undefined): Map<string, number> {
  const { reader, limits } = source
  const sessions = new Map<string, number>()
  let named = 0
  const zeros = new Set<string>()
  while (reader.at < reader.end) {
    if (++named > limits.sessionsMax) throw reader.excess(field, `at most ${limits.sessionsMax} sessions`, 'more')
    const session = readName(source, SESSIONS, field)
    const count = reader.varint(field)
    const digest = digests === undefined ? '' : readDigest(reader, 'digests')
    if (count === 0) zeros.add(session)
    else {
      sessions.set(session, count)
      digests?.set(session, digest)
    }
  }
  const again = zeros.size > 0 && [...zeros].some((session) => sessions.has(session))
  if (again || sessions.size + zeros.size !== named)
    throw reader.malformed(field, 'each session once', 'one of them again')
  return sessions
}

function readContent(source: Source): ContentMessage {
  const { reader, limits } = source
  const id = readDocument(source)
  const flags = reader.byte('flags')
  const priority: Priority | undefined = format.PRIORITIES[(flags >> 1) & 3]
  if (flags > 31 || priority === undefined) throw reader.unsupported('flags', 'known flags', `${flags}`)
  const kind = (flags & format.CONTENT_BYTES) === 0 ? 'json' : 'bytes'
  const isJson = kind === 'json'
  const header = (flags & format.CONTENT_HEADER) === 0 ? undefined : readPayload(source, 'header', isJson)
  const length = reader.countOf('runs', 3, limits.sessionsMax, 'runs')
  const runs: Run[] = []
  let total = 0
  for (let index = 0; index < length; index++) {
    const run = readRun(source, isJson, total)
    total += run.transactions.length
    runs.push(run)
  }
  if (length > 1 && new Set(runs.map(({ session }) => session)).size !== length)
    throw reader.malformed('runs', 'one run per session', 'two of one')
  const message: Writable<ContentMessage> = { action: 'content', id, kind, priority, runs }
  if (header !== undefined) message.header = header
  if ((flags & format.CONTENT_UNTIL) !== 0) message.expectUntil = readUntil(source)
  return message
}

function readUntil(source: Source) {
  const { reader } = source
  const flags = reader.byte('expectUntil')
  if (flags > format.STATE_HEADER) throw reader.unsupported('expectUntil', 'known flags', `${flags}`)
  return { header: flags === format.STATE_HEADER, sessions: readSessions(source, 'expectUntil', undefined) }
}

function readRun(source: Source, isJson: boolean, before: number): Run {
  const { reader, limits } = source
  const session = readName(source, SESSIONS, 'runs.session')
  const after = reader.varint('runs.after')
  const packed = reader.varint('runs.transactions')
  const length = Math.floor(packed / 4)
  if (before + length > limits.transactionsMax)
    throw reader.excess('runs', `at most ${limits.transactionsMax} transactions in a message`, 'more')
  if (length > reader.end - reader.at) throw reader.malformed('runs.transactions', 'more bytes', 'a larger number')
  if (!Number.isSafeInteger(after + length))
    throw reader.malformed('runs.after', 'a count that leaves room for the run', `${after}`)
  const digest = (packed & format.RUN_DIGEST) === 0 ? undefined : readDigest(reader, 'runs.digest')
  const transactions: Uint8Array[] = []
  for (let index = 0; index < length; index++) transactions.push(readPayload(source, 'runs.transactions', isJson))
  const run: Writable<Run> = { session, after, transactions }
  if ((packed & format.RUN_SEAL) !== 0) run.seal = readSeal(source, isJson)
  if (digest !== undefined && !isJson) run.digest = digest
  return run
}

function readPayload({ reader, limits }: Source, field: string, isJson: boolean): Uint8Array {
  const payload = reader.payload(field)
  if (!isJson) return payload
  const depthMax = payloadDepthMax(limits.jsonDepthMax)
  const fault = jsonFault(payload, depthMax)
  if (fault === 'deep') throw reader.excess(field, `at most ${depthMax} nested levels`, 'more')
  if (fault === 'malformed') throw reader.malformed(field, 'the UTF-8 of a JSON text', `${payload.length} bytes`)
  return payload
}

/** In the Jazz dialect a seal is a string, so it must have been one. */
function readSeal({ reader }: Source, isJson: boolean): Uint8Array {
  const seal = reader.payload('runs.seal')
  if (isJson && decodeUtf8(seal) === undefined)
    throw reader.malformed('runs.seal', 'the UTF-8 of a text', `${seal.length} bytes`)
  return seal
}

function readReconcile(source: Source): ReconcileMessage {
  const { reader, limits } = source
  const batch = reader.name('batch', limits.idBytesMax)
  const length = reader.countOf('values', 3, limits.reconcileMax, 'entries')
  const values: [id: string, hash: string][] = []
  for (let index = 0; index < length; index++)
    values.push([readName(source, DOCUMENTS, 'values.id'), reader.name('values.hash', limits.idBytesMax)])
  return { action: 'reconcile', batch, values }
}

function readError(source: Source): ErrorMessage {
  const { reader } = source
  const flags = reader.byte('flags')
  if (flags > 3) throw reader.unsupported('flags', 'known flags', `${flags}`)
  const id = (flags & format.ERROR_ID) === 0 ? undefined : readDocument(source)
  const code = format.ERROR_CODES[reader.byte('code')] ?? 'failed'
  const message = reader.text('message', format.ERROR_TEXT_BYTES_MAX)
  const retryAfterMs = (flags & format.ERROR_RETRY) === 0 ? undefined : reader.varint('retryAfterMs')
  return {
    action: 'error',
    ...(id !== undefined && { id }),
    code,
    message,
    ...(retryAfterMs !== undefined && { retryAfterMs }),
  }
}

/** Of a hello of another version only the version is read. */
function readHello(source: Source): HelloMessage {
  const { reader } = source
  const { idBytesMax } = source.limits
  const version = reader.varint('version')
  if (version !== 1) return unreadHello(version)
  const length = reader.countOf('features', 1, format.FEATURES_MAX, 'features')
  const features: string[] = []
  for (let index = 0; index < length; index++) features.push(reader.name('features', idBytesMax))
  const generation = {
    id: reader.name('generation.id', idBytesMax),
    sequence: reader.varint('generation.sequence'),
  }
  const level = reader.byte('level')
  if (level > 1) throw reader.malformed('level', '0 (stored) or 1 (durable)', `${level}`)
  const messageBytesMax = reader.varint('limits.messageBytesMax')
  const frameBytesMax = reader.varint('limits.frameBytesMax')
  source.namesOffered = reader.varint('limits.namesMax')
  return {
    action: 'hello',
    version,
    features,
    generation,
    level: level === 1 ? 'durable' : 'stored',
    limits: { messageBytesMax, frameBytesMax },
    peer: reader.name('peer', idBytesMax),
  }
}

function readPing({ reader, limits }: Source): PingMessage {
  return { action: 'ping', time: reader.varint('time'), from: reader.text('from', limits.idBytesMax) }
}
