/**
 * The engine: events in, effects out. No IO, no clock, no roles.
 *
 * A reconnecting client and a lazy server run the same handlers; shells decide who asks on connecting and perform what the engine
 * wants done. The same events at the same times give the same effects. Not here: performing effects (`run.ts`).
 */
import { onGathered } from './appends.ts'
import type { Connection, Core } from './core.ts'
import { createDeadlines } from './deadlines.ts'
import { onErased, onUnerased } from './erasures.ts'
import type { ConnectionId, Effect, Event } from './events.ts'
import { enter } from './lanes.ts'
import { onChanged } from './on-changed.ts'
import { onConnected, onDisconnected, onMalformed, want } from './on-connection.ts'
import { endIfUnwanted } from './on-done.ts'
import { onError, onHello } from './on-hello.ts'
import { onLooked } from './on-looked.ts'
import { onReconcile } from './on-reconcile.ts'
import { DEFAULT_ENGINE_LIMITS, type EngineOptions } from './options.ts'
import { createPool } from './pools.ts'
import { onDrained, onLeaving } from './room.ts'
import { onPaged } from './senders.ts'
import { onAppended } from './settlement.ts'
import {
  type ConnectionSizes,
  connectionSizes,
  type EngineSizes,
  type SyncStatus,
  sizesOf,
  statusOf,
} from './status.ts'

export interface Engine {
  /** Takes one event at a time `now` (milliseconds, never going back) and answers what is to be done, in order. */
  handle(event: Event, now: number): readonly Effect[]
  /** When `woke` is to be handled, if nothing happens before. */
  nextWake(): number | undefined
  /** How far the upstreams are with a document. */
  status(id: string): SyncStatus
  /** Sizes of its tables, for metrics and tests. */
  sizes(): EngineSizes
  /** What one connection costs; nothing if it is gone. */
  sizesOf(connection: ConnectionId): ConnectionSizes
}

export function createEngine(options: EngineOptions): Engine {
  const limits = { ...DEFAULT_ENGINE_LIMITS, ...options.limits }
  const core: Core = {
    options,
    limits,
    deadlines: createDeadlines(),
    connections: new Map(),
    upstreams: new Set(),
    accounts: new Map(),
    pool: createPool(limits.allPendingBytesMax),
    holdings: new Map(),
    idle: new Map(),
    subscribers: new Map(),
    checks: new Map(),
    appends: { queue: [], inFlight: undefined, gathering: false },
    awaited: new Map(),
    erasing: new Map(),
    wanted: new Set(),
    owed: new Set(),
    unsettled: 0,
    recentBytes: 0,
    now: 0,
    tickets: 0,
    effects: [],
  }
  return {
    handle(event, now) {
      core.now = now
      core.effects = []
      take(core, event)
      return core.effects
    },
    nextWake: () => core.deadlines.next(),
    status: (id) => statusOf(core, id),
    sizes: () => sizesOf(core),
    sizesOf: (id) => connectionSizes(core.connections.get(id)),
  }
}

function take(core: Core, event: Event): void {
  switch (event.type) {
    case 'looked':
      return onLooked(core, event.id, event.ticket, event.outcome)
    case 'gathered':
      return onGathered(core)
    case 'appended':
      return onAppended(core, event.outcome)
    case 'erased':
      return onErased(core, event.id, event.outcome)
    case 'unerased':
      return onUnerased(core, event.id, event.keep)
    case 'changed':
      return onChanged(core, event.id, event.before)
    case 'woke':
      return core.deadlines.run(core.now)
    case 'connected':
      return onConnected(core, event.connection, event.traits, event.owed)
    case 'checked': {
      const done = core.checks.get(event.ticket)
      core.checks.delete(event.ticket)
      return done?.(event.outcome)
    }
  }
  const connection = core.connections.get(event.connection)
  // What a connection said or was to be told after it was closed.
  if (connection !== undefined) takeFrom(core, connection, event)
}

type ConnectionEvent = Extract<
  Event,
  { type: 'received' | 'malformed' | 'wanted' | 'unwanted' | 'drained' | 'leaving' | 'disconnected' | 'paged' }
>

function takeFrom(core: Core, connection: Connection, event: ConnectionEvent): void {
  switch (event.type) {
    case 'received':
      return receive(core, connection, event)
    case 'malformed':
      return onMalformed(core, connection, event.error)
    case 'paged':
      return onPaged(core, connection, event.ticket, event.outcome)
    case 'disconnected':
      return onDisconnected(core, connection)
    case 'wanted':
      for (const id of event.ids) want(core, connection, id, event.urgency)
      return
    case 'unwanted':
      for (const id of event.ids) if (core.wanted.delete(id)) endIfUnwanted(core, connection, id)
      return
    case 'leaving':
      return onLeaving(core, connection)
    case 'drained':
      return onDrained(core, connection)
  }
}

function receive(core: Core, connection: Connection, { message, bytes }: Extract<Event, { type: 'received' }>): void {
  switch (message.action) {
    case 'load':
    case 'known':
    case 'content':
    case 'done':
      return enter(core, connection, message.id, message, bytes)
    case 'reconcile':
      return onReconcile(core, connection, message)
    case 'hello':
      return onHello(core, connection, message)
    case 'error':
      return onError(core, connection, message)
  }
}
