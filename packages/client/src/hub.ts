/**
 * The hub: one storage with its engine, its outbox and its connection upstream; what document handles stand on.
 *
 * Policy only: it decides when to ask and when to connect; the engine does the rest, and storage, channel, clock and chance are
 * handed in. Not here: documents and their handles (`client.ts`), sockets, timers.
 */

import type { ErrorCode, HelloMessage } from '@tidemark/protocol'
import {
  type Brought,
  type Comparison,
  forgetUpstream,
  loadComparison,
  loadOutbox,
  type Outbox,
  watchBrought,
} from '@tidemark/reconciliation'
import { type Clock, type Marks, type Opened, randomToken, type StorageError, systemClock } from '@tidemark/storage'
import type { EngineSizes, Report } from '@tidemark/sync'
import { type Connection, type ConnectionState, createConnection, type Disconnect } from '@tidemark/sync/reconnect'
import { type Attached, attach, type Link, type Port, type Runner, run } from '@tidemark/sync/run'
import { ClientError } from './errors.ts'
import { noticing, watchForLoss } from './lost-storage.ts'
import { type ClientLimits, type ClientOptions, DEFAULT_CLIENT_LIMITS } from './options.ts'
import { type ClientUploadStatus, createUploads, type UploadOptions, type UploadStatus } from './uploads.ts'
import { foreignSessions, openSessions, type Sessions } from './write-sessions.ts'

/** What a document handle tells the engine. */
export type HandleLink = Pick<Link, 'receive' | 'drained' | 'closed'>

