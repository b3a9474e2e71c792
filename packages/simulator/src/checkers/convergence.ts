/**
 * Convergence: once everything has healed, all who may have a document hold the same of it, to the byte.
 *
 * L7: also what a server lost and its clients still have. A session that two processes
 * wrote may be forked, and is for people to settle (`forks.ts`): that somebody reports a fork is no excuse. Not asked of whoever holds nothing of a document: nobody need open it.
 */
import { Violation } from '../violation.ts'
import type { MakeChecker } from './checker.ts'
import { everywhere, idsOf } from './forks.ts'
import { mayRead, mayWrite } from './rights.ts'
import type { Contents } from './stored.ts'

export const convergence: MakeChecker = (world) => {
  /** Node → its present process. */
  const processes = new Map<string, number>()
  /** Document → session → the process that wrote it; `twice` if there were several: only then it may have two histories. */
  const writers = new Map<string, Map<string, number | 'twice'>>()

  function wrote(node: string, id: string, session: string): void {
    const process = processes.get(node) ?? 0
    const sessions = writers.get(id) ?? new Map<string, number | 'twice'>()
    writers.set(id, sessions)
    const before = sessions.get(session) ?? process
    sessions.set(session, before === process ? process : 'twice')
  }

  return {
    happened(happening) {
      if (happening.type === 'started') processes.set(happening.node, (processes.get(happening.node) ?? 0) + 1)
      if (happening.type === 'wrote') wrote(happening.node, happening.id, happening.session)
    },
    async judge() {
      for (const server of world.servers) {
        for (const id of idsOf(world)) {
          const all = await everywhere(world, id)
          // Which of the two a node holds, and whether it goes on with it, depends on what it was told first: nothing is compared.
          const forked = new Set([...(writers.get(id) ?? [])].flatMap(([one, by]) => (by === 'twice' ? [one] : [])))
          const there = all.get(server.name)
          for (const client of world.clients) {
            const here = all.get(client.name)
            if (here === undefined || !mayRead(server, client.name, id)) continue
            // Nobody else created it, and this client may not.
            if (there === undefined && !mayWrite(server, client.name, id)) continue
            const erased = [server, client].map(({ disk }) => disk.state(id)?.erased !== undefined)
            if (erased.includes(true)) {
              if (mayWrite(server, client.name, id) && erased.includes(false))
                throw new Violation('convergence', `${id} is erased at ${erased[0] ? server.name : client.name} only`)
              continue
            }
            // What a client may not write stays with it; what it has from others the server may have lost.
            const difference = mayWrite(server, client.name, id)
              ? compare(there, here, forked)
              : compare(there, upTo(here, there ?? new Map()), forked)
            if (difference !== undefined)
              throw new Violation(
                'convergence',
                `${server.name} and ${client.name} hold different ${id}: ${difference}`,
              )
          }
        }
      }
    },
  }
}

/** As much of `contents` as `other` has. */
function upTo(contents: Contents, other: Contents): Contents {
  return new Map([...other].map(([session, texts]) => [session, (contents.get(session) ?? []).slice(0, texts.length)]))
}

function compare(there: Contents | undefined, here: Contents, forked: ReadonlySet<string>): string | undefined {
  if (there === undefined) return 'nothing is there'
  for (const session of new Set([...there.keys(), ...here.keys()])) {
    if (forked.has(session)) continue
    const [a, b] = [there.get(session) ?? [], here.get(session) ?? []]
    if (a.length !== b.length) return `${session} has ${a.length} there and ${b.length} here`
    const index = a.findIndex((text, at) => text !== b[at])
    if (index >= 0) return `${session} at ${index} is ${a[index]} there and ${b[index]} here`
  }
  return undefined
}
