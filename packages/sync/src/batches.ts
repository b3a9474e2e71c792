/**
 * Batches of `reconcile`: many documents compared by hash at once, acknowledged when each of them is settled.
 *
 * A document is settled when it was equal, when its content became durable, when its peer answered or was refused, or after a
 * while. Not here: the hash (it is handed in), what is sent for a document that differs (`on-reconcile.ts`).
 */
import { type Batch, type Connection, type Core, send } from './core.ts'

export function openItem(connection: Connection, batch: Batch, id: string): void {
  const batches = connection.reconciling.get(id) ?? new Set()
  connection.reconciling.set(id, batches.add(batch))
}

/** A document of this connection is settled in every open batch that names it. */
export function settleItem(core: Core, connection: Connection, id: string): void {
  const batches = connection.reconciling.get(id)
  if (batches === undefined) return
  connection.reconciling.delete(id)
  for (const batch of batches) {
    batch.open.delete(id)
    acknowledgeIfDone(core, batch)
  }
}

export function acknowledgeIfDone(core: Core, batch: Batch): void {
  const { connection } = batch
  if (batch.open.size > 0 || connection.batches.get(batch.id) !== batch) return
  connection.batches.delete(batch.id)
  send(core, connection, { action: 'reconcile-ack', batch: batch.id })
}

/** Gives up waiting for what is still open. */
export function expireBatch(core: Core, batch: Batch): void {
  for (const id of [...batch.open]) settleItem(core, batch.connection, id)
}