// With digests, continuity needs no overlap: the engine asks for, and is asked for, exactly what is missing.
export const LOCAL_TRAITS: Port['traits'] = {
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

export interface Hub {
  /** A port of the engine for one handle of a document; its traits are `LOCAL_TRAITS`. */
  connect(id: string, port: Port): HandleLink
  /** Writes of a document were settled at such a port. */
  settled(id: string): void
  readonly sessions: Pick<Sessions, 'choose' | 'fresh'>
  /** Whether everybody but the storage agrees on where its sessions of a document end; `waiting`: that is being asked. */
  agreed(id: string): 'yes' | 'no' | 'waiting'
  status(id: string): UploadStatus
  statusOfAll(): ClientUploadStatus
  whenUploaded(id: string | undefined, options?: UploadOptions): Promise<void>
  connection(): ConnectionState
  disconnected(): Disconnect | undefined
  reconnectNow(): void
  disconnect(): void
  listen(listener: (report: Report) => void): () => void
  sizes(): EngineSizes
  opened(): Opened
  /** Why nothing can be done any more: the storage was closed for good. */
  lost(): ClientError | undefined
  /** Rejects whoever waits, and waits for nothing: the first step of closing. */
  abandonWaiters(error: ClientError): void
  /** Resolves when everything accepted is settled. */
  flushed(): Promise<void>
  /** Closes the connection, the engine and the storage. `patiently` gives up what takes too long. */
  close(patiently: (work: PromiseLike<unknown>) => Promise<unknown>): Promise<void>
}

/** Why a document is not taken, or not given, by the server. */
export interface UpstreamFailure {
  readonly id: string
  readonly code: ErrorCode
  readonly message: string
}

/** What the documents of a client want to hear. */
export interface HubEvents {
  /** The connection or the upload status changed: of one document, or of any. */
  changed(id?: string): void
  /** The connection is up: what could not be answered without it may be asked again. */
  online(): void
  /** The upstream could not answer for a document, or refused it. */
  failed(report: UpstreamFailure): void
  /** All that was written to a document is confirmed. */
  uploaded(id: string): void
  /** The storage was closed for good: nothing that is being written will be settled. */
  lost(error: ClientError): void
}

export type HubOptions = Omit<ClientOptions, 'kind'>

/** @throws StorageError if the storage does not open. */
export async function createHub(options: HubOptions, events: HubEvents): Promise<Hub> {
  const { storage } = options
  options.signal?.throwIfAborted()
  const brought = watchBrought(storage)
  const opened = await storage.open(options.signal === undefined ? {} : { signal: options.signal })
  try {
    return await openHub(options, events, opened, brought)
  } catch (cause) {
    brought.stop()
    await storage.close()
    throw cause
  }
}

async function openHub(options: HubOptions, events: HubEvents, opened: Opened, brought: Brought): Promise<Hub> {
  const { connect, clock = systemClock, hooks, soon, observe, engineLimits } = options
  const { peer = `client-${randomToken(clock)}` } = options
  const hadUpstream = connect === undefined && opened.writable && (await forgetUpstream(options.storage))
  const late: { hub?: InnerHub } = {}
  const storage = noticing(options.storage, (cause) => void late.hub?.suspect(cause))
  const outbox = await loadOutbox(storage, clock, (id) => late.hub?.uploaded(id))
  const comparison = await loadComparison({
    storage,
    canList: opened.capabilities.list,
    clock,
    isOwed: outbox.has,
    isConfirmed: (id) => late.hub?.isConfirmed(id) === true,
    owe: (ids) => outbox.add(ids),
    marked: () => outbox.marked(),
    changed: () => late.hub?.changed(),
  })
  const { sessionLocks: locks } = options
  const sessions = await openSessions({ clock, ...(locks !== undefined && { kept: { storage, locks } }) })
  const runner = await run({
    storage: options.storage,
    clock,
    peer,
    upstreamExpected: connect !== undefined,
    append(batch, owed) {
      // Without an upstream there is nobody else, and nothing is owed.
      if (connect !== undefined) sessions.retire(foreignSessions(batch, owed))
      return outbox.append(batch, owed)
    },
    ...(hooks !== undefined && { hooks }),
    ...(soon !== undefined && { soon }),
    ...(observe !== undefined && { observe }),
    ...(engineLimits !== undefined && { limits: engineLimits }),
  })
  late.hub = hubOn({ runner, outbox, comparison, sessions, brought, clock, events, options, hadUpstream })
  return late.hub
}

interface InnerHub extends Hub {
  isConfirmed(id: string): boolean
  uploaded(id: string): void
  changed(): void
  /** A call of the storage failed so. */
  suspect(cause: unknown): Promise<void>
}

interface Parts {
  readonly runner: Runner
  readonly outbox: Outbox
  readonly comparison: Comparison
  readonly sessions: Sessions
  readonly brought: Brought
  readonly clock: Clock
  readonly events: HubEvents
  readonly options: HubOptions
  /** There is none in this run, but there was in an earlier one. */
  readonly hadUpstream: boolean
}

function hubOn(parts: Parts): InnerHub {
  const { runner, outbox, comparison, sessions, brought, clock, events, options, hadUpstream } = parts
  const { storage, connect, hints } = options
  const limits: ClientLimits = { ...DEFAULT_CLIENT_LIMITS, ...options.limits }
  /** Documents that somebody waits for the upload of, and how many do. */
  const awaited = new Map<string, number>()
  let attached: Attached | undefined
  let lost: ClientError | undefined

  const uploads = createUploads({ runner, storage, hasUpstream: connect !== undefined, outbox, comparison, want })
  const connection: Connection | undefined =
    connect === undefined
      ? undefined
      : createConnection({
          connect,
          clock,
          limits,
          ...(hints !== undefined && { hints }),
          attach(channel) {
            attached = attach(runner, channel, { upstream: true, owed: [...outbox.ids(), ...awaited.keys()] })
            return attached
          },
          changed: connectionChanged,
        })
  runner.listen((report) => {
    if (report.kind === 'confirmed') progressed(report.id, report.uploaded)
    else if (report.kind === 'grew') progressed(report.id, false)
    else if (report.kind === 'fork') sessions.retire(report.sessions)
    else if (report.kind === 'greeted') greeted(report.hello)
    else if (report.kind === 'error') upstreamFailed(report)
    // Nothing was sent, since the peer said that it would not take it.
    else if (report.kind === 'unsent') refused(report)
    else if (report.kind === 'storage' && report.operation === 'append') attached?.ask(outbox.markAgain(), 'outbox')
  })

  if (connect === undefined) brought.stop()
  else brought.hear(owe)
  const loss = watchForLoss({ storage, listen: runner.listen, lost: storageLost })

  /** What was accepted and not stored is known to its writers alone: they are told. */
  function storageLost(cause: StorageError): void {
    lost = new ClientError('CLOSED', `the storage was closed for good: ${cause.message}`, { cause })
    stop()
    runner.abandon()
    uploads.close(lost)
    events.lost(lost)
  }

  function stop(): void {
    loss.stop()
    brought.stop()
    comparison.interrupt()
    connection?.close()
    sessions.close()
  }

  function owe(id: string): Marks {
    const isNews = !outbox.has(id)
    const marks = outbox.add([id])
    if (isNews) {
      attached?.ask([id], 'outbox')
      progressed(id, false)
    }
    return marks
  }

  /** Asks for a document for as long as somebody waits for its upload. */
  function want(id: string): () => void {
    awaited.set(id, (awaited.get(id) ?? 0) + 1)
    attached?.ask([id], 'outbox')
    return () => {
      const left = (awaited.get(id) ?? 1) - 1
      if (left > 0) return void awaited.set(id, left)
      awaited.delete(id)
      leave(id)
    }
  }

  function leave(id: string): void {
    if (!outbox.has(id) && !awaited.has(id)) attached?.leave([id])
  }

  function progressed(id: string, isUploaded: boolean): void {
    if (isUploaded) {
      outbox.remove(id)
      comparison.answered(id, 'confirmed')
    }
    uploads.changed(id)
    events.changed(id)
  }

  const isConfirmed = (id: string) => runner.status(id).uploaded === true

  function agreed(id: string): 'yes' | 'no' | 'waiting' {
    // Nobody can be asked here, and the upstream of an earlier run may know more.
    if (connection === undefined) return hadUpstream ? 'no' : 'yes'
    if (runner.status(id).inStep) return 'yes'
    return connection.state() === 'online' ? 'waiting' : 'no'
  }

  function greeted(hello: HelloMessage): void {
    if (attached !== undefined) comparison.begin(hello, attached)
    connection?.greeted()
  }

  function upstreamFailed(report: Extract<Report, { kind: 'error' }>): void {
    const { id, retryAfterMs } = report
    if (id === undefined) {
      if (retryAfterMs !== undefined) connection?.retryAfter(retryAfterMs)
      return
    }
    refused({ ...report, id })
  }

  function refused({ id, code, message }: UpstreamFailure): void {
    comparison.answered(id, 'refused')
    events.failed({ id, code, message })
  }

  function connectionChanged(): void {
    if (connection?.state() === 'offline') {
      attached = undefined
      comparison.interrupt()
    } else if (connection?.state() === 'online') {
      // Without a `hello` the first word of the peer is all the introduction there is.
      if (!comparison.isConnected() && attached !== undefined) comparison.begin(undefined, attached)
      events.online()
    }
    changed()
  }

  function changed(): void {
    uploads.changed()
    events.changed()
  }

  return {
    connect: (_, port) => runner.connect(port),
    sessions,
    agreed,
    settled: (id) => progressed(id, isConfirmed(id)),
    isConfirmed,
    uploaded(id) {
      leave(id)
      events.uploaded(id)
    },
    changed,
    status: (id) => uploads.status(id),
    statusOfAll: () => uploads.statusOfAll(),
    async whenUploaded(id, options) {
      if (lost !== undefined) throw lost
      try {
        await uploads.whenUploaded(id, options)
      } catch (cause) {
        await loss.suspect(cause)
        throw lost ?? cause
      }
    },
    suspect: loss.suspect,
    connection: () => connection?.state() ?? 'offline',
    disconnected: () => connection?.ended(),
    reconnectNow: () => connection?.connectNow(),
    disconnect: () => connection?.disconnect(),
    listen: (listener) => runner.listen(listener),
    sizes: () => runner.sizes(),
    opened: () => runner.opened,
    lost: () => lost,
    abandonWaiters: (error) => uploads.close(error),
    flushed: async () => {
      if (lost === undefined) await runner.flushed()
    },
    async close(patiently) {
      stop()
      if (lost === undefined) await patiently(runner.close())
      runner.abandon()
      await patiently(outbox.flushed())
      await patiently(Promise.resolve(storage.close()))
    },
  }
}
