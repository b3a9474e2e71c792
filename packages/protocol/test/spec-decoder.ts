/**
 * A decoder of `tidemark.1`, written from docs/protocol.md alone: it shares no code with the package, and is slow and plain.
 *
 * It answers messages as objects of the readable twin, payloads in hex. Not here: limits, recovery from errors.
 */

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json }
type Fields = { [key: string]: Json }

const CODES = 'failed malformed unsupported limit forbidden unavailable quota tooLarge refused fork busy'.split(' ')

/** One direction of one connection. */
export function createSpecDecoder() {
  const tables: [Map<number, string>, Map<number, string>] = [new Map(), new Map()]
  let open: Fields | undefined

  function decodeFrame(frame: Uint8Array): Fields[] {
    const messages: Fields[] = []
    const cursor = createCursor(frame)
    while (cursor.left() > 0) {
      const type = cursor.byte()
      const message = decodeBody(type, createCursor(cursor.take(cursor.varint())))
      if (message !== undefined) messages.push(message)
    }
    return messages
  }

  function decodeBody(type: number, body: Cursor): Fields | undefined {
    if (type === 2) {
      while (body.left() > 0) {
        const key = body.varint()
        tables[(key % 2) as 0 | 1].set(Math.floor(key / 2), body.text())
      }
      return undefined
    }
    const message = bodies[type]?.(body)
    if (type !== 3 && type !== 4 && type !== 5) return message
    return join(message as Fields, type === 5)
  }

  function join(part: Fields, isContinuation: boolean): Fields | undefined {
    const { more, ...rest } = part
    if (isContinuation) {
      if (open === undefined || open.id !== rest.id) throw new Error('a continuation of nothing')
      Object.assign(open.sessions as Fields, rest.sessions)
      if (rest.digests !== undefined) open.digests = Object.assign((open.digests ?? {}) as Fields, rest.digests)
    } else open = rest
    const whole = open
    if (more === true) return undefined
    open = undefined
    return whole
  }

  function name(body: Cursor, table: 0 | 1): string {
    const reference = body.varint()
    if (reference === 0) return body.text()
    const found = tables[table].get(reference - 1)
    if (found === undefined) throw new Error(`slot ${reference - 1} was not announced`)
    return found
  }

  function state(type: string, special: string | undefined) {
    return (body: Cursor): Fields => {
      const id = name(body, 0)
      const flags = body.byte()
      const sessions: [string, number][] = []
      const digests: [string, string][] = []
      while (body.left() > 0) {
        const session = name(body, 1)
        sessions.push([session, body.varint()])
        if ((flags & 2) !== 0) digests.push([session, hexOf(body.take(8))])
      }
      return {
        type,
        id,
        header: (flags & 1) !== 0,
        sessions: Object.fromEntries(sessions),
        ...((flags & 2) !== 0 && { digests: Object.fromEntries(digests) }),
        ...((flags & 4) !== 0 && { more: true }),
        ...(special !== undefined && (flags & 8) !== 0 && { [special]: true }),
      }
    }
  }

  function run(body: Cursor): Fields {
    const session = name(body, 1)
    const after = body.varint()
    const packed = body.varint()
    const digest = packed % 4 >= 2 ? hexOf(body.take(8)) : undefined
    const transactions: string[] = []
    for (let left = Math.floor(packed / 4); left > 0; left--) transactions.push(hexOf(body.bytes()))
    const seal = packed % 2 === 1 ? hexOf(body.bytes()) : undefined
    return {
      session,
      after,
      transactions,
      ...(seal !== undefined && { seal }),
      ...(digest !== undefined && { digest }),
    }
  }

  const bodies: Record<number, (body: Cursor) => Fields> = {
    1: (body) => ({
      type: 'hello',
      version: body.varint(),
      features: list(body, () => body.text()),
      generation: { id: body.text(), sequence: body.varint() },
      level: body.byte() === 1 ? 'durable' : 'stored',
      limits: { messageBytesMax: body.varint(), frameBytesMax: body.varint(), namesMax: body.varint() },
      peer: body.text(),
    }),
    3: state('load', 'probe'),
    4: state('known', 'correction'),
    5: state('more', undefined),
    6: (body) => {
      const id = name(body, 0)
      const flags = body.byte()
      const header = (flags & 8) !== 0 ? hexOf(body.bytes()) : undefined
      const runs = list(body, () => run(body))
      const until = (flags & 16) !== 0 ? { header: body.byte() === 1, sessions: counts(body) } : undefined
      return {
        type: 'content',
        id,
        kind: (flags & 1) !== 0 ? 'bytes' : 'json',
        priority: [0, 3, 6][(flags >> 1) & 3] as number,
        ...(header !== undefined && { header }),
        runs,
        ...(until !== undefined && { expectUntil: until }),
      }
    },
    7: (body) => ({ type: 'done', id: name(body, 0) }),
    8: (body) => ({ type: 'reconcile', batch: body.text(), values: list(body, () => [name(body, 0), body.text()]) }),
    9: (body) => ({ type: 'reconcile-ack', batch: body.text() }),
    10: (body) => {
      const flags = body.byte()
      const id = (flags & 1) !== 0 ? name(body, 0) : undefined
      const code = CODES[body.byte()] ?? 'failed'
      const message = body.text()
      return {
        type: 'error',
        ...(id !== undefined && { id }),
        code,
        message,
        ...((flags & 2) !== 0 && { retryAfterMs: body.varint() }),
      }
    },
    11: (body) => ({ type: 'ping', time: body.varint(), from: body.text() }),
  }

  function counts(body: Cursor): Fields {
    const sessions: [string, number][] = []
    while (body.left() > 0) sessions.push([name(body, 1), body.varint()])
    return Object.fromEntries(sessions)
  }

  return { decodeFrame }
}

function list<T>(body: Cursor, read: () => T): T[] {
  return Array.from({ length: body.varint() }, read)
}

interface Cursor {
  left(): number
  byte(): number
  take(length: number): Uint8Array
  varint(): number
  text(): string
  bytes(): Uint8Array
}

function createCursor(all: Uint8Array): Cursor {
  let at = 0
  const cursor: Cursor = {
    left: () => all.length - at,
    byte: () => cursor.take(1)[0] as number,
    take(length) {
      if (length > all.length - at) throw new Error('the bytes end too early')
      at += length
      return all.subarray(at - length, at)
    },
    varint() {
      let value = 0n
      for (let shift = 0n; ; shift += 7n) {
        const next = cursor.byte()
        value |= BigInt(next & 0x7f) << shift
        if (next < 0x80) return Number(value)
      }
    },
    text: () => new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(cursor.bytes()),
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
