/**
 * Layers: once everything has healed, every disk of a server holds the join of what its disks hold, and not only the longest of them (L12).
 *
 * A forked session is for people to settle (`forks.ts`).
 */
import { EMPTY, missing } from '@tidemark/known-state'
import { describeState } from '../trace.ts'
import { Violation } from '../violation.ts'
import type { MakeChecker } from './checker.ts'
import { everywhere, forkedSessions } from './forks.ts'
import { contentsOf } from './stored.ts'

export const layers: MakeChecker = (world) => ({
  happened() {},
  async judge() {
    for (const { name, disk: all, disks } of world.servers) {
      if (disks.length < 2) continue
      for (const id of all.ids()) {
        const contents = [...(await everywhere(world, id)).values()]
        for (const disk of disks) contents.push((await contentsOf(disk, id)) ?? new Map())
        const forked = forkedSessions(contents)
        const join = all.known(id) ?? EMPTY
        for (const [index, disk] of disks.entries()) {
          const here = disk.known(id) ?? EMPTY
          const lacks = [...missing(here, join).sessions.keys()].filter((session) => !forked.has(session))
          if (here.header === join.header && lacks.length === 0) continue
          const text = `disk ${index + 1} of ${name} holds ${id} as ${describeState(here)}, its disks together ${describeState(join)}`
          throw new Violation('layers', text)
        }
      }
    }
  },
})
