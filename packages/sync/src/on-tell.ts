/**
 * Telling a peer plainly what is held, where its dialect has no word for what went wrong. Who may not read is told nothing.
 */
import { EMPTY } from '@tidemark/known-state'
import { allowed } from './checks.ts'
import { sendKnown } from './claims.ts'
import type { Core, Request } from './core.ts'
import { durable, guard } from './holdings.ts'

export function onTell(core: Core, request: Request): void {
  const may = allowed(core, request, 'read')
  if (may === undefined) return
  const holding = guard(core, request)
  if (holding !== undefined) sendKnown(core, request.connection, holding, may ? durable(holding) : EMPTY)
}
