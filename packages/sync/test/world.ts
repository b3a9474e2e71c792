/**
 * Small worlds for tests: nodes on the real runner and memory storages, connected without sockets, in manual time.
 *
 * The trace of messages is the assertion: `client > server  LOAD note header a:3`. Not here: faults and chance.
 */
import { EMPTY, type KnownState, knownState } from '@tidemark/known-state'
import type { ContentMessage, Message, Traits } from '@tidemark/protocol'
import { type Append, type Clock, memoryStorage, type Storage } from '@tidemark/storage'
import type { Effect, Event, Report, Verified } from '../src/events.ts'
import { type Link, type Port, type Runner, type RunOptions, run } from '../src/run.ts'

export const OWN: Traits = {
  hello: false,
  errors: true,
  done: true,
  digests: true,
  claimsStreams: false,
  knownFirst: false,
  kinds: ['json', 'bytes'],
}
export const JAZZ: Traits = {
  hello: false,
  errors: false,
  done: false,
  digests: false,
  claimsStreams: true,
  knownFirst: true,
  kinds: ['json'],
}

const utf8 = new TextEncoder()
export const bytes = (text: string): Uint8Array => utf8.encode(text)

/** `state('a:3 b:1')`; with header unless nothing is named. */
export function state(text: string): KnownState {
  if (text === '') return EMPTY
  const sessions = text.split(' ').filter((part) => part !== 'header')
  return knownState(
    true,
    sessions.map((part) => [part.split(':')[0] as string, Number(part.split(':')[1])] as const),
  )
}

/** Content of `sessions` (`'a:0-3'`), each transaction a JSON text of its own, each run sealed. */
export function content(id: string, sessions: string, header = true, kind: 'json' | 'bytes' = 'json'): ContentMessage {
  const runs = sessions
    .split(' ')
    .filter(Boolean)
    .map((part) => {
      const [session, range] = part.split(':') as [string, string]
      const [after, until] = range.split('-').map(Number) as [number, number]
      const transactions = Array.from({ length: until - after }, (_, index) => bytes(`{"${session}":${after + index}}`))
      return { session, after, transactions, seal: bytes(`seal ${session} ${until}`) }
    })
  return { action: 'content', id, kind, priority: 3, runs, ...(header && { header: bytes(`{"id":"${id}"}`) }) }
}

/** Whether a transaction is one of session `a`: what the others of a session `a` claim to be is forged. */
export const isGenuine = (transaction: Uint8Array): boolean => new TextDecoder().decode(transaction).startsWith('{"a":')

/** A verifier that accepts what is genuine. */
export const verifyGenuine = ({ runs }: Append): Verified => ({
  accepted: new Map(runs.map((run) => [run.session, run.transactions.every(isGenuine) ? run.transactions.length : 0])),
  states: new Map(),
})

/** Something that waits to be released. */
export function gate(): { readonly opened: Promise<void>; open(): void } {
  let open = () => {}
  const opened = new Promise<void>((resolve) => {
    open = resolve
  })
  return { opened, open: () => open() }
}

export function append(id: string, sessions: string, header = true, kind: 'json' | 'bytes' = 'json'): Append {
  const { action: _action, ...rest } = content(id, sessions, header, kind)
  return rest
}

export interface ManualClock extends Clock {
  advance(ms: number): Promise<void>
}

export function manualClock(): ManualClock {
  let now = 1_000
  const alarms = new Set<{ at: number; ring: () => void }>()
  return {
    now: () => now,
    random: () => 0.5,
    wait: (ms, signal) =>
      new Promise((resolve, reject) => {
        const alarm = { at: now + ms, ring: () => resolve() }
        alarms.add(alarm)
        signal?.addEventListener('abort', () => {
          alarms.delete(alarm)
          reject(signal.reason)
        })
      }),
    async advance(ms) {
      const end = now + ms
      for (;;) {
        const due = [...alarms].filter(({ at }) => at <= end).sort((a, b) => a.at - b.at)[0]
        if (due === undefined) break
        now = Math.max(now, due.at)
        alarms.delete(due)
        due.ring()
        await settled()
      }
      now = end
      await settled()
    },
  }
}

declare function setImmediate(callback: () => void): unknown

/** The next turn of the event loop. */
export const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

/** Lets everything that is under way without waiting come to rest. */
export async function settled(): Promise<void> {
  for (let turns = 0; turns < 50; turns++) await nextTurn()
}

/** Counts the calls that a storage gets, and lets a test replace some of them. */
export interface Spied {
  readonly storage: Storage
  /** What is replaced in `storage` still works here, uncounted. */
  readonly real: Storage
  readonly calls: Record<'knownStates' | 'headers' | 'read' | 'append' | 'erase', number>
  /** Ids of all pages read. */
  readonly pages: string[]
  replace: Partial<Storage>
}

export function spied(storage: Storage = memoryStorage()): Spied {
  const spy: Spied = {
    storage,
    real: storage,
    calls: { knownStates: 0, headers: 0, read: 0, append: 0, erase: 0 },
    pages: [],
    replace: {},
  }
  const counted = new Proxy(storage, {
    get(target, name: keyof Storage) {
      const method = target[name] as (...args: unknown[]) => unknown
      if (typeof method !== 'function') return method
      return (...args: unknown[]) => {
        if (name in spy.calls) spy.calls[name as 'read'] += 1
        if (name === 'read') spy.pages.push(args[0] as string)
        const replaced = spy.replace[name] as ((...args: unknown[]) => unknown) | undefined
        return replaced === undefined ? method.apply(target, args) : replaced(...args)
      }
    },
  })
  return {
    ...spy,
    storage: counted,
    get replace() {
      return spy.replace
    },
    set replace(replace) {
      spy.replace = replace
    },
  }
}

