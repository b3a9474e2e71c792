/**
 * Confirmations: shells hear how far an upstream has confirmed a document.
 *
 * L3: an acknowledgement says it, and so does content: an upstream holds what it sends. Not here: whether it is so (`status.ts`).
 */
import { type Connection, type Core, report } from './core.ts'
import { statusOf } from './status.ts'

export function reportConfirmed(core: Core, connection: Connection, id: string): void {
  const uploaded = statusOf(core, id).uploaded === true
  if (uploaded) core.owed.delete(id)
  report(core, { kind: 'confirmed', connection: connection.id, id, uploaded })
}
