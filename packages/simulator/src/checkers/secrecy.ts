/**
 * Secrecy: nothing goes to who may not read it, and nothing is kept of who may not write it.
 *
 * Who may write and not read is told what became of what it named itself, and of nothing else.
 */
import type { Message } from '@tidemark/protocol'
import { Violation } from '../violation.ts'
import type { MakeChecker } from './checker.ts'
import { kept } from './kept.ts'
import { mayRead, mayWrite } from './rights.ts'
import { contentsOf } from './stored.ts'

export const secrecy: MakeChecker = (world) => {
  /** Text → who wrote it. */
  const writers = new Map<string, string>()
  /** Connection → document → sessions that its client named. */
  const named = new Map<number, Map<string, Set<string>>>()

  function heard(connection: number, message: Message): void {
    const sessions = namesOf(message)
    if (sessions.length === 0 || !('id' in message) || message.id === undefined) return
    const documents = kept(named, connection, () => new Map<string, Set<string>>())
    const all = kept(documents, message.id, () => new Set<string>())
    for (const session of sessions) all.add(session)
  }

  return {
    happened(happening) {
      if (happening.type === 'wrote') for (const text of happening.texts) writers.set(text, happening.node)
      if (happening.type !== 'said' && happening.type !== 'heard') return
      const { connection, from, to, message } = happening
      const server = world.servers.find(({ name }) => name === from)
      if (server === undefined) {
        if (happening.type === 'heard') heard(connection, message)
        return
      }
      if (happening.type === 'heard' || !('id' in message) || message.id === undefined) return
      const { id } = message
      if (mayRead(server, to, id)) return
      const names = namesOf(message)
      if (names.length === 0 && message.action !== 'content' && message.action !== 'known') return
      const own = named.get(connection)?.get(id)
      const isOwn = names.every((session) => own?.has(session))
      if (message.action === 'known' && !message.known.header) return
      if (message.action !== 'content' && mayWrite(server, to, id) && isOwn) return
      throw new Violation('secrecy', `${from} sends ${to} ${message.action} of ${id}, which it may not read`)
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

/** Sessions that a message says something of. */
function namesOf(message: Message): readonly string[] {
  if (message.action === 'load' || message.action === 'known') return [...message.known.sessions.keys()]
  if (message.action !== 'content') return []
  return [...message.runs.map(({ session }) => session), ...(message.expectUntil?.sessions.keys() ?? [])]
}
