/**
 * The runner: performs what the engine wants done, with a storage, a clock and connections that are handed in.
 *
 * Everything that happens in one turn is handled together: look-ups are asked in bulk, what is said to a connection leaves as one
 * batch, what was accepted is appended as one. A storage that answers at once is answered in the same turn.
 * Not here: deciding anything (the engine), whose turn it is (`run-turns.ts`), sockets, frames (`@tidemark/websocket`).
 */
import { checkLimits, type Decoded, ProtocolError } from '@tidemark/protocol'
import {
  type Append,
  type AppendResult,
  type Awaitable,
  type Clock,
  nextTurn,
  type Opened,
  type Storage,
  settle,
  systemClock,
  watchChanges,
} from '@tidemark/storage'
import { createEngine } from './engine.ts'
import type { Check, ConnectionId, ConnectionTraits, Effect, Event, Outcome, Report } from './events.ts'
import { DEFAULT_ENGINE_LIMITS, type EngineLimits, type EngineOptions } from './options.ts'
import { answerCheck, type Hooks, needsHeader } from './run-checks.ts'
import { createAlarm } from './run-clock.ts'
import { createErasures } from './run-erasures.ts'
import { createInflow, type Hold, type Inflow } from './run-inflow.ts'
import { createLeaving, deaf } from './run-leaving.ts'
import { createLookUps } from './run-look-ups.ts'
import { createTurns } from './run-turns.ts'
import type { ConnectionSizes, EngineSizes, SyncStatus } from './status.ts'
import { takesRoom, weightOf } from './weights.ts'

export { type Attached, type AttachOptions, attach, type Channel, type Connect, type Receiver } from './run-channel.ts'
export type { Hooks } from './run-checks.ts'
export { createPipe } from './run-pipe.ts'

export type Sent = Extract<Effect, { type: 'send' }>

/** One connection as the runner sees it; all calls come from within a turn. */
export interface Port {
  readonly traits: ConnectionTraits
  /** Whoever `authenticate` said it is; handed to `authorize`. */
  readonly principal?: unknown
  /** Of an upstream: documents that are owed to it. They are asked for before what is only to be compared. */
  readonly owed?: readonly string[]
  /** What one turn says, in order. */
  send(sent: readonly Sent[]): void
  /** Whether another page may be handed over. If not, `Link.drained` is to be called when it may. */
  room(): boolean
  close(code: number, reason: string): void
  /** So much is unsent that nothing more of what it brought is handled until there is room. Default: never. */
  full?(): boolean
  pause(why: Hold): void
  resume(why: Hold): void
}

/** What a connection tells the runner. */
export interface Link {
  readonly id: ConnectionId
  /** Messages of a frame of so many bytes, in order; `undefined` where much was passed over. */
  receive(decoded: Iterable<Decoded | undefined>, bytes?: number): void
  /** Asks this peer for documents that nobody here has open, with what the storage holds of them. */
  ask(ids: readonly string[], urgency?: 'outbox' | 'reconcile'): void
  /** Takes back `ask`: what nobody else wants and is in step needs no subscription. */
  leave(ids: readonly string[]): void
  drained(): void
  closed(): void
  /** We are about to close it: what it brought and is not handled yet is dropped. */
  abandon(): void
  /** What it costs at the moment. */
  sizes(): ConnectionSizes
}

export interface RunOptions extends Omit<EngineOptions, 'self' | 'asks'> {
  readonly storage: Storage
  readonly peer: string
  readonly hooks?: Hooks
  readonly clock?: Clock
  /** Performs the appends of the engine in place of `storage.append`: an outbox adds its marks for what is `owed`. */
  readonly append?: (batch: readonly Append[], owed: readonly string[]) => Awaitable<readonly AppendResult[]>
  /** Calls back after the current turn of the event loop, so that what arrives in it is appended together. */
  readonly soon?: (callback: () => void) => void
  /** Sees every event and effect, for traces and metrics. */
  readonly observe?: (step: Event | Effect) => void
}

export interface Runner {
  readonly opened: Opened
  /** What its connections take, as `hello` says. */
  readonly limits: Pick<EngineLimits, 'messageBytesMax' | 'frameBytesMax'>
  connect(port: Port): Link
  status(id: string): SyncStatus
  sizes(): EngineSizes
  /** Hears every report; answers how to stop. */
  listen(listener: (report: Report) => void): () => void
  /** Resolves when everything accepted so far is settled. */
  flushed(): Promise<void>
  /** Waits for appends in flight and stops. Connections are the caller's to close; so is the storage. */
  close(): Promise<void>
  /** Stops at once: of a storage that settles nothing nothing can be waited for. */
  abandon(): void
}

