/**
 * Chance, from outside the engine: scripted peers that keep the protocol by themselves (and some that do not) talk to a core, and
 * to an edge whose upstream it is, over slow lines, slow and failing storages, slow hooks, tiny pages and windows, cut connections.
 *
 * Checked all the time: a node claims and acknowledges only what is stored, sends only what is stored, nothing forged reaches
 * anybody, nothing goes back to where it came from, nothing is sent twice on a connection unless it was asked for again.
 * Checked when all faults are over: everybody holds everything, nothing waits; and when all connections are closed, nothing is left.
 * A failing history prints how it runs again, alone: `TIDEMARK_SEED` is the first seed, `TIDEMARK_HISTORIES` how many follow.
 */
import { covers, EMPTY, type KnownState, knownState, union } from '@tidemark/known-state'
import { type ContentMessage, type Message, ProtocolError, type Run, type Traits } from '@tidemark/protocol'
import { memoryStorage, type Storage, StorageError } from '@tidemark/storage'
import { test } from 'vitest'
import type { Link } from '../src/run.ts'
import type { Hooks } from '../src/run-checks.ts'
import { bytes, createWorld, describe, JAZZ, type Node, nextTurn, OWN, settled, type World } from './world.ts'

declare const process: { readonly env: Record<string, string | undefined> }

const HISTORIES = Number(process.env.TIDEMARK_HISTORIES ?? 60)
const FIRST_SEED = Number(process.env.TIDEMARK_SEED ?? 1)
const STEPS = 60
const DOCUMENTS = ['d1', 'd2', 'group', 'list']

for (const shape of ['core', 'edge', 'hooks', 'liars', 'tombstones', 'kills', 'forgers'] as const)
  test(`${shape}: random histories keep the laws`, { timeout: 3_600_000 }, async () => {
    for (let seed = FIRST_SEED; seed < FIRST_SEED + HISTORIES; seed++)
      await history(seed, shape).catch((cause) => {
        throw new Error(`TIDEMARK_SEED=${seed} TIDEMARK_HISTORIES=1: ${cause.message}`, { cause })
      })
  })

type Shape = 'core' | 'edge' | 'hooks' | 'liars' | 'tombstones' | 'kills' | 'forgers'

