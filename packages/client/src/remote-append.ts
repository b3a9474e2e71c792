/**
 * Writing to a server: what an append says, and what became of it.
 *
 * L3: stored is what the server's answers to these contents acknowledged, and nothing because as much of it stands there. L13: a session that
 * forked, or has a gap, stops, the others go on. L2: where the server does not say what became of a content, the outcome is unknown: a
 * failure. Answers of several messages are heard as far as they come at once (`fence`); where more may come, the document is
 * not talked about here any more (`shun`), so that none is taken for the answer to something later. What cannot be told apart so is said again over
 * another connection (`Unsettled`), with what was acknowledged before: the same twice does no harm.
 * Not here: what the server takes at once (`remote-parts.ts`), one append of a document after the other (`remote.ts`).
 */
import { covers, EMPTY, equals, type KnownState } from '@tidemark/known-state'
import type { Content, ErrorCode, ErrorMessage, KnownMessage, Message, Run } from '@tidemark/protocol'
import {
  type Append,
  type AppendResult,
  EMPTY_DIGEST,
  extendDigest,
  type Refused,
  type RefusedWhy,
  StorageError,
  type StoredState,
} from '@tidemark/storage'
import { endOf } from './content.ts'
import type { RemoteLink } from './remote-link.ts'
import { errorOf, failIfError, look } from './remote-look.ts'
import { partsFor } from './remote-parts.ts'

/** One append under way. */
interface Writing {
  readonly link: RemoteLink
  readonly id: string
  readonly signal: AbortSignal | undefined
  /** Sessions that are not gone on with, and why. */
  readonly stopped: Map<string, RefusedWhy>
  /** Sessions that the server asked for before it took them. */
  readonly asked: Set<string>
  /** Where this is said once more: how sessions of it were refused before, of which nothing may be said any more. */
  readonly before?: ReadonlySet<ErrorCode>
}

/** Over this connection it cannot be told any more what became of a content. Over another one it can, if more is known than was when it was written here. */
export class Unsettled extends StorageError {
  /** There were too many sessions, or documents. */
  readonly limit: ErrorMessage | undefined
  /** What is not to be said again. */
  readonly stopped: Writing['stopped']

  constructor({ stopped }: Writing, limit?: ErrorMessage) {
    super(
      'IO',
      limit === undefined ? 'the server does not say what became of what was written' : errorOf(limit).message,
    )
    this.limit = limit
    this.stopped = stopped
  }
}

/** What became of the contents: all that is not stopped is stored; or the server holds something else in place of the document, or erased it. */
type Written = 'stored' | 'other' | 'tooLarge' | 'erased'

/** What was answered to one content. */
interface Answer {
  readonly errors: ErrorMessage[]
  /** It acknowledged this last. */
  acknowledged: KnownState
  /** What it is about: all but what was asked for. */
  taken: Content
  /** What is to be said once more. */
  asked: readonly Run[]
  /** Something was told that is an acknowledgement or the repetition of a LOAD: nobody can tell. */
  isInDoubt: boolean
  /** Sessions of which something else stands there, by their digests. */
  readonly other: Set<string>
}

/**
 * Writes a content, in as many messages as the server needs to take it, each of which it has answered before the next is said.
 *
 * @throws Unsettled if another connection would tell more; `earlier` is what one was left for.
 */
