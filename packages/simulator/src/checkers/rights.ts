/**
 * Who may read and write what, in a world whose servers know their clients by name.
 */
import type { ServerNode } from '../server-node.ts'

export function mayRead({ permits }: ServerNode, client: string, id: string): boolean {
  return permits(client, 'read', id)
}

export function mayWrite({ permits }: ServerNode, client: string, id: string): boolean {
  return permits(client, 'write', id)
}
