/**
 * Absence: nobody says that it lacks what it was told it has.
 *
 * L1, L2: no "not found" before the storage has answered, and the upstream of a client on its present connection; failed is not
 * absent. A correction says all that is held.
 */
import { covers, EMPTY } from '@tidemark/known-state'
import type { Message } from '@tidemark/protocol'
import { describeState } from '../trace.ts'
import { Violation } from '../violation.ts'
import type { MakeChecker } from './checker.ts'
import { mayRead } from './rights.ts'
import { diskOf } from './stored.ts'

export const absence: MakeChecker = (world) => {
  /** Client → documents that its server said, since it connected, that it lacks. */
  const denied = new Map<string, Set<string>>()

  function absent(node: string, id: string): void {
    const what = `the application of ${node} is told that ${id} is absent`
    if (diskOf(world, node)?.told(id)?.header === true) throw new Violation('absence', `${what}; its disk holds it`)
    if (denied.get(node)?.has(id) !== true) throw new Violation('absence', `${what}; its server did not say so`)
  }

  /** Who asks for it with nothing lacks it, too, as its client takes it. */
  function heard(to: string, message: Message): void {
    if ((message.action === 'known' || message.action === 'load') && !message.known.header)
      denied.get(to)?.add(message.id)
  }

  return {
    happened(happening) {
      if (happening.type === 'connected') denied.set(happening.client, new Set())
      if (happening.type === 'heard') heard(happening.to, happening.message)
      if (happening.type === 'state' && happening.state === 'absent') absent(happening.node, happening.id)
      if (happening.type !== 'said' || happening.message.action !== 'known') return
      const { from, to, message } = happening
      const disk = diskOf(world, from)
      const held = disk?.told(message.id) ?? EMPTY
      const server = world.servers.find(({ name }) => name === from)
      // A dialect without errors refuses with the same words.
      if (server !== undefined && !mayRead(server, to, message.id)) return
      if (message.known.header ? !message.correction : !held.header) return
      if (disk?.state(message.id)?.erased !== undefined || covers(message.known, held)) return
      const said = message.known.header ? describeState(message.known) : 'absent'
      throw new Violation('absence', `${from} says ${message.id} is ${said}; its disk told it ${describeState(held)}`)
    },
  }
}
