/**
 * DONE: the sender ends its subscription to a document. Where the dialect does not mean it, it is ignored.
 * An upstream is told when nobody here wants the document any more and it has all that we hold of it.
 */
import { reportConfirmed } from './confirmations.ts'
import { type Connection, type Core, IN_STEP, type Request, send } from './core.ts'
import { pushedAgain } from './dependencies.ts'
import { endReading, stopSender } from './senders.ts'
import { isWanted, unsubscribe } from './views.ts'
import { freed, isStillWanted } from './window.ts'

export function onDone(core: Core, request: Request): void {
  const { connection, id } = request
  if (!connection.traits.done) return
  const belief = connection.views.get(id)
  // L13: what it forked stays frozen for as long as its connection lives, so its view stays; it is sent nothing.
  if (typeof belief === 'object' && belief.frozen !== undefined) endReading(core, connection, id)
  else pushedAgain(core, connection, id, () => endSubscription(core, connection, id))
}

export function endSubscription(core: Core, connection: Connection, id: string): void {
  stopSender(core, connection, id)
  unsubscribe(core, connection, id)
  for (const upstream of core.upstreams) endIfUnwanted(core, upstream, id)
}

/** Tells an upstream that is in step with us, or has not answered, that nobody here wants a document any more. */
export function endIfUnwanted(core: Core, upstream: Connection, id: string): void {
  const { done, upstream: isUpstream } = upstream.traits
  const belief = upstream.views.get(id)
  if (!done || !isUpstream || belief === undefined || isWanted(core, id, upstream)) return
  if (belief !== IN_STEP && (belief.assumed !== undefined || isStillWanted(core, upstream, id))) {
    belief.leaves = belief.sending
    return
  }
  // Afterwards nobody can tell how far it confirmed it.
  if (belief === IN_STEP) reportConfirmed(core, upstream, id)
  stopSender(core, upstream, id)
  unsubscribe(core, upstream, id)
  send(core, upstream, { action: 'done', id })
  // Whoever wants it after this has to ask again.
  freed(core, upstream, id)
}

/** Whether an upstream speaks of what it was told DONE about: it will send nothing of that any more. */
export function crossedDone(core: Core, connection: Connection, id: string): boolean {
  if (!connection.traits.upstream || connection.views.has(id) || connection.asked.has(id)) return false
  return !isWanted(core, id, connection)
}
