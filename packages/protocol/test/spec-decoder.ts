/**
 * A decoder of `tidemark.1`, written from docs/protocol.md alone: it shares no code with the package, and is slow and plain.
 *
 * It answers messages as objects of the readable twin, payloads in hex, and what stands in place of those that are not understood. Not
 * here: what is said to the sender of those, and when the connection is closed.
 */

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json }
type Fields = { [key: string]: Json }
type Code = 'malformed' | 'unsupported' | 'limit'

/** What one frame says (section 7 of the page). */
export interface Heard {
  readonly messages: Fields[]
  readonly errors: { readonly before: number; readonly code: Code; readonly fatal?: true }[]
}

class Wrong extends Error {
  readonly code: Code
  constructor(code: Code) {
    super(code)
    this.code = code
  }
}

const CODES = 'failed malformed unsupported limit forbidden unavailable quota tooLarge refused fork busy'.split(' ')
const SLOTS = 16_384
const BODY_BYTES = 8 * 1024 * 1024

/** One direction of one connection. */
export function createSpecDecoder() {
  const tables: [Map<number, string>, Map<number, string>] = [new Map(), new Map()]
  let open: Fields | undefined
  /** Why nothing is understood any more. */
  let lost: Code | undefined

  function hear(frame: Uint8Array): Heard {
    const heard: Heard = { messages: [], errors: [] }
    const cursor = createCursor(frame)
    try {
      if (lost !== undefined) throw new Wrong(lost)
      for (let count = 1; cursor.left() > 0; count++) {
        if (count > 16_384) throw new Wrong('limit')
        hearOne(cursor, heard)
      }
    } catch (error) {
      lost = codeOf(error)
      heard.errors.push({ before: heard.messages.length, code: lost, fatal: true })
    }
    return heard
  }

  /** Throws where the bytes lose their meaning. */
  function hearOne(cursor: Cursor, heard: Heard): void {
    const type = cursor.byte()
    const body = createCursor(cursor.take(cursor.varint()))
    if (type === 2) return announce(body)
    try {
      if (body.left() > BODY_BYTES) throw new Wrong('limit')
      const message = decodeBody(type, body)
      if (message !== undefined) heard.messages.push(message)
    } catch (error) {
      open = undefined
      heard.errors.push({ before: heard.messages.length, code: codeOf(error) })
    }
  }

  function announce(body: Cursor): void {
    for (let count = 1; body.left() > 0; count++) {
      if (count > 2 * SLOTS) throw new Wrong('limit')
      const key = body.varint()
      const slot = Math.floor(key / 2)
      const table = tables[(key % 2) as 0 | 1]
      need(slot < SLOTS, 'limit')
      need(slot <= table.size)
      table.set(slot, body.id())
    }
  }

  function decodeBody(type: number, body: Cursor): Fields | undefined {
    const message = bodies[type]?.(body)
    if (message === undefined) return undefined
    if (type === 3 || type === 4 || type === 5) return join(message, type === 5)
    need(open === undefined)
    return message
  }

  function join(part: Fields, isContinuation: boolean): Fields | undefined {
    const { more, ...rest } = part
    if (isContinuation) {
      need(open !== undefined && open.id === rest.id)
      const sessions = (open as Fields).sessions as Fields
      for (const session of Object.keys(rest.sessions as Fields)) need(!Object.hasOwn(sessions, session))
      need(Object.keys(sessions).length + Object.keys(rest.sessions as Fields).length <= 100_000, 'limit')
      Object.assign(sessions, rest.sessions)
      if (rest.digests !== undefined)
        (open as Fields).digests = Object.assign(((open as Fields).digests ?? {}) as Fields, rest.digests)
    } else {
      need(open === undefined)
      open = rest
    }
    const whole = open
    if (more === true) return undefined
    open = undefined
    return whole
  }

  function name(body: Cursor, table: 0 | 1): string {
    const reference = body.varint()
    if (reference === 0) return body.id()
    const found = tables[table].get(reference - 1)
    if (found === undefined) throw new Wrong('malformed')
    return found
  }

  /** Sessions with their counts, up to the end; none twice, and those with a count of 0 left out. */
  function entries(body: Cursor, digests?: Fields): Fields {
    const named = new Set<string>()
    const sessions: [string, number][] = []
    while (body.left() > 0) {
      need(named.size < 10_000, 'limit')
      const session = name(body, 1)
      const count = body.varint()
      const digest = digests === undefined ? '' : hexOf(body.take(8))
      need(!named.has(session))
      named.add(session)
      if (count === 0) continue
      sessions.push([session, count])
      if (digests !== undefined) Object.defineProperty(digests, session, { value: digest, enumerable: true })
    }
    return Object.fromEntries(sessions)
  }

  function state(type: string, special: string | undefined) {
    return (body: Cursor): Fields => {
      const id = name(body, 0)
      const flags = body.byte()
      need(flags < 16 && (special !== undefined || (flags & 8) === 0), 'unsupported')
      const digests: Fields | undefined = (flags & 2) !== 0 ? {} : undefined
      const sessions = entries(body, digests)
      return {
        type,
        id,
        header: (flags & 1) !== 0,
        sessions,
        ...(digests !== undefined && Object.keys(digests).length > 0 && { digests }),
        ...((flags & 4) !== 0 && { more: true }),
        ...(special !== undefined && (flags & 8) !== 0 && { [special]: true }),
      }
    }
  }

  /** A header or a transaction. */
  function payload(body: Cursor, isJson: boolean): string {
    const bytes = body.bytes()
    if (isJson) checkJson(bytes)
    return hexOf(bytes)
  }

  function run(body: Cursor, isJson: boolean): Fields {
    const session = name(body, 1)
    const after = body.varint()
    const packed = body.varint()
    const count = Math.floor(packed / 4)
    need(count <= 100_000, 'limit')
    need(after + count <= Number.MAX_SAFE_INTEGER)
    const digest = packed % 4 >= 2 ? hexOf(body.take(8)) : undefined
    const transactions: string[] = []
    while (transactions.length < count) transactions.push(payload(body, isJson))
    const seal = packed % 2 === 1 ? body.bytes() : undefined
    if (seal !== undefined && isJson) textOf(seal)
    return {
      session,
      after,
      transactions,
      ...(seal !== undefined && { seal: hexOf(seal) }),
      ...(digest !== undefined && !isJson && { digest }),
    }
  }

  const bodies: Record<number, (body: Cursor) => Fields> = {
    1: (body) => {
      const version = body.varint()
      if (version !== 1) return { type: 'hello', version }
      return {
        type: 'hello',
        version,
        features: list(body, 64, () => body.id()),
        generation: { id: body.id(), sequence: body.varint() },
        level: ['stored', 'durable'][body.byte()] ?? wrong(),
        limits: { messageBytesMax: body.varint(), frameBytesMax: body.varint(), namesMax: body.varint() },
        peer: body.id(),
      }
    },
    3: state('load', 'probe'),
    4: state('known', 'correction'),
    5: state('more', undefined),
    6: (body) => {
      const id = name(body, 0)
      const flags = body.byte()
      const priority = [0, 3, 6][(flags >> 1) & 3]
      need(flags < 32 && priority !== undefined, 'unsupported')
      const isJson = (flags & 1) === 0
      const header = (flags & 8) !== 0 ? payload(body, isJson) : undefined
      const runs = list(body, 10_000, () => run(body, isJson))
      need(new Set(runs.map(({ session }) => session)).size === runs.length)
      const until = (flags & 16) !== 0 ? untilOf(body) : undefined
      return {
        type: 'content',
        id,
        kind: isJson ? 'json' : 'bytes',
        priority: priority as number,
        ...(header !== undefined && { header }),
        runs,
        ...(until !== undefined && { expectUntil: until }),
      }
    },
    7: (body) => ({ type: 'done', id: name(body, 0) }),
    8: (body) => ({
      type: 'reconcile',
      batch: body.id(),
      values: list(body, 10_000, () => [name(body, 0), body.id()]),
    }),
    9: (body) => ({ type: 'reconcile-ack', batch: body.id() }),
    10: (body) => {
      const flags = body.byte()
      need(flags < 4, 'unsupported')
      const id = (flags & 1) !== 0 ? name(body, 0) : undefined
      const code = CODES[body.byte()] ?? 'failed'
      const message = body.text(4_096)
      return {
        type: 'error',
        ...(id !== undefined && { id }),
        code,
        message,
        ...((flags & 2) !== 0 && { retryAfterMs: body.varint() }),
      }
    },
    11: (body) => ({ type: 'ping', time: body.varint(), from: body.text(256) }),
  }

  function untilOf(body: Cursor): Fields {
    const flags = body.byte()
    need(flags < 2, 'unsupported')
    return { header: flags === 1, sessions: entries(body) }
  }

  return { hear }
}