export async function append(
  link: RemoteLink,
  content: Append,
  held: KnownState | undefined,
  signal: AbortSignal | undefined,
  earlier?: Unsettled,
): Promise<AppendResult> {
  const { id } = content
  const crowded = earlier?.limit === undefined ? [] : await crowdedOut(link, content, earlier.limit, signal)
  // How much the server takes stands before its answers.
  const known = (earlier === undefined ? held : undefined) ?? (await look(link, id, EMPTY, signal))?.known ?? EMPTY
  if (!link.isGreeted()) await look(link, id, EMPTY, signal)
  const parts = partsFor(content, link.messageBytesMax())
  if (parts === undefined)
    return { state: await look(link, id, known, signal), refused: new Map(), headerRefused: 'tooLarge' }
  const tooLarge = [...parts.tooLarge].map((session) => [session, 'tooLarge'] as const)
  const stopped = new Map<string, RefusedWhy>([...tooLarge, ...crowded, ...(earlier?.stopped ?? [])])
  const { size } = stopped
  const writing: Writing = { link, id, signal, stopped, asked: new Set() }
  try {
    if (parts.contents.length > 0) await claim(writing, known)
    const written = await write(writing, parts.contents)
    const state = await look(link, id, endOf(content), signal)
    if (written === 'other' || written === 'tooLarge')
      return { state, refused: new Map(), headerRefused: written === 'other' ? 'fork' : 'tooLarge' }
    return { state, refused: written === 'erased' ? new Map() : refusedOf(content, stopped, state) }
  } catch (cause) {
    // What is answered to it may still come, and acknowledge something later.
    link.shun(id)
    if (!(cause instanceof Unsettled)) throw cause
    // A server that never says it is not asked for ever.
    const isNews = stopped.size > size || (cause.limit !== undefined && earlier?.limit === undefined)
    throw isNews ? cause : new StorageError('IO', cause.message)
  } finally {
    void link.leave(id)
  }
}

/** A document has room for so many sessions: those that it does not hold when all that is on its way is there are refused. */
async function crowdedOut(
  link: RemoteLink,
  content: Append,
  limit: ErrorMessage,
  signal: AbortSignal | undefined,
): Promise<readonly (readonly [string, RefusedWhy])[]> {
  const state = await look(link, content.id, endOf(content), signal)
  const left = content.runs.filter(({ session }) => state?.known.sessions.has(session) === false)
  // It was too many documents, or who knows what.
  if (left.length === 0) throw errorOf(limit)
  return left.map(({ session, after }) => [session, after === 0 ? 'tooLarge' : 'gap'] as const)
}

/** What a run that brings nothing asks, is found out here: it may not have been said. */
function refusedOf(
  content: Content,
  stopped: Writing['stopped'],
  state: StoredState | undefined,
): Map<string, Refused> {
  const refused = new Map<string, Refused>()
  for (const run of content.runs) {
    const have = state?.known.sessions.get(run.session) ?? 0
    const why = stopped.get(run.session) ?? (run.transactions.length === 0 ? whyEmpty(run, have, state) : undefined)
    if (why !== undefined) refused.set(run.session, { why, have })
  }
  return refused
}

function whyEmpty({ session, after, digest }: Run, have: number, state: StoredState | undefined) {
  if (state === undefined || have < after) return 'gap'
  const there = have === after ? state.digests.get(session) : undefined
  return digest === undefined || there === undefined || digest === there ? undefined : 'fork'
}

/**
 * Who sends content is sent what it seems to lack: it says first that it lacks nothing. Where the server holds something else by now than was
 * remembered, it is asked and told again; after that it may send what others add meanwhile.
 */
async function claim({ link, id, signal }: Writing, remembered: KnownState): Promise<void> {
  const say = (known: KnownState) => {
    const hear = (message: Message): KnownState | 'more' | undefined => {
      failIfError(message)
      if (message.action === 'content') return 'more'
      return message.action === 'known' && !message.correction ? message.known : undefined
    }
    return link.talk(id, [{ action: 'load', id, known }], hear, signal)
  }
  if (!remembered.header) return
  const answer = await say(remembered)
  if (answer !== 'more' && equals(answer, remembered)) return
  await link.leave(id, signal)
  const state = await look(link, id, EMPTY, signal)
  if (state !== undefined) await say(state.known)
}

async function write(writing: Writing, contents: readonly Content[]): Promise<Written> {
  const { link, id, signal, stopped } = writing
  let isFirst = true
  for (const content of contents) {
    const left = { ...content, runs: content.runs.filter(({ session }) => !stopped.has(session)) }
    if (left.header === undefined && left.runs.length === 0) continue
    const answer = await say(writing, left)
    const isStored = answer.errors.length === 0 && covers(answer.acknowledged, endOf(answer.taken))
    if (!isStored) {
      const written = await judge(writing, answer)
      if (written !== 'stored') return written
    }
    if (answer.asked.length > 0) {
      const written = await write(writing, [{ ...left, runs: answer.asked }])
      if (written !== 'stored') return written
    } else if (isStored && isFirst && left.runs.length > 0 && contents.length > 1) {
      // What is erased covers every claim, and stores nothing: the rest need not be sent.
      isFirst = false
      const state = await look(link, id, endOf(left), signal)
      if (state !== undefined && !covers(state.known, endOf(left))) return 'erased'
    }
  }
  return 'stored'
}

