/**
 * A client: documents over a storage of its own, kept in step with an upstream while there is a connection.
 *
 * Policy only: it decides when to ask and when to connect; the engine does the rest, and storage, channel, clock and chance are
 * handed in. Not here: sockets, timers, what documents mean.
 */
/// <reference lib="esnext.disposable" preserve="true" />
import { EMPTY, type KnownState } from '@tidemark/known-state'
import type { PayloadKind } from '@tidemark/protocol'
import { type Clock, type Opened, systemClock } from '@tidemark/storage'
import type { EngineSizes, Report } from '@tidemark/sync'
import { type ConnectionState, createConnection, type Disconnect } from '@tidemark/sync/reconnect'
import { attach, type Runner, run } from '@tidemark/sync/run'
import { asyncDispose } from './async-dispose.ts'
import type { Creation, Doc, OpenOptions } from './doc.ts'
import { ClientError } from './errors.ts'
import { createHandle, type Handle, type HandleContext } from './handle.ts'
import { createHandles } from './handles.ts'
import { type ClientOptions, DEFAULT_CLIENT_LIMITS } from './options.ts'
import { createOutbox } from './outbox.ts'
import { shutDown } from './shut-down.ts'
import { createUploads, type UploadStatus } from './uploads.ts'
import { createWatchers } from './watchers.ts'
import { createWriters } from './writers.ts'

export interface Client extends AsyncDisposable {
  /**
   * Opens a document: asks for it here and upstream, and gives what comes. Handles are independent of each other.
   *
   * @throws TypeError, RangeError for what is no document id; ClientError `CLOSED`; the signal's reason.
   */
  open(id: string, options?: OpenOptions): Doc
  /**
   * Creates a document under an id that was made up just now, without asking anybody. Resolves when it is durable here. Under an
   * id that others may have chosen too, open it and create it when it is absent.
   *
   * @throws ClientError `EXISTS` if another header is stored, `CLOSED`, or why it was refused.
   */
  create(id: string, creation: Creation): Promise<Doc>

  readonly connection: ConnectionState
  /** How the latest connection, or attempt, ended; `undefined` if none has. */
  readonly disconnected: Disconnect | undefined
  /** Connects at once, instead of when it is time to; ends `disconnect`. */
  reconnectNow(): void
  /** Closes the connection and stays offline until `reconnectNow`. */
  disconnect(): void

  /** Whether every upstream confirmed what is stored of a document that is open here. */
  status(id: string): UploadStatus
  /**
   * Resolves when everything that is stored of a document is confirmed upstream, also if it is not open. Waits for a connection.
   *
   * @throws ClientError `NO_UPSTREAM`, `ABSENT` if nothing of it is stored here, `CLOSED`; StorageError; the signal's reason.
   */
  whenUploaded(id: string, signal?: AbortSignal): Promise<void>

  /** Calls back soon after `connection` changed. Answers how to stop. */
  watch(watcher: () => void): () => void
  /** Hears what an operator wants to know: forks, refusals, failures of the storage. Answers how to stop. */
  listen(listener: (report: Report) => void): () => void
  /** How large the tables of the engine are. */
  sizes(): EngineSizes
  /** What the storage said when it was opened. */
  readonly opened: Opened

  /** Waits for what is being written (not for uploads), then closes documents, connection and storage. */
  close(): Promise<void>
}

/** @throws StorageError if the storage does not open. */
export async function createClient(options: ClientOptions): Promise<Client> {
  const { storage, connect, clock = systemClock, hooks, peer = madeUp(clock), soon, observe, engineLimits } = options
  const runner = await run({
    storage,
    clock,
    peer,
    upstreamExpected: connect !== undefined,
    ...(hooks !== undefined && { hooks }),
    ...(soon !== undefined && { soon }),
    ...(observe !== undefined && { observe }),
    ...(engineLimits !== undefined && { limits: engineLimits }),
  })
  return clientOn(runner, options, clock)
}

