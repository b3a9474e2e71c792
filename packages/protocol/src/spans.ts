/**
 * Spans: a known state with more sessions than one message may name travels as several, and is one again before anybody sees it.
 *
 * The first part is the LOAD or KNOWN itself, the others are continuations that follow at once, with nothing between them.
 * L10: one state at a time is put together per connection, of at most `stateSessionsMax` sessions.
 * Not here: how a continuation looks (the dialects).
 */
import type { KnownState } from '@tidemark/known-state'
import { ProtocolError } from './errors.ts'
import type { Limits } from './limits.ts'
import type { ContentMessage, Digests, KnownMessage, LoadMessage, Message, Run } from './messages.ts'
import { EVERY_RECEIVER, type PartLimits } from './peer-limits.ts'

/** More sessions of the state that the message before began. */
export interface ContinuationMessage {
  readonly action: 'more'
  readonly id: string
  readonly known: KnownState
  readonly digests?: Digests
}

/** A message as it travels. `more`: a continuation follows. */
export type Part = { readonly message: Message | ContinuationMessage; readonly more: boolean }

/** Whether a message travels as it is: it names no more sessions than its receiver takes at once. */
export function isOnePart(message: Message, { sessionsMax, announcedMax }: PartLimits = EVERY_RECEIVER): boolean {
  if (message.action === 'load' || message.action === 'known') return message.known.sessions.size <= sessionsMax
  if (message.action !== 'content') return true
  return message.runs.length <= sessionsMax && (message.expectUntil?.sessions.size ?? 0) <= announcedMax
}

/** The parts of a message, none of which names more sessions than its receiver takes at once. */
export function partsOf(message: Message, limits: PartLimits = EVERY_RECEIVER): readonly Part[] {
  if (isOnePart(message, limits)) return [{ message, more: false }]
  return message.action === 'content'
    ? partsOfContent(message, limits)
    : partsOfState(message as LoadMessage | KnownMessage, limits.sessionsMax)
}

function partsOfState(message: LoadMessage | KnownMessage, sessionsMax: number): readonly Part[] {
  const { id, known, digests } = message
  const chunks = chunksOf([...known.sessions], sessionsMax)
  return chunks.map((chunk, index) => {
    const sessions = new Map(chunk)
    const own = digests && new Map(chunk.flatMap(([session]) => pairIn(digests, session)))
    const part = { known: { header: known.header, sessions }, ...(own && { digests: own }) }
    const first = index === 0
    return {
      message: first ? { ...message, ...part } : { action: 'more', id, ...part },
      more: index + 1 < chunks.length,
    }
  })
}

function pairIn(digests: Digests, session: string): (readonly [string, string])[] {
  const digest = digests.get(session)
  return digest === undefined ? [] : [[session, digest]]
}

/** Each part is a content of its own, which needs no putting together. What is announced is a hint and may name fewer. */
function partsOfContent(message: ContentMessage, { sessionsMax, announcedMax }: PartLimits): readonly Part[] {
  const { header, expectUntil, ...rest } = message
  const chunks: (readonly Run[])[] = message.runs.length === 0 ? [[]] : chunksOf(message.runs, sessionsMax)
  const until = expectUntil && {
    header: expectUntil.header,
    sessions: new Map([...expectUntil.sessions].slice(0, announcedMax)),
  }
  return chunks.map((runs, index) => ({
    message: {
      ...rest,
      ...(index === 0 && header && { header }),
      runs,
      ...(index === 0 && until && { expectUntil: until }),
    },
    more: false,
  }))
}

function chunksOf<T>(list: readonly T[], length: number): T[][] {
  const chunks: T[][] = []
  for (let index = 0; index < list.length; index += length) chunks.push(list.slice(index, index + length))
  return chunks
}

/** A whole message, and what all its parts took. */
export interface Joined {
  readonly message: Message
  readonly bytes: number
}

export interface Joiner {
  /**
   * What a part of so many bytes completes; nothing if more of it follows. A part that follows nothing, or the wrong thing, or names a
   * session again, is an error.
   */
  join(part: Message | ContinuationMessage, more: boolean, bytes: number): Joined | undefined
  /** Something could not be understood: it may have been a part. */
  drop(): void
  /** What the state takes in memory of which more is to come; estimated. */
  openBytes(): number
}

/** A session of a state in memory, with its name; estimated. */
const SESSION_BYTES = 150

export function createJoiner(limits: Limits): Joiner {
  let open: { readonly message: LoadMessage | KnownMessage; readonly bytes: number } | undefined
  /** The document whose state was too large: the rest of it is passed over. */
  let refused: string | undefined
  return {
    join(part, more, bytes) {
      const before = open
      open = undefined
      if (part.action === 'more' && part.id === refused) {
        if (!more) refused = undefined
        return undefined
      }
      refused = undefined
      if (part.action !== 'more') {
        if (before !== undefined) throw broken(before.message.id, 'the rest of the state begun before', part.action)
        if (!more) return { message: part, bytes }
        open = { message: part as LoadMessage | KnownMessage, bytes }
        return undefined
      }
      if (before === undefined || before.message.id !== part.id)
        throw broken(part.id, 'a state of this document to continue', 'none')
      if (before.message.known.sessions.size + part.known.sessions.size > limits.stateSessionsMax) {
        if (more) refused = part.id
        throw tooLarge(part.id, limits)
      }
      const joined = { message: extended(before.message, part), bytes: before.bytes + bytes }
      if (!more) return joined
      open = joined
      return undefined
    },
    drop() {
      open = undefined
    },
    openBytes: () => (open?.message.known.sessions.size ?? 0) * SESSION_BYTES,
  }
}

function tooLarge(id: string, { stateSessionsMax }: Limits): ProtocolError {
  return new ProtocolError('limit', {
    field: 'sessions',
    expected: `at most ${stateSessionsMax} sessions`,
    got: 'more',
    id,
  })
}

function broken(id: string, expected: string, got: string): ProtocolError {
  return new ProtocolError('malformed', { field: 'more', expected, got, id })
}

/** The maps are ours, the parts were just decoded: they are added to in place, so that a part costs what it names. */
function extended<T extends LoadMessage | KnownMessage>(message: T, part: ContinuationMessage): T {
  const sessions = message.known.sessions as Map<string, number>
  for (const [session, count] of part.known.sessions) {
    if (sessions.has(session)) throw broken(part.id, 'each session once', 'one of them again')
    sessions.set(session, count)
  }
  if (part.digests === undefined) return message
  if (message.digests === undefined) return { ...message, digests: part.digests }
  const digests = message.digests as Map<string, string>
  for (const [session, digest] of part.digests) digests.set(session, digest)
  return message
}
