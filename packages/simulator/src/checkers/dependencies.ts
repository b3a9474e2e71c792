/**
 * Dependencies: who is sent a document has, or was sent before it, what it depends on and its sender holds (L9).
 *
 * Of what servers send: a server stores what a client sends in any order, and asks for what is missing. Not where the sender's disk failed with the dependency: what cannot be read does not hold up the rest.
 */
import { Violation } from '../violation.ts'
import type { MakeChecker } from './checker.ts'
import { kept } from './kept.ts'
import { mayRead } from './rights.ts'
import { diskOf } from './stored.ts'

/** A page that was read is sent by then, also on a slow disk. */
const UNDER_WAY_MS = 10_000

export const dependencies: MakeChecker = (world) => {
  /** Connection → node → documents of which that node has, or was sent, the header. */
  const has = new Map<number, Map<string, Set<string>>>()
  /** Node → document → when it came onto the disk. */
  const came = new Map<string, Map<string, number>>()
  const failed = new Map<string, Set<string>>()
  /** Connection → document → when its peer ended its subscription: what depends on it may be under way. */
  const ended = new Map<number, Map<string, number>>()

  function hasOf(connection: number, node: string): Set<string> {
    const nodes = kept(has, connection, () => new Map<string, Set<string>>())
    return kept(nodes, node, () => new Set<string>())
  }

  function cameTo(node: string): Map<string, number> {
    return kept(came, node, () => new Map<string, number>())
  }

  return {
    happened(happening) {
      if (happening.type === 'disk failed') {
        const ids = kept(failed, happening.node, () => new Set<string>())
        for (const id of happening.ids) ids.add(id)
      } else if (happening.type === 'stored') {
        const there = cameTo(happening.node)
        if (!there.has(happening.id)) there.set(happening.id, world.now)
      } else if (happening.type === 'started') {
        // What a wiped disk had comes anew.
        const there = cameTo(happening.node)
        for (const id of there.keys()) if (diskOf(world, happening.node)?.known(id)?.header !== true) there.delete(id)
      } else if (happening.type === 'heard') {
        const { connection, from, message } = happening
        const claims = (message.action === 'load' || message.action === 'known') && message.known.header
        if (claims || message.action === 'content') hasOf(connection, from).add(message.id)
        if (message.action === 'done')
          kept(ended, connection, () => new Map<string, number>()).set(message.id, world.now)
      } else if (happening.type === 'said' && happening.message.action === 'content') {
        const { connection, from, to, message } = happening
        const server = world.servers.find(({ name }) => name === from)
        if (server === undefined || message.header === undefined) return
        const there = hasOf(connection, to)
        for (const id of server.needs(message.header)) {
          if (there.has(id) || !mayRead(server, to, id)) continue
          if (world.now - (ended.get(connection)?.get(id) ?? -UNDER_WAY_MS) < UNDER_WAY_MS) continue
          if (failed.get(from)?.has(id) || diskOf(world, from)?.told(id)?.header !== true) continue
          // What was not there when its dependent was read is not waited for.
          if (world.now - (cameTo(from).get(id) ?? 0) < UNDER_WAY_MS) continue
          throw new Violation('dependencies', `${from} sends ${to} ${message.id} before ${id}, which it needs`)
        }
        there.add(message.id)
      }
    },
  }
}
