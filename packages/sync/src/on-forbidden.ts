/**
 * An upstream at which this node may write a document and not read it: its LOAD is refused, and what it wrote goes up all the same.
 *
 * Content without transactions asks whether the upstream holds what comes before it; that is answered with what it names alone (L14), and
 * from then on the upstream is known like any other. What is not named counts as not held there. Not here: what servers tell such peers.
 */
import { EMPTY } from '@tidemark/known-state'
import { type Core, IN_STEP, type Request, send } from './core.ts'
import { durable, guard } from './holdings.ts'
import { waitsForAppends } from './lanes.ts'
import { markReady } from './senders.ts'

/** Sessions that are named at once. Of others the upstream is sent all, and stores what it lacks. */
const NAMED_MAX = 1_000

export function onName(core: Core, request: Request): void {
  const { connection, id } = request
  const holding = guard(core, request)
  if (holding === undefined || waitsForAppends(core, holding, request)) return
  const { stored } = holding
  const view = connection.views.get(id)
  if (stored === undefined || view === undefined || view === IN_STEP || view.assumed !== undefined) return
  const { sessions } = durable(holding)
  if (sessions.size === 0) {
    view.assumed = EMPTY
    return markReady(core, connection, holding, view)
  }
  const runs = [...sessions].slice(0, NAMED_MAX).map(([session, after]) => {
    const digest = stored.digests.get(session)
    return { session, after, transactions: [], ...(digest !== undefined && { digest }) }
  })
  send(core, connection, { action: 'content', id, kind: stored.kind, priority: stored.priority, runs })
}
