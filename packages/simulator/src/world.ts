/**
 * A world: clients and servers on the real engine, in virtual time, with the luck that its seed gives them.
 *
 * The same seed, faults and steps make the same world, message by message. What happens in it is judged by the checkers as it
 * happens; the first violation ends it. Not here: what its users do (a scenario), what can go wrong (`faults.ts`).
 */
import { type AckLevel, type Dialect, type PayloadKind, tidemarkJson } from '@tidemark/protocol'
import type { WritePolicy } from '@tidemark/reconciliation/layers'
import type { ServerHooks } from '@tidemark/server'
import type { Storage } from '@tidemark/storage'
import type { EngineLimits } from '@tidemark/sync'
import type { Hooks } from '@tidemark/sync/run'
import { type Chance, createChance } from './chance.ts'
import { checkDisks, checkFaults, checkJump, checkKnown, checkMs, checkName, checkSeed, checkServer } from './check.ts'
import { type Checker, checkers, type MakeChecker } from './checkers/index.ts'
import { type Application, type ClientNode, createClientNode } from './client-node.ts'
import { createDisk, type Disk } from './disk.ts'
import { type Faults, healed } from './faults.ts'
import type { Happening } from './happenings.ts'
import { layeredDisk, votesNeeded } from './layered-disk.ts'
import { createNetwork, type Network } from './network.ts'
import { createProcess, type Process, TRIES_MAX } from './process.ts'
import { createSchedule, type Schedule } from './schedule.ts'
import { createServerNode, type ServerNode } from './server-node.ts'
import { describeHappening } from './trace.ts'
import { createWriter, type Writer, type WriterOptions } from './writer.ts'

export interface WorldOptions {
  /** Steps that are left out, by number: what shrinking does. */
  readonly without?: ReadonlySet<number>
  /** Default: all of them. */
  readonly checkers?: readonly MakeChecker[]
  /** What servers and clients know of documents. */
  readonly hooks?: Omit<Hooks, 'authorize'>
}

/** Answers at once: what is late is up to the world. */
export interface ServerWorldHooks extends Omit<ServerHooks, 'authorize'> {
  authorize?(client: string, action: 'read' | 'write', id: string): boolean
  /** Whether its `verify` takes what a client writes. Default: all. */
  accepts?(client: string, id: string): boolean
}

export interface ServerOptions {
  readonly hooks?: ServerWorldHooks
  readonly limits?: Partial<EngineLimits>
  readonly makeStorage?: (generation: string) => Storage
  /** What its disk promises: of one that only stores a power loss takes the last half second. Default `durable`. */
  readonly level?: AckLevel
  /** As of a server: JSON, which has no digests, has to overlap what is held, so that forks show. */
  readonly proveContinuity?: boolean
  /** Its storage is `layers` of so many disks, each with faults of its own. Default 1: no layers. */
  readonly disks?: number
  /** How many of them have to have stored a write. */
  readonly policy?: WritePolicy
}

export interface ClientOptions {
  readonly server: ServerNode
  /** Runs in every process of this client. */
  readonly application?: Application
  /** Default: our own dialect as JSON. */
  readonly dialect?: Dialect
  readonly kind?: PayloadKind
  readonly hooks?: Omit<Hooks, 'authorize'>
  /** As of a server. */
  readonly level?: AckLevel
  readonly makeStorage?: (generation: string) => Storage
}

export interface World {
  readonly seed: number
  readonly faults: Faults
  /** Milliseconds since it began. */
  readonly now: number
  readonly servers: readonly ServerNode[]
  readonly clients: readonly ClientNode[]
  readonly writers: readonly Writer[]
  readonly network: Network
  /** Everything that happened, a line each. */
  readonly trace: readonly string[]
  /** The steps there were, in order, also those that were left out. */
  readonly steps: readonly string[]
  /** Luck of its own for a part of a scenario. */
  chance(name: string): Chance
  /** @throws TypeError for a name that another node has, and for disks or a policy that cannot be. */
  server(name: string, options?: ServerOptions): Promise<ServerNode>
  /** @throws TypeError for a name that another node has, and without a server of this world. */
  client(name: string, options: ClientOptions): Promise<ClientNode>
  /** A peer that only writes. @throws TypeError as `client` does. */
  writer(name: string, options: WriterOptions): Writer
  /** Something that shrinking may leave out. */
  step(text: string, act: () => void): void
  /** As `step`, so many milliseconds from now. @throws TypeError for what is no time that is to come; so do `after` and `pass`. */
  stepAfter(ms: number, text: string, act: () => void): void
  /** Calls back so many milliseconds from now. */
  after(ms: number, callback: () => void): void
  /** Moves a node's clock. @throws TypeError for a name that no node has, and for no number. */
  jump(node: string, ms: number): void
  /** Adds a line to the trace. */
  note(text: string): void
  /** @throws Violation, and what an application, also as it starts, or the code under test throws outside of promises. */
  pass(ms: number): Promise<void>
  /** From now on nothing goes wrong; who is down starts. */
  heal(): Promise<void>
  /** What has to hold at the end of a world that healed and came to rest; closes the clients. @throws Violation */
  judge(): Promise<void>
}

