/**
 * A server of a world: the real server policy and engine over a disk, started anew after every crash.
 */
import { createServer, type Server, type ServerHooks, type ServerLimits } from '@tidemark/server'
import type { EngineLimits } from '@tidemark/sync'
import type { Changing } from './changing.ts'
import type { Disk } from './disk.ts'
import { createGauges } from './gauges.ts'
import type { Fate, Observe } from './happenings.ts'
import { type Process, persist } from './process.ts'

export interface ServerNode {
  readonly name: string
  readonly disk: Disk
  /** Those that `disk` is made of; itself, if it is not layered. */
  readonly disks: readonly Disk[]
  /** How many of them have to have stored what it acknowledges. */
  readonly votesNeeded: number
  /** What its `authorize` says, at once. */
  permits(client: string, action: 'read' | 'write', id: string): boolean
  /** What its `dependenciesOf` says, at once. */
  needs(header: Uint8Array): readonly string[]
  /** The present process, or the last one. */
  readonly process: Process
  /** `undefined` while it is down or starting. */
  readonly server: Server | undefined
  start(): Promise<void>
  crash(fate: Fate): void
  /** Sizes of the tables of its engine by the names of its metrics. */
  sizes(): Readonly<Record<string, number>>
}

export interface ServerNodeOptions {
  readonly name: string
  readonly disk: Disk
  readonly disks: readonly Disk[]
  readonly votesNeeded: number
  readonly hooks: ServerHooks
  readonly limits: Partial<ServerLimits & EngineLimits>
  readonly proveContinuity: boolean
  readonly observe: Observe
  permits(client: string, action: 'read' | 'write', id: string): boolean
  needs(header: Uint8Array): readonly string[]
  /** It does not start. */
  gaveUp(cause: unknown): void
  /** What every process needs. */
  boot(): Process
}

export function createServerNode({
  name,
  disk,
  disks,
  votesNeeded,
  hooks,
  permits,
  needs,
  limits,
  proveContinuity,
  observe,
  gaveUp,
  boot,
}: ServerNodeOptions): ServerNode {
  let gauges = createGauges()
  let fate: Fate = 'wiped'

  function open(mine: Process): Promise<Server> {
    const { clock, soon } = mine
    gauges = createGauges()
    observe({ type: 'started', node: name, fate })
    return createServer({
      storage: disk.mount(mine),
      peer: name,
      hooks,
      limits,
      proveContinuity,
      clock,
      soon,
      meter: gauges.meter,
    })
  }

  const node: Changing<ServerNode> = {
    name,
    disk,
    disks,
    votesNeeded,
    permits,
    needs,
    process: boot(),
    server: undefined,
    async start() {
      if (!node.process.alive) node.process = boot()
      const mine = node.process
      const excused = () => disk.outage !== undefined
      const started = await persist(mine, { start: () => open(mine), excused, gaveUp })
      if (started === undefined || !mine.alive) return
      node.server = started
      started.onReport((report) => observe({ type: 'reported', node: name, report }))
    },
    crash(given) {
      observe({ type: 'crashed', node: name, fate: given })
      fate = given
      node.server = undefined
      node.process.kill()
      disk.suffer(given)
    },
    sizes: () => gauges.read(),
  }
  return node
}
