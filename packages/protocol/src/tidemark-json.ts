/**
 * The dialect `tidemark.1.json`: every message as one line of readable JSON, payloads as base64.
 *
 * Everything can be said in it, of documents of both kinds. Field names are those of the messages, with `type` for the action
 * and sessions as an object. Not here: reading, with its checks (tidemark-json-read.ts).
 */
import { base64 } from './base64.ts'
import type { Codec, Dialect } from './dialect.ts'
import { DEFAULT_LIMITS, type Limits } from './limits.ts'
import { decodeLines, decodeLinesInPortions, type Line, type LineReader, lineOf, packLines } from './lines.ts'
import type { ContentMessage, Digests, HelloMessage, Message, Run } from './messages.ts'
import { createPeerLimits, type PartLimits } from './peer-limits.ts'
import { createJoiner, isOnePart, type Part, partsOf } from './spans.ts'
import { readMessage } from './tidemark-json-read.ts'

export const tidemarkJson: Dialect = {
  name: 'tidemark.1.json',
  subprotocol: 'tidemark.1.json',
  text: true,
  traits: {
    hello: true,
    errors: true,
    done: true,
    digests: true,
    claimsStreams: false,
    knownFirst: false,
    kinds: ['json', 'bytes'],
  },
  createCodec,
}

function createCodec(limits: Partial<Limits> = {}): Codec {
  const inForce = { ...DEFAULT_LIMITS, ...limits }
  const joiner = createJoiner(inForce)
  const peer = createPeerLimits()
  const read: LineReader = (fields, place, _utf8, bytes) => {
    const part = readMessage(fields, place)
    if (part?.message.action === 'hello') peer.hear(part.message)
    return part && joiner.join(part.message, part.more, bytes)
  }
  return {
    decode: (frame) => decodeLines(frame, inForce, read),
    decodeInPortions: (frame) => decodeLinesInPortions(frame, inForce, read),
    encode(messages, frameBytes) {
      const lines = messages.flatMap((message) => linesFor(message, peer))
      return packLines(lines, Math.min(frameBytes, peer.frameBytesMax))
    },
    keptBytes: () => joiner.openBytes(),
  }
}

function linesFor(message: Message, limits: PartLimits): Line[] {
  if (isOnePart(message, limits)) return [lineFor(message, false)]
  return partsOf(message, limits).map((part) => lineFor(part.message, part.more))
}

function lineFor(message: Part['message'], more: boolean): Line {
  return message.action === 'content' ? contentLine(message) : JSON.stringify(fieldsOf(message, more || undefined))
}

/** What a message looks like; members that are `undefined` are left out by `JSON.stringify`. */
function fieldsOf(message: Exclude<Part['message'], ContentMessage>, more: true | undefined): object {
  const type = message.action
  switch (message.action) {
    case 'load': {
      const { id, known, digests, probe } = message
      return { type, id, ...stateFields(known), digests: digestFields(digests), probe: probe || undefined, more }
    }
    case 'known': {
      const { id, known, digests, correction } = message
      return {
        type,
        id,
        ...stateFields(known),
        digests: digestFields(digests),
        correction: correction || undefined,
        more,
      }
    }
    case 'more': {
      const { id, known, digests } = message
      return { type, id, ...stateFields(known), digests: digestFields(digests), more }
    }
    case 'done':
      return { type, id: message.id }
    case 'reconcile':
      return { type, batch: message.batch, values: message.values }
    case 'reconcile-ack':
      return { type, batch: message.batch }
    case 'error': {
      const { id, code, message: text, retryAfterMs } = message
      return { type, id, code, message: text, retryAfterMs }
    }
    case 'hello':
      return helloFields(message)
    case 'ping':
      return { type, time: message.time, from: message.from }
  }
}

function helloFields({ action, version, features, generation, level, limits, peer }: HelloMessage): object {
  const { messageBytesMax, frameBytesMax } = limits
  return {
    type: action,
    version,
    features,
    generation: { id: generation.id, sequence: generation.sequence },
    level,
    limits: { messageBytesMax, frameBytesMax },
    peer,
  }
}

/** Content is encoded once, however many peers it goes to; the bytes live as long as the message. */
const encoded = new WeakMap<ContentMessage, Uint8Array>()

function contentLine(message: ContentMessage): Uint8Array {
  const before = encoded.get(message)
  if (before !== undefined) return before
  const { id, kind, priority, header, runs, expectUntil } = message
  const sessions = new Set(runs.map((run) => run.session))
  if (sessions.size < runs.length)
    throw new TypeError(
      `document ${JSON.stringify(id)}: expected one run per session, got ${runs.length} runs of ${sessions.size}`,
    )
  const fields = {
    type: 'content',
    id,
    kind,
    priority,
    header: header && base64.encode(header),
    runs: runs.map((run) => runFields(run, kind === 'bytes')),
    expectUntil: expectUntil && stateFields(expectUntil),
  }
  const line = lineOf([JSON.stringify(fields)])
  encoded.set(message, line)
  return line
}

function runFields({ session, after, transactions, seal, digest }: Run, isDigested: boolean): object {
  return {
    session,
    after,
    transactions: transactions.map(base64.encode),
    seal: seal && base64.encode(seal),
    digest: isDigested ? digest : undefined,
  }
}

// `fromEntries` defines its members, so that a session named `__proto__` stays one.
function stateFields(known: { header: boolean; sessions: ReadonlyMap<string, number> }): object {
  return { header: known.header, sessions: Object.fromEntries(known.sessions) }
}

function digestFields(digests: Digests | undefined): object | undefined {
  return digests && Object.fromEntries(digests)
}