export interface Node {
  readonly name: string
  readonly runner: Runner
  readonly spy: Spied
  readonly reports: Report[]
  readonly steps: (Event | Effect)[]
}

/** A peer without an engine: a test says what it says, and reads what it is told. */
export interface Peer {
  readonly name: string
  readonly link: Link
  readonly heard: Message[]
  say(...messages: Message[]): void
  load(id: string, known?: KnownState): void
  full: boolean
  closed: { code: number; reason: string } | undefined
  readonly paused: boolean
}

export interface World {
  readonly clock: ManualClock
  readonly trace: string[]
  node(name: string, options?: Partial<RunOptions> & { holds?: readonly Append[] }): Promise<Node>
  /** Connects two nodes; for the first the second is an upstream if `upstream`. */
  connect(client: Node, server: Node, traits?: Traits): Connection
  peer(
    name: string,
    server: Node,
    traits?: Partial<Traits> & { local?: boolean; upstream?: boolean; account?: string; principal?: unknown },
  ): Peer
}

export interface Connection {
  readonly client: Link
  readonly server: Link
  close(): void
}

/** More messages than any test needs: two ends that answer each other for ever. */
const TRACE_MAX = 50_000

export function createWorld(): World {
  const clock = manualClock()
  const trace: string[] = []
  const log = (from: string, to: string, message: Message) => {
    if (trace.length >= TRACE_MAX) throw new Error(`message storm: ${trace.slice(-12).join(' | ')}`)
    trace.push(`${from} > ${to}  ${describe(message)}`)
  }

  return {
    clock,
    trace,
    async node(name, { holds = [], storage, ...options } = {}) {
      const spy = spied(storage)
      await spy.storage.open()
      if (holds.length > 0) await spy.storage.append(holds)
      for (const method of Object.keys(spy.calls) as 'read'[]) spy.calls[method] = 0
      spy.pages.length = 0
      const steps: (Event | Effect)[] = []
      const runner = await run({
        storage: spy.storage,
        peer: name,
        clock,
        observe: (step) => steps.push(step),
        ...options,
      })
      const reports: Report[] = []
      runner.listen((report) => reports.push(report))
      return { name, runner, spy, reports, steps }
    },
    connect(client, server, traits = OWN) {
      const links: { client?: Link; server?: Link } = {}
      let open = true
      const port = (from: Node, to: Node, end: 'client' | 'server', upstream: boolean): Port => ({
        traits: { ...traits, upstream, local: false },
        send(sent) {
          for (const { message } of sent) log(from.name, to.name, message)
          queueMicrotask(() => open && links[end]?.receive(sent.map(({ message }) => ({ message, bytes: 100 }))))
        },
        room: () => true,
        close() {},
        pause() {},
        resume() {},
      })
      links.server = server.runner.connect(port(server, client, 'client', false))
      links.client = client.runner.connect(port(client, server, 'server', true))
      return {
        client: links.client,
        server: links.server,
        close() {
          open = false
          links.client?.closed()
          links.server?.closed()
        },
      }
    },
    peer(name, server, { local = false, upstream = false, principal, ...traits } = {}) {
      const heard: Message[] = []
      const state = { full: false, paused: false, closed: undefined as { code: number; reason: string } | undefined }
      const link = server.runner.connect({
        traits: { ...OWN, ...traits, local, upstream },
        principal,
        send(sent) {
          for (const { message } of sent) {
            log(server.name, name, message)
            heard.push(message)
          }
        },
        room: () => !state.full,
        close(code, reason) {
          state.closed = { code, reason }
        },
        pause: () => {
          state.paused = true
        },
        resume: () => {
          state.paused = false
        },
      })
      const say = (...messages: Message[]) => {
        for (const message of messages) log(name, server.name, message)
        link.receive(messages.map((message) => ({ message, bytes: 100 })))
      }
      return {
        name,
        link,
        heard,
        say,
        load: (id, known = EMPTY) => say({ action: 'load', id, known }),
        get full() {
          return state.full
        },
        set full(full) {
          state.full = full
        },
        get closed() {
          return state.closed
        },
        get paused() {
          return state.paused
        },
      }
    },
  }
}

/** One line a message: `LOAD note header a:3`, `CONTENT note header a:0-3 seal`, `KNOWN! note =∅`. */
export function describe(message: Message): string {
  switch (message.action) {
    case 'load':
      return `LOAD ${message.id} ${describeState(message.known)}`
    case 'known':
      return `KNOWN${message.correction ? '!' : ''} ${message.id} ${describeState(message.known)}`
    case 'content': {
      const runs = message.runs.map(
        ({ session, after, transactions }) => `${session}:${after}-${after + transactions.length}`,
      )
      const until = message.expectUntil === undefined ? [] : [`until ${describeState(message.expectUntil)}`]
      return ['CONTENT', message.id, ...(message.header === undefined ? [] : ['header']), ...runs, ...until].join(' ')
    }
    case 'done':
      return `DONE ${message.id}`
    case 'error':
      return ['ERROR', message.id, message.code].filter(Boolean).join(' ')
    case 'reconcile':
      return `RECONCILE ${message.batch} ${message.values.map(([id]) => id).join(' ')}`
    case 'reconcile-ack':
      return `RECONCILE-ACK ${message.batch}`
    default:
      return message.action.toUpperCase()
  }
}

function describeState(known: KnownState): string {
  const sessions = [...known.sessions].map(([session, count]) => `${session}:${count}`)
  return known.header || sessions.length > 0 ? [...(known.header ? ['header'] : []), ...sessions].join(' ') : '∅'
}
