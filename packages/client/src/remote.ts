/**
 * `@tidemark/client/remote`: another server as a storage, to be one of several layers.
 *
 * It is asked with what the asker holds, never with nothing unless nothing is held, so that a server which has no more costs no content.
 * It keeps no marks and no small maps and lists nothing. L2: a connection that fails is a failure, never absence. L3: what `append` answers the
 * server has acknowledged.
 * Not here: the connection (`remote-link.ts`), what a server takes at once (`remote-parts.ts`), keeping layers in step (`@tidemark/reconciliation/layers`).
 */
import { covers, EMPTY, type KnownState, union } from '@tidemark/known-state'
import type { Content, ContentMessage, HelloMessage, KnownMessage, Message } from '@tidemark/protocol'
import type {
  Append,
  AppendResult,
  CallOptions,
  LookOptions,
  Opened,
  Page,
  Refused,
  Storage,
  StoredState,
} from '@tidemark/storage'
import { StorageError } from '@tidemark/storage'
import {
  checkBatch,
  checkBytesMax,
  checkId,
  checkIds,
  checkListing,
  Remembered,
  throwIfAborted,
} from '@tidemark/storage/adapter'
import type { Connect } from '@tidemark/sync/run'
import { createRemoteLink, errorOf, type RemoteLink } from './remote-link.ts'
import { partsFor } from './remote-parts.ts'

export interface RemoteStorageOptions {
  /** Opens a channel to the server, in a dialect that has errors and digests (our own). Called again after the connection was lost. */
  readonly connect: Connect
  /** Who this node is to the server. */
  readonly peer: string
}

const HELD_MAX = 1_000

/**
 * A server as a storage. Calls have no time limit of their own: layers give them one, by a signal. A connection that did not answer about a document in
 * time is left when the document is asked about again and the answer has not come by then: all that is asked from then on goes over a new one, and
 * the old one is closed when what is under way there is done.
 *
 * `append` writes what is more than the server takes in one message in several, so a part of it may stay if it fails in between. A header, a
 * transaction or what one seal covers that is more than one message takes is refused as `tooLarge`.
 */
export function remoteStorage(options: RemoteStorageOptions): Storage {
  return new RemoteStorage(options)
}

class RemoteStorage implements Storage {
  readonly #options: RemoteStorageOptions
  readonly #closing = new AbortController()
  /** What the server was last heard to hold. */
  readonly #held = new Remembered<string, KnownState>(HELD_MAX)
  #opened: Opened | undefined
  #link: RemoteLink | undefined
  #linking: Promise<RemoteLink> | undefined
  /** Those that some call is not done with. */
  readonly #retired = new Set<RemoteLink>()

  constructor(options: RemoteStorageOptions) {
    this.#options = options
  }

  async open(options?: CallOptions): Promise<Opened> {
    throwIfAborted(options)
    if (this.#closing.signal.aborted) throw closed()
    if (this.#opened !== undefined) return this.#opened
    const { generation, level } = await this.#over([], (link) => greeted(link, options?.signal))
    const capabilities = { list: false, changes: false, maps: false, erase: false }
    this.#opened ??= { generation, writable: true, capabilities, level }
    return this.#opened
  }

  async knownStates(ids: readonly string[], options: LookOptions = {}): Promise<readonly (StoredState | undefined)[]> {
    this.#ready(options)
    checkIds(ids)
    const states = await this.#over(ids, (link) =>
      Promise.all(ids.map((id, index) => look(link, id, options.have?.[index], options.signal))),
    )
    for (const [index, id] of ids.entries()) this.#held.set(id, states[index]?.known ?? EMPTY)
    return states
  }

  async headers(ids: readonly string[], options?: CallOptions): Promise<readonly (Uint8Array | undefined)[]> {
    this.#ready(options)
    checkIds(ids)
    const pages = await this.#over(ids, (link) =>
      Promise.all(ids.map((id) => readPage(link, id, EMPTY, options?.signal))),
    )
    return pages.map((page) => page?.header)
  }

  /** The size of a page is the server's to choose. */
  async read(
    id: string,
    after: KnownState,
    options: CallOptions & { readonly bytesMax: number },
  ): Promise<Page | undefined> {
    this.#ready(options)
    checkId(id, 'document id')
    checkBytesMax(options.bytesMax)
    return this.#over([id], (link) => readPage(link, id, after, options.signal))
  }

