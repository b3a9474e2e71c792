/**
 * Probes: finding out whether a peer really holds what it claims.
 *
 * In a dialect whose clients claim the announced end of a stream, also of one that was cut by a disconnect, a LOAD that is up to
 * date with a long document is answered with content that has one empty run per session. A client that holds everything
 * acknowledges it, one that was cut corrects itself. A client that had dropped the document from memory corrects itself too, at
 * first, while it loads; so a first correction is not believed but probed again a little later.
 * Not here: what follows from the answer (`on-known.ts`).
 */
import { covers } from '@tidemark/known-state'
import type { KnownMessage } from '@tidemark/protocol'
import { type Connection, type Core, type Holding, IN_STEP, type Request, send, type View } from './core.ts'
import { durable, guard } from './holdings.ts'
import { enter } from './lanes.ts'
import { lower } from './views.ts'

const SECOND_PROBE_AFTER_MS = 1_000

export function isProbed(connection: Connection, holding: Holding): boolean {
  return connection.traits.claimsStreams && holding.stored?.paged === true
}

/** Probes what a LOAD claimed, if it is to be: after what it lacked was sent. */
export function probeClaim(core: Core, connection: Connection, holding: Holding, view: View): void {
  if (!view.toProbe) return
  view.toProbe = false
  probe(core, connection, holding, view)
}

function probe(core: Core, connection: Connection, holding: Holding, view: View): void {
  const { id, stored } = holding
  if (stored === undefined) return
  view.probe = view.probe === undefined ? 'first' : 'second'
  // What was not sent yet is no question: the peer would have to correct itself for nothing.
  const { sessions } = lower(durable(holding), view.assumed ?? durable(holding))
  const runs = [...sessions].map(([session, after]) => ({ session, after, transactions: [] }))
  send(core, connection, { action: 'content', id, kind: stored.kind, priority: stored.priority, runs })
}

/** Whether an answer is to be waited for once more before it is believed. */
export function probedAgain(
  core: Core,
  connection: Connection,
  holding: Holding,
  view: View,
  answer: KnownMessage,
): boolean {
  if (!answer.correction) {
    // It may acknowledge something else meanwhile; only who holds everything has answered the probe.
    if (covers(answer.known, durable(holding))) view.probe = undefined
    return false
  }
  if (view.probe === 'second') {
    view.probe = undefined
    return false
  }
  if (view.probe === 'first') {
    view.probe = 'doubted'
    const { id } = holding
    core.deadlines.add(core.now + SECOND_PROBE_AFTER_MS, () => {
      if (connection.views.get(id) === view && view.probe === 'doubted')
        enter(core, connection, id, { action: 'probe' })
    })
  }
  return true
}

/** The second probe, of what is held by then. */
export function onProbe(core: Core, request: Request): void {
  const { connection, id } = request
  const holding = guard(core, request)
  const view = connection.views.get(id)
  if (holding === undefined || view === undefined || view === IN_STEP || view.probe !== 'doubted') return
  probe(core, connection, holding, view)
}
