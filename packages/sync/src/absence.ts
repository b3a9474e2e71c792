/**
 * Absence: when a document may be said not to exist, and upstreams that know better.
 *
 * L1: absence is said to nobody before everybody who may hold the document has answered: the storage, and the upstreams of this
 * node (never towards the one that asks). An upstream that cannot be reached makes the answer *unavailable*, not *absent* (L2).
 * Not here: our LOADs themselves (`window.ts`).
 */
import { EMPTY } from '@tidemark/known-state'
import { type Connection, type Core, type Holding, IN_STEP, type Request } from './core.ts'
import { park, resume } from './lanes.ts'
import { refuseLoad } from './refusals.ts'
import { createView, isSamePeer, subscribe } from './views.ts'
import { askPeer } from './window.ts'

/** Whether the absence of what a LOAD asks for may be said; if not, the LOAD waits for upstreams, or was refused. */
export function absenceIsKnown(core: Core, holding: Holding, request: Request): boolean {
  const { connection, id } = request
  if (connection.traits.upstream || !expectsUpstream(core)) return true
  const others = upstreamsFor(core, connection)
  if (core.upstreams.size > 0 && others.every((upstream) => saidAbsent(upstream, id))) return true
  if (request.expired) {
    // The subscription stays: what an upstream says later still reaches the asker.
    const isProbe = request.work.action === 'load' && request.work.probe === true
    if (!isProbe && !connection.views.has(id)) subscribe(core, connection, id, createView(EMPTY, EMPTY))
    const message = 'no upstream answered in time, and this node does not hold the document'
    refuseLoad(core, connection, id, { code: 'unavailable', message })
    wantUpstream(core, id, connection)
    return false
  }
  park(core, holding, request, 'upstream')
  if (!request.timed) {
    request.timed = true
    core.deadlines.add(core.now + core.limits.upstreamTimeoutMs, () => {
      request.expired = true
      resume(core, holding, request)
    })
  }
  for (const upstream of others) askPeer(core, upstream, id, 'user')
  return false
}

/** Subscribes to a document for a peer, at every upstream that does not know yet that we want it. */
export function wantUpstream(core: Core, id: string, peer: Connection): void {
  for (const upstream of upstreamsFor(core, peer)) if (!upstream.views.has(id)) askPeer(core, upstream, id, 'user')
}

/** Upstreams that are asked for a peer: not itself, where two servers are each other's upstream. */
function upstreamsFor(core: Core, peer: Connection): readonly Connection[] {
  return [...core.upstreams].filter((upstream) => !isSamePeer(upstream, peer))
}

/** Who was asked before a document was said to be absent. */
export function answeredBy(core: Core): readonly string[] {
  return ['storage', ...[...core.upstreams].map((upstream) => upstream.peer ?? 'upstream')]
}

function expectsUpstream(core: Core): boolean {
  return core.options.upstreamExpected === true || core.upstreams.size > 0
}

function saidAbsent(upstream: Connection, id: string): boolean {
  const belief = upstream.views.get(id)
  // In step with a document that is not stored here: it holds nothing of it either.
  if (belief === IN_STEP) return true
  if (belief?.assumed === undefined || belief.mayHold) return false
  // Whoever sends of a session has its header, too.
  return !belief.assumed.header && belief.assumed.sessions.size === 0
}