  async append(batch: readonly Append[], options?: CallOptions): Promise<readonly AppendResult[]> {
    this.#ready(options)
    checkBatch(batch, undefined)
    if (batch.length === 0) return []
    const ids = batch.map(({ id }) => id)
    return this.#over(ids, (link) => Promise.all(batch.map((content) => this.#append(link, content, options?.signal))))
  }

  async #append(link: RemoteLink, content: Append, signal: AbortSignal | undefined): Promise<AppendResult> {
    const result = await append(link, content, this.#held.get(content.id), signal)
    if ('state' in result && result.state !== undefined) this.#held.set(content.id, result.state.known)
    return result
  }

  async verifierStates(
    _id: string,
    _sessions: readonly string[],
    options?: CallOptions,
  ): Promise<ReadonlyMap<string, Uint8Array>> {
    this.#ready(options)
    return new Map()
  }

  async marks(options: CallOptions & { readonly prefix: string; readonly after?: string; readonly limit: number }) {
    this.#ready(options)
    checkListing(options)
    return []
  }

  list(): never {
    throw lacking('list')
  }

  count(): never {
    throw lacking('list')
  }

  changes(): never {
    throw lacking('changes')
  }

  readMap(): never {
    throw lacking('maps')
  }

  mergeMap(): never {
    throw lacking('maps')
  }

  erase(): never {
    throw lacking('erase')
  }

  async close(): Promise<void> {
    this.#closing.abort(closed())
    await this.#linking?.catch(() => undefined)
    this.#link?.close()
    for (const link of this.#retired) link.close()
  }

  /** Has `work` done over the connection there is, or a new one if that is closed, or owes an answer about one of these. */
  async #over<T>(ids: readonly string[], work: (link: RemoteLink) => Promise<T>): Promise<T> {
    const isUsable = (link: RemoteLink) => !link.closed && !ids.some((id) => link.isOwed(id))
    const link = this.#link !== undefined && isUsable(this.#link) ? this.#link : await this.#renewed()
    const leave = link.enter()
    try {
      return await work(link)
    } finally {
      leave()
      if (link.closed) this.#retired.delete(link)
    }
  }

  /** A new connection, one attempt at a time. The one before it is closed when all that is under way there is done. */
  #renewed(): Promise<RemoteLink> {
    this.#linking ??= this.#connect()
      .then((link) => {
        const before = this.#link
        this.#link = link
        before?.retire()
        if (before?.closed === false) this.#retired.add(before)
        return link
      })
      .finally(() => {
        this.#linking = undefined
      })
    return this.#linking
  }

  async #connect(): Promise<RemoteLink> {
    const { connect, peer } = this.#options
    try {
      const channel = await connect(this.#closing.signal)
      const { errors, digests, hello } = channel.dialect.traits
      if (errors && digests && hello) return createRemoteLink(channel, helloOf(peer))
      channel.close(1002, 'this dialect does not do')
    } catch (cause) {
      throw new StorageError('IO', 'the server cannot be reached', cause)
    }
    throw new TypeError('remote storage: expected a channel whose dialect has hello, errors and digests')
  }

  #ready(options: CallOptions | undefined): void {
    throwIfAborted(options)
    if (this.#opened === undefined || this.#closing.signal.aborted) throw closed()
  }
}

/** What the server said of itself. A connection on which it does not is of no use to anybody. */
async function greeted(link: RemoteLink, signal: AbortSignal | undefined): Promise<HelloMessage> {
  const close = () => link.close()
  signal?.addEventListener('abort', close, { once: true })
  try {
    return await link.greeted
  } finally {
    signal?.removeEventListener('abort', close)
  }
}

/** What the server holds, without any content. */
async function look(
  link: RemoteLink,
  id: string,
  have: KnownState = EMPTY,
  signal?: AbortSignal,
): Promise<StoredState | undefined> {
  const load: Message = { action: 'load', id, known: have, probe: true }
  const answer = await link.talk(
    id,
    [load],
    (message) => {
      failIfError(message)
      return message.action === 'known' ? message : undefined
    },
    signal,
  )
  return answer.known.header ? stateOf(answer) : undefined
}

/** Only documents of bytes have digests; of a document without transactions the kind is not told, and matters to nobody yet. */
function stateOf({ known, digests = new Map() }: KnownMessage): StoredState {
  const kind = digests.size > 0 || known.sessions.size === 0 ? 'bytes' : 'json'
  return { known, kind, priority: 3, digests, lastRuns: new Map(), paged: true, erased: undefined }
}