async function history(seed: number, shape: Shape): Promise<void> {
  const random = generator(seed)
  const world = createWorld()
  const faults = { on: true }
  const limits = {
    pageBytes: random() < 0.5 ? 40 : 64 * 1024,
    loadsInFlightMax: random() < 0.5 ? 1 : 1_000,
    holdingsIdleMax: random() < 0.5 ? 1 : 1_000,
    recentBytesMax: random() < 0.5 ? 4_000 : 32 * 1024 * 1024,
    pendingBytesMax: random() < 0.2 ? 1_000 : 8 * 1024 * 1024,
    // Liars name many documents.
    ...(shape === 'liars' && random() < 0.5 && { subscriptionsMax: 12 }),
  }
  const hooks =
    shape === 'hooks' || shape === 'forgers' || shape === 'tombstones' ? slowHooks(random, faults, shape) : {}
  const storage = (real?: Storage) =>
    unreliable(
      random,
      faults,
      shape === 'tombstones' ? 0 : shape === 'forgers' ? 0.3 : 0.1,
      real ?? memoryStorage({ pageBytes: limits.pageBytes }),
    )
  const start = (name: string, real?: Storage) =>
    world.node(name, { storage: storage(real), limits, hooks, random, upstreamExpected: name === 'edge' })
  const nodes = [await start('core')]
  if (shape === 'edge' || (shape === 'kills' && random() < 0.5)) nodes.push(await start('edge'))
  const history: History = {
    world,
    random,
    seed,
    shape,
    nodes,
    trouble: [],
    log: [],
    erased: new Set(),
    hooked: Object.keys(hooks).length > 0,
    wiped: false,
  }
  const clients = ['c1', 'c2', 'c3'].map((name, index) =>
    createClient(history, name, index % nodes.length, pick(random, [OWN, { ...JAZZ, kinds: ['json', 'bytes'] }])),
  )
  let trunk: Trunk | undefined
  const trunkTraits = pick(random, [OWN, { ...JAZZ, kinds: ['json', 'bytes'] as const }])
  const reconnectTrunk = () => {
    trunk?.close()
    const [core, edge] = nodes
    if (core !== undefined && edge !== undefined) {
      trunk = connectTrunk(history, edge, core, trunkTraits)
      if (random() < 0.5 || !faults.on) trunk.client.ask(DOCUMENTS)
    }
  }
  if (random() < 0.7) reconnectTrunk()
  /** A node is no more, at this instant; another starts on what it stored, or on nothing. */
  const kill = async () => {
    const at = Math.floor(random() * nodes.length)
    const dead = nodes[at] as Node
    const wiped = random() < 0.3
    for (const client of clients) client.cut(at)
    history.log.push(`--- ${dead.name} is killed${wiped ? ' and wiped' : ''}`)
    trunk?.close()
    trunk = undefined
    KILL.get(dead.spy.real)?.()
    nodes[at] = await start(dead.name, wiped ? undefined : REAL.get(dead.spy.real))
    if (wiped) history.wiped = true
  }
  for (let step = 0; step < STEPS; step++) {
    const client = pick(random, clients)
    const choice = random()
    if (choice < 0.35) client.write(pick(random, DOCUMENTS))
    else if (choice < 0.5) client.open(pick(random, DOCUMENTS))
    else if (choice < 0.55) client.done(pick(random, DOCUMENTS))
    else if (choice < 0.65) client.connect()
    else if (choice < 0.7) client.disconnect()
    else if (choice < 0.75) client.slow(random() < 0.5)
    else if (choice < 0.8) client.interrupt(pick(random, DOCUMENTS))
    else if (choice < 0.82) client.lose()
    else if (choice < 0.84) reconnectTrunk()
    else if (choice < 0.86) trunk?.close()
    else if (choice < 0.9 && shape === 'kills') await kill()
    else if (choice < 0.92 && shape === 'forgers') client.forge(pick(random, DOCUMENTS))
    else if (choice < 0.92 && shape === 'liars') client.lie(pick(random, DOCUMENTS))
    else if (choice < 0.94 && shape === 'tombstones') client.erase(pick(random, ['d1', 'd2']))
    else await world.clock.advance(random() * (random() < 0.2 ? 20_000 : 500))
    if (random() < 0.15) {
      await rest(world, clients, trunk)
      if (nodes.every((node) => node.runner.sizes().parked + node.runner.sizes().queued === 0))
        for (const one of clients) one.sure()
    }
    for (let turns = random() * 6; turns > 0; turns--) {
      for (const one of clients) one.pass()
      trunk?.pass()
      await nextTurn()
    }
  }
  faults.on = false
  if (random() < 0.7) {
    // What is connected gets there by itself: nobody connects anew or asks again.
    for (const client of clients) client.slow(false)
    await rest(world, clients, trunk)
    await world.clock.advance(700_000)
    await rest(world, clients, trunk)
    for (const client of clients) for (const id of DOCUMENTS) client.resume(id)
    await rest(world, clients, trunk)
    await world.clock.advance(700_000)
    await rest(world, clients, trunk)
    // Where little may wait at a time, each document has its turn when the one before it was answered.
    for (const _ of [...DOCUMENTS, ...DOCUMENTS]) {
      await world.clock.advance(20_000)
      await rest(world, clients, trunk)
    }
    for (const client of clients) client.checkInStep(trunk?.isOpen() ? nodes : [])
  }
  // Everything heals: all connect anew and say what they hold, twice, since the first may meet what failed before.
  for (let round = 0; round < 2; round++) {
    reconnectTrunk()
    for (const client of clients) {
      client.slow(false)
      client.connect()
      for (const id of DOCUMENTS) client.open(id)
    }
    await rest(world, clients, trunk)
    await world.clock.advance(400_000)
    await rest(world, clients, trunk)
  }
  if (history.trouble.length > 0) fail(history, history.trouble.slice(0, 3).join('\n'))
  await checkConverged(history, clients)
  for (const node of nodes) {
    const { parked, queued, checks } = node.runner.sizes()
    if (parked + queued + checks > 0) fail(history, `${node.name} rests with ${JSON.stringify(node.runner.sizes())}`)
  }
  for (const client of clients) client.disconnect()
  trunk?.close()
  await settled()
  await world.clock.advance(400_000)
  for (const node of nodes) {
    const sizes = node.runner.sizes()
    const { connections, documents, subscriptions, holdings, idle, parked, queued, checks, recentBytes } = sizes
    if (connections + documents + subscriptions + (holdings - idle) + parked + queued + checks > 0)
      fail(history, `${node.name} keeps ${JSON.stringify(sizes)}`)
    if (idle > limits.holdingsIdleMax || recentBytes > limits.recentBytesMax)
      fail(history, `${node.name} keeps too much: ${JSON.stringify(sizes)}`)
  }
  if (history.log.length > 6_000) fail(history, `${history.log.length} messages`)
}

