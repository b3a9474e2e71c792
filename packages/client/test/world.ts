/**
 * Small worlds for tests: clients and a server on the real runner, joined by pipes, in manual time.
 *
 * The trace of what a client and its upstream say is the assertion: `C>S LOAD note=a:3`. Not here: sockets (`sockets.test.ts`).
 */
import type { KnownState } from '@tidemark/known-state'
import { type Dialect, type Frame, jazz, type Message } from '@tidemark/protocol'
import { type Clock, memoryStorage, type Storage } from '@tidemark/storage'
import type { Effect, Event } from '@tidemark/sync'
import { attach, type Channel, type Connect, createPipe, type Runner, type RunOptions, run } from '@tidemark/sync/run'
import { type Client, type ClientOptions, createClient, type Received } from '../src/index.ts'
import { type ManualClock, manualClock, rest } from './clock.ts'

export interface World {
  readonly clock: ManualClock
  readonly server: ServerNode
  client(options?: Partial<ClientOptions>): Promise<Node>
  /** Closes what is left open. */
  end(): Promise<void>
}

export interface ServerNode {
  readonly connect: Connect
  readonly runner: Runner
  /** Ends all connections, as a network would. */
  cut(): Promise<void>
  /** While set, connecting fails with it. */
  refuse: Error | undefined
  /** Goes on with another storage, as another process would. */
  restart(storage: Storage): Promise<void>
}

export interface Node {
  readonly client: Client
  /** What it and its upstream said. */
  readonly trace: string[]
}

export async function createWorld(
  dialect: Dialect,
  { storage = memoryStorage(), ...options }: Partial<RunOptions> = {},
): Promise<World> {
  const clock = manualClock()
  const server = await createServerNode(dialect, { storage, clock, peer: 'server', ...options })
  const clients: Client[] = []
  return {
    clock,
    server,
    async client(options = {}) {
      const { trace, observe } = createTrace()
      const client = await createClient({
        storage: memoryStorage(),
        connect: server.connect,
        clock,
        kind: 'json',
        observe,
        ...options,
      })
      clients.push(client)
      await rest()
      return { client, trace }
    },
    async end() {
      await Promise.all(clients.map((client) => client.close()))
      await server.runner.close()
    },
  }
}

const PING = jazz.createCodec().encode([{ action: 'ping', time: 0, from: 'server' }], 1_000)[0] as Frame

async function createServerNode(dialect: Dialect, options: RunOptions): Promise<ServerNode> {
  const open = new Set<Channel>()
  let runner = await run(options)
  const node: ServerNode = {
    refuse: undefined,
    get runner() {
      return runner
    },
    async connect() {
      if (node.refuse !== undefined) throw node.refuse
      const [ours, theirs] = createPipe(dialect)
      open.add(theirs)
      // As servers of the Jazz dialect do: their first word says that there is a connection.
      if (!dialect.traits.hello) theirs.send(PING)
      void attach(runner, theirs).closed.then(() => open.delete(theirs))
      return ours
    },
    async cut() {
      for (const channel of open) channel.close(1006, 'cut')
      await rest()
    },
    async restart(other) {
      await node.cut()
      await runner.close()
      runner = await run({ ...options, storage: other })
    },
  }
  return node
}

export function createTrace(): { trace: string[]; observe: (step: Event | Effect) => void } {
  const trace: string[] = []
  const upstreams = new Set<number>()
  return {
    trace,
    observe(step) {
      if (step.type === 'connected' && step.traits.upstream) upstreams.add(step.connection)
      if ((step.type === 'received' || step.type === 'send') && upstreams.has(step.connection))
        note(trace, step.type === 'send' ? 'C>S' : 'S>C', step.message)
    },
  }
}

function note(trace: string[], way: string, message: Message): void {
  switch (message.action) {
    case 'load':
      return void trace.push(`${way} LOAD ${message.id}=${stateText(message.known)}`)
    case 'known':
      return void trace.push(
        `${way} KNOWN ${message.id}=${stateText(message.known)}${message.correction ? ' correction' : ''}`,
      )
    case 'content':
      return void trace.push(
        `${way} CONTENT ${message.id} ${message.runs.map((run) => `${run.session}:${run.after}+${run.transactions.length}`).join(' ')}`.trimEnd(),
      )
    case 'done':
      return void trace.push(`${way} DONE ${message.id}`)
    case 'error':
      return void trace.push(`${way} ERROR ${message.id ?? ''} ${message.code}`)
  }
}

function stateText({ header, sessions }: KnownState): string {
  if (!header && sessions.size === 0) return '∅'
  return [...sessions].map(([session, until]) => `${session}:${until}`).join(' ') || 'header'
}

/** Collects what a handle is given, as `session:index=text` in the order of arrival; the header as `header`. */
export function collect(doc: { subscribe(listener: (content: Received) => unknown): () => void }): string[] {
  const texts: string[] = []
  doc.subscribe(({ header, runs }) => {
    if (header !== undefined) texts.push('header')
    for (const { session, after, transactions } of runs)
      for (const [index, transaction] of transactions.entries())
        texts.push(`${session}:${after + index}=${text(transaction)}`)
  })
  return texts
}

export const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes)

/** A storage, some of whose methods are replaced. */
export function replaced(storage: Storage, methods: Partial<Storage>): Storage {
  return new Proxy(storage, {
    get(target, name: keyof Storage) {
      const method = methods[name] ?? target[name]
      return typeof method === 'function' ? method.bind(target) : method
    },
  })
}

/** A storage that needs time for every look-up, read and append. */
export function delayed(storage: Storage, clock: Clock, ms: number): Storage {
  return replaced(storage, {
    knownStates: async (...args) => clock.wait(ms).then(() => storage.knownStates(...args)),
    read: async (...args) => clock.wait(ms).then(() => storage.read(...args)),
    append: async (...args) => clock.wait(ms).then(() => storage.append(...args)),
  })
}

/** A storage that survives the client that closes it, as a file would. */
export function keptOpen(storage: Storage): Storage {
  return replaced(storage, { close() {} })
}