async function readPage(
  link: RemoteLink,
  id: string,
  after: KnownState,
  signal: AbortSignal | undefined,
): Promise<Page | undefined> {
  const hear = (message: Message) => {
    failIfError(message)
    // Whoever holds more than we have says so first, and then sends it.
    if (message.action === 'known') return covers(after, message.known) ? message : undefined
    // What was on its way of an earlier stream may come first.
    return message.action === 'content' && continues(message, after) ? message : undefined
  }
  const answer = await link.talk(id, [{ action: 'load', id, known: after }], hear, signal)
  link.say({ action: 'done', id })
  if (answer.action === 'known') {
    if (!answer.known.header) return undefined
    const { kind, priority } = stateOf(answer)
    return { id, kind, priority, runs: [], end: union(after, { header: true, sessions: new Map() }), more: false }
  }
  const { action: _, expectUntil, ...content } = answer
  return { ...content, end: union(after, endOf(answer)), more: expectUntil !== undefined }
}

function continues({ header, runs }: ContentMessage, after: KnownState): boolean {
  if ((header !== undefined) === after.header) return false
  return runs.every((run) => run.after === (after.sessions.get(run.session) ?? 0))
}

/** Writes a content, in as many messages as the server needs to take it, each of which it has acknowledged before the next is said. */
async function append(
  link: RemoteLink,
  content: Append,
  held: KnownState | undefined,
  signal: AbortSignal | undefined,
): Promise<AppendResult> {
  const { id, runs } = content
  // Who sends content is sent what it seems to lack: it says first that it lacks nothing. How much the server takes stands before its answers.
  if (held?.header) await link.talk(id, [{ action: 'load', id, known: held }], answered, signal)
  else if (!link.isGreeted()) await look(link, id, EMPTY, signal)
  const parts = partsFor(content, link.messageBytesMax())
  if (parts === undefined)
    return { state: await look(link, id, held, signal), refused: new Map(), headerRefused: 'tooLarge' }
  const isOther = await write(link, id, parts.contents, signal)
  const state = await look(link, id, endOf(content), signal)
  const refused = new Map<string, Refused>()
  if (isOther) return { state, refused, headerRefused: 'fork' }
  for (const { session, after, transactions } of runs) {
    const have = state?.known.sessions.get(session) ?? 0
    if (have < after + transactions.length)
      refused.set(session, { why: parts.tooLarge.has(session) ? 'tooLarge' : 'gap', have })
  }
  return { state, refused }
}

/** Answers whether the server holds something else in its place. What was not all taken is not gone on with: the rest may continue it. */
async function write(
  link: RemoteLink,
  id: string,
  contents: readonly Content[],
  signal: AbortSignal | undefined,
): Promise<boolean> {
  const hear = (message: Message): KnownMessage | 'fork' | undefined => {
    if (message.action === 'error' && message.code === 'fork') return 'fork'
    failIfError(message)
    return message.action === 'known' ? message : undefined
  }
  try {
    for (const content of contents) {
      const answer = await link.talk(id, [{ ...content, action: 'content' }], hear, signal)
      if (answer === 'fork') return true
      if (!covers(answer.known, endOf(content))) return false
    }
    return false
  } finally {
    // Whose answer is still to come is left when it comes.
    if (!link.isOwed(id)) link.say({ action: 'done', id })
  }
}

function endOf({ header, runs }: Pick<ContentMessage, 'header' | 'runs'>): KnownState {
  const sessions = new Map<string, number>()
  for (const { session, after, transactions } of runs)
    if (after + transactions.length > 0) sessions.set(session, after + transactions.length)
  return { header: header !== undefined, sessions }
}

function answered(message: Message): true | undefined {
  failIfError(message)
  return message.action === 'known' || message.action === 'content' ? true : undefined
}

function failIfError(message: Message): void {
  if (message.action === 'error') throw errorOf(message)
}

const BYTES_MAX = 64 * 1024 * 1024

/** It is no store of its own that others could compare with: its generation is new each time. */
function helloOf(peer: string): HelloMessage {
  return {
    action: 'hello',
    version: 1,
    features: [],
    generation: { id: peer, sequence: 0 },
    level: 'stored',
    limits: { messageBytesMax: BYTES_MAX, frameBytesMax: BYTES_MAX },
    peer,
  }
}

function lacking(capability: string): TypeError {
  return new TypeError(`remote storage: it cannot do this: ${capability}`)
}

function closed(): StorageError {
  return new StorageError('CLOSED', 'remote storage: it is not open')
}
