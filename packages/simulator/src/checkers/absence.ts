/**
 * Absence: nobody says that it lacks what it was told it has.
 *
 * L1, L2: no "not found" before the storage has answered, and failed is not absent. A correction says all that is held.
 */
import { covers, EMPTY } from '@tidemark/known-state'
import { describeState } from '../trace.ts'
import { Violation } from '../violation.ts'
import type { MakeChecker } from './checker.ts'
import { mayRead } from './rights.ts'
import { diskOf } from './stored.ts'

export const absence: MakeChecker = (world) => ({
  happened(happening) {
    if (happening.type === 'state' && happening.state === 'absent') {
      const { node, id } = happening
      if (diskOf(world, node)?.told(id)?.header === true)
        throw new Violation('absence', `the application of ${node} is told that ${id} is absent; its disk holds it`)
    }
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
})
