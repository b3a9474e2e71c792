/**
 * Reading messages of `tidemark.1.json`.
 *
 * L14: a payload of a `json` document has to be JSON here already, because the Jazz dialect will splice it into a line for
 * others unread. Unknown types and fields are left out, unknown error codes read as `failed`, so that later versions can add.
 * Not here: lines and lengths (lines.ts), the fields that both dialects have (validate.ts).
 */
import { base64 } from './base64.ts'
import { ProtocolError } from './errors.ts'
import { jsonFault, payloadDepthMax } from './json-payload.ts'
import type {
  AckLevel,
  ContentMessage,
  Digests,
  ErrorCode,
  ErrorMessage,
  HelloMessage,
  KnownMessage,
  LoadMessage,
  Message,
  PayloadKind,
  Run,
} from './messages.ts'
import type { ContinuationMessage, Part } from './spans.ts'
import { decodeUtf8, utf8Length } from './text.ts'
import { ERROR_TEXT_BYTES_MAX } from './tidemark-binary-format.ts'
import { unreadHello } from './unread-hello.ts'
import {
  arrayOf,
  checkEnd,
  checkTransactions,
  countOf,
  documentId,
  entry,
  excess,
  type Fields,
  flagOf,
  idOf,
  knownStateOf,
  malformed,
  objectOf,
  type Place,
  priorityOf,
  reconcileValues,
  sessionsOf,
  textOf,
} from './validate.ts'

const FEATURES_MAX = 64
const DIGEST_DIGITS = 16

const ERROR_CODES: ReadonlySet<unknown> = new Set<ErrorCode>([
  'malformed',
  'unsupported',
  'limit',
  'forbidden',
  'failed',
  'unavailable',
  'quota',
  'tooLarge',
  'refused',
  'fork',
  'busy',
])

export function readMessage(fields: Fields, place: Place): Part | undefined {
  const { type } = fields
  if (type === 'load') return partOf(fields, place, readLoad(fields, place))
  if (type === 'known') return partOf(fields, place, readKnown(fields, place))
  if (type === 'more') return partOf(fields, place, readContinuation(fields, place))
  const message = readOther(fields, place)
  return message && { message, more: false }
}

function partOf(fields: Fields, place: Place, message: Part['message']): Part {
  return { message, more: flagOf(place, fields.more, 'more') }
}

function readOther(fields: Fields, place: Place): Message | undefined {
  const { type } = fields
  switch (type) {
    case 'content':
      return readContent(fields, place)
    case 'done':
      return { action: type, id: documentId(place, fields.id) }
    case 'reconcile':
      return { action: type, batch: idOf(place, fields.batch, 'batch'), values: reconcileValues(place, fields.values) }
    case 'reconcile-ack':
      return { action: type, batch: idOf(place, fields.batch, 'batch') }
    case 'error':
      return readError(fields, place)
    case 'hello':
      return readHello(fields, place)
    case 'ping':
      return {
        action: type,
        time: countOf(place, fields.time, 'time'),
        from: shortText(place, fields.from, 'from', place.limits.idBytesMax),
      }
    default:
      if (typeof type !== 'string') throw malformed(place, 'type', 'a string', type)
      return undefined
  }
}

function readContinuation(fields: Fields, place: Place): ContinuationMessage {
  const id = documentId(place, fields.id)
  const known = knownStateOf(place, fields)
  const digests = digestsOf(place, fields.digests)
  return { action: 'more', id, known, ...(digests && { digests }) }
}

function readLoad(fields: Fields, place: Place): LoadMessage {
  const message: LoadMessage = { action: 'load', id: documentId(place, fields.id), known: knownStateOf(place, fields) }
  const digests = digestsOf(place, fields.digests)
  const probe = flagOf(place, fields.probe, 'probe')
  return { ...message, ...(digests && { digests }), ...(probe && { probe }) }
}

function readKnown(fields: Fields, place: Place): KnownMessage {
  const id = documentId(place, fields.id)
  const known = knownStateOf(place, fields)
  const digests = digestsOf(place, fields.digests)
  const correction = flagOf(place, fields.correction, 'correction')
  return { action: 'known', id, known, correction, ...(digests && { digests }) }
}

function readContent(fields: Fields, place: Place): ContentMessage {
  const id = documentId(place, fields.id)
  const kind = kindOf(place, fields.kind)
  const header = fields.header === undefined ? undefined : payload(place, fields.header, 'header', kind)
  const runs = runsOf(place, fields.runs, kind)
  const until = fields.expectUntil
  const expectUntil = until === undefined ? undefined : knownStateOf(place, objectOf(place, until, 'expectUntil'))
  const priority = priorityOf(fields.priority)
  return { action: 'content', id, kind, priority, ...(header && { header }), runs, ...(expectUntil && { expectUntil }) }
}

function kindOf(place: Place, value: unknown): PayloadKind {
  if (value === 'json' || value === 'bytes') return value
  const error = malformed(place, 'kind', "'json' or 'bytes'", value)
  // A later version may know more kinds.
  throw typeof value === 'string' ? new ProtocolError('unsupported', error) : error
}

