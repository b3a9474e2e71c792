/**
 * Handles: an application is given every transaction exactly once and in order, and at rest all that its node holds of a document.
 *
 * What it writes itself does not come back. Only of handles that are read: what nobody takes is not given.
 * Not here: what nodes send each other (`once.ts`).
 */
import { EMPTY } from '@tidemark/known-state'
import { Violation } from '../violation.ts'
import type { MakeChecker } from './checker.ts'
import { diskOf } from './stored.ts'

interface Handle {
  readonly node: string
  readonly id: string
  /** How much of each session its application has. */
  readonly has: Map<string, number>
  state: string
  isRead: boolean
}

export const handles: MakeChecker = (world) => {
  const open = new Map<number, Handle>()

  function complete(number: number, { node, id, has, state }: Handle): void {
    const disk = diskOf(world, node)
    if (disk === undefined || disk.state(id)?.erased !== undefined) return
    const { header, sessions } = disk.known(id) ?? EMPTY
    const who = `handle ${number} of ${node}`
    if (header && state !== 'present')
      throw new Violation('handles', `${who} is ${state}, and the disk of ${node} holds ${id}`)
    for (const [session, count] of sessions)
      if ((has.get(session) ?? 0) !== count) {
        const text = `${who} was given ${has.get(session) ?? 0} of ${session} of ${id}, of which its disk holds ${count}`
        throw new Violation('handles', text)
      }
  }

  return {
    happened(happening) {
      if (happening.type === 'opened') {
        const { handle, node, id, after = EMPTY } = happening
        open.set(handle, { node, id, has: new Map(after.sessions), state: 'asking', isRead: false })
      } else if (happening.type === 'closed') open.delete(happening.handle)
      else if (happening.type === 'crashed') {
        for (const [number, { node }] of open) if (node === happening.node) open.delete(number)
      } else if (happening.type === 'reads' || happening.type === 'left') {
        const handle = open.get(happening.handle)
        if (handle !== undefined) handle.isRead = happening.type === 'reads'
      } else if (happening.type === 'state') {
        const handle = open.get(happening.handle)
        if (handle !== undefined) handle.state = happening.state
      } else if (happening.type === 'given') {
        const has = open.get(happening.handle)?.has
        if (has === undefined) return
        for (const { session, after, transactions } of happening.runs) {
          const until = has.get(session) ?? 0
          if (after !== until) {
            const text = `handle ${happening.handle} of ${happening.node} has ${until} of ${session} and is given what is after ${after}`
            throw new Violation('handles', text)
          }
          has.set(session, after + transactions.length)
        }
      } else if (happening.type === 'resolved') {
        const { handle, session, texts } = happening
        const has = open.get(handle)?.has
        has?.set(session, (has.get(session) ?? 0) + texts.length)
      }
    },
    async judge() {
      for (const [number, handle] of open) if (handle.isRead) complete(number, handle)
    },
  }
}
