/**
 * A document handle: one subscription of the application to one document, and its writes.
 *
 * To the engine it is a peer like any other, on a local port of its own. L1: it is told of absence only after everybody who may
 * hold the document has answered. L2: failed is a state of its own. L3: a write is done when it is durable.
 * Not here: the pace of the application (`inbox.ts`), the order of writes (`writes.ts`), the connection (`connection.ts`).
 */
import { covers, EMPTY, type KnownState, knownState, union } from '@tidemark/known-state'
import type { ContentMessage, ErrorMessage, KnownMessage, PayloadKind } from '@tidemark/protocol'
import { checkId } from '@tidemark/storage'
import type { Port, Runner, Sent } from '@tidemark/sync/run'
import { asyncDispose } from './async-dispose.ts'
import { appendWrite, creationWrite } from './check.ts'
import { beyond, endOf } from './content.ts'
import type { AppendOptions, Creation, Doc, DocState } from './doc.ts'
import { ClientError, type ClientErrorCode, type ClientErrorFacts, type Failure } from './errors.ts'
import { createInbox, type Received } from './inbox.ts'
import type { Uploads } from './uploads.ts'
import { createWaiters } from './waiters.ts'
import { createWatchers } from './watchers.ts'
import type { Writers } from './writers.ts'
import { createWrites, type Write } from './writes.ts'

export interface HandleContext {
  readonly runner: Runner
  readonly uploads: Uploads
  readonly writers: Writers
  /** Something was written to a document, and is durable here. */
  stored(id: string): void
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
  /** The status of an upload, or the connection, changed. */
  changed(): void
  /** The upstream could not answer for this document. */
  upstreamFailed(failure: Failure): void
  /** Closes at once; whether what is being written gets stored is unknown. */
  abandon(): void
}

// Digests would be compared with those that the application claims, and it claims none.
const TRAITS: Port['traits'] = {
  hello: false,
  errors: true,
  done: true,
  digests: true,
  claimsStreams: false,
  knownFirst: false,
  kinds: ['json', 'bytes'],
  upstream: false,
  local: true,
}

