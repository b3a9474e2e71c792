/**
 * Subscriptions: at rest a client follows at its server what its application has open and what that needs, what it still owes its
 * server, and nothing else (L10).
 *
 * Of dialects with DONE, which are those that greet. Not of what it may not read, which it follows nowhere; nor of what has two histories: that is
 * known for as long as the connection lives (L13). Not here: what is left of who has gone (`bounds.ts`).
 */
import { covers, EMPTY } from '@tidemark/known-state'
import type { ClientNode } from '../client-node.ts'
import type { ServerNode } from '../server-node.ts'
import { Violation } from '../violation.ts'
import type { MakeChecker } from './checker.ts'
import { watchReaders } from './readers.ts'
import { mayRead, mayWrite } from './rights.ts'

interface Connected {
  readonly client: string
  readonly server: string
  greets: boolean
  readonly follows: Set<string>
  readonly forked: Set<string>
}

export const subscriptions: MakeChecker = (world) => {
  const readers = watchReaders()
  const connections = new Map<number, Connected>()

  /** What is open there, and what it needs. */
  async function wantedBy(
    { name, disk, needs }: ClientNode,
    follows: ReadonlySet<string>,
  ): Promise<ReadonlySet<string>> {
    const wanted = new Set([...follows, ...disk.ids()].filter((id) => readers.isOpen(name, id)))
    for (const id of wanted) {
      const [header] = await disk.bare.headers([id])
      if (header !== undefined) for (const needed of needs(header)) wanted.add(needed)
    }
    return wanted
  }

  return {
    happened(happening) {
      readers.happened(happening)
      if (happening.type === 'connected') {
        const { client, server } = happening
        connections.set(happening.connection, { client, server, greets: false, follows: new Set(), forked: new Set() })
      } else if (happening.type === 'disconnected') connections.delete(happening.connection)
      else if (happening.type === 'crashed') {
        for (const [connection, { client, server }] of connections)
          if ([client, server].includes(happening.node)) connections.delete(connection)
      } else if (happening.type === 'said') {
        const { from, message } = happening
        const connected = connections.get(happening.connection)
        if (message.action === 'error' && message.code === 'fork' && message.id !== undefined)
          connected?.forked.add(message.id)
        if (connected?.client !== from) return
        if (message.action === 'hello') connected.greets = true
        else if (message.action === 'load' || message.action === 'content') connected.follows.add(message.id)
        else if (message.action === 'done') connected.follows.delete(message.id)
      }
    },
    async judge() {
      for (const { client, server, greets, follows, forked } of connections.values()) {
        const node = world.clients.find(({ name }) => name === client)
        const there = world.servers.find(({ name }) => name === server)
        if (!greets || node?.client === undefined || there === undefined) continue
        const wanted = await wantedBy(node, follows)
        for (const id of follows)
          if (!wanted.has(id) && !forked.has(id) && mayRead(there, client, id) && !owes(node, there, id))
            throw new Violation('subscriptions', `${client} follows ${id} at ${server}, which nobody has open there`)
      }
    },
  }
}

/** Whether its server lacks what it wrote, also for good because it may not write that. */
function owes({ name, disk }: ClientNode, server: ServerNode, id: string): boolean {
  if (!mayWrite(server, name, id)) return true
  return server.disk.state(id)?.erased === undefined && !covers(server.disk.known(id) ?? EMPTY, disk.known(id) ?? EMPTY)
}
