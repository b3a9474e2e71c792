/**
 * The network: clients that connect to servers, cut connections, partitions.
 *
 * A connection that was lost may live on at one end. Not here: what a single connection does (`wire.ts`).
 */
import type { Dialect, Message } from '@tidemark/protocol'
import type { Who } from '@tidemark/server'
import type { Connect } from '@tidemark/sync/run'
import type { Chance } from './chance.ts'
import { checkKnown, checkMs } from './check.ts'
import type { NetworkFaults } from './faults.ts'
import type { Observe } from './happenings.ts'
import type { Process } from './process.ts'
import type { Schedule } from './schedule.ts'
import type { ServerNode } from './server-node.ts'
import { tapped } from './tapped.ts'
import { createWire, type Wire } from './wire.ts'

export interface Network {
  /** How the processes of a client reach a server. */
  connect(client: string, process: Process, server: ServerNode, dialect: Dialect): Connect
  /** Cuts the connection of a client; who of both ends does not notice is left to chance. @throws TypeError for a name that no client has. */
  cut(client: string): void
  /** Nothing from or to this client arrives for so many milliseconds. @throws TypeError as `cut` does. */
  partition(client: string, ms: number): void
  /** Partitions end. */
  heal(): void
}

export interface NetworkOptions {
  readonly schedule: Schedule
  readonly chance: Chance
  readonly observe: Observe
  faults(): NetworkFaults
  /** Who connects. */
  clients(): Iterable<{ readonly name: string }>
}

interface Connected {
  readonly client: string
  readonly wire: Wire
}

export function createNetwork({ schedule, chance, observe, faults, clients }: NetworkOptions): Network {
  const quiet = new Map<string, number>()
  let open: Connected[] = []
  let connections = 0

  function toldAfterMs(): number {
    const { halfOpen, halfOpenMs, delayMs } = faults()
    return chance.happens(halfOpen) ? chance.between(halfOpenMs) : chance.between(delayMs)
  }

  function join(client: string, process: Process, server: ServerNode, dialect: Dialect, who: Who): Wire {
    connections += 1
    const connection = connections
    const ends = [client, server.name] as const
    const end = (index: 0 | 1, running: Process) => {
      const node = ends[index]
      const peer = ends[1 - index] as string
      // An answer of its application may still come to a process that was killed.
      const tell = (type: 'said' | 'heard', from: string, to: string) => (message: Message) => {
        if (running.alive) observe({ type, connection, from, to, message })
      }
      return {
        process: running,
        dialect: tapped(dialect, tell('said', node, peer), tell('heard', peer, node)),
        ended: () => observe({ type: 'disconnected', connection, node }),
      }
    }
    observe({ type: 'connected', connection, client, server: server.name })
    const wire = createWire({
      schedule,
      chance: chance.branch('wire', connection),
      faults: faults(),
      ends: [end(0, process), end(1, server.process)],
      quietUntil: () => quiet.get(client) ?? 0,
    })
    open = open.filter((one) => !one.wire.isCut)
    open.push({ client, wire })
    for (const one of [process, server.process]) one.died(() => lose(wire))
    server.server?.accept(wire.channels[1], who)
    return wire
  }

  function lose(wire: Wire): void {
    if (!wire.isCut) wire.cut([toldAfterMs(), toldAfterMs()])
  }

  return {
    connect(client, process, server, dialect) {
      const luck = chance.branch('connect', client)
      return (signal) =>
        new Promise((resolve, reject) => {
          if (signal.aborted) return reject(signal.reason)
          signal.addEventListener('abort', () => reject(signal.reason), { once: true })
          const attempt = () => {
            const waitMs = (quiet.get(client) ?? 0) - schedule.now
            if (waitMs > 0) return void process.after(waitMs, attempt)
            if (signal.aborted) return
            const { server: policy, process: its } = server
            if (policy === undefined || luck.happens(faults().connectFails)) return reject(new Error('refused'))
            policy.admit({ url: `/${client}`, headers: {}, remoteAddress: client }).then((admission) => {
              if (!its.alive || !process.alive) return
              if (!('admitted' in admission)) {
                const { message, retryAfterMs } = admission
                return reject(Object.assign(new Error(message), { retryAfterMs }))
              }
              const wire = join(client, process, server, dialect, admission.admitted)
              process.after(luck.between(faults().delayMs), () => {
                // Given up meanwhile: nobody will ever open it.
                if (signal.aborted) lose(wire)
                else resolve(wire.channels[0])
              })
            }, reject)
          }
          process.after(luck.between(faults().connectMs), attempt)
        })
    },
    cut(client) {
      checkKnown(client, clients())
      for (const one of open) if (one.client === client) lose(one.wire)
    },
    partition(client, ms) {
      checkKnown(client, clients())
      checkMs('partition', ms, "world.network.partition('anna', 10_000)")
      quiet.set(client, Math.max(quiet.get(client) ?? 0, schedule.now + ms))
    },
    heal() {
      quiet.clear()
    },
  }
}