export function createHandle(context: HandleContext, id: string, options: HandleOptions): Handle {
  checkId(id, 'document id')
  const { runner, uploads, writers } = context
  const watchers = createWatchers()
  const settling = createWaiters<DocState>()
  const inbox = createInbox(() => link.drained())
  let { after: known, kind, isNew } = options
  let state: DocState = 'asking'
  let absentBy: readonly string[] = []
  let failure: Failure | undefined
  let refused: Failure | undefined
  /** What the storage holds, as far as this handle was told. */
  let held = EMPTY
  /** What is held after the stream that is under way. */
  let expected: KnownState | undefined
  let closing: Promise<void> | undefined
  let ended = false

  const writes = createWrites({
    id,
    kind: () => kind,
    may,
    endOf: (session) => held.sessions.get(session) ?? 0,
    send: (message, bytes) => link.receive([{ message, bytes }]),
    stored(session, until) {
      context.stored(id)
      known = union(known, knownState(true, session === undefined ? [] : [[session, until]]))
      watchers.notify()
    },
  })
  const link = runner.connect({
    traits: TRAITS,
    send: receive,
    room: () => inbox.isEmpty(),
    // One chain of writes is in flight at a time, and the engine has no reason to close what only asks and writes.
    pause() {},
    resume() {},
    close() {},
  })

  function ask(claim: KnownState): void {
    link.receive([{ message: { action: 'load', id, known: claim }, bytes: 0 }])
  }

  /** What one turn of the engine says to this handle. */
  function receive(sent: readonly Sent[]): void {
    const answers: KnownMessage[] = []
    const refusals: ErrorMessage[] = []
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
  }

  function takeContent(message: ContentMessage): void {
    const content = beyond(known, message)
    kind = message.kind
    expected = message.expectUntil ?? expected
    held = union(held, union(endOf(message), message.expectUntil ?? EMPTY))
    known = union(known, endOf(message))
    if (expected !== undefined && covers(known, expected)) expected = undefined
    become('present')
    if (content !== undefined) inbox.put({ ...content, more: expected !== undefined })
    watchers.notify()
  }

  function takeKnown(message: KnownMessage, answeredBy: readonly string[] | undefined): void {
    held = message.correction ? message.known : union(held, message.known)
    if (message.known.header) {
      become('present')
      // What was created without asking is subscribed now, with what else there may be of it.
      if (isNew) ask(message.known)
      isNew = false
    } else if (answeredBy !== undefined) become('absent', answeredBy)
  }

  function fail({ code, message }: Failure): void {
    // What the upstream said is more to the point than that nobody answered.
    if (state === 'failed' && code === 'unavailable') return
    become('failed', [], { code, message })
    writes.flush()
  }

  function become(next: DocState, by: readonly string[] = [], why?: Failure): void {
    if (state === next && next !== 'absent') return
    state = next
    absentBy = by
    failure = why
    if (next !== 'asking') settling.resolve(next)
    watchers.notify()
  }

  function may(write: Write): 'now' | 'wait' | ClientError {
    const creates = write.header !== undefined
    if (state === 'failed') return refusal('UNAVAILABLE', 'whether it exists could not be found out', { failure })
    if (state === 'asking') return creates && isNew ? 'now' : 'wait'
    if (creates) return state === 'absent' ? 'now' : refusal('EXISTS', 'it exists already')
    if (state === 'absent') return refusal('ABSENT', 'it does not exist: create it first')
    const { session = '' } = write
    const end = held.sessions.get(session) ?? 0
    const given = known.sessions.get(session) ?? 0
    if (given <= end) return 'now'
    return refusal('GAP', `opened after ${given} of session ${session}, of which ${end} are stored: open it anew`, {
      session,
    })
  }

  function refusal(code: ClientErrorCode, message: string, facts: ClientErrorFacts = {}): ClientError {
    return new ClientError(code, message, { id, ...facts })
  }

  function write(what: Write): Promise<void> {
    if (closing !== undefined) return Promise.reject(refusal('CLOSED', 'this handle is closed'))
    if (what.session !== undefined && !writers.claim(id, what.session, handle))
      return Promise.reject(
        refusal('SESSION_TAKEN', `another handle writes session ${what.session}`, { session: what.session }),
      )
    const settled = writes.add(what)
    watchers.notify()
    return settled
  }

  function retry(): void {
    if (state !== 'failed' || closing !== undefined) return
    become('asking')
    ask(known)
  }

  async function finish(): Promise<void> {
    inbox.close()
    await writes.settled()
    end()
  }

  function end(): void {
    if (ended) return
    ended = true
    link.closed()
    writers.release(id, handle)
    settling.reject(refusal('CLOSED', 'this handle was closed'))
    watchers.clear()
    context.closed(handle)
  }

  const handle: Handle = {
    id,
    get state() {
      return state
    },
    get absentBy() {
      return absentBy
    },
    get failure() {
      return failure
    },
    get known() {
      return known
    },
    get status() {
      return { ...uploads.status(id), refused }
    },
    settled(signal) {
      if (signal?.aborted) return Promise.reject(signal.reason)
      if (state !== 'asking') return Promise.resolve(state)
      if (closing !== undefined) return Promise.reject(refusal('CLOSED', 'this handle is closed'))
      return settling.add(signal)
    },
    retry,
    watch: (watcher) => watchers.add(watcher),
    contents: () => inbox.read(),
    subscribe: (listener) => subscribe(inbox.read(), listener),
    async create(creation: Creation) {
      const what = creationWrite(creation)
      if (state === 'asking' || state === 'absent') kind = creation.kind ?? kind
      await write(what)
    },
    async append(session: string, transactions: readonly Uint8Array[], given: AppendOptions = {}) {
      const what = appendWrite(session, transactions, given)
      if (transactions.length > 0) await write(what)
    },
    async whenUploaded(signal) {
      await writes.settled(signal)
      await uploads.whenUploaded(id, signal)
    },
    close() {
      closing ??= finish()
      return closing
    },
    [asyncDispose]: () => handle.close(),
    isWriting: () => !writes.isEmpty(),
    changed() {
      if (refused !== undefined && uploads.status(id).uploaded === true) refused = undefined
      watchers.notify()
    },
    upstreamFailed(why) {
      if (state === 'asking') return fail(why)
      refused = why
      watchers.notify()
    },
    abandon() {
      closing ??= Promise.resolve()
      inbox.close()
      writes.abandon(refusal('CLOSED', 'the client was closed before this was settled'))
      end()
    },
  }
  if (!isNew) ask(known)
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
