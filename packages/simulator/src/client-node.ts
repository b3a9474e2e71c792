/**
 * A client of a world: the real client and engine over a disk, with an application that starts with every process.
 */
import { type Client, createClient } from '@tidemark/client'
import type { PayloadKind } from '@tidemark/protocol'
import type { Connect, Hooks } from '@tidemark/sync/run'
import type { Changing } from './changing.ts'
import type { Disk } from './disk.ts'
import type { Fate, Observe } from './happenings.ts'
import { type Process, persist } from './process.ts'
import { recorded } from './recorded.ts'

/** What an application runs in: one process of one client. */
export interface Run {
  readonly name: string
  readonly client: Client
  readonly process: Process
  /** 1 for the first process of this client: part of session ids, which no process shares with another (L13). */
  readonly number: number
}

export type Application = (run: Run) => void

export interface ClientNode {
  readonly name: string
  readonly disk: Disk
  /** What its `dependenciesOf` says, at once. */
  needs(header: Uint8Array): readonly string[]
  readonly process: Process
  /** `undefined` while it is down or starting. */
  readonly client: Client | undefined
  start(): Promise<void>
  crash(fate: Fate): void
  /** Its next process takes the number of its last one, as an application does that breaks L13. */
  reuse(): void
}

export interface ClientNodeOptions {
  readonly name: string
  readonly disk: Disk
  readonly kind: PayloadKind
  readonly hooks: Omit<Hooks, 'authorize'>
  readonly observe: Observe
  readonly application: Application
  /** It threw as it started: whoever started its process is not whom that concerns. */
  failed(cause: unknown): void
  /** It does not start. */
  gaveUp(cause: unknown): void
  needs(header: Uint8Array): readonly string[]
  boot(): Process
  connect(process: Process): Connect
  handles(): number
}

/** Peers of the Jazz dialect that stay silent are given up; those of this world may have nothing to say for long. */
export function createClientNode(options: ClientNodeOptions): ClientNode {
  const { name, disk, kind, hooks, observe, application, failed, gaveUp, needs, boot, connect, handles } = options
  let fate: Fate = 'wiped'
  let number = 0

  function open(mine: Process): Promise<Client> {
    const { clock, soon } = mine
    observe({ type: 'started', node: name, fate })
    return createClient({
      storage: disk.mount(mine),
      connect: connect(mine),
      kind,
      peer: `${name}.${number}`,
      hooks,
      clock,
      soon,
    })
  }

  const node: Changing<ClientNode> = {
    name,
    disk,
    needs,
    process: boot(),
    client: undefined,
    async start() {
      if (!node.process.alive) node.process = boot()
      number += 1
      const mine = node.process
      const excused = () => disk.outage !== undefined
      const started = await persist(mine, { start: () => open(mine), excused, gaveUp })
      if (started === undefined || !mine.alive) return
      const client = recorded(started, name, observe, handles)
      node.client = client
      client.listen((report) => {
        if (mine.alive) observe({ type: 'reported', node: name, report })
      })
      try {
        application({ name, client, process: mine, number })
      } catch (cause) {
        failed(cause)
      }
    },
    reuse() {
      number = Math.max(0, number - 1)
    },
    crash(given) {
      observe({ type: 'crashed', node: name, fate: given })
      fate = given
      node.client = undefined
      node.process.kill()
      disk.suffer(given)
    },
  }
  return node
}