function need(holds: boolean, code: Code = 'malformed'): void {
  if (!holds) throw new Wrong(code)
}

function wrong(): never {
  throw new Wrong('malformed')
}

function codeOf(error: unknown): Code {
  if (error instanceof Wrong) return error.code
  throw error
}

function list<T>(body: Cursor, most: number, read: () => T): T[] {
  const length = body.varint()
  need(length <= most, 'limit')
  return Array.from({ length }, read)
}

function textOf(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    return wrong()
  }
}

/** One JSON text of at most 60 nested levels. */
function checkJson(bytes: Uint8Array): void {
  let value: unknown
  try {
    value = JSON.parse(textOf(bytes))
  } catch {
    return wrong()
  }
  let levels = 0
  for (let inner = [value]; ; levels++) {
    const nested = inner.filter((one) => typeof one === 'object' && one !== null)
    if (nested.length === 0) break
    inner = nested.flatMap((one) => Object.values(one as object))
  }
  need(levels <= 60, 'limit')
}

interface Cursor {
  left(): number
  byte(): number
  take(length: number): Uint8Array
  varint(): number
  text(bytesMax: number): string
  id(): string
  bytes(): Uint8Array
}

function createCursor(all: Uint8Array): Cursor {
  let at = 0
  const cursor: Cursor = {
    left: () => all.length - at,
    byte: () => cursor.take(1)[0] as number,
    take(length) {
      need(length <= all.length - at)
      at += length
      return all.subarray(at - length, at)
    },
    varint() {
      let value = 0n
      for (let shift = 0n; shift < 56n; shift += 7n) {
        const next = cursor.byte()
        value |= BigInt(next & 0x7f) << shift
        if (next >= 0x80) continue
        need((next > 0 || shift === 0n) && value <= BigInt(Number.MAX_SAFE_INTEGER))
        return Number(value)
      }
      return wrong()
    },
    text(bytesMax) {
      const length = cursor.varint()
      need(length <= bytesMax, 'limit')
      return textOf(cursor.take(length))
    },
    id() {
      const id = cursor.text(256)
      need(id !== '')
      return id
    },
    bytes: () => cursor.take(cursor.varint()),
  }
  return cursor
}

export function hexOf(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
}

export function bytesOfHex(hex: string): Uint8Array {
  return Uint8Array.from(hex.match(/../g) ?? [], (digits) => Number.parseInt(digits, 16))
}
