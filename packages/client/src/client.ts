/**
 * A client: documents over a storage of its own, kept in step with an upstream while there is a connection.
 *
 * Here are the documents that are open, and what an application may ask of the whole. Not here: the storage, its engine and the
 * connection (`hub.ts`), one document (`handle.ts`), what documents mean.
 */
/// <reference lib="esnext.disposable" preserve="true" />
import { EMPTY, type KnownState } from '@tidemark/known-state'
import type { PayloadKind } from '@tidemark/protocol'
import { type Clock, type Opened, systemClock } from '@tidemark/storage'
import type { EngineSizes, Report } from '@tidemark/sync'
import type { ConnectionState, Disconnect } from '@tidemark/sync/reconnect'
import { asyncDispose } from './async-dispose.ts'
import type { Creation, Doc, OpenOptions } from './doc.ts'
import { ClientError } from './errors.ts'
import { createHandle, type Handle, type HandleContext } from './handle.ts'
import { createHandles, type Handles } from './handles.ts'
import { createHub, type Hub, type HubEvents } from './hub.ts'
import { type ClientOptions, DEFAULT_CLIENT_LIMITS } from './options.ts'
import { ShownClient } from './shown.ts'
import { shutDown } from './shut-down.ts'
import type { ClientUploadStatus, UploadOptions, UploadStatus } from './uploads.ts'
import { createWatchers, type Watchers } from './watchers.ts'
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

  /** Whether the upstream confirmed what is stored of a document, open or not; the storage remembers it. */
  status(id: string): UploadStatus
  /** The same of everything, and how many documents are pending. */
  status(): ClientUploadStatus
  /**
   * Resolves when everything that is stored of a document, or of all documents, is confirmed upstream. Nothing has to be open for
   * that; waits for a connection.
   *
   * @throws ClientError `NO_UPSTREAM`, `ABSENT` if nothing of it is stored here, `LEVEL` if the server promises less than was asked
   * for, `CLOSED`; StorageError; the signal's reason.
   */
  whenUploaded(id?: string, options?: UploadOptions): Promise<void>
  /** Calls back when all that was written to a document is confirmed upstream. Answers how to stop. */
  onUploaded(listener: (id: string) => void): () => void

  /** Calls back soon after `connection` or `status()` changed. Answers how to stop. */
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
  const documents = createDocuments()
  return clientOn(await createHub(options, documents.events), documents, options)
}

/** What is open, and who wants to hear of changes. */
export interface Documents {
  readonly handles: Handles
  readonly watchers: Watchers
  readonly uploaded: Set<(id: string) => void>
  readonly events: HubEvents
  /** The engine is another one, of the same storage. */
  relinked(): void
}

export function createDocuments(): Documents {
  const handles = createHandles()
  const watchers = createWatchers()
  const uploaded = new Set<(id: string) => void>()
  const events: HubEvents = {
    changed(id) {
      watchers.notify()
      for (const handle of id === undefined ? handles.all() : handles.of(id)) handle.changed()
    },
    online() {
      // What could not be answered without an upstream is asked again with one.
      for (const handle of handles.all()) handle.retry()
    },
    failed({ id, code, message }) {
      for (const handle of handles.of(id)) handle.upstreamFailed({ code, message })
    },
    uploaded(id) {
      // Later, so that what a listener throws does not reach into the engine.
      for (const listener of uploaded) queueMicrotask(() => uploaded.has(listener) && listener(id))
    },
    lost(error) {
      for (const handle of handles.all()) handle.abandon(error)
      watchers.notify()
    },
  }
  function relinked(): void {
    for (const handle of handles.all()) handle.relink()
  }
  return { handles, watchers, uploaded, events, relinked }
}

type Options = Pick<ClientOptions, 'kind' | 'limits'> & { readonly clock?: Clock }

/** A client over a hub. */
export function clientOn(hub: Hub, { handles, watchers, uploaded }: Documents, options: Options): Client {
  const { kind: ownKind = 'bytes', clock = systemClock } = options
  const { closeMsMax, sessionMsMax } = { ...DEFAULT_CLIENT_LIMITS, ...options.limits }
  const aborts = new Map<Handle, () => void>()
  let closing: Promise<void> | undefined

  const context: HandleContext = {
    hub,
    clock,
    sessionMsMax,
    writers: createWriters(),
    status: statusOf,
    closed(handle) {
      handles.remove(handle)
      aborts.get(handle)?.()
      aborts.delete(handle)
    },
  }

  function statusOf(id: string): UploadStatus {
    const { uploaded } = hub.status(id)
    return { uploaded: uploaded === true && handles.of(id).some((handle) => handle.isWriting()) ? false : uploaded }
  }

  function status(id: string): UploadStatus
  function status(): ClientUploadStatus
  function status(id?: string): UploadStatus | ClientUploadStatus {
    if (id !== undefined) return statusOf(id)
    const all = hub.statusOfAll()
    return all.uploaded === true && handles.all().some((handle) => handle.isWriting())
      ? { ...all, uploaded: false }
      : all
  }

  async function whenUploaded(id?: string, options?: UploadOptions): Promise<void> {
    if (closing !== undefined) throw closed()
    const writing = id === undefined ? handles.all() : handles.of(id)
    await Promise.all(writing.map((handle) => handle.written(options?.signal)))
    await hub.whenUploaded(id, options)
  }

  function open(id: string, after: KnownState, kind: PayloadKind, isNew: boolean): Handle {
    if (closing !== undefined) throw closed()
    const lost = hub.lost()
    if (lost !== undefined) throw lost
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

  const client: Client = Object.assign<ShownClient, Omit<Client, keyof ShownClient>>(new ShownClient(hub), {
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
    reconnectNow: () => hub.reconnectNow(),
    disconnect: () => hub.disconnect(),
    status,
    whenUploaded,
    onUploaded(listener) {
      const added = (id: string) => listener(id)
      uploaded.add(added)
      return () => uploaded.delete(added)
    },
    watch: (watcher) => watchers.add(watcher),
    // Later, so that what a listener throws does not reach into the engine.
    listen: (listener) => hub.listen((report) => queueMicrotask(() => listener(report))),
    sizes: () => hub.sizes(),
    close() {
      closing ??= shutDown({ hub, clock, handles, msMax: closeMsMax })
      return closing
    },
    [asyncDispose]: () => client.close(),
  })
  return client
}

function closed(): ClientError {
  return new ClientError('CLOSED', 'this client is closed')
}