interface History {
  readonly world: World
  readonly random: () => number
  readonly seed: number
  readonly shape: Shape
  readonly nodes: Node[]
  readonly trouble: string[]
  readonly log: string[]
  readonly erased: Set<string>
  readonly hooked: boolean
  wiped: boolean
}

function fail(history: History, message: string): never {
  const tail = HISTORIES > 1 ? '' : `\n${history.log.join('\n')}\n`
  throw new Error(`${tail}${message}`)
}

async function rest(world: World, clients: readonly Client[], trunk: Trunk | undefined): Promise<void> {
  for (let quiet = 0; quiet < 3; quiet++) {
    await settled()
    for (const client of clients) if (client.passAll()) quiet = -1
    if (trunk?.passAll()) quiet = -1
  }
  await world.clock.advance(0)
}

async function checkConverged(history: History, clients: readonly Client[]): Promise<void> {
  for (const id of DOCUMENTS) {
    const stored = history.nodes.map((node) => stateOf(node, id))
    if (history.erased.has(id)) continue
    const all = [...stored.map((one) => withoutEvil(one.known)), ...clients.map((client) => client.holds(id))].reduce(
      union,
    )
    for (const [index, one] of stored.entries())
      if (!covers(one.known, all))
        fail(history, `${history.nodes[index]?.name} lacks of ${id}: ${show(one.known)} of ${show(all)}`)
    for (const client of clients)
      if (!covers(client.holds(id), all))
        fail(history, `${client.name} lacks of ${id}: ${show(client.holds(id))} of ${show(all)}`)
  }
}

function stateOf(node: Node, id: string): { known: KnownState; erased: boolean } {
  const storage = REAL.get(node.spy.real) ?? node.spy.real
  const [stored] = storage.knownStates([id]) as readonly ({ known: KnownState; erased: unknown } | undefined)[]
  return { known: stored?.known ?? EMPTY, erased: stored?.erased !== undefined }
}

const show = (known: KnownState) =>
  `${known.header ? 'header' : '∅'} ${[...known.sessions].map(([s, n]) => `${s}:${n}`).join(' ')}`

/** The line between edge and core: messages take their time, in order, either way. */
interface Trunk {
  readonly client: Link
  pass(): void
  passAll(): boolean
  close(): void
  isOpen(): boolean
}

function connectTrunk(history: History, edge: Node, core: Node, traits: Traits): Trunk {
  const { random, log } = history
  const queues: Record<'up' | 'down', Message[]> = { up: [], down: [] }
  const links: { up?: Link; down?: Link } = {}
  let open = true
  const end = (from: Node, to: Node, way: 'up' | 'down') =>
    from.runner.connect({
      traits: { ...traits, upstream: way === 'up', local: false },
      send(sent) {
        if (!open) return
        for (const { message } of sent) {
          log.push(`${from.name} > ${to.name}  ${describe(message)}`)
          queues[way].push(message)
        }
      },
      room: () => true,
      close() {},
      pause() {},
      resume() {},
    })
  const deliver = (way: 'up' | 'down') => {
    const message = queues[way].shift()
    if (message === undefined || !open) return
    links[way === 'up' ? 'down' : 'up']?.receive([{ message, bytes: 100 }])
  }
  links.down = end(core, edge, 'down')
  links.up = end(edge, core, 'up')
  const slow = random() < 0.7
  return {
    client: links.up,
    isOpen: () => open,
    pass() {
      for (const way of ['up', 'down'] as const)
        while (open && queues[way].length > 0 && (!slow || random() < 0.6)) deliver(way)
    },
    passAll() {
      const any = open && queues.up.length + queues.down.length > 0
      for (const way of ['up', 'down'] as const) while (open && queues[way].length > 0) deliver(way)
      return any
    },
    close() {
      if (!open) return
      open = false
      links.up?.closed()
      links.down?.closed()
    },
  }
}

