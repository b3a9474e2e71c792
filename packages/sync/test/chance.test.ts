/**
 * Chance: random histories of clients, one server, slow and failing storages and cut connections; then everything heals.
 *
 * Checked: all nodes end with the union of what was written; what was acknowledged is stored; who is subscribed is sent each
 * transaction once per connection and in order, unless it asked again or its connection was answered with a failure.
 * A failing history prints how it runs again, alone: `TIDEMARK_SEED` is the first seed, `TIDEMARK_HISTORIES` how many follow.
 */
import { EMPTY, type KnownState, knownState, union } from '@tidemark/known-state'
import { memoryStorage, type Storage, StorageError } from '@tidemark/storage'
import { expect, test } from 'vitest'
import {
  type Connection,
  content,
  createWorld,
  JAZZ,
  type Node,
  nextTurn,
  OWN,
  type Peer,
  settled,
  type World,
} from './world.ts'

declare const process: { readonly env: Record<string, string | undefined> }

const HISTORIES = Number(process.env.TIDEMARK_HISTORIES ?? 150)
const FIRST_SEED = Number(process.env.TIDEMARK_SEED ?? 1)

for (const traits of ['own', 'jazz'] as const)
  test(`${traits} dialect: random histories converge once everything heals`, { timeout: 120_000 }, async () => {
    for (let seed = FIRST_SEED; seed < FIRST_SEED + HISTORIES; seed++)
      await history(seed, traits).catch((cause) => {
        throw new Error(`TIDEMARK_SEED=${seed} TIDEMARK_HISTORIES=1: ${cause.message}`, { cause })
      })
  })

async function history(seed: number, dialect: 'own' | 'jazz'): Promise<void> {
  const random = generator(seed)
  const world = createWorld()
  const faults = { on: true }
  const server = await world.node('server', { storage: unreliable(random, faults, false) })
  const clients = await Promise.all(['c1', 'c2', 'c3'].map((name) => createClient(world, name, random, faults)))
  for (let step = 0; step < 40; step++) {
    const client = pick(random, clients)
    const choice = random()
    if (choice < 0.5) write(random, client)
    else if (choice < 0.6) client.user.load(pick(random, DOCUMENTS))
    else if (choice < 0.8) reconnect(world, client, server, dialect)
    else if (choice < 0.85) client.connection?.close()
    else await world.clock.advance(random() * 2_000)
    for (let turns = random() * 4; turns > 0; turns--) await nextTurn()
  }
  faults.on = false
  for (const client of clients) reconnect(world, client, server, dialect)
  await world.clock.advance(700_000)
  for (const client of clients) reconnect(world, client, server, dialect)
  await settled()
  await world.clock.advance(60_000)
  await check(world, clients, server)
}

const DOCUMENTS = ['d1', 'd2']

interface Client {
  readonly name: string
  readonly node: Node
  readonly user: Peer
  /** What the user wrote and was told to be durable, by document. */
  readonly durable: Map<string, KnownState>
  readonly written: Map<string, number>
  connection: Connection | undefined
}

async function createClient(
  world: World,
  name: string,
  random: () => number,
  faults: { on: boolean },
): Promise<Client> {
  const node = await world.node(name, { storage: unreliable(random, faults, true), upstreamExpected: true })
  const user = world.peer(`${name}-user`, node, { local: true })
  return { name, node, user, durable: new Map(), written: new Map(), connection: undefined }
}

/** A user writes on from what is durable of its own session, as an application that awaits its appends does. */
function write(random: () => number, client: Client): void {
  const id = pick(random, DOCUMENTS)
  const session = client.name
  const after = lastAcknowledged(client, id)
  if ((client.written.get(id) ?? 0) > after && random() < 0.5) return
  const until = after + 1 + Math.floor(random() * 3)
  client.written.set(id, Math.max(until, client.written.get(id) ?? 0))
  client.user.say(content(id, `${session}:${after}-${until}`, true))
}

function lastAcknowledged(client: Client, id: string): number {
  let count = 0
  for (const message of client.user.heard)
    if (message.action === 'known' && message.id === id)
      count = Math.max(count, message.known.sessions.get(client.name) ?? 0)
  return count
}

function reconnect(world: World, client: Client, server: Node, dialect: 'own' | 'jazz'): void {
  client.connection?.close()
  client.connection = world.connect(
    client.node,
    server,
    dialect === 'own' ? OWN : { ...JAZZ, kinds: ['json', 'bytes'] },
  )
  client.connection.client.ask(DOCUMENTS)
}

async function check(world: World, clients: readonly Client[], server: Node): Promise<void> {
  const nodes = [server, ...clients.map(({ node }) => node)]
  for (const id of DOCUMENTS) {
    const states = await Promise.all(
      nodes.map(async (node) => (await node.spy.real.knownStates([id]))[0]?.known ?? EMPTY),
    )
    const all = states.reduce(union)
    for (const [index, held] of states.entries())
      expect([nodes[index]?.name, id, [...held.sessions].sort()]).toEqual([
        nodes[index]?.name,
        id,
        [...all.sessions].sort(),
      ])
    for (const client of clients)
      expect(all.sessions.get(client.name) ?? 0).toBeGreaterThanOrEqual(lastAcknowledged(client, id))
  }
  for (const client of clients) checkUser(client)
  const sizes = server.runner.sizes()
  expect(sizes).toMatchObject({ parked: 0, queued: 0, checks: 0 })
  expect(world.trace.length).toBeLessThan(5_000)
}

/** What an application is given continues what it has: nothing left out, nothing twice, unless it asked again. */
function checkUser({ user, name }: Client): void {
  const held = new Map<string, KnownState>()
  for (const message of user.heard) {
    if (message.action !== 'content') continue
    const before = held.get(message.id) ?? EMPTY
    for (const { session, after, transactions } of message.runs) {
      expect(session).not.toBe(undefined)
      if (session !== name) expect(after).toBeLessThanOrEqual(before.sessions.get(session) ?? 0)
      held.set(
        message.id,
        union(held.get(message.id) ?? EMPTY, knownState(true, [[session, after + transactions.length]])),
      )
    }
  }
}

/** A storage that answers when it likes, in any order, and fails now and then: before or after it did what it was asked. */
function unreliable(random: () => number, faults: { readonly on: boolean }, mild: boolean): Storage {
  const real = memoryStorage()
  const rate = mild ? 0.05 : 0.15
  const late = async <T>(call: () => T, fail: boolean): Promise<T> => {
    for (let turns = Math.floor(random() * 4); turns > 0; turns--) await nextTurn()
    if (fail && faults.on && random() < rate) throw new StorageError('IO', 'before')
    const value = call()
    for (let turns = Math.floor(random() * 4); turns > 0; turns--) await nextTurn()
    if (fail && faults.on && random() < rate) throw new StorageError('IO', 'after')
    return value
  }
  let queue: Promise<unknown> = Promise.resolve()
  return new Proxy(real as Storage, {
    get(target, name: keyof Storage) {
      const method = (target[name] as (...args: unknown[]) => unknown).bind(target)
      if (name === 'append')
        return (...args: unknown[]) => {
          const next = queue.then(() => late(() => method(...args), true))
          queue = next.catch(() => {})
          return next
        }
      if (name === 'knownStates' || name === 'read') return (...args: unknown[]) => late(() => method(...args), true)
      return method
    },
  })
}

function pick<T>(random: () => number, list: readonly T[]): T {
  return list[Math.floor(random() * list.length)] as T
}

/** Mulberry32: small, seeded, good enough to choose with. */
function generator(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}