/**
 * Says a content. One KNOWN that acknowledges all of it is the whole answer; of any other it is not known how many messages it has.
 * A server that wants to compare what a session of JSON goes on from asks for that, once, by a LOAD and a KNOWN that says no more. It is not
 * here: who says the same again is believed. A LOAD because another document names this one comes alone: the KNOWN behind it is an answer.
 */
function say({ link, id, signal, asked }: Writing, content: Content): Promise<Answer> {
  const answer: Answer = {
    errors: [],
    acknowledged: EMPTY,
    taken: content,
    asked: [],
    isInDoubt: false,
    other: new Set(),
  }
  let loaded: KnownState | undefined
  let isFenced = false
  /** Takes a KNOWN for what it is; answers whether something else is owed that may take its time. */
  function take({ known, digests }: KnownMessage): boolean {
    const asking = loaded
    loaded = undefined
    if (asking === undefined || saysMore(known, asking, content)) {
      for (const session of others(content, known, digests)) answer.other.add(session)
      answer.acknowledged = without(known, answer.other)
      return false
    }
    const isAsked = ask(answer, asking, asked)
    const rest = answer.taken
    const isOwed = isAsked && !covers(known, endOf(rest))
    if (!isOwed && (!isAsked || rest.header !== undefined || rest.runs.length > 0)) answer.isInDoubt = true
    return isOwed
  }
  const hear = (message: Message): Answer | undefined => {
    if (message.action === 'reconcile-ack') return answer
    let isOwed = false
    if (message.action === 'error') answer.errors.push(message)
    else if (message.action === 'load') loaded = message.known
    // Of a fork all that the server holds is said, and then what the content brought besides.
    else if (message.action === 'known' && !message.correction) isOwed = take(message)
    if (isFenced || (message.action !== 'error' && message.action !== 'known')) return undefined
    if (answer.errors.length === 0 && covers(answer.acknowledged, endOf(answer.taken))) return answer
    if (isOwed) return undefined
    isFenced = true
    link.fence(id)
    return undefined
  }
  return link.talk(id, [{ ...content, action: 'content' }], hear, signal)
}

/** L13: sessions of which as much stands there, and something else. Such a KNOWN answers something else, or comes before the error. */
function others(
  { kind, runs }: Content,
  { sessions }: KnownState,
  digests: KnownMessage['digests'],
): readonly string[] {
  if (kind !== 'bytes' || digests === undefined) return []
  const isOther = ({ session, after, transactions, digest = after === 0 ? EMPTY_DIGEST : undefined }: Run) => {
    const there = sessions.get(session) === after + transactions.length ? digests.get(session) : undefined
    return there !== undefined && digest !== undefined && extendDigest(digest, transactions) !== there
  }
  return runs.filter(isOther).map(({ session }) => session)
}

function without({ header, sessions }: KnownState, left: ReadonlySet<string>): KnownState {
  return { header, sessions: new Map([...sessions].filter(([session]) => !left.has(session))) }
}

/** L3: what says no more of a content than the LOAD before it did may repeat that, and is no acknowledgement. */
function saysMore(known: KnownState, loaded: KnownState, { runs }: Content): boolean {
  const count = ({ sessions }: KnownState, session: string) => sessions.get(session) ?? 0
  return (known.header && !loaded.header) || runs.some(({ session }) => count(known, session) > count(loaded, session))
}

