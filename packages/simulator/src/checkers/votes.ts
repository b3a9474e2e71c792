/**
 * Votes: how many disks of a server stored what it acknowledges.
 *
 * L3, by its write policy. A disk that lost something since keeps its vote: a layer that is refilled takes nothing back. Not here: what
 * all disks hold together (`durability.ts`), that each comes to hold all of it (`layers.ts`).
 */
import { EMPTY, type KnownState, union } from '@tidemark/known-state'
import type { Disk } from '../disk.ts'
import type { Happening } from '../happenings.ts'
import { describeState } from '../trace.ts'
import { Violation } from '../violation.ts'
import type { World } from '../world.ts'

export interface Votes {
  happened(happening: Happening): void
  /** @throws Violation */
  check(node: string, id: string, claim: KnownState): void
}

export function watchVotes(world: World): Votes {
  /** Disk → document → all that it ever stored of it. */
  const stored = new Map<Disk, Map<string, KnownState>>()

  const layered = (node: string) => world.servers.find(({ name, disks }) => name === node && disks.length > 1)
  const storedBy = (disk: Disk, id: string): KnownState => stored.get(disk)?.get(id) ?? EMPTY

  return {
    happened(happening) {
      if (happening.type !== 'stored') return
      const { node, id } = happening
      for (const disk of layered(node)?.disks ?? []) {
        const documents = stored.get(disk) ?? new Map<string, KnownState>()
        stored.set(disk, documents)
        documents.set(id, union(storedBy(disk, id), disk.known(id) ?? EMPTY))
      }
    },
    check(node, id, claim) {
      const server = layered(node)
      if (server === undefined || server.disk.state(id)?.erased !== undefined) return
      for (const [session, count] of claim.sessions) {
        const voting = server.disks.filter((disk) => (storedBy(disk, id).sessions.get(session) ?? 0) >= count)
        if (voting.length >= server.votesNeeded) continue
        const each = server.disks.map((disk) => describeState(storedBy(disk, id))).join(' | ')
        const text = `${node} acknowledges ${count} of ${session} of ${id}, which ${server.votesNeeded} disks have to store; they stored ${each}`
        throw new Violation('durability', text)
      }
    },
  }
}
