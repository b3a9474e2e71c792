/**
 * Several disks under one server, made one storage by `layers`: each has faults of its own, and what befalls one does not befall the others.
 *
 * What checkers see is what the disks hold together. Not here: that each comes to hold all of it (`checkers/layers.ts`).
 */
import { EMPTY, type KnownState, union } from '@tidemark/known-state'
import { layers, type WritePolicy } from '@tidemark/reconciliation/layers'
import type { Page, Storage } from '@tidemark/storage'
import type { Disk } from './disk.ts'

export function layeredDisk(disks: readonly Disk[], policy: WritePolicy): Disk {
  let outage: Disk['outage']
  let misfortunes = 0
  /** One after the other. */
  const next = () => disks[misfortunes++ % disks.length] as Disk

  return {
    level: disks.every(({ level }) => level === 'durable') ? 'durable' : 'stored',
    get outage() {
      return outage
    },
    set outage(how) {
      outage = how
      if (how === undefined) for (const disk of disks) disk.outage = undefined
      else next().outage = how
    },
    known: (id) => joined(disks.map((disk) => disk.known(id))),
    // L3: how much a server may say that it holds depends on which of its disks answer, so only that something is there is held against it.
    told(id) {
      const told = joined(disks.map((disk) => disk.told(id)))
      return told === undefined ? undefined : { ...EMPTY, header: told.header }
    },
    state(id) {
      const states = disks.map((disk) => disk.state(id))
      return states.find((state) => state?.erased !== undefined) ?? states.find((state) => state !== undefined)
    },
    ids: () => [...new Set(disks.flatMap((disk) => disk.ids()))],
    lacks: () => disks.some((disk) => disk.lacks()),
    get bare() {
      return readAs(disks)
    },
    backUp() {
      for (const disk of disks) disk.backUp()
    },
    suffer(fate) {
      const one = next()
      // All lose power together; what is replaced is one of them.
      for (const disk of disks) disk.suffer(disk === one || fate === 'tail lost' ? fate : 'kept')
    },
    mount(process) {
      const given = disks.map((disk, index) => ({ storage: disk.mount(process), name: `disk ${index + 1}` }))
      return layers(given, { clock: process.clock, policy })
    },
  }
}

/** How many of so many disks have to have stored what is acknowledged, as the documentation of layers says. */
export function votesNeeded(policy: WritePolicy, disks: number): number {
  if (typeof policy === 'object') return policy.quorum
  return policy === 'any-durable' ? 1 : disks
}

function joined(states: readonly (KnownState | undefined)[]): KnownState | undefined {
  const there = states.filter((state) => state !== undefined)
  return there.length === 0 ? undefined : there.reduce(union, EMPTY)
}

/** To look into: of every session what the disk has that holds most of it. */
function readAs(disks: readonly Disk[]): Storage {
  const [{ bare }] = disks as [Disk]
  const read: Storage['read'] = async (id, after, options) => {
    const pages = await Promise.all(disks.map((disk) => disk.bare.read(id, after, options)))
    const there = pages.filter((page) => page !== undefined)
    const runs = new Map<string, Page['runs'][number]>()
    for (const run of there.flatMap((page) => page.runs))
      if (run.transactions.length > (runs.get(run.session)?.transactions.length ?? 0)) runs.set(run.session, run)
    return there[0] === undefined ? undefined : { ...there[0], runs: [...runs.values()] }
  }
  return new Proxy(bare, { get: (target, name: keyof Storage) => (name === 'read' ? read : target[name]) })
}
