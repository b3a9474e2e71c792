/**
 * A document handle: one subscription of the application to one document, and its writes.
 *
 * To the engine it is a peer like any other, on a local port of its own. L1: it is told of absence only after everybody who may
 * hold the document has answered. L2: failed is a state of its own. L3: a write is done when it is durable.
 * Not here: the pace of the application (`inbox.ts`), the order of writes (`writes.ts`), the connection (`connection.ts`).
 */
import { covers, EMPTY, type KnownState, knownState, union } from '@tidemark/known-state'
import type { ContentMessage, ErrorMessage, KnownMessage, PayloadKind } from '@tidemark/protocol'
import { type Clock, checkId, unlessAborted } from '@tidemark/storage'
import type { Port, Sent } from '@tidemark/sync/run'
import { asyncDispose } from './async-dispose.ts'
import { appendWrite, creationWrite } from './check.ts'
import { chooseSession } from './choose-session.ts'
import { beyond, endOf } from './content.ts'
import type { AppendOptions, Creation, Doc } from './doc.ts'
import { ClientError, type ClientErrorCode, type ClientErrorFacts, type Failure } from './errors.ts'
import { type Hub, LOCAL_TRAITS } from './hub.ts'
import { createInbox, type Received } from './inbox.ts'
import { ShownHandle } from './shown.ts'
import { createStanding } from './standing.ts'
import type { UploadStatus } from './uploads.ts'
import { createWatchers } from './watchers.ts'
import type { Writers } from './writers.ts'
import { createWrites, type Write } from './writes.ts'

export interface HandleContext {
  readonly hub: Pick<Hub, 'agreed' | 'connect' | 'sessions' | 'settled' | 'whenUploaded'>
  readonly clock: Clock
  /** Patience with an upstream that is to confirm a session. */
  readonly sessionMsMax: number
  readonly writers: Writers
  /** Writes of all handles included. */
  status(id: string): UploadStatus
  /** The handle is closed, and nothing of it is left. */
  closed(handle: Handle): void
}

export interface HandleOptions {
  readonly after: KnownState
  readonly kind: PayloadKind
  /** The application says that it made this id up just now: it may create the document without asking. */
  readonly isNew: boolean
}

/** A document as its client sees it. */
export interface Handle extends Doc {
  isWriting(): boolean
  /** Resolves when what was written so far is settled. */
  written(signal?: AbortSignal): Promise<void>
  /** Its link goes to another engine of the same storage now: says there again what was not answered. */
  relink(): void
  /** The status of an upload, or the connection, changed. */
  changed(): void
  /** The upstream could not answer for this document. */
  upstreamFailed(failure: Failure): void
  /** Closes at once; whether what is being written gets stored is unknown. */
  abandon(error?: ClientError): void
}

