/**
 * Connections: what happens when one opens, closes, or sends what cannot be understood.
 *
 * L6, L10: nothing of a connection outlives it, except content that was accepted.
 * Not here: sockets.
 */
import { MINIMUM_LIMITS, type ProtocolError } from '@tidemark/protocol'
import { dropArrivals } from './arrivals.ts'
import { type Connection, type Core, emit, IN_STEP, send } from './core.ts'
import type { ConnectionId, ConnectionTraits } from './events.ts'
import { dropLanes } from './lanes.ts'
import { endSubscription } from './on-done.ts'
import { sendHello } from './on-hello.ts'
import { joinAccount, leavePools, poolsOf } from './pools.ts'
import { refuseContent } from './refusals.ts'
import { stopSender } from './senders.ts'
import { isWanted, unsubscribe } from './views.ts'
import { askPeer, type Urgency } from './window.ts'

export function onConnected(
  core: Core,
  id: ConnectionId,
  traits: ConnectionTraits,
  owed: readonly string[] = [],
): void {
  const account = joinAccount(core, traits)
  const connection: Connection = {
    id,
    traits,
    peer: undefined,
    messageBytesMax: traits.hello && !traits.local ? MINIMUM_LIMITS.messageBytesMax : Number.POSITIVE_INFINITY,
    views: new Map(),
    lanes: new Set(),
    arrivals: [],
    room: true,
    leaving: false,
    roomless: new Set(),
    reading: undefined,
    ready: [new Set(), new Set(), new Set()],
    held: new Map(),
    asked: new Map(),
    expiring: false,
    unheard: new Set(),
    toAsk: [new Set(), new Set(), new Set()],
    followers: new Map(),
    batches: new Map(),
    reconciling: new Map(),
    viewSessions: 0,
    pools: poolsOf(core, traits, account),
    account,
    malformed: 0,
  }
  core.connections.set(id, connection)
  if (traits.hello) sendHello(core, connection)
  if (!traits.upstream) return
  core.upstreams.add(connection)
  askFirst(core, connection, owed)
}

/** The most urgent fill the window first. */
function askFirst(core: Core, connection: Connection, owed: readonly string[]): void {
  // Requests that wait for an upstream are asked of this one too.
  for (const holding of core.holdings.values())
    if ([...holding.lanes.values()].some((lane) => lane.waiting === 'upstream'))
      askPeer(core, connection, holding.id, 'user')
  for (const document of owed) want(core, connection, document, 'outbox')
  // What somebody here is interested in is asked for again, with what the storage holds of it (seed 000).
  for (const document of core.subscribers.keys())
    if (isWanted(core, document)) askPeer(core, connection, document, 'reconcile')
}

/** The shell wants a document, whoever is subscribed. */
export function want(core: Core, connection: Connection, id: string, urgency: Urgency): void {
  core.wanted.add(id)
  askPeer(core, connection, id, urgency)
}

export function onDisconnected(core: Core, connection: Connection): void {
  core.connections.delete(connection.id)
  core.upstreams.delete(connection)
  // Who writes down what is owed asks for it on the next connection.
  if (core.upstreams.size === 0) core.owed.clear()
  connection.reading = undefined
  dropArrivals(core, connection)
  dropLanes(core, connection)
  const upstreams = core.upstreams.size > 0 && !connection.traits.upstream
  for (const [id, belief] of connection.views) {
    if (belief !== IN_STEP) stopSender(core, connection, id)
    if (upstreams) endSubscription(core, connection, id)
    else unsubscribe(core, connection, id)
  }
  leavePools(core, connection)
  connection.held.clear()
  connection.batches.clear()
  connection.reconciling.clear()
  connection.asked.clear()
  connection.followers.clear()
  for (const queue of connection.toAsk) queue.clear()
}

/** One malformed message costs its sender an error and, repeated, the connection; nobody else anything (L14). */
export function onMalformed(core: Core, connection: Connection, error: ProtocolError): void {
  // Too large is not malformed: that document is refused, the peer may go on.
  if (error.code === 'limit' && error.id !== undefined) {
    refuseContent(core, connection, error.id, { code: 'limit', message: error.message })
    return
  }
  if (connection.traits.errors) {
    const { id, message } = error
    send(core, connection, { action: 'error', code: error.code, message, ...(id !== undefined && { id }) })
  }
  if (error.fatal) {
    emit(core, { type: 'close', connection: connection.id, code: 1002, reason: error.message.slice(0, 100) })
    return
  }
  connection.malformed += 1
  if (connection.malformed < core.limits.malformedMax) return
  emit(core, {
    type: 'close',
    connection: connection.id,
    code: 1008,
    reason: `too many malformed messages, the last: ${error.message}`.slice(0, 100),
  })
}
