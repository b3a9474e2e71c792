/**
 * Writing messages of `tidemark.1`: the bytes of one body each, as docs/protocol.md describes them.
 *
 * L10: a name that finds no free slot in a message is spelled out, so any message can be written whatever the size of the
 * tables. Not here: type and length in front of a body, frames (tidemark-binary.ts).
 */
import type { KnownState } from '@tidemark/known-state'
import type { ByteWriter } from './byte-writer.ts'
import { writeDigest } from './digest-bytes.ts'
import type { ContentMessage, Digests, ErrorMessage, HelloMessage, ReconcileMessage, Run } from './messages.ts'
import { type Announcer, DOCUMENTS, SESSIONS, type Table } from './names.ts'
import type { ContinuationMessage, Part } from './spans.ts'
import * as format from './tidemark-binary-format.ts'

/** Where a message is written to. */
export interface Sink {
  readonly body: ByteWriter
  /** Announcements that have to stand before the message. */
  readonly announcements: ByteWriter
  /** Without one, names are spelled out. */
  readonly names: Announcer | undefined
  /** Said in `hello`. */
  readonly namesMax: number
}

/** Writes the body of a message, or of a part that is followed by `more`; answers its type. */
export function writeBody(sink: Sink, message: Part['message'], more: boolean): number {
  switch (message.action) {
    case 'load':
      writeState(sink, message, more, message.probe === true)
      return format.LOAD
    case 'known':
      writeState(sink, message, more, message.correction)
      return format.KNOWN
    case 'more':
      writeState(sink, message, more, false)
      return format.MORE
    case 'content':
      writeContent(sink, message)
      return format.CONTENT
    case 'done':
      writeName(sink, DOCUMENTS, message.id)
      return format.DONE
    case 'reconcile':
      writeReconcile(sink, message)
      return format.RECONCILE
    case 'reconcile-ack':
      sink.body.text(message.batch)
      return format.RECONCILE_ACK
    case 'error':
      writeError(sink, message)
      return format.ERROR
    case 'hello':
      writeHello(sink, message)
      return format.HELLO
    case 'ping':
      sink.body.varint(message.time)
      sink.body.text(message.from)
      return format.PING
  }
}

function writeName({ body, announcements, names }: Sink, table: Table, name: string): void {
  const slot = names === undefined ? -1 : names.slotOf(table, name, announcements)
  body.varint(slot + 1)
  if (slot < 0) body.text(name)
}

type State = Pick<ContinuationMessage, 'id' | 'known' | 'digests'>

function writeState(sink: Sink, { id, known, digests }: State, more: boolean, special: boolean): void {
  const { body } = sink
  const said = digests !== undefined && hasAll(digests, known) ? digests : undefined
  writeName(sink, DOCUMENTS, id)
  body.byte(
    (known.header ? format.STATE_HEADER : 0) |
      (said !== undefined ? format.STATE_DIGESTS : 0) |
      (more ? format.STATE_MORE : 0) |
      (special ? format.STATE_SPECIAL : 0),
  )
  writeSessions(sink, known, said)
}

/** Digests are optional: they are said of all sessions that are named, or of none. */
function hasAll(digests: Digests, { sessions }: KnownState): boolean {
  if (sessions.size === 0 || digests.size < sessions.size) return false
  for (const session of sessions.keys()) if (!digests.has(session)) return false
  return true
}

/** They are the last thing in a message. */
function writeSessions(sink: Sink, { sessions }: KnownState, digests: Digests | undefined): void {
  const { body } = sink
  for (const [session, count] of sessions) {
    writeName(sink, SESSIONS, session)
    body.varint(count)
    if (digests !== undefined) writeDigest(body, digests.get(session) as string)
  }
}

function writeContent(sink: Sink, message: ContentMessage): void {
  const { id, kind, priority, header, runs, expectUntil } = message
  checkSessions(message)
  const { body } = sink
  writeName(sink, DOCUMENTS, id)
  body.byte(
    (kind === 'bytes' ? format.CONTENT_BYTES : 0) |
      (format.PRIORITIES.indexOf(priority) << 1) |
      (header !== undefined ? format.CONTENT_HEADER : 0) |
      (expectUntil !== undefined ? format.CONTENT_UNTIL : 0),
  )
  if (header !== undefined) body.payload(header)
  body.varint(runs.length)
  for (const run of runs) writeRun(sink, run, kind === 'bytes')
  if (expectUntil === undefined) return
  body.byte(expectUntil.header ? format.STATE_HEADER : 0)
  writeSessions(sink, expectUntil, undefined)
}

/** Before anything is written of the message: an error has to leave no trace. */
function checkSessions({ id, runs }: ContentMessage): void {
  if (runs.length < 2) return
  const sessions = new Set(runs.map(({ session }) => session))
  if (sessions.size < runs.length)
    throw new TypeError(
      `document ${JSON.stringify(id)}: expected one run per session, got ${runs.length} runs of ${sessions.size}`,
    )
}

function writeRun(sink: Sink, { session, after, transactions, seal, digest }: Run, isDigested: boolean): void {
  const { body } = sink
  const said = isDigested ? digest : undefined
  writeName(sink, SESSIONS, session)
  body.varint(after)
  body.varint(
    transactions.length * 4 + (seal !== undefined ? format.RUN_SEAL : 0) + (said !== undefined ? format.RUN_DIGEST : 0),
  )
  if (said !== undefined) writeDigest(body, said)
  for (const transaction of transactions) body.payload(transaction)
  if (seal !== undefined) body.payload(seal)
}

/** Documents to be compared in bulk are asleep: they get no slots, which others need. */
function writeReconcile({ body }: Sink, { batch, values }: ReconcileMessage): void {
  body.text(batch)
  body.varint(values.length)
  for (const [id, hash] of values) {
    body.varint(0)
    body.text(id)
    body.text(hash)
  }
}

function writeError(sink: Sink, { id, code, message, retryAfterMs }: ErrorMessage): void {
  const { body } = sink
  body.byte((id !== undefined ? format.ERROR_ID : 0) | (retryAfterMs !== undefined ? format.ERROR_RETRY : 0))
  if (id !== undefined) writeName(sink, DOCUMENTS, id)
  body.byte(Math.max(0, format.ERROR_CODES.indexOf(code)))
  body.text(message)
  if (retryAfterMs !== undefined) body.varint(retryAfterMs)
}

function writeHello({ body, namesMax }: Sink, message: HelloMessage): void {
  const { version, features, generation, level, limits, peer } = message
  body.varint(version)
  body.varint(features.length)
  for (const feature of features) body.text(feature)
  body.text(generation.id)
  body.varint(generation.sequence)
  body.byte(level === 'durable' ? 1 : 0)
  body.varint(limits.messageBytesMax)
  body.varint(limits.frameBytesMax)
  body.varint(namesMax)
  body.text(peer)
}
