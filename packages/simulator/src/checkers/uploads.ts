/**
 * Uploads: "uploaded" is only said of what the server stores; and in the end it is said of all that a client may write, open or not.
 *
 * What a server lost, its clients may believe to be there until they hear of the document from the server that came back, and again after a
 * crash that came before their disk was told.
 */
import { covers, EMPTY, type KnownState, union } from '@tidemark/known-state'
import type { Fate } from '../happenings.ts'
import type { ServerNode } from '../server-node.ts'
import { describeState } from '../trace.ts'
import { Violation } from '../violation.ts'
import type { MakeChecker } from './checker.ts'
import { mayWrite } from './rights.ts'
import { diskOf } from './stored.ts'
import { watchWriters } from './writers.ts'

export const uploads: MakeChecker = (world) => {
  const writers = watchWriters()
  /** What servers ever stored and erased, also what was lost since. */
  const everStored = new Map<string, KnownState>()
  const everErased = new Set<string>()
  /** Client → documents that it heard of since a server lost something; `undefined` if none ever did. */
  let heard: Map<string, Set<string>> | undefined

  const isServer = (node: string) => world.servers.some(({ name }) => name === node)

  function check(node: string, id: string): void {
    const here = diskOf(world, node)?.told(id) ?? EMPTY
    const mayBelieve = heard !== undefined && heard.get(node)?.has(id) !== true
    // An erased document covers every claim.
    if (world.servers.some(({ disk }) => disk.state(id)?.erased !== undefined)) return
    if (mayBelieve && (everErased.has(id) || covers(everStored.get(id) ?? EMPTY, here))) return
    const there = world.servers.map(({ disk }) => disk.known(id) ?? EMPTY).reduce(union, EMPTY)
    if (covers(there, here)) return
    const text = `${node} is told that ${id} is uploaded; it holds ${describeState(here)}, the server ${describeState(there)}`
    throw new Violation('uploads', text)
  }

  function forget(node: string, fate: Fate): void {
    if (!isServer(node)) {
      // A client whose disk is an older one, or was not told in time, has not heard it any more.
      if (fate !== 'kept' || diskOf(world, node)?.lacks() === true) heard?.delete(node)
    } else if (fate !== 'kept') heard = new Map()
  }

  function whole(server: ServerNode): void {
    for (const { name, client, disk } of world.clients)
      for (const id of disk.ids()) {
        if (client === undefined || !mayWrite(server, name, id) || writers.mayDiffer(id).size > 0) continue
        if (client.status(id).uploaded === true) continue
        throw new Violation(
          'uploads',
          `${id} of ${name} is never said to be uploaded (${client.status(id).uploaded}, ${client.status().pending} pending, ${client.connection})`,
        )
      }
  }

  return {
    happened(happening) {
      writers.happened(happening)
      if (happening.type === 'stored' && isServer(happening.node)) {
        const { node, id, known } = happening
        everStored.set(id, union(everStored.get(id) ?? EMPTY, known))
        if (diskOf(world, node)?.state(id)?.erased !== undefined) everErased.add(id)
      } else if (happening.type === 'crashed') {
        forget(happening.node, happening.fate)
      } else if (happening.type === 'heard' && heard !== undefined && 'id' in happening.message) {
        const { to, message } = happening
        if (message.id !== undefined) heard.set(to, (heard.get(to) ?? new Set<string>()).add(message.id))
      } else if (happening.type === 'uploaded') {
        const { node, id, level } = happening
        if (level === 'durable' && world.servers.every(({ disk }) => disk.level !== 'durable'))
          throw new Violation('uploads', `${node} is told that ${id ?? 'all'} is durable at a server that only stores`)
        if (id !== undefined) check(node, id)
        else for (const each of diskOf(world, node)?.ids() ?? []) check(node, each)
      }
    },
    async judge() {
      for (const server of world.servers) whole(server)
    },
  }
}
