/**
 * `@tidemark/client/remote`: another server as a storage, to be one of several layers.
 *
 * It is asked with what the asker holds, never with nothing unless nothing is held, so that a server which has no more costs no content.
 * It keeps no marks and no small maps and lists nothing. L2: a connection that fails is a failure, never absence. Contents of a document are read
 * and written one after the other, in the order of the calls.
 * Not here: the connection (`remote-link.ts`), asking what it holds (`remote-look.ts`), reading (`remote-read.ts`) and writing (`remote-append.ts`),
 * keeping layers in step (`@tidemark/reconciliation/layers`).
 */
import { EMPTY, type KnownState } from '@tidemark/known-state'
import type { HelloMessage } from '@tidemark/protocol'
import type {
  Append,
  AppendResult,
  CallOptions,
  Clock,
  LookOptions,
  Opened,
  Page,
  Storage,
  StoredState,
} from '@tidemark/storage'
import { StorageError, systemClock } from '@tidemark/storage'
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
import { append, Unsettled } from './remote-append.ts'
import { createRemoteLink, type RemoteLink, unasked } from './remote-link.ts'
import { look } from './remote-look.ts'
import { createStreams } from './remote-read.ts'
import { createTurns } from './remote-turns.ts'

export interface RemoteStorageOptions {
  /** Opens a channel to the server, in a dialect that has errors and digests (our own). Called again after the connection was lost. */
  readonly connect: Connect
  /** Who this node is to the server. */
  readonly peer: string
  /** How long `close` waits for writes that the server does not answer; they fail with `CLOSED` then. Default 10,000. */
  readonly closeMsMax?: number
  readonly clock?: Clock
}

const HELD_MAX = 1_000
const CLOSE_MS_MAX = 10_000

/**
 * A server as a storage. Calls have no time limit of their own: layers give them one, by a signal. A connection that did not answer about a document in
 * time is left when the document is asked about again and the answer has not come by then: all that is asked from then on goes over a new one, and
 * the old one is closed when what is under way there is done.
 *
 * `append` writes what is more than the server takes in one message in several, so a part of it may stay if it fails in between. A header, a
 * transaction or what one seal covers that is more than one message takes is refused as `tooLarge`. `close` waits for writes, but not for ever.
 */
export function remoteStorage(options: RemoteStorageOptions): Storage {
  return new RemoteStorage(options)
}

class RemoteStorage implements Storage {
  readonly #options: RemoteStorageOptions
  readonly #closing = new AbortController()
  /** Those under way, which are waited for before the connection is closed. */
  readonly #appends = new Set<Promise<unknown>>()
  #isClosed = false
  /** What the server was last heard to hold. */
  readonly #held = new Remembered<string, KnownState>(HELD_MAX)
  readonly #turns = createTurns()
  readonly #streams = createStreams()
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
    if (this.#isClosed) throw closed()
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
    for (const [index, id] of ids.entries()) this.#hear(id, states[index])
    return states
  }

  async headers(ids: readonly string[], options?: CallOptions): Promise<readonly (Uint8Array | undefined)[]> {
    this.#ready(options)
    checkIds(ids)
    return Promise.all(ids.map((id) => this.#header(id, options?.signal)))
  }

  /** Who claims all else is sent no more than the header. */
  async #header(id: string, signal: AbortSignal | undefined): Promise<Uint8Array | undefined> {
    const known = this.#held.get(id) ?? (await this.#over([id], (link) => look(link, id, EMPTY, signal)))?.known
    const after = { header: false, sessions: known?.sessions ?? EMPTY.sessions }
    const page = await this.#read(id, after, signal)
    this.#streams.drop(id)
    return page?.header
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
    return this.#read(id, after, options.signal)
  }

  #read(id: string, after: KnownState, signal: AbortSignal | undefined): Promise<Page | undefined> {
    const read = () => this.#over([id], (link) => this.#streams.read(link, id, after, signal))
    return this.#turns.take(id, read, signal)
  }

  async append(batch: readonly Append[], options?: CallOptions): Promise<readonly AppendResult[]> {
    this.#ready(options)
    checkBatch(batch, undefined)
    if (batch.length === 0) return []
    const { signal } = options ?? {}
    const write = (content: Append) => () => this.#write(content, signal)
    const writing = batch.map((content) => this.#turns.take(content.id, write(content), signal))
    const all = Promise.allSettled(writing)
    this.#appends.add(all)
    void all.then(() => this.#appends.delete(all))
    return Promise.all(writing)
  }

  /** What one connection does not tell is found out over another. */
  async #write(content: Append, signal: AbortSignal | undefined): Promise<AppendResult> {
    let earlier: Unsettled | undefined
    for (;;)
      try {
        return await this.#over([content.id], (link) => this.#append(link, content, signal, earlier))
      } catch (cause) {
        if (!(cause instanceof Unsettled)) throw cause
        earlier = cause
      }
  }

  async #append(
    link: RemoteLink,
    content: Append,
    signal: AbortSignal | undefined,
    earlier: Unsettled | undefined,
  ): Promise<AppendResult> {
    const { id } = content
    await this.#streams.end(id, signal)
    const result = await append(link, content, this.#held.get(id), signal, earlier)
    if ('state' in result) this.#hear(id, result.state)
    return result
  }

  #hear(id: string, state: StoredState | undefined): void {
    const known = state?.known ?? EMPTY
    this.#held.set(id, known)
    this.#streams.heard(id, known)
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
    this.#isClosed = true
    await this.#written()
    this.#closing.abort(closed())
    await this.#linking?.catch(() => undefined)
    this.#link?.close()
    for (const link of this.#retired) link.close()
  }

  /** What is being written is answered, or was waited for long enough. */
  async #written(): Promise<void> {
    if (this.#appends.size === 0) return
    const { clock = systemClock, closeMsMax = CLOSE_MS_MAX } = this.#options
    const done = new AbortController()
    const patience = clock.wait(closeMsMax, done.signal).catch(() => {})
    await Promise.race([Promise.all(this.#appends), patience])
    done.abort()
  }

  /**
   * Has `work` done over the connection there is, or a new one if that is closed, or does not serve one of these. Where it serves one no more
   * before `work` is done, because somebody else left a question about it unanswered, all of `work` is done again over a new one.
   */
  async #over<T>(ids: readonly string[], work: (link: RemoteLink) => Promise<T>): Promise<T> {
    for (;;)
      try {
        return await this.#once(ids, work)
      } catch (cause) {
        if (cause !== unasked) throw cause
      }
  }

  async #once<T>(ids: readonly string[], work: (link: RemoteLink) => Promise<T>): Promise<T> {
    // A write whose turn comes when closing waited for it long enough.
    if (this.#closing.signal.aborted) throw closed()
    const isUsable = (link: RemoteLink) => !link.closed && ids.every((id) => link.serves(id))
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
    if (this.#opened === undefined || this.#isClosed) throw closed()
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