interface Client {
  readonly name: string
  holds(id: string): KnownState
  connect(): void
  disconnect(): void
  /** Its node is no more. */
  cut(at: number): void
  open(id: string): void
  write(id: string): void
  done(id: string): void
  slow(slow: boolean): void
  /** Says a LOAD or a correction out of turn. */
  interrupt(id: string): void
  /** Says something that is not true, or not allowed. */
  lie(id: string): void
  /** Sends transactions in somebody's name. */
  forge(id: string): void
  erase(id: string): void
  /** Lets some messages pass, either way. */
  pass(): void
  passAll(): boolean
  /** A piece of ours is lost on the way to the line: a gap. */
  lose(): void
  /** Writes on where it is connected, so that a gap shows. */
  resume(id: string): void
  /** What it is subscribed to it has, and the server has what it has. */
  checkInStep(connected: readonly Node[]): void
  /** Nothing is under way: what was said is known. */
  sure(): void
}

interface Doc {
  known: KnownState
  /** The announced end of a stream, which a client of the Jazz dialect claims to hold. */
  target: KnownState
  /** What the server is believed to hold; `undefined` before it was asked or told on this connection. */
  server: KnownState | undefined
}

/** What was said on one connection about one document, as the server may know it. */
interface Ledger {
  /** What it was sent or told us: nothing of it is to be sent again. */
  has: KnownState
  /** It was stored when it was asked for, by somebody who claimed nothing. */
  asked: boolean
  /** The same, and all content that we sent, also what still waits for an answer of the application. */
  most: KnownState
  /** What was said that lowers a belief and may not have been handled yet: until the next rest nothing is counted as sent twice. */
  unsure: boolean
}