/** @throws StorageError if the storage does not open; TypeError for limits below what every peer may send. */
export async function run(options: RunOptions): Promise<Runner> {
  checkLimits(options.limits ?? {})
  return createRunner(options, await options.storage.open())
}

function createRunner(options: RunOptions, opened: Opened): Runner {
  const { storage, hooks = {}, clock = systemClock, soon = nextTurn, observe, peer, ...engineOptions } = options
  const append = options.append ?? ((batch) => storage.append(batch))
  const engine = createEngine({
    random: () => clock.random(),
    ...engineOptions,
    self: { peer, generation: opened.generation, level: opened.level === 'memory' ? 'stored' : opened.level },
    asks: {
      authorize: hooks.authorize !== undefined,
      dependencies: hooks.dependenciesOf !== undefined,
      verify: hooks.verify !== undefined,
      tombstones: hooks.isTombstone !== undefined,
    },
  })
  const turns = createTurns(soon)
  const unwatch = watchChanges(storage, ({ id, before }) => tell({ type: 'changed', id, before }))
  const ports = new Map<ConnectionId, Port>()
  const inflows = new Map<ConnectionId, Inflow>()
  const leaving = createLeaving((id) => (inflows.get(id)?.bytes() ?? 0) + engine.sizesOf(id).pendingBytes)
  const outboxes = new Map<ConnectionId, Sent[]>()
  const listeners = new Set<(report: Report) => void>()
  const waiting = new Set<() => void>()
  const closing = new AbortController()
  const lookUps = createLookUps({ storage, tell, together, answer })
  const isUsed = hooks.isTombstone !== undefined
  const erasures = createErasures({ storage, clock, closed: closing.signal, isUsed, tell })
  let inbox: Event[] = []
  let turning = false
  const alarm = createAlarm(clock, () => tell({ type: 'woke' }))
  let connections = 0

  function tell(event: Event): void {
    if (closing.signal.aborted) return
    inbox.push(event)
    if (!turning) turn()
  }

  /** What `work` tells is handled in one turn, so that what is said to a peer leaves as one batch. */
  function together(work: () => void): void {
    if (turning) return work()
    turning = true
    try {
      work()
    } finally {
      turning = false
    }
    turn()
  }

  function turn(): void {
    turning = true
    try {
      while (inbox.length > 0 || lookUps.waiting() || outboxes.size > 0) {
        handleInbox()
        if (lookUps.waiting()) lookUps.ask()
        else if (inbox.length === 0) sendOutboxes()
      }
    } finally {
      turning = false
    }
    alarm.set(engine.nextWake())
    if (waiting.size > 0) notifyFlushed()
  }

  function handleInbox(): void {
    const events = inbox
    inbox = []
    const now = alarm.now()
    for (const event of events) {
      observe?.(event)
      for (const effect of engine.handle(event, now)) {
        observe?.(effect)
        perform(effect)
      }
    }
  }

  function perform(effect: Effect): void {
    switch (effect.type) {
      case 'send': {
        const outbox = outboxes.get(effect.connection)
        if (outbox !== undefined) outbox.push(effect)
        else outboxes.set(effect.connection, [effect])
        return
      }
      case 'look':
        return lookUps.add(effect)
      case 'page': {
        const { connection, ticket, id, after, bytesMax } = effect
        return asked(
          () => storage.read(id, after, { bytesMax }),
          (outcome) => ({ type: 'paged', connection, ticket, outcome }),
        )
      }
      case 'gather':
        return soon(() => tell({ type: 'gathered' }))
      case 'append':
        return asked(
          () => erasures.mark(effect.erases, () => append(effect.batch, effect.owed)),
          (outcome) => ({ type: 'appended', outcome }),
        )
      case 'erase':
        return settle(
          () => storage.erase(effect.id, effect.version, { keep: effect.keep }),
          (value) => {
            erasures.done(effect.id)
            tell({ type: 'erased', id: effect.id, outcome: { value } })
          },
          (failed) => tell({ type: 'erased', id: effect.id, outcome: { failed } }),
        )
      case 'check':
        if (needsHeader(effect.check)) return lookUps.addHeader(effect.ticket, effect.check)
        return answer(effect.ticket, effect.check)
      case 'report':
        for (const listener of listeners) listener(effect.report)
        return
      default:
        return command(effect)
    }
  }

  function asked<T>(work: () => Awaitable<T>, event: (outcome: Outcome<T>) => Event): void {
    settle(
      work,
      (value) => tell(event({ value })),
      (failed) => tell(event({ failed })),
    )
  }

  function command(effect: Extract<Effect, { type: 'close' | 'passed' | 'pause' | 'resume' }>): void {
    const port = ports.get(effect.connection)
    if (port === undefined) return
    const inflow = inflows.get(effect.connection)
    if (effect.type === 'close') {
      sendOutbox(effect.connection, port)
      // What follows is not even decoded.
      inflow?.drop()
      port.close(effect.code, effect.reason)
    } else if (effect.type === 'passed') {
      inflow?.sent(effect.bytes)
      if (port.room()) inflow?.drained()
    } else if (effect.type === 'pause') {
      inflow?.hold('pending')
      port.pause('pending')
    } else {
      inflow?.release('pending')
      port.resume('pending')
    }
  }

  function answer(ticket: number, check: Check): void {
    answerCheck(
      hooks,
      storage,
      (id) => ports.get(id)?.principal,
      check,
      (outcome) => tell({ type: 'checked', ticket, outcome }),
    )
  }

  function sendOutboxes(): void {
    for (const connection of [...outboxes.keys()]) sendOutbox(connection, ports.get(connection))
  }

  function sendOutbox(connection: ConnectionId, port: Port | undefined): void {
    const sent = outboxes.get(connection)
    outboxes.delete(connection)
    if (sent === undefined || port === undefined) return
    try {
      port.send(sent)
    } catch (cause) {
      if (port.traits.local) throw cause
      return unsendable(connection, port, cause)
    }
    const inflow = inflows.get(connection)
    for (const { message } of sent) inflow?.sent(weightOf(message))
    // Unread answers are requests that are not answered: only `room` makes the channel say when they have left.
    if (port.full?.() === true && !port.room()) {
      inflow?.hold('unsent')
      port.pause('unsent')
    }
    // One page, or large state, is handed over at a time: the next when there is room for it, and when it is its turn.
    else if (sent.some(({ message }) => takesRoom(message)) && port.room()) inflow?.drained()
  }

  /** L14: what a dialect has no words for costs this connection, and no other. */
  function unsendable(connection: ConnectionId, port: Port, cause: unknown): void {
    perform({ type: 'report', report: { kind: 'unsendable', connection, cause } })
    inflows.get(connection)?.drop()
    port.close(1011, 'an answer could not be put into words')
  }

  function notifyFlushed(): void {
    if (engine.sizes().queued > 0) return
    for (const done of waiting) done()
    waiting.clear()
  }

  function flushed(): Promise<void> {
    return new Promise((resolve) => {
      waiting.add(resolve)
      if (!turning) notifyFlushed()
    })
  }

  function abandon(): void {
    unwatch()
    closing.abort()
    alarm.end()
  }

  return {
    opened,
    limits: { ...DEFAULT_ENGINE_LIMITS, ...options.limits },
    connect(port) {
      const id = ++connections
      erasures.findLeft()
      ports.set(id, port)
      const ended = () => {
        inflow.drop()
        inflows.delete(id)
        leaving.delete(id)
        if (!ports.delete(id)) return
        outboxes.delete(id)
        tell({ type: 'disconnected', connection: id })
      }
      const inflow = createInflow({
        turns,
        immediate: port.traits.local,
        take(one) {
          if (one instanceof ProtocolError) tell({ type: 'malformed', connection: id, error: one })
          else inbox.push({ type: 'received', connection: id, message: one.message, bytes: one.bytes })
        },
        flush() {
          if (!turning && inbox.length > 0) turn()
        },
        drained: () => tell({ type: 'drained', connection: id }),
        ended,
        pause: () => port.pause('turn'),
        resume: () => port.resume('turn'),
      })
      inflows.set(id, inflow)
      tell({ type: 'connected', connection: id, traits: port.traits, owed: port.owed })
      return {
        id,
        receive: (decoded, bytes = 0) => inflow.receive(decoded, bytes),
        ask: (ids, urgency = 'reconcile') => tell({ type: 'wanted', connection: id, ids, urgency }),
        leave: (ids) => tell({ type: 'unwanted', connection: id, ids }),
        drained() {
          inflow.release('unsent')
          ports.get(id)?.resume('unsent')
          inflow.drained()
        },
        closed() {
          if (!ports.has(id)) return
          ports.set(id, deaf(port))
          leaving.add(id, ended)
          inflow.release('unsent')
          inflow.end()
          // What it left behind is handled, whatever waits for room there.
          if (ports.has(id)) tell({ type: 'leaving', connection: id })
          leaving.bound()
        },
        abandon: () => inflow.drop(),
        sizes() {
          const sizes = engine.sizesOf(id)
          return inflow.waits() ? { ...sizes, idle: false, pendingBytes: sizes.pendingBytes + inflow.bytes() } : sizes
        },
      }
    },
    status: (id) => engine.status(id),
    sizes: () => engine.sizes(),
    listen(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    flushed,
    async close() {
      await flushed()
      abandon()
    },
    abandon,
  }
}
