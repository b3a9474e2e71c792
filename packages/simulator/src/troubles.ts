/**
 * Troubles: connections cut, processes killed, disks lost, clocks moved, at times that chance decides. Every one is a step.
 *
 * How many of which: `Faults.troubles`. Not here: what goes wrong with single frames and calls.
 */
import type { Chance } from './chance.ts'
import { checkMs } from './check.ts'
import type { ClientNode } from './client-node.ts'
import type { Fate } from './happenings.ts'
import type { World } from './world.ts'

export interface TroubleOptions {
  /** Clients that come back with an old disk go on with the sessions of their last process. Default true, as often as the profile expects. */
  readonly reuses?: boolean
}

/** Plans the troubles of the next `ms` milliseconds. @throws TypeError for no length of time, and for a world without a server and a client */
export function trouble(world: World, ms: number, { reuses = true }: TroubleOptions = {}): void {
  checkMs('trouble', ms, 'trouble(world, 30_000)')
  for (const [what, nodes] of [
    ['servers', world.servers],
    ['clients', world.clients],
  ] as const)
    if (nodes.length === 0)
      throw new TypeError(
        `trouble: expected a world with servers and clients, got one without ${what}: make them before`,
      )
  const { troubles } = world.faults
  const chance = world.chance('troubles')
  const when = () => chance.next() * ms
  const repeat = (mean: number, plan: () => void) => {
    for (let left = chance.times(mean); left > 0; left--) plan()
  }
  const clientName = () => chance.pick(world.clients).name
  const nodes = () => [...world.servers, ...world.clients]

  repeat(troubles.cuts, () => {
    const name = clientName()
    world.stepAfter(when(), `the connection of ${name} is cut`, () => world.network.cut(name))
  })
  repeat(troubles.partitions, () => {
    const name = clientName()
    const lastsMs = chance.between(troubles.partitionMs)
    const cuts = chance.happens(0.5)
    world.stepAfter(when(), `${name} reaches nobody for ${lastsMs.toFixed()} ms`, () => {
      world.network.partition(name, lastsMs)
      if (cuts) world.network.cut(name)
    })
  })
  repeat(troubles.outages, () => {
    const node = chance.pick(nodes())
    const how = chance.pick(['fails', 'full', 'hangs'] as const)
    const lastsMs = chance.between(troubles.outageMs)
    const at = when()
    world.stepAfter(at, `the disk of ${node.name} ${how} for ${lastsMs.toFixed()} ms`, () => {
      node.disk.outage = how
    })
    world.stepAfter(at + lastsMs, `the disk of ${node.name} works`, () => {
      node.disk.outage = undefined
    })
  })
  repeat(troubles.clockJumps, () => {
    const { name } = chance.pick(nodes())
    const jumpMs = Math.round(chance.between(troubles.clockJumpMs))
    world.stepAfter(when(), `the clock of ${name} jumps by ${jumpMs} ms`, () => world.jump(name, jumpMs))
  })
  repeat(troubles.crashes, () => crash(world, chance, when(), 'kept'))
  repeat(troubles.powerLosses, () => crash(world, chance, when(), 'tail lost'))
  repeat(troubles.wipes, () => crash(world, chance, when(), 'wiped'))
  const restore = (of?: ClientNode) => {
    const at = when()
    const node = crash(world, chance, at, 'restored', of, reuses)
    world.stepAfter(at * chance.next(), `the disk of ${node.name} is backed up`, () => node.disk.backUp())
  }
  repeat(troubles.restores, () => restore())
  repeat(troubles.reuses, () => restore(chance.pick(world.clients)))
}

function crash(world: World, chance: Chance, at: number, fate: Fate, of?: ClientNode, reuses = false) {
  const node = of ?? chance.pick([...world.servers, ...world.clients])
  const downMs = chance.between(world.faults.troubles.downMs)
  world.stepAfter(at, `${node.name} crashes for ${downMs.toFixed()} ms, disk ${fate}`, () => {
    if (!node.process.alive) return
    node.crash(fate)
    if (reuses) of?.reuse()
    world.after(downMs, () => {
      if (!node.process.alive) void node.start()
    })
  })
  return node
}
