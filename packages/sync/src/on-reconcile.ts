/**
 * RECONCILE: many documents compared by hash. For each that is missing or differs we ask with what we hold; the batch is
 * acknowledged when all of those are settled. Not here: batches themselves (`batches.ts`).
 */

import { EMPTY } from '@tidemark/known-state'
import type { ReconcileMessage } from '@tidemark/protocol'
import { acknowledgeIfDone, expireBatch, openItem, settleItem } from './batches.ts'
import { allowed } from './checks.ts'
import { sendLoad } from './claims.ts'
import { type Batch, type Connection, type Core, type Request, send } from './core.ts'
import { durable, guard } from './holdings.ts'
import { enter } from './lanes.ts'
import { createView, subscribe } from './views.ts'

export function onReconcile(core: Core, connection: Connection, message: ReconcileMessage): void {
  if (connection.batches.size >= core.limits.reconcileBatchesMax) {
    if (connection.traits.errors)
      send(core, connection, {
        action: 'error',
        code: 'limit',
        message: `at most ${core.limits.reconcileBatchesMax} open reconcile batches`,
      })
    return
  }
  // An id stands for one batch until it is acknowledged: more under the same one would be held and never counted.
  if (connection.batches.has(message.batch)) {
    if (connection.traits.errors)
      send(core, connection, { action: 'error', code: 'limit', message: 'a reconcile batch of this id is open' })
    return
  }
  const batch: Batch = { id: message.batch, connection, open: new Set(message.values.map(([id]) => id)) }
  connection.batches.set(batch.id, batch)
  for (const id of batch.open) openItem(connection, batch, id)
  for (const [id, hash] of new Map(message.values)) enter(core, connection, id, { action: 'compare', batch, hash })
  acknowledgeIfDone(core, batch)
  if (batch.open.size > 0) core.deadlines.add(core.now + core.limits.reconcileTimeoutMs, () => expireBatch(core, batch))
}

export function onCompare(core: Core, request: Request, hash: string): void {
  const { connection, id } = request
  const may = allowed(core, request, 'read')
  if (may === undefined) return
  if (!may) return settleItem(core, connection, id)
  const holding = guard(core, request)
  if (holding === undefined) return
  const stored = durable(holding)
  if (stored.header && core.options.reconcileHash?.(stored.sessions) === hash) return settleItem(core, connection, id)
  // Its answer settles every batch that names it.
  if (connection.asked.has(id)) return
  if (!connection.views.has(id)) subscribe(core, connection, id, createView(EMPTY, undefined))
  sendLoad(core, connection, holding, stored)
}