export function createHandle(context: HandleContext, id: string, options: HandleOptions): Handle {
  checkId(id, 'document id')
  const { hub, writers } = context
  const watchers = createWatchers()
  const standing = createStanding(watchers.notify)
  let { after: known, kind, isNew } = options
  /** What was given to the inbox: where the engine stands. */
  let given = known
  /** What the storage holds, as far as this handle was told. */
  let held = EMPTY
  /** What is held after the stream that is under way. */
  let expected: KnownState | undefined
  let refused: Failure | undefined
  let session: Promise<string> | undefined
  let closing: Promise<void> | undefined
  let ended = false

  const inbox = createInbox({
    taken(content) {
      known = union(known, endOf(content))
      writes.flush()
      watchers.notify()
    },
    emptied: () => link.drained(),
    left: () => writes.flush(),
  })
  const writes = createWrites({
    id,
    kind: () => kind,
    may,
    endOf: (session) => held.sessions.get(session) ?? 0,
    send: (message, bytes) => link.receive([{ message, bytes }]),
    stored(session, until) {
      const own = knownState(true, session === undefined ? [] : [[session, until]])
      known = union(known, own)
      given = union(given, own)
      watchers.notify()
    },
  })
  const port: Port = {
    traits: LOCAL_TRAITS,
    send: receive,
    room: () => inbox.isEmpty(),
    // One chain of writes is in flight at a time, and the engine has no reason to close what only asks and writes.
    pause() {},
    resume() {},
    close() {},
  }
  const link = hub.connect(id, port)

  function ask(claim: KnownState): void {
    link.receive([{ message: { action: 'load', id, known: claim }, bytes: 0 }])
  }

  /** What one turn of the engine says to this handle. */
  function receive(sent: readonly Sent[]): void {
    const answers: KnownMessage[] = []
    const refusals: ErrorMessage[] = []
    const wrote = !writes.isEmpty()
    for (const { message, answeredBy, answers: about } of sent) {
      if (message.action === 'content') takeContent(message)
      else if (message.action === 'known') {
        takeKnown(message, answeredBy)
        answers.push(message)
      } else if (message.action === 'error') {
        // A fork is found in what is written: nothing else is compared on a local port.
        if (about === 'content' || message.code === 'fork') refusals.push(message)
        else fail(message)
      }
    }
    writes.answered(
      answers.map((answer) => answer.known),
      refusals,
    )
    for (const answer of answers) if (answer.correction) writes.corrected(answer.known)
    if (wrote) hub.settled(id)
  }

  function takeContent(message: ContentMessage): void {
    const content = beyond(given, message)
    kind = message.kind
    expected = message.expectUntil ?? expected
    held = union(held, union(endOf(message), message.expectUntil ?? EMPTY))
    given = union(given, endOf(message))
    if (expected !== undefined && covers(given, expected)) expected = undefined
    standing.become('present')
    if (content !== undefined) inbox.put({ ...content, more: expected !== undefined })
  }

  function takeKnown(message: KnownMessage, answeredBy: readonly string[] | undefined): void {
    held = message.correction ? message.known : union(held, message.known)
    if (message.correction) expected = undefined
    if (message.known.header) {
      standing.become('present')
      // What was created without asking is subscribed now, with what else there may be of it.
      if (isNew) ask(message.known)
      isNew = false
    } else if (answeredBy !== undefined) standing.becomeAbsent(answeredBy)
  }

  function fail({ code, message }: Failure): void {
    standing.fail({ code, message })
    writes.flush()
  }

  function may({ header, session }: Write): 'now' | 'wait' | ClientError {
    const state = standing.state()
    if (state === 'failed')
      return refusal('UNAVAILABLE', 'whether it exists could not be found out', { failure: standing.failure() })
    if (state === 'asking') return header !== undefined && isNew ? 'now' : 'wait'
    if (header !== undefined) return state === 'absent' ? 'now' : refusal('EXISTS', 'it exists already')
    if (state === 'absent') return refusal('ABSENT', 'it does not exist: create it first')
    return session === undefined ? 'now' : mayContinue(session)
  }

  /** Whoever goes on with a session has what comes before: its writer knows it, and the engine takes it to be so. */
  function mayContinue(session: string): 'now' | 'wait' | ClientError {
    const stored = held.sessions.get(session) ?? 0
    const has = known.sessions.get(session) ?? 0
    if (has === stored) return 'now'
    if (has < stored && inbox.isRead()) return 'wait'
    const why =
      has < stored
        ? `${stored - has} transactions of session ${session} were not read: read the contents first`
        : `opened after ${has} of session ${session}, of which ${stored} are stored: open it anew`
    return refusal('GAP', why, { session })
  }

  function refusal(code: ClientErrorCode, message: string, facts: ClientErrorFacts = {}): ClientError {
    return new ClientError(code, message, { id, ...facts })
  }

  function write(what: Write, signal: AbortSignal | undefined): Promise<void> {
    if (signal?.aborted) return Promise.reject(signal.reason)
    if (closing !== undefined) return Promise.reject(refusal('CLOSED', 'this handle is closed'))
    if (what.session !== undefined && !writers.claim(id, what.session, handle))
      return Promise.reject(
        refusal('SESSION_TAKEN', `another handle writes session ${what.session}`, { session: what.session }),
      )
    const settled = writes.add(what, signal)
    watchers.notify()
    return settled
  }

  function choose(): Promise<string> {
    return chooseSession({
      sessions: hub.sessions,
      clock: context.clock,
      msMax: context.sessionMsMax,
      settled: () => standing.settled(),
      agreed: () => hub.agreed(id),
      changed: watchers.add,
      isRead: (of) => mayContinue(of) === 'now' || inbox.isRead(),
      claim: (of) => writers.claim(id, of, handle),
    })
  }

  function retry(): void {
    if (standing.state() !== 'failed' || closing !== undefined) return
    standing.become('asking')
    ask(given)
  }

  async function finish(): Promise<void> {
    inbox.close()
    await writes.settled()
    end()
  }

  function end(why = refusal('CLOSED', 'this handle is closed')): void {
    if (ended) return
    ended = true
    link.closed()
    writers.release(id, handle)
    standing.end(why)
    watchers.clear()
    context.closed(handle)
  }

  const shown = new ShownHandle({ standing, known: () => known, status: () => ({ ...context.status(id), refused }) })
  const handle: Handle = Object.assign<ShownHandle, Omit<Handle, keyof ShownHandle>>(shown, {
    id,
    settled: (signal) => standing.settled(signal),
    retry,
    watch: (watcher) => watchers.add(watcher),
    contents: () => inbox.read(),
    subscribe: (listener) => subscribe(inbox.read(), listener),
    async create(creation: Creation) {
      const what = creationWrite(creation)
      if (standing.state() !== 'present') kind = creation.kind ?? kind
      await write(what, creation.signal)
    },
    session(signal) {
      session ??= choose()
      return unlessAborted(session, signal)
    },
    async append(session: string, transactions: readonly Uint8Array[], given: AppendOptions = {}) {
      const what = appendWrite(session, transactions, given)
      if (transactions.length > 0) await write(what, given.signal)
    },
    async whenUploaded(options) {
      await writes.settled(options?.signal)
      await hub.whenUploaded(id, options)
    },
    close() {
      closing ??= finish()
      return closing
    },
    [asyncDispose]: () => handle.close(),
    isWriting: () => !writes.isEmpty(),
    written: (signal) => writes.settled(signal),
    relink() {
      if (ended) return
      expected = undefined
      // What is in flight may be stored or not: said again it is stored once, and it is no news to this handle.
      const sent = writes.sendAgain()
      if (!isNew) ask(union(given, sent))
    },
    changed() {
      if (refused !== undefined && context.status(id).uploaded === true) refused = undefined
      watchers.notify()
    },
    upstreamFailed(why) {
      if (standing.state() === 'asking') return fail(why)
      refused = why
      watchers.notify()
    },
    abandon(error = refusal('CLOSED', 'the client was closed before this was settled')) {
      closing ??= Promise.resolve()
      inbox.close()
      writes.abandon(error)
      end(error)
    },
  })
  if (!isNew) ask(given)
  return handle
}

/** Hands contents to a listener, one after the other. */
function subscribe(contents: AsyncIterableIterator<Received>, listener: (content: Received) => unknown): () => void {
  const deliver = async () => {
    for await (const content of contents) await listener(content)
  }
  void deliver()
  return () => void contents.return?.()
}