function runsOf(place: Place, value: unknown, kind: PayloadKind): Run[] {
  const runs = arrayOf(place, value, 'runs')
  const { sessionsMax } = place.limits
  if (runs.length > sessionsMax) throw excess(place, 'runs', `at most ${sessionsMax} runs`, `${runs.length}`)
  const sessions = new Set<string>()
  let total = 0
  return runs.map((item, index) => {
    const field = entry('runs', index)
    const run = objectOf(place, item, field)
    const session = idOf(place, run.session, `${field}.session`)
    if (sessions.has(session)) throw malformed(place, `${field}.session`, 'one run per session', session)
    sessions.add(session)
    const after = countOf(place, run.after, `${field}.after`)
    const texts = arrayOf(place, run.transactions, `${field}.transactions`)
    total += texts.length
    checkTransactions(place, total, 'runs')
    checkEnd(place, after, texts.length, `${field}.after`)
    const transactions = texts.map((text, at) => payload(place, text, entry(`${field}.transactions`, at), kind))
    const seal = run.seal === undefined ? undefined : sealOf(place, run.seal, `${field}.seal`, kind)
    const digest =
      kind === 'json' || run.digest === undefined ? undefined : digestOf(place, run.digest, `${field}.digest`)
    return { session, after, transactions, ...(seal && { seal }), ...(digest && { digest }) }
  })
}

function payload(place: Place, value: unknown, field: string, kind: PayloadKind): Uint8Array {
  const bytes = bytesOf(place, value, field)
  if (kind === 'json') checkJson(place, bytes, field)
  return bytes
}

function checkJson(place: Place, bytes: Uint8Array, field: string): void {
  const depthMax = payloadDepthMax(place.limits.jsonDepthMax)
  const fault = jsonFault(bytes, depthMax)
  if (fault === 'deep') throw excess(place, field, `at most ${depthMax} nested levels`, 'more')
  if (fault === 'malformed') throw malformed(place, field, 'the UTF-8 of a JSON text', bytes)
}

/** In the Jazz dialect a seal is a string, so it must have been one. */
function sealOf(place: Place, value: unknown, field: string, kind: PayloadKind): Uint8Array {
  const seal = bytesOf(place, value, field)
  if (kind === 'json' && decodeUtf8(seal) === undefined) throw malformed(place, field, 'the UTF-8 of a text', seal)
  return seal
}

function bytesOf(place: Place, value: unknown, field: string): Uint8Array {
  const bytes = typeof value === 'string' ? base64.decode(value) : undefined
  if (bytes === undefined) throw malformed(place, field, 'base64', value)
  return bytes
}

function digestsOf(place: Place, value: unknown): Digests | undefined {
  if (value === undefined) return undefined
  const fields = objectOf(place, value, 'digests')
  const digests = new Map<string, string>()
  for (const session of sessionsOf(place, fields, 'digests'))
    digests.set(session, digestOf(place, fields[session], entry('digests', session)))
  return digests
}

function digestOf(place: Place, value: unknown, field: string): string {
  if (typeof value !== 'string' || !isDigest(value)) throw malformed(place, field, '16 lower-case hex digits', value)
  return value
}

function isDigest(text: string): boolean {
  if (text.length !== DIGEST_DIGITS) return false
  for (const digit of text) if (!'0123456789abcdef'.includes(digit)) return false
  return true
}

function readError(fields: Fields, place: Place): ErrorMessage {
  const id = fields.id === undefined ? undefined : documentId(place, fields.id)
  const code = textOf(place, fields.code, 'code')
  const message = shortText(place, fields.message, 'message', ERROR_TEXT_BYTES_MAX)
  const retryAfterMs =
    fields.retryAfterMs === undefined ? undefined : countOf(place, fields.retryAfterMs, 'retryAfterMs')
  return {
    action: 'error',
    ...(id !== undefined && { id }),
    code: ERROR_CODES.has(code) ? (code as ErrorCode) : 'failed',
    message,
    ...(retryAfterMs !== undefined && { retryAfterMs }),
  }
}

function shortText(place: Place, value: unknown, field: string, bytesMax: number): string {
  const text = textOf(place, value, field)
  const length = utf8Length(text)
  if (length > bytesMax) throw excess(place, field, `at most ${bytesMax} bytes`, `${length}`)
  return text
}

function readHello(fields: Fields, place: Place): HelloMessage {
  const version = countOf(place, fields.version, 'version')
  if (version !== 1) return unreadHello(version)
  const generation = objectOf(place, fields.generation, 'generation')
  const limits = objectOf(place, fields.limits, 'limits')
  const features = arrayOf(place, fields.features, 'features')
  if (features.length > FEATURES_MAX)
    throw excess(place, 'features', `at most ${FEATURES_MAX} features`, `${features.length}`)
  return {
    action: 'hello',
    version,
    features: features.map((feature, index) => idOf(place, feature, entry('features', index))),
    generation: {
      id: idOf(place, generation.id, 'generation.id'),
      sequence: countOf(place, generation.sequence, 'generation.sequence'),
    },
    level: levelOf(place, fields.level),
    limits: {
      messageBytesMax: countOf(place, limits.messageBytesMax, 'limits.messageBytesMax'),
      frameBytesMax: countOf(place, limits.frameBytesMax, 'limits.frameBytesMax'),
    },
    peer: idOf(place, fields.peer, 'peer'),
  }
}

function levelOf(place: Place, value: unknown): AckLevel {
  if (value !== 'stored' && value !== 'durable') throw malformed(place, 'level', "'stored' or 'durable'", value)
  return value
}
