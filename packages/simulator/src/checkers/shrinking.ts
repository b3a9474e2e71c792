/**
 * Shrinking: what a node says it holds never becomes less, within one process and document, unless it is erased.
 *
 * An acknowledgement may name some sessions only; a LOAD and a correction name all. L2: who could not look may ask with nothing.
 */
import type { KnownState } from '@tidemark/known-state'
import { describeState } from '../trace.ts'
import { Violation } from '../violation.ts'
import type { MakeChecker } from './checker.ts'
import { mayRead } from './rights.ts'
import { diskOf } from './stored.ts'

export const shrinking: MakeChecker = (world) => {
  /** Node → document → the most it said of each session. */
  const said = new Map<string, Map<string, Map<string, number>>>()

  function check(node: string, id: string, known: KnownState, all: boolean): void {
    const documents = said.get(node) ?? new Map<string, Map<string, number>>()
    said.set(node, documents)
    if (diskOf(world, node)?.state(id)?.erased !== undefined) return void documents.delete(id)
    const most = documents.get(id) ?? new Map<string, number>()
    documents.set(id, most)
    for (const [session, count] of most) {
      const now = known.sessions.get(session)
      if (now === undefined ? all : now < count)
        throw new Violation('shrinking', `${node} held ${count} of ${session} and says ${id} ${describeState(known)}`)
    }
    for (const [session, count] of known.sessions) most.set(session, count)
  }

  return {
    happened(happening) {
      if (happening.type === 'started') said.delete(happening.node)
      if (happening.type !== 'said') return
      const { from, to, message } = happening
      // L3: it may say only what enough of its disks hold, which is less while one of them is silent.
      if (world.servers.some(({ name, disks }) => name === from && disks.length > 1)) return
      const server = world.servers.find(({ name }) => name === from)
      // Who may only write is told of what it named.
      const isAll =
        server === undefined || !('id' in message) || message.id === undefined || mayRead(server, to, message.id)
      if (message.action === 'known') check(from, message.id, message.known, message.correction && isAll)
      // Nothing at all is what is asked with where the storage fails.
      else if (message.action === 'load' && message.known.header) check(from, message.id, message.known, isAll)
    },
  }
}
