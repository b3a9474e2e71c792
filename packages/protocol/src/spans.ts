/**
 * Spans: a known state with more sessions than one message may name travels as several, and is one again before anybody sees it.
 *
 * The first part is the LOAD or KNOWN itself, the others are continuations that follow at once, with nothing between them.
 * The sizes of parts go by weights, whatever the dialect.
 * L10: one state at a time is put together per connection, of at most `stateSessionsMax` sessions.
 * Not here: how a continuation looks (the dialects).
 */
import type { KnownState } from '@tidemark/known-state'
import { ProtocolError } from './errors.ts'
import { type Limits, MINIMUM_LIMITS } from './limits.ts'
import type { ContentMessage, Digests, KnownMessage, LoadMessage, Message } from './messages.ts'
import type { PartLimits } from './peer-limits.ts'
import { contentWeight, runWeight, wireBytesOf } from './weights.ts'

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
export function isOnePart(message: Message, limits: PartLimits): boolean {
  if (message.action === 'load' || message.action === 'known') return fits(message, stateRoom(limits))
  if (message.action !== 'content') return true
  const { runs, expectUntil } = message
  return (
    runs.length <= SESSIONS_MAX &&
    (expectUntil === undefined || fits({ known: expectUntil }, announcementRoom(message, limits)))
  )
}

/** The parts of a message, none of which names more sessions than its receiver takes at once. */
export function partsOf(message: Message, limits: PartLimits): readonly Part[] {
  if (isOnePart(message, limits)) return [{ message, more: false }]
  return message.action === 'content'
    ? partsOfContent(message, limits)
    : partsOfState(message as LoadMessage | KnownMessage, stateRoom(limits))
}

const SESSIONS_MAX = MINIMUM_LIMITS.sessionsMax
/** Of a message that is for an announcement, at most: what it brings may be half of it. */
const ANNOUNCED_SHARE = 1 / 4

/** What the sessions of one part of a state may weigh. */
function stateRoom({ messageBytesMax }: PartLimits): number {
  return messageBytesMax - wireBytesOf(0)
}

/** What announced sessions may weigh: nothing where content needs the room. */
function announcementRoom(message: ContentMessage, { messageBytesMax }: PartLimits): number {
  return Math.min(messageBytesMax * ANNOUNCED_SHARE, messageBytesMax - wireBytesOf(contentWeight(message)))
}

/** Of a session that is named with its count, in any dialect; one of them names it again for its digest. */
function sessionWeight(session: string, digests: Digests | undefined): number {
  return runWeight(session) * (digests === undefined ? 1 : 2)
}

function fits({ known, digests }: Pick<LoadMessage, 'known' | 'digests'>, room: number): boolean {
  if (known.sessions.size > SESSIONS_MAX) return false
  let weight = 0
  for (const session of known.sessions.keys()) weight += sessionWeight(session, digests)
  return weight <= room
}

function partsOfState(message: LoadMessage | KnownMessage, room: number): readonly Part[] {
  const { id, known, digests } = message
  const chunks = chunksOf([...known.sessions], ([session]) => sessionWeight(session, digests), room)
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

/** Each part is a content of its own, which needs no putting together. */
function partsOfContent(message: ContentMessage, limits: PartLimits): readonly Part[] {
  const { header, expectUntil, ...rest } = message
  // Its runs weigh what a page does; only their number is to be seen to.
  const [runs = [], ...more] = chunksOf(message.runs, () => 0, 0)
  const first = { ...rest, ...(header && { header }), runs }
  const until = expectUntil && cutAnnouncement(expectUntil, announcementRoom(first, limits))
  return [
    { message: { ...first, ...(until && { expectUntil: until }) }, more: false },
    ...more.map((runs) => ({ message: { ...rest, runs }, more: false })),
  ]
}

/** What is announced is a hint and may name fewer; where there is room for none it is left out. */
function cutAnnouncement({ header, sessions }: KnownState, room: number): KnownState | undefined {
  const [named = []] = chunksOf([...sessions], ([session]) => runWeight(session), Math.max(0, room))
  const weight = named.reduce((sum, [session]) => sum + runWeight(session), 0)
  return weight <= room ? { header, sessions: new Map(named) } : undefined
}

/** In order; each of at most as many as one message may name, and of the weight `room` or of one thing. */
function chunksOf<T>(list: readonly T[], weigh: (one: T) => number, room: number): T[][] {
  const chunks: T[][] = []
  let chunk: T[] = []
  let weight = 0
  for (const one of list) {
    const more = weigh(one)
    if (chunk.length > 0 && (chunk.length >= SESSIONS_MAX || weight + more > room)) {
      chunks.push(chunk)
      chunk = []
      weight = 0
    }
    chunk.push(one)
    weight += more
  }
  if (chunk.length > 0) chunks.push(chunk)
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
