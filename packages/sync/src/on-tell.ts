/**
 * What a peer is told and sent whose content was refused. Who may not read is told nothing, and sent nothing.
 *
 * Content subscribes its sender, also where it is refused: the sender believes so. Not here: refusing (`refusals.ts`).
 */
import { EMPTY } from '@tidemark/known-state'
import { allowed } from './checks.ts'
import { sendKnown } from './claims.ts'
import type { Core, Request } from './core.ts'
import { durable, guard } from './holdings.ts'
import { waitsForAppends } from './lanes.ts'
import { markReady } from './senders.ts'
import { createView, subscribe } from './views.ts'

/** Tells a peer plainly what is held, where its dialect has no word for what went wrong. */
export function onTell(core: Core, request: Request): void {
  const may = allowed(core, request, 'read')
  if (may === undefined) return
  const holding = guard(core, request)
  if (holding === undefined || waitsForAppends(core, holding, request)) return
  sendKnown(core, request.connection, holding, may ? durable(holding) : EMPTY)
}

/** Subscribes a peer that is not, as one that holds nothing that we know of. */
export function onFollow(core: Core, request: Request): void {
  const { connection, id } = request
  const may = allowed(core, request, 'read')
  if (may !== true || connection.views.has(id)) return
  const holding = guard(core, request)
  const view = holding && subscribe(core, connection, id, createView(EMPTY, EMPTY))
  if (holding !== undefined && view !== undefined) markReady(core, connection, holding, view)
}