function createClient(history: History, name: string, at: number, traits: Traits): Client {
  const nodeHere = () => history.nodes[at] as Node
  const { random, log } = history
  const docs = new Map<string, Doc>()
  const erased = new Set<string>()
  let line: Line | undefined

  interface Line {
    readonly link: ReturnType<Node['runner']['connect']>
    readonly ledgers: Map<string, Ledger>
    readonly subscribed: Set<string>
    readonly inbox: Message[]
    readonly outbox: Message[]
    full: boolean
    paused: boolean
    open: boolean
    killed: boolean
    lied: boolean
  }

  const doc = (id: string): Doc => {
    const known = docs.get(id)
    if (known !== undefined) return known
    const made: Doc = { known: EMPTY, target: EMPTY, server: undefined }
    docs.set(id, made)
    return made
  }

  function trouble(text: string): void {
    history.trouble.push(`${name}: ${text}`)
    log.push(`!!! ${name}: ${text}`)
  }

  function connect(): void {
    disconnect()
    for (const one of docs.values()) one.server = undefined
    const made: Line = {
      ledgers: new Map(),
      subscribed: new Set(),
      inbox: [],
      outbox: [],
      full: false,
      paused: false,
      open: true,
      killed: false,
      lied: false,
      link: undefined as never,
    }
    const node = nodeHere()
    const link = node.runner.connect({
      traits: { ...traits, upstream: false, local: false },
      send(sent) {
        if (made.killed) return
        if (!made.open) trouble('something was sent to a closed connection')
        for (const { message } of sent) {
          log.push(`${node.name} > ${name}  ${describe(message)}`)
          if (log.length > 12_000) throw new Error('message storm')
          inspect(made, message)
          made.inbox.push(message)
        }
      },
      room: () => !made.full,
      close() {},
      pause: () => {
        made.paused = true
      },
      resume: () => {
        made.paused = false
      },
    })
    line = Object.assign(made, { link })
    for (const [id, one] of docs) if (random() < 0.8 && (one.known.header || random() < 0.5)) open(id)
  }

  function disconnect(): void {
    if (line === undefined) return
    log.push(`--- ${name} closed`)
    line.open = false
    line.link.closed()
    line = undefined
  }

  function say(message: Message): void {
    if (message.action === 'load' || message.action === 'content') line?.subscribed.add(message.id)
    if (message.action === 'done') line?.subscribed.delete(message.id)
    line?.outbox.push(message)
  }

  /** While a stream is to come, or was cut: its announced end, of what others wrote. */
  const claimOf = (one: Doc): KnownState =>
    traits.claimsStreams && one.known.header ? union(one.known, one.target) : one.known

  function open(id: string): void {
    if (line === undefined) return
    const one = doc(id)
    say({ action: 'load', id, known: claimOf(one) })
    one.server ??= EMPTY
  }

  function write(id: string): void {
    const one = doc(id)
    if (erased.has(id)) return
    const count = one.known.sessions.get(name) ?? 0
    one.known = union(one.known, knownState(true, [[name, count + 1 + Math.floor(random() * 4)]]))
    push(id)
  }

  /** Sends what the server is not believed to have. */
  function push(id: string): void {
    const one = doc(id)
    if (line === undefined || !one.known.header) return
    one.server ??= EMPTY
    let first = true
    for (const [session, until] of one.known.sessions) {
      let after = one.server.sessions.get(session) ?? 0
      while (after < until) {
        const end = random() < 0.5 ? until : Math.min(until, after + 2)
        const header: boolean = first && !one.server.header
        say(piece(id, session, after, end, header))
        one.server = union(one.server, { header: one.server.header || header, sessions: new Map([[session, end]]) })
        first = false
        after = end
      }
    }
    if (first && !one.server.header) {
      say({ action: 'content', id, kind: 'json', priority: 3, runs: [], header: headerOf(id) })
      one.server = union(one.server, { header: true, sessions: new Map() })
    }
  }

  /** What the server says is true, and new. */
  function inspect(made: Line, message: Message): void {
    if (!('id' in message) || message.id === undefined) return
    const { id } = message
    const ledger = ledgerOf(made, id)
    const node = nodeHere()
    const stored = stateOf(node, id)
    if (message.action === 'known' || message.action === 'load')
      if (!stored.erased && !covers(stored.known, message.known))
        trouble(`${describe(message)} claims more than is stored: ${show(stored.known)}`)
    // An upstream that said otherwise a moment ago is believed until it says more.
    const denied = message.action === 'known' && !message.known.header && !message.correction
    if (denied && ledger.asked && traits.errors && history.nodes.length === 1)
      trouble(`${describe(message)}, but it is there`)
    if (message.action !== 'content') return
    if (message.header !== undefined && !same(message.header, headerOf(id))) trouble(`a forged header of ${id}`)
    for (const run of message.runs) {
      const end = run.after + run.transactions.length
      if (!stored.erased && end > (stored.known.sessions.get(run.session) ?? 0))
        trouble(`${describe(message)} is not stored`)
      for (const [index, transaction] of run.transactions.entries())
        if (!same(transaction, transactionOf(run.session, run.after + index)) && history.shape !== 'liars')
          trouble(`forged transactions in ${describe(message)}`)
      const had = ledger.has.sessions.get(run.session) ?? 0
      if (run.transactions.length > 0 && run.after < had && !ledger.unsure && !made.lied)
        trouble(`${describe(message)} was sent before, or came from here: ${run.session}:${had}`)
      if (
        run.after > (ledger.most.sessions.get(run.session) ?? 0) &&
        !ledger.unsure &&
        !made.lied &&
        run.transactions.length > 0
      )
        trouble(`${describe(message)} leaves a gap after ${run.session}:${had}`)
    }
    // Empty runs are probes.
    const sent = { ...message, runs: message.runs.filter((run) => run.transactions.length > 0) }
    ledger.has = union(ledger.has, endOf(sent))
    ledger.most = union(ledger.most, ledger.has)
  }

  function ledgerOf(made: Line, id: string): Ledger {
    const known = made.ledgers.get(id)
    if (known !== undefined) return known
    const ledger: Ledger = { has: EMPTY, asked: false, most: EMPTY, unsure: false }
    made.ledgers.set(id, ledger)
    return ledger
  }

  /** One message of ours arrives at the server. */
  function deliver(made: Line, message: Message): void {
    log.push(`${name} > ${nodeHere().name}  ${describe(message)}`)
    if ('id' in message && message.id !== undefined) {
      const ledger = ledgerOf(made, message.id)
      const replaces = message.action === 'load' || (message.action === 'known' && message.correction)
      if (message.action === 'load')
        ledger.asked =
          !message.known.header &&
          message.known.sessions.size === 0 &&
          stateOf(history.nodes[0] as Node, message.id).known.header
      if (replaces || message.action === 'done') {
        ledger.unsure = true
        ledger.has = EMPTY
      }
      // Of a client of streams it may be their announced end. What a KNOWN says may wait for the storage.
      if (message.action === 'load')
        ledger.has = union(
          ledger.has,
          traits.claimsStreams ? lower(message.known, doc(message.id).known) : message.known,
        )
      if (message.action === 'known' || message.action === 'load') ledger.most = union(ledger.most, message.known)
      if (message.action === 'content') ledger.most = union(ledger.most, endOf(message))
      // What leaves a gap is dropped.
      const counts =
        message.action === 'content' &&
        message.runs.every(({ session, after }) => after <= (ledger.has.sessions.get(session) ?? 0))
      // With hooks it may wait for their answers, and others are quicker.
      if (message.action === 'content' && counts && !history.hooked) ledger.has = union(ledger.has, endOf(message))
      ledger.most = union(ledger.most, ledger.has)
    }
    made.link.receive([{ message, bytes: 100 }])
  }

  /** One message of the server arrives here. */
  function hear(message: Message): void {
    if (line === undefined || !('id' in message) || message.id === undefined) return
    const { id } = message
    const one = doc(id)
    switch (message.action) {
      // Told that it failed, who asked would ask again.
      case 'error':
        line.subscribed.delete(id)
        return
      case 'load':
        one.server = message.known
        if (covers(one.server, one.known)) say({ action: 'known', id, known: claimOf(one), correction: false })
        else push(id)
        return
      case 'known':
        one.server = message.correction ? message.known : union(one.server ?? EMPTY, message.known)
        if (message.correction || one.known.header) push(id)
        return
      case 'content':
        return take(message, one)
    }
  }

  function take(message: ContentMessage, one: Doc): void {
    const { id } = message
    if (erased.has(id) && !message.runs.some((run) => run.session.endsWith('$'))) return
    one.server = union(one.server ?? EMPTY, endOf(message))
    if (message.header === undefined && !one.known.header) {
      say({ action: 'known', id, known: EMPTY, correction: true })
      return
    }
    let gap = false
    let known = union(one.known, { header: true, sessions: new Map() })
    for (const run of message.runs) {
      if (run.session.endsWith('$')) erased.add(id)
      if (run.after > (known.sessions.get(run.session) ?? 0)) gap = true
      else known = union(known, knownState(true, [[run.session, run.after + run.transactions.length]]))
    }
    one.known = known
    if (message.expectUntil !== undefined) one.target = union(one.target, message.expectUntil)
    say({ action: 'known', id, known, correction: gap })
    push(id)
  }

  function pass(): void {
    const made = line
    if (made === undefined) return
    while (made.open && made.outbox.length > 0 && !made.paused && random() < 0.6)
      deliver(made, made.outbox.shift() as Message)
    while (made.open && made.inbox.length > 0 && random() < 0.6) hear(made.inbox.shift() as Message)
  }

  function lie(id: string): void {
    if (line === undefined) return
    const tell = (message: Message) => line?.outbox.push(message)
    const after = Math.floor(random() * 4)
    const session = pick(random, ['c1', 'c2', 'c3', 'x'])
    const count = Math.floor(random() * 3)
    const run: Run = {
      session: 'evil',
      after,
      transactions: Array.from({ length: count }, (_, index) =>
        bytes(`{"${name}":${random() < 0.5 ? index : random()}}`),
      ),
      seal: bytes(`evil ${after + count}`),
    }
    const choice = random()
    if (choice < 0.2)
      tell({
        action: 'content',
        id,
        kind: 'json',
        priority: 3,
        runs: [run],
        ...(random() < 0.3 && { header: headerOf(id) }),
      })
    else if (choice < 0.35)
      tell({
        action: 'load',
        id: `${id}-${session}`,
        known: knownState(true, [[session, 1 + Math.floor(random() * 30)]]),
      })
    else if (choice < 0.5)
      tell({ action: 'load', id, known: knownState(random() < 0.7, [['evil', Math.floor(random() * 9)]]) })
    else if (choice < 0.6)
      tell({
        action: 'known',
        id,
        known: knownState(random() < 0.5, [['evil', Math.floor(random() * 9)]]),
        correction: random() < 0.5,
      })
    else if (choice < 0.7)
      tell({
        action: 'reconcile',
        batch: `b${Math.floor(random() * 3)}`,
        values: [
          [id, 'x'],
          [`${id}-none`, 'y'],
          [id, 'z'],
        ],
      })
    else if (choice < 0.8)
      tell({ action: 'content', id, kind: 'json', priority: 3, runs: [{ session: 'evil', after, transactions: [] }] })
    else if (choice < 0.85) tell({ action: 'error', id, code: 'failed', message: 'no' })
    else if (choice < 0.9)
      tell({
        action: 'content',
        id: `${id}-raw`,
        kind: pick(random, ['bytes', 'json']),
        priority: 0,
        runs: [run],
        header: headerOf(`${id}-raw`),
      })
    else if (choice < 0.95)
      tell({
        action: 'content',
        id: `${id}-${session}`,
        kind: 'json',
        priority: 6,
        runs: [{ ...run, after: 0 }],
        header: headerOf(`${id}-${session}`),
      })
    else tell({ action: 'load', id, known: EMPTY, probe: true })
    if (random() < 0.1)
      line.link.receive([new ProtocolError('malformed', { field: 'x', expected: 'y', got: 'z' } as never)])
    line.lied = true
  }

  return {
    name,
    holds: (id) => withoutEvil(doc(id).known),
    connect,
    disconnect,
    cut(killed) {
      if (killed !== at || line === undefined) return
      line.killed = true
      line.open = false
      line = undefined
    },
    open,
    write,
    slow(slow) {
      if (line === undefined) return
      const was = line.full
      line.full = slow
      if (was && !slow) line.link.drained()
    },
    done(id) {
      if (line !== undefined && traits.done) say({ action: 'done', id })
    },
    interrupt(id) {
      if (line === undefined) return
      const one = doc(id)
      if (random() < 0.5) open(id)
      else if (one.known.header) say({ action: 'known', id, known: one.known, correction: true })
      else say({ action: 'known', id, known: one.known, correction: false })
    },
    lie,
    forge(id) {
      if (line === undefined) return
      const session = pick(random, ['c1', 'c2', 'c3'])
      const after = Math.floor(random() * 6)
      const transactions = Array.from({ length: 1 + Math.floor(random() * 4) }, (_, index) =>
        random() < 0.5 ? transactionOf(session, after + index) : bytes(`{"forged":${random()}}`),
      )
      const seal = bytes(`forged ${session}`)
      const header = random() < 0.5 && { header: headerOf(id) }
      const runs = [{ session, after, transactions, seal }]
      line.outbox.push({ action: 'content', id, kind: 'json', priority: 3, runs, ...header })
      line.lied = true
    },
    erase(id) {
      const one = doc(id)
      if (line === undefined || !one.known.header) return
      erased.add(id)
      history.erased.add(id)
      say({
        action: 'content',
        id,
        kind: 'json',
        priority: 3,
        runs: [{ session: `${name}$`, after: 0, transactions: [transactionOf(`${name}$`, 0)], seal: bytes('gone') }],
      })
    },
    lose() {
      const index = line?.outbox.findIndex(
        (message) => message.action === 'content' && message.header === undefined && message.runs[0]?.session === name,
      )
      if (index === undefined || index === -1) return
      const [lost] = line?.outbox.splice(index, 1) ?? []
      if (lost !== undefined) log.push(`${name} loses ${describe(lost)}`)
    },
    resume(id) {
      if (line?.subscribed.has(id) && doc(id).known.header) this.write(id)
    },
    checkInStep(connected) {
      if (line === undefined || line.lied) return
      const node = nodeHere()
      for (const id of line.subscribed) {
        if (history.erased.has(id) || !DOCUMENTS.includes(id)) continue
        const everywhere = at === 0 ? [node] : [node, ...connected]
        const stored = { known: everywhere.map((one) => stateOf(one, id).known).reduce(union) }
        const held = this.holds(id)
        for (const one of everywhere)
          if (!covers(stateOf(one, id).known, held))
            trouble(`in the end ${one.name} lacks of ${id}: ${show(stateOf(one, id).known)} of ${show(held)}`)
        if (!covers(stored.known, held))
          trouble(`in the end ${node.name} lacks of ${id}: ${show(stored.known)} of ${show(held)}`)
        if (!covers(held, withoutEvil(stored.known)))
          trouble(`in the end lacks of ${id}: ${show(held)} of ${show(stored.known)}`)
      }
    },
    sure() {
      if (line === undefined || line.full || line.paused || line.lied) return
      for (const ledger of line.ledgers.values()) ledger.unsure = false
    },
    pass,
    passAll() {
      let any = false
      const made = line
      if (made === undefined) return false
      while (made.open && made.outbox.length > 0 && !made.paused) {
        any = true
        deliver(made, made.outbox.shift() as Message)
      }
      while (made.open && made.inbox.length > 0) {
        any = true
        hear(made.inbox.shift() as Message)
      }
      return any
    },
  }
}

