/**
 * Upstream: a server that is itself the client of another one, an edge of a core.
 *
 * What the edge holds it answers at once; what it lacks it asks the core for before it says that it is absent (L1, in the engine).
 * What clients wrote is owed to the core until that has confirmed it, and marked so in the commit that stored it: neither a core that
 * is away nor a restart of the edge loses an upload. To a core that it does not know, or that was restored from a backup, the edge
 * offers all that it holds. It speaks to the core with credentials of its own: those of `connect`.
 * Not here: who may read what (the hooks, at each server for its own clients), channels (`@tidemark/websocket`).
 */
import {
  type Brought,
  type Comparison,
  forgetUpstream,
  loadComparison,
  loadOutbox,
  type Outbox,
  type Owe,
  watchBrought,
} from '@tidemark/reconciliation'
import { type Clock, type Storage, watchChanges } from '@tidemark/storage'
import type { Report } from '@tidemark/sync'
import {
  type Connection,
  type ConnectionLimits,
  type ConnectionState,
  createConnection,
  DEFAULT_CONNECTION_LIMITS,
} from '@tidemark/sync/reconnect'
import { type Attached, attach, type Connect, type Runner, type RunOptions } from '@tidemark/sync/run'
import type { Log } from './log.ts'

export interface UpstreamOptions {
  /** Opens a channel to the core, in the dialect that it is to be spoken to. */
  readonly connect: Connect
  readonly limits?: Partial<ConnectionLimits>
}

export interface Upstream {
  state(): ConnectionState
  /** Documents that hold what the core has not confirmed. */
  owed(): number
  /** What the runner is to be told at its creation. */
  readonly runOptions: Pick<RunOptions, 'append' | 'upstreamExpected'>
  /** Begins to connect, and goes on until it is closed. */
  start(runner: Runner): void
  /** Goes offline. */
  stop(): void
  /** Resolves when nothing that is known of the core is being stored. */
  flushed(): Promise<void>
}

export interface UpstreamContext {
  readonly storage: Storage
  readonly clock: Clock
  readonly log: Log
}

/**
 * Opens the storage, and reads what an earlier run has left.
 *
 * @throws StorageError if that cannot be done; the storage is then closed.
 */
export async function openUpstream(options: UpstreamOptions, context: UpstreamContext): Promise<Upstream> {
  const { storage } = context
  const brought = watchBrought(storage)
  const { capabilities } = await storage.open()
  try {
    return await loadUpstream(options, context, capabilities.list, brought)
  } catch (cause) {
    brought.stop()
    await storage.close()
    throw cause
  }
}

async function loadUpstream(
  options: UpstreamOptions,
  context: UpstreamContext,
  canList: boolean,
  brought: Brought,
): Promise<Upstream> {
  const { storage, clock } = context
  const late: { session?: Session } = {}
  const outbox = await loadOutbox(storage, clock, (id) => late.session?.leave(id))
  const comparison = await loadComparison({
    storage,
    canList,
    clock,
    isOwed: outbox.has,
    isConfirmed: (id) => late.session?.isConfirmed(id) === true,
    owe: (ids) => outbox.add(ids),
    marked: () => outbox.marked(),
    changed() {},
  })
  return {
    state: () => late.session?.connection.state() ?? 'offline',
    owed: () => outbox.size(),
    runOptions: { append: outbox.append, upstreamExpected: true },
    start(runner) {
      late.session = connectTo({ ...options, ...context, runner, outbox, comparison })
      brought.hear(late.session.owe)
    },
    stop() {
      brought.stop()
      comparison.interrupt()
      late.session?.connection.close()
    },
    flushed: () => outbox.flushed(),
  }
}

export interface Unowed {
  /** Appends of a server without an upstream. */
  readonly append: NonNullable<RunOptions['append']>
  stop(): void
}

/**
 * What comes into the storage of a server without an upstream, from clients or from a layer, is owed to nobody: from the first of it on nothing
 * counts as confirmed. Until then nothing is asked of the storage. To be called before that is opened.
 */
export function watchUnowed(storage: Storage): Unowed {
  let isForgotten = false
  let forgetting: Promise<void> | undefined

  async function forget(): Promise<void> {
    try {
      await forgetUpstream(storage)
      isForgotten = true
    } finally {
      forgetting = undefined
    }
  }

  function forgotten(): Promise<void> {
    forgetting ??= forget()
    return forgetting
  }

  const stop = watchChanges(storage, ({ storeWith }) => {
    if (isForgotten) return
    const done = forgotten().then(() => new Map())
    // What is only known of so far is forgotten again when it is stored.
    if (storeWith === undefined) done.catch(() => {})
    else storeWith(done)
  })
  return {
    append: (batch) => (isForgotten ? storage.append(batch) : forgotten().then(() => storage.append(batch))),
    stop,
  }
}

interface Session {
  readonly connection: Connection
  isConfirmed(id: string): boolean
  /** Something else than clients and the core brought it. */
  owe: Owe
  leave(id: string): void
}

interface SessionContext extends UpstreamOptions, UpstreamContext {
  readonly runner: Runner
  readonly outbox: Outbox
  readonly comparison: Comparison
}

function connectTo({ connect, limits, clock, log, runner, outbox, comparison }: SessionContext): Session {
  let attached: Attached | undefined
  const connection = createConnection({
    connect,
    clock,
    limits: { ...DEFAULT_CONNECTION_LIMITS, ...limits },
    attach(channel) {
      // What somebody here is subscribed to is asked for by the engine.
      attached = attach(runner, channel, { upstream: true, owed: outbox.ids() })
      return attached
    },
    changed,
  })
  runner.listen((report) => {
    if (report.kind === 'confirmed' && report.uploaded) {
      outbox.remove(report.id)
      comparison.answered(report.id, 'confirmed')
    } else if (report.kind === 'storage' && report.operation === 'append') attached?.ask(outbox.markAgain(), 'outbox')
    else if ((report.kind === 'greeted' || report.kind === 'error') && report.connection === attached?.id) said(report)
    else if (report.kind === 'unsent' && report.connection === attached?.id) comparison.answered(report.id, 'refused')
  })

  function said(report: Extract<Report, { kind: 'greeted' | 'error' }>): void {
    if (report.kind === 'greeted') {
      if (attached !== undefined) comparison.begin(report.hello, attached)
      connection.greeted()
    } else if (report.id !== undefined) comparison.answered(report.id, 'refused')
    else if (report.retryAfterMs !== undefined) connection.retryAfter(report.retryAfterMs)
  }

  function changed(): void {
    const state = connection.state()
    const ended = connection.ended()
    if (state === 'offline') {
      attached = undefined
      comparison.interrupt()
      log('warn', 'no connection to the upstream; trying again', { code: ended?.code, reason: ended?.reason })
    } else if (state === 'online') {
      // Without a `hello` the first word of the peer is all the introduction there is.
      if (!comparison.isConnected() && attached !== undefined) comparison.begin(undefined, attached)
      log('info', 'connected to the upstream', { owed: outbox.size() })
    }
  }

  return {
    connection,
    isConfirmed: (id) => runner.status(id).uploaded === true,
    owe(id) {
      const isNews = !outbox.has(id)
      const marks = outbox.add([id])
      if (isNews) attached?.ask([id], 'outbox')
      return marks
    },
    leave: (id) => attached?.leave([id]),
  }
}