/** @throws TypeError for a seed that is none, and for a profile that lacks something. */
export function createWorld(seed: number, profile: Faults, options: WorldOptions = {}): World {
  checkSeed(seed)
  checkFaults(profile)
  const { without = new Set<number>() } = options
  const chance = createChance(seed)
  const schedule = createSchedule()
  const happenings: Happened[] = []
  const servers: ServerNode[] = []
  const clients: ClientNode[] = []
  const writers: Writer[] = []
  const wrongMs = new Map<string, number>()
  const steps: string[] = []
  let faults = profile
  let handles = 0
  /** Why it is over. */
  let failure: { readonly cause: unknown } | undefined

  function observe(happening: Happening): void {
    happenings.push({ at: schedule.now, happening })
    for (const checker of all) {
      try {
        checker.happened(happening)
      } catch (cause) {
        // Thrown into the middle of the engine it would be taken for a failure there.
        fail(cause, `${cause}`)
      }
    }
  }

  /** Whatever comes after the first follows from it. */
  function fail(cause: unknown, text: string): void {
    if (failure !== undefined) return
    failure = { cause }
    happenings.push({ at: schedule.now, happening: { type: 'trouble', text } })
  }

  /** Whoever waits for it would wait for ever. */
  function gaveUp(name: string, cause: unknown): void {
    const text = `seed ${seed}: expected ${name} to start, and ${TRIES_MAX} tries failed, at last with ${cause}: look at what it is made with, and how often its disk fails`
    fail(new Error(text, { cause }), text)
  }

  function endIfFailed(): void {
    if (failure !== undefined) throw failure.cause
  }

  const network = createNetwork({
    schedule,
    chance: chance.branch('network'),
    observe,
    faults: () => faults.network,
    clients: () => [...clients, ...writers],
  })

  function boot(node: string, number: number): Process {
    return createProcess(schedule, chance.branch('process', node, number), () => wrongMs.get(node) ?? 0)
  }

  function diskOf(
    node: string,
    given: { makeStorage?: (generation: string) => Storage; level?: AckLevel },
    number?: number,
  ) {
    if (given.makeStorage !== undefined) schedule.oneATurn()
    return createDisk({
      node,
      ...(number !== undefined && { number }),
      schedule,
      chance: chance.branch('disk', node, ...(number === undefined ? [] : [number])),
      faults: () => faults.disk,
      observe,
      make: given.makeStorage,
      level: given.level,
    })
  }

  /** An answer of the application that is given later, now and then. */
  function late<T>(node: string, hooks: T): T {
    const luck = chance.branch('hooks', node)
    const entries = Object.entries(hooks as Record<string, (...args: unknown[]) => unknown>).map(([name, hook]) => [
      name,
      (...args: unknown[]) => {
        if (!luck.happens(faults.hooks.late)) return hook(...args)
        return new Promise((resolve) => schedule.after(luck.between(faults.hooks.lateMs), () => resolve(hook(...args))))
      },
    ])
    return Object.fromEntries(entries) as T
  }

  /** Starts nodes, which takes them some time: whole milliseconds, of which those without anything to do pass at once. */
  async function up(nodes: readonly (ServerNode | ClientNode)[]): Promise<void> {
    const starting = new Set(nodes)
    for (const node of nodes) {
      void node.start().then(() => starting.delete(node))
      // A process that ends before it has started never says that it has.
      node.process.died(() => starting.delete(node))
    }
    await world.pass(starting.size === 0 ? 0 : 1)
    while (starting.size > 0) await world.pass(Math.max(1, Math.ceil((schedule.nextAt() ?? 0) - schedule.now)))
  }

  const world: World = Object.assign<Shown, Omit<World, keyof Shown>>(new Shown(schedule, happenings), {
    seed,
    faults: profile,
    servers,
    clients,
    writers,
    network,
    steps,
    chance: (name) => chance.branch('scenario', name),
    async server(name, given = {}) {
      checkName(name, [...servers, ...clients, ...writers])
      const { accepts, ...hooks } = { ...options.hooks, ...given.hooks } as ServerWorldHooks
      const { disks: count = 1, policy = 'all-required' } = given
      checkDisks(count, policy)
      const disks = Array.from({ length: count }, (_, index) =>
        diskOf(name, given, count === 1 ? undefined : index + 1),
      )
      let processes = 0
      const node = createServerNode({
        name,
        disk: count === 1 ? (disks[0] as Disk) : layeredDisk(disks, policy),
        disks,
        votesNeeded: votesNeeded(policy, count),
        hooks: late(name, { authenticate: ({ url }) => url.slice(1), ...hooks }),
        needs: (header) => needsOf(hooks, header),
        permits: (client, action, id) =>
          (hooks.authorize?.(client, action, id) ?? true) && (action === 'read' || (accepts?.(client, id) ?? true)),
        limits: given.limits ?? {},
        proveContinuity: given.proveContinuity ?? false,
        observe,
        gaveUp: (cause) => gaveUp(name, cause),
        boot: () => boot(name, ++processes),
      })
      servers.push(node)
      await up([node])
      return node
    },
    async client(name, given) {
      checkName(name, [...servers, ...clients, ...writers])
      checkServer(name, given?.server, servers)
      const { server, application = () => {}, dialect = tidemarkJson, kind = 'bytes' } = given
      let processes = 0
      const node = createClientNode({
        name,
        disk: diskOf(name, given),
        kind,
        hooks: late(name, { ...options.hooks, ...given.hooks }),
        observe,
        application,
        failed: (cause) => fail(cause, `the application of ${name} threw ${cause}`),
        gaveUp: (cause) => gaveUp(name, cause),
        needs: (header) => needsOf({ ...options.hooks, ...given.hooks }, header),
        boot: () => boot(name, ++processes),
        connect: (process) => network.connect(name, process, server, dialect),
        handles: () => ++handles,
      })
      clients.push(node)
      await up([node])
      return node
    },
    writer(name, given) {
      checkName(name, [...servers, ...clients, ...writers])
      checkServer(name, given?.server, servers)
      const process = boot(name, 1)
      const writer = createWriter(name, given, process, network.connect(name, process, given.server, tidemarkJson))
      writers.push(writer)
      return writer
    },
    step(text, act) {
      const number = steps.push(text) - 1
      if (without.has(number)) return
      observe({ type: 'step', text: `${number}: ${text}` })
      act()
    },
    stepAfter(ms, text, act) {
      checkMs('stepAfter', ms, "world.stepAfter(1_000, 'anna writes', write)")
      const number = steps.push(text) - 1
      if (without.has(number)) return
      schedule.after(ms, () => {
        observe({ type: 'trouble', text: `${number}: ${text}` })
        act()
      })
    },
    after(ms, callback) {
      checkMs('after', ms, 'world.after(1_000, callback)')
      schedule.after(ms, callback)
    },
    jump(node, ms) {
      checkKnown(node, [...servers, ...clients, ...writers])
      checkJump(ms)
      wrongMs.set(node, (wrongMs.get(node) ?? 0) + ms)
    },
    note: (text) => observe({ type: 'step', text }),
    async pass(ms) {
      checkMs('pass', ms, 'await world.pass(30_000)')
      endIfFailed()
      await schedule.pass(ms, () => failure !== undefined)
      endIfFailed()
    },
    async heal() {
      observe({ type: 'trouble', text: 'everything heals' })
      faults = healed(profile)
      network.heal()
      for (const { disk } of [...servers, ...clients]) disk.outage = undefined
      await up([...servers, ...clients].filter(({ process }) => !process.alive))
    },
    async judge() {
      for (const checker of all) await checker.judge?.()
      for (const { client } of clients) void client?.close()
      for (const writer of writers) writer.close()
      await world.pass(ENDS_MS)
      for (const checker of all) await checker.ended?.()
    },
  })
  const all: readonly Checker[] = (options.checkers ?? checkers).map((make) => make(world))
  return world
}

interface Happened {
  readonly at: number
  readonly happening: Happening
}

/**
 * What a world shows as it is at the moment: `changing.ts` says why an object has no getters of its own. Not `#schedule`: who puts a proxy
 * around a world has no private field of it.
 */
class Shown {
  private readonly schedule: Schedule
  private readonly happenings: readonly Happened[]
  constructor(schedule: Schedule, happenings: readonly Happened[]) {
    this.schedule = schedule
    this.happenings = happenings
  }
  get now(): number {
    return this.schedule.now
  }
  get trace(): readonly string[] {
    return this.happenings.map(({ at, happening }) => `${at.toFixed(1).padStart(9)}  ${describeHappening(happening)}`)
  }
}

function needsOf({ dependenciesOf }: Pick<Hooks, 'dependenciesOf'>, header: Uint8Array): readonly string[] {
  const answer = dependenciesOf?.(header, []) ?? []
  return 'then' in answer ? [] : answer
}

/** Until the last end of the last connection knows that it is over. */
const ENDS_MS = 100_000