/** Puts aside what a LOAD asks for: what goes on from more than it says. Answers whether there is any. */
function ask(answer: Answer, { sessions }: KnownState, asked: Set<string>): boolean {
  const isAsked = ({ session, after }: Run) => !asked.has(session) && (sessions.get(session) ?? 0) < after
  const { taken } = answer
  const again = new Set(taken.runs.filter(isAsked))
  answer.asked = [...answer.asked, ...again]
  answer.taken = { ...taken, runs: taken.runs.filter((run) => !again.has(run)) }
  for (const { session } of again) asked.add(session)
  return again.size > 0
}

/** Finds out what was not stored of a content, and why. */
async function judge(writing: Writing, answer: Answer): Promise<Written> {
  const { errors, acknowledged, taken: content, other } = answer
  const { link, id, signal, stopped, before } = writing
  // The server may have refused before it stored the rest, which it acknowledges then: the fence does not wait for that.
  if (errors.length > 0 || other.size > 0 || (content.header !== undefined && !acknowledged.header)) link.shun(id)
  failIfFailed(errors)
  const limit = errors.find(({ code }) => code === 'limit')
  if (limit !== undefined) throw new Unsettled(writing, limit)
  const codes = new Set([...(before ?? []), ...errors.map(({ code }) => code)])
  if (answer.isInDoubt) return writeOnceMore(writing, answer, codes)
  // Of what is said, a header is all that nothing is acknowledged for: the server's storage did not take it.
  if (codes.has('tooLarge') && !acknowledged.header) return 'tooLarge'
  // It holds a document of the other kind.
  if (codes.has('unsupported')) return 'other'
  if (codes.has('fork') && content.header !== undefined && (await isOther(writing, content))) return 'other'
  const missing = missingOf(answer)
  if (missing.length === 0) return 'stored'
  for (const { session } of missing) if (other.has(session)) stopped.set(session, 'fork')
  const left = missing.filter(({ session }) => !other.has(session))
  const state = left.length === 0 ? undefined : await look(link, id, endOf(content), signal)
  const isGap = ({ session, after }: Run) => state === undefined || after > (state.known.sessions.get(session) ?? 0)
  for (const run of left) if (isGap(run)) stopped.set(run.session, 'gap')
  const refused = left.filter((run) => !isGap(run))
  if (refused.length === 0) return 'stored'
  const [why] = codes
  if (codes.size === 1) for (const { session } of refused) stopped.set(session, why as RefusedWhy)
  else if (codes.size > 1) for (const run of refused) stopped.set(run.session, await whyNot(writing, content, run))
  else throw new Unsettled(writing)
  return 'stored'
}

function missingOf({ acknowledged, taken }: Answer): readonly Run[] {
  const isMissing = (run: Run) => (acknowledged.sessions.get(run.session) ?? 0) < run.after + run.transactions.length
  return taken.runs.filter(isMissing)
}

/** Says once more what nobody can tell the answer to. What comes late of the answers to it before is true of it, too. */
function writeOnceMore(writing: Writing, answer: Answer, before: ReadonlySet<ErrorCode>): Promise<Written> {
  if (writing.before !== undefined) throw new Unsettled(writing)
  const { header, ...left } = answer.taken
  const isNeeded = header !== undefined && !answer.acknowledged.header
  return write({ ...writing, before }, [{ ...left, runs: missingOf(answer), ...(isNeeded && { header }) }])
}

/** Of one content, sessions are refused or the header is. */
const REFUSALS: ReadonlySet<ErrorCode> = new Set(['fork', 'tooLarge', 'unsupported', 'limit'])

function failIfFailed(errors: readonly ErrorMessage[]): void {
  const failure = errors.find(({ code }) => !REFUSALS.has(code))
  if (failure !== undefined) throw errorOf(failure)
}

/** Whether the server holds another header; if not, it was sessions that forked. */
async function isOther(writing: Writing, content: Content): Promise<boolean> {
  const { errors } = await say(writing, { ...content, runs: [] })
  return errors.some(({ code }) => code === 'fork')
}

/** Why one session of several was refused: said alone, one that forked is passed over in silence. */
async function whyNot(writing: Writing, { header: _, ...content }: Content, run: Run): Promise<RefusedWhy> {
  const { errors } = await say(writing, { ...content, runs: [run] })
  return errors.some(({ code }) => code === 'tooLarge') ? 'tooLarge' : 'fork'
}
