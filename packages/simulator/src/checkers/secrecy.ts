/**
 * Secrecy: nothing goes to who may not read it, and nothing is kept of who may not write it.
 */
import { Violation } from '../violation.ts'
import type { MakeChecker } from './checker.ts'
import { mayRead, mayWrite } from './rights.ts'
import { contentsOf } from './stored.ts'

export const secrecy: MakeChecker = (world) => {
  /** Text → who wrote it. */
  const writers = new Map<string, string>()
  return {
    happened(happening) {
      if (happening.type === 'wrote') for (const text of happening.texts) writers.set(text, happening.node)
      if (happening.type !== 'said') return
      const { from, to, message } = happening
      const server = world.servers.find(({ name }) => name === from)
      if (server === undefined || (message.action !== 'content' && message.action !== 'known')) return
      if (mayRead(server, to, message.id)) return
      // Who may only write is told what became of that.
      if (message.action === 'known' && (!message.known.header || mayWrite(server, to, message.id))) return
      throw new Violation('secrecy', `${from} sends ${to} ${message.action} of ${message.id}, which it may not read`)
    },
    async judge() {
      for (const server of world.servers)
        for (const id of server.disk.ids())
          for (const text of [...((await contentsOf(server.disk, id)) ?? new Map()).values()].flat()) {
            const writer = writers.get(text)
            if (writer !== undefined && !mayWrite(server, writer, id))
              throw new Violation('secrecy', `${server.name} holds ${text} of ${id}, which ${writer} may not write`)
          }
    },
  }
}