function clientOn(runner: Runner, options: ClientOptions, clock: Clock): Client {
  const { storage, connect, kind: ownKind = 'bytes' } = options
  const limits = { ...DEFAULT_CLIENT_LIMITS, ...options.limits }
  const handles = createHandles()
  const aborts = new Map<Handle, () => void>()
  const watchers = createWatchers()
  let closing: Promise<void> | undefined

  const uploads = createUploads({
    runner,
    storage,
    hasUpstream: connect !== undefined,
    isOpen: (id) => handles.of(id).length > 0,
    isWriting: (id) => handles.of(id).some((handle) => handle.isWriting()),
    want(id, after) {
      const handle = open(id, after, ownKind, false)
      return () => handle.close()
    },
  })
  const outbox = createOutbox((id) => runner.status(id).uploaded === true)
  const context: HandleContext = {
    runner,
    uploads,
    writers: createWriters(),
    stored: outbox.add,
    closed(handle) {
      handles.remove(handle)
      aborts.get(handle)?.()
      aborts.delete(handle)
    },
  }
  const connection =
    connect === undefined
      ? undefined
      : createConnection({
          connect,
          clock,
          limits,
          attach(channel) {
            const attached = attach(runner, channel, { upstream: true })
            attached.ask(outbox.ids())
            return attached
          },
          changed: connectionChanged,
        })
  runner.listen((report) => {
    if (report.kind === 'confirmed' || report.kind === 'grew') progressed(report.id)
    else if (report.kind === 'greeted') connection?.greeted()
    else if (report.kind === 'error') upstreamFailed(report)
  })

  function progressed(id: string): void {
    outbox.check(id)
    uploads.changed(id)
    for (const handle of handles.of(id)) handle.changed()
  }

  function upstreamFailed({ id, code, message, retryAfterMs }: Extract<Report, { kind: 'error' }>): void {
    if (id !== undefined) for (const handle of handles.of(id)) handle.upstreamFailed({ code, message })
    else if (retryAfterMs !== undefined) connection?.retryAfter(retryAfterMs)
  }

  function connectionChanged(): void {
    watchers.notify()
    uploads.changed()
    for (const handle of handles.all()) {
      // What could not be answered without an upstream is asked again with one.
      if (connection?.state === 'online') handle.retry()
      handle.changed()
    }
  }

  function open(id: string, after: KnownState, kind: PayloadKind, isNew: boolean): Handle {
    if (closing !== undefined) throw new ClientError('CLOSED', 'this client is closed')
    const handle = createHandle(context, id, { after, kind, isNew })
    handles.add(handle)
    return handle
  }

  /** A signal may outlive the handles that were opened with it: nothing of them stays on it. */
  function closeOnAbort(handle: Handle, signal: AbortSignal): void {
    const abort = () => void handle.close()
    signal.addEventListener('abort', abort, { once: true })
    aborts.set(handle, () => signal.removeEventListener('abort', abort))
  }

  const client: Client = {
    open(id, { after = EMPTY, kind = ownKind, signal } = {}) {
      signal?.throwIfAborted()
      const handle = open(id, after, kind, false)
      if (signal !== undefined) closeOnAbort(handle, signal)
      return handle
    },
    async create(id, creation) {
      const handle = open(id, EMPTY, creation.kind ?? ownKind, true)
      try {
        await handle.create(creation)
        return handle
      } catch (error) {
        await handle.close()
        throw error
      }
    },
    get connection() {
      return connection?.state ?? 'offline'
    },
    get disconnected() {
      return connection?.ended
    },
    reconnectNow: () => connection?.connectNow(),
    disconnect: () => connection?.disconnect(),
    status: (id) => uploads.status(id),
    whenUploaded: (id, signal) => uploads.whenUploaded(id, signal),
    watch: (watcher) => watchers.add(watcher),
    // Later, so that what a listener throws does not reach into the engine.
    listen: (listener) => runner.listen((report) => queueMicrotask(() => listener(report))),
    sizes: () => runner.sizes(),
    opened: runner.opened,
    close() {
      closing ??= shutDown({ runner, storage, clock, uploads, handles, connection, msMax: limits.closeMsMax })
      return closing
    },
    [asyncDispose]: () => client.close(),
  }
  return client
}

/** A name for this run of this client. */
function madeUp(clock: Clock): string {
  const digits = Array.from({ length: 16 }, () => Math.floor(clock.random() * 16).toString(16))
  return `client-${digits.join('')}`
}
