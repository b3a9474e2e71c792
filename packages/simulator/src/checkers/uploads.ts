/**
 * Uploads: "uploaded" is never said of what no server ever stored.
 *
 * What a server lost afterwards, its clients may still believe to be there, for as long as they have not heard of that.
 */
import { covers, EMPTY, type KnownState, union } from '@tidemark/known-state'
import { describeState } from '../trace.ts'
import { Violation } from '../violation.ts'
import type { MakeChecker } from './checker.ts'
import { diskOf } from './stored.ts'

export const uploads: MakeChecker = (world) => {
  const everStored = new Map<string, KnownState>()

  function check(node: string, id: string): void {
    const here = diskOf(world, node)?.told(id) ?? EMPTY
    const there = everStored.get(id) ?? EMPTY
    // An erased document covers every claim.
    if (covers(there, here) || world.servers.some(({ disk }) => disk.state(id)?.erased !== undefined)) return
    const text = `${node} is told that ${id} is uploaded; it holds ${describeState(here)}, the server ${describeState(there)}`
    throw new Violation('uploads', text)
  }

  return {
    happened(happening) {
      if (happening.type === 'stored' && world.servers.some(({ name }) => name === happening.node))
        everStored.set(happening.id, union(everStored.get(happening.id) ?? EMPTY, happening.known))
      if (happening.type !== 'uploaded') return
      const { node, id } = happening
      if (id !== undefined) check(node, id)
      else for (const each of diskOf(world, node)?.ids() ?? []) check(node, each)
    },
  }
}