const withoutEvil = (known: KnownState): KnownState => ({
  header: known.header,
  sessions: new Map([...known.sessions].filter(([session]) => session !== 'evil')),
})

const lower = (a: KnownState, b: KnownState): KnownState =>
  knownState(
    a.header && b.header,
    [...a.sessions].map(([session, count]) => [session, Math.min(count, b.sessions.get(session) ?? 0)] as const),
  )
const headerOf = (id: string) => bytes(`{"id":"${id}"}`)
const transactionOf = (session: string, index: number) => bytes(`{"${session}":${index}}`)
const same = (a: Uint8Array, b: Uint8Array) => a.length === b.length && a.every((byte, index) => byte === b[index])

function piece(id: string, session: string, after: number, until: number, header: boolean): ContentMessage {
  const transactions = Array.from({ length: until - after }, (_, index) => transactionOf(session, after + index))
  const runs = [{ session, after, transactions, seal: bytes(`seal ${session} ${until}`) }]
  return { action: 'content', id, kind: 'json', priority: 3, runs, ...(header && { header: headerOf(id) }) }
}

function endOf(message: ContentMessage): KnownState {
  return knownState(
    message.header !== undefined,
    message.runs.map((run) => [run.session, run.after + run.transactions.length] as const),
  )
}

/** Hooks that answer when they like. */
function slowHooks(random: () => number, faults: { readonly on: boolean }, shape: Shape): Hooks {
  const late = async <T>(value: T): Promise<T> => {
    for (let turns = Math.floor(random() * 4); turns > 0; turns--) await nextTurn()
    return value
  }
  const maybe = <T>(value: T): T | Promise<T> => (random() < 0.3 ? value : late(value))
  const names: Record<string, string[]> = { list: ['group'], group: ['list', 'd1'], d2: ['nowhere'] }
  const hooks: Hooks = {
    authorize: () => maybe(true),
    dependenciesOf: (header) => {
      if (faults.on && random() < 0.05) throw new Error('no idea')
      const id = header === undefined ? '' : (JSON.parse(new TextDecoder().decode(header)) as { id: string }).id
      return maybe(names[id] ?? [])
    },
    verify: (content, states) => {
      const accepted = new Map<string, number>()
      const next = new Map<string, Uint8Array>()
      for (const run of content.runs) {
        const before = states.get(run.session)
        // The state left behind is the count: what is offered continues it.
        const count = before === undefined ? 0 : Number(new TextDecoder().decode(before))
        if (count !== run.after) throw new Error(`${run.session}: verified up to ${count}, offered from ${run.after}`)
        const genuine = run.transactions.every((one, index) => same(one, transactionOf(run.session, run.after + index)))
        accepted.set(run.session, genuine ? run.transactions.length : 0)
        if (!genuine) continue
        next.set(run.session, bytes(String(run.after + run.transactions.length)))
      }
      return maybe({ accepted, states: next })
    },
  }
  return shape === 'tombstones' ? { isTombstone: (session: string) => maybe(session.endsWith('$')) } : hooks
}

