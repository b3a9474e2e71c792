/**
 * Convergence: once everything has healed, all who may have a document hold the same of it, to the byte.
 *
 * L7: also what a server lost and its clients still have. A forked session is for people to settle
 * (`forks.ts`); that somebody reports one is no excuse. Whoever does not read a document need not have it, and has sent what it wrote.
 */
import { Violation } from '../violation.ts'
import type { MakeChecker } from './checker.ts'
import { everywhere, idsOf } from './forks.ts'
import { watchReaders } from './readers.ts'
import { mayRead, mayWrite } from './rights.ts'
import { type Contents, contentsOf } from './stored.ts'
import { watchWriters } from './writers.ts'

export const convergence: MakeChecker = (world) => {
  const writers = watchWriters()
  const readers = watchReaders()
  return {
    happened(happening) {
      writers.happened(happening)
      readers.happened(happening)
    },
    async judge() {
      for (const { name, server, id, session, written } of world.writers) {
        if (server.disk.state(id)?.erased !== undefined || !mayWrite(server, name, id)) continue
        const there = (await contentsOf(server.disk, id))?.get(session)?.length ?? 0
        if (there < written.length)
          throw new Violation('convergence', `${server.name} holds ${there} of ${written.length} of ${id} ${session}`)
      }
      for (const server of world.servers) {
        for (const id of idsOf(world)) {
          const all = await everywhere(world, id)
          // Which of the two a node holds, and whether it goes on with it, depends on what it was told first: nothing is compared.
          const forked = writers.mayDiffer(id)
          const there = all.get(server.name)
          for (const client of world.clients) {
            const here = all.get(client.name)
            if (here === undefined || !mayRead(server, client.name, id)) continue
            // Nobody else created it, and this client may not.
            if (there === undefined && !mayWrite(server, client.name, id)) continue
            const erased = [server, client].map(({ disk }) => disk.state(id)?.erased !== undefined)
            if (erased.includes(true)) {
              const isTold = erased[1] || readers.isOpen(client.name, id)
              if (mayWrite(server, client.name, id) && isTold && erased.includes(false))
                throw new Violation('convergence', `${id} is erased at ${erased[0] ? server.name : client.name} only`)
              continue
            }
            // What a client may not write stays with it; what it has from others the server may have lost.
            const down = mayWrite(server, client.name, id) ? here : upTo(here, there ?? new Map())
            // Whoever reads it no more is sent nothing, and has sent what it wrote.
            const up = readers.isOpen(client.name, id) ? there : there && upTo(there, here)
            const difference = compare(up, down, forked)
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