/** What an unreliable storage really holds. */
const REAL = new WeakMap<Storage, Storage>()
/** Its process is killed: nothing more happens. */
const KILL = new WeakMap<Storage, () => void>()
const never = new Promise<never>(() => {})

/** A storage that answers when it likes, in any order, and fails now and then: before or after it did what it was asked. */
function unreliable(random: () => number, faults: { readonly on: boolean }, rate: number, real: Storage): Storage {
  let dead = false
  const slow = random() < 0.8
  const late = async <T>(call: () => T): Promise<T> => {
    for (let turns = Math.floor(random() * 5); turns > 0; turns--) await nextTurn()
    if (dead) return never
    if (faults.on && random() < rate) throw new StorageError('IO', 'before')
    const value = call()
    for (let turns = Math.floor(random() * 5); turns > 0; turns--) await nextTurn()
    if (dead) return never
    if (faults.on && random() < rate) throw new StorageError('IO', 'after')
    return value
  }
  let queue: Promise<unknown> = Promise.resolve()
  const proxy = new Proxy(real as Storage, {
    get(target, name: keyof Storage) {
      const method = (target[name] as (...args: unknown[]) => unknown).bind(target)
      if (dead) return () => never
      if (!slow) return method
      if (name === 'append' || name === 'erase')
        return (...args: unknown[]) => {
          const next = queue.then(() => late(() => method(...args)))
          queue = next.catch(() => {})
          return next
        }
      if (name === 'knownStates' || name === 'read' || name === 'verifierStates')
        return (...args: unknown[]) => late(() => method(...args))
      return method
    },
  })
  REAL.set(proxy, real)
  KILL.set(proxy, () => {
    dead = true
  })
  return proxy
}

function pick<T>(random: () => number, list: readonly T[]): T {
  return list[Math.floor(random() * list.length)] as T
}

/** Mulberry32. */
function generator(seed: number): () => number {
  let state = (seed * 0x9e3779b1) >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}
