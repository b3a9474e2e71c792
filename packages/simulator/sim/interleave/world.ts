/**
 * A world of interleavings: two clients, one server, one document. It stands still until one of its choices is taken.
 *
 * A choice is a message that arrives, a storage that answers, a turn that ends, an operation that begins, an end that learns that its connection
 * is lost, a client that connects again. No time passes: everything is quicker than the shortest time limit.
 */
import { EMPTY, equals } from '@tidemark/known-state'
import type { Message } from '@tidemark/protocol'
import { describe, describeState } from '../../src/trace.ts'
import { Violation } from '../../src/violation.ts'
import { createNode, ID, LOCAL, type Node, TRAITS } from './node.ts'

/** What happens once in a world, at any time, after the operation before it at the same node. */
export type Operation = `${ClientName} ${'writes' | 'is cut off'}`
export type ClientName = 'anna' | 'ben'

export interface InterleavedWorld {
  /** In how many ways it can go on. */
  count(): number
  /** Answers what it was, in words. */
  take(index: number): () => string
  /** All that decides what can happen from now on. */
  readonly picture: unknown
  /** Of a world in which nothing can happen any more. @throws Violation */
  judge(): void
}

/** One way of a wire. */
interface Way {
  readonly to: Node
  readonly connection: number
  messages: Message[]
}

interface Wire {
  readonly client: Node
  /** To the server, and to the client. */
  readonly ways: readonly [Way, Way]
  /** Ends that do not know yet that it is cut. */
  untold: Way[]
}

interface Choice {
  /** Whose step it is. */
  readonly node: Node
  text(): string
  readonly take: () => void
}

export function createInterleavedWorld(
  operations: readonly Operation[],
  { reduced = true }: { readonly reduced?: boolean } = {},
): InterleavedWorld {
  const wires = new Map<string, Wire>()
  const lost = new Set<Wire>()
  const left = [...operations]
  let connections = LOCAL

  const server = createNode('server', false, (connection, message) => say(1, connection, message))
  const clients = (['anna', 'ben'] as const).map((name) =>
    createNode(name, true, (connection, message) => say(0, connection, message)),
  )
  for (const client of clients) {
    client.tell({ type: 'connected', connection: LOCAL, traits: { ...TRAITS, upstream: false, local: true } })
    const message = { action: 'load', id: ID, known: EMPTY } as const
    client.tell({ type: 'received', connection: LOCAL, message, bytes: 0 })
    connect(client)
  }

  /** What is said into a wire that was cut is lost. */
  function say(way: 0 | 1, connection: number, message: Message): void {
    for (const wire of wires.values()) if (wire.ways[0].connection === connection) wire.ways[way].messages.push(message)
  }

  function connect(client: Node): void {
    const connection = ++connections
    wires.set(client.name, {
      client,
      ways: [
        { to: server, connection, messages: [] },
        { to: client, connection, messages: [] },
      ],
      untold: [],
    })
    server.tell({ type: 'connected', connection, traits: { ...TRAITS, upstream: false, local: false } })
    client.tell({ type: 'connected', connection, traits: { ...TRAITS, upstream: true, local: false } })
  }

  function cut(client: Node): void {
    const wire = wires.get(client.name)
    if (wire === undefined) return
    wires.delete(client.name)
    lost.add({ ...wire, untold: [...wire.ways] })
  }

  function* arrivals(): Generator<Choice> {
    for (const { ways } of wires.values())
      for (const way of ways) {
        const [message] = way.messages
        if (message === undefined) continue
        yield {
          node: way.to,
          text: () => `${way.to.name} hears ${describe(message)}`,
          take() {
            way.messages.shift()
            way.to.tell({ type: 'received', connection: way.connection, message, bytes: 100 })
          },
        }
      }
  }

  function* losses(): Generator<Choice> {
    for (const wire of lost)
      for (const way of wire.untold)
        yield {
          node: way.to,
          text: () => `${way.to.name} learns that ${way.connection} is lost`,
          take() {
            wire.untold = wire.untold.filter((other) => other !== way)
            if (wire.untold.length === 0) lost.delete(wire)
            way.to.tell({ type: 'disconnected', connection: way.connection })
          },
        }
    for (const client of clients)
      if (!wires.has(client.name) && !isUntold(client))
        yield { node: client, text: () => `${client.name} connects`, take: () => connect(client) }
  }

  /** It does not know yet that its wire is cut. */
  function isUntold(client: Node): boolean {
    return [...lost].some(({ untold }) => untold.some(({ to }) => to === client))
  }

  function* begun(): Generator<Choice> {
    for (const client of clients) {
      const index = left.findIndex((operation) => operation.startsWith(`${client.name} `))
      const operation = left[index]
      if (operation === undefined) continue
      yield {
        node: client,
        text: () => operation,
        take() {
          left.splice(index, 1)
          if (operation.endsWith('writes')) client.write()
          else cut(client)
        },
      }
    }
  }

  function* answers(): Generator<Choice> {
    for (const node of [server, ...clients])
      for (const [index, { text }] of node.waits.entries()) yield { node, text, take: () => node.answer(index) }
  }

  /**
   * Enough of what can happen: steps of different nodes that lead to the same in either order are taken in one order only.
   *
   * Where nobody else can change what a node has to choose from, nor what its choices do, one of its choices is taken before or after anything
   * that others do, and all the same: they wait until it was taken (persistent sets). Every way to rest that is left out has the same steps
   * at every node, in the same order, as one that is played.
   */
  function choices(): readonly Choice[] {
    const all: readonly Choice[] = [...begun(), ...arrivals(), ...losses(), ...answers()]
    const active = new Set(all.map(({ node }) => node))
    if (!reduced) return all
    let fewest = all
    for (const node of active) {
      const its = all.filter((choice) => choice.node === node)
      if (its.length < fewest.length && (node === server ? isServerAlone(active) : isAlone(node))) fewest = its
    }
    return fewest
  }

  /** Nobody can change what a client has to choose from: what arrives next is there already, or nothing can. */
  function isAlone(client: Node): boolean {
    const wire = wires.get(client.name)
    if (wire === undefined) return isUntold(client)
    const next = left.find((operation) => operation.startsWith(`${client.name} `))
    return wire.ways[1].messages.length > 0 && next?.endsWith('writes') !== false
  }

  /** Of all clients what arrives next is there already, or they can do nothing; none of them is ever cut off. */
  function isServerAlone(active: ReadonlySet<Node>): boolean {
    if (left.some((operation) => !operation.endsWith('writes'))) return false
    return clients.every((client) => {
      const wire = wires.get(client.name)
      return wire !== undefined && (wire.ways[0].messages.length > 0 || !active.has(client))
    })
  }

  return {
    count: () => choices().length,
    take(index) {
      const { text, take } = choices()[index] as Choice
      take()
      return text
    },
    get picture() {
      return [
        server.picture,
        clients.map(({ picture }) => picture),
        [...wires.values()].map(simple),
        [...lost].map(simple),
        left,
      ]
    },
    judge() {
      const there = server.stored()?.known ?? EMPTY
      const written = operations.filter((operation) => operation.endsWith('writes'))
      for (const client of clients) {
        const here = client.stored()?.known ?? EMPTY
        if (!equals(here, there))
          throw new Violation(
            'convergence',
            `${client.name} holds ${describeState(here)}, the server ${describeState(there)}`,
          )
        for (const { name } of clients) {
          const expected = written
            .filter((operation) => operation.startsWith(`${name} `))
            .map((_, index) => `${name}/${index + 1}`)
          const given = client.given.get(name) ?? []
          if (given.join() !== expected.join())
            throw new Violation('once', `the application of ${client.name} has ${given.join()} of ${expected.join()}`)
        }
        if (client.engine.status(ID).uploaded !== true)
          throw new Violation('uploads', `${client.name} is not told that all is uploaded`)
      }
      for (const { name, engine } of [server, ...clients]) {
        const { parked, queued, checks } = engine.sizes()
        if (parked + queued + checks > 0)
          throw new Violation('bounds', `${name} keeps ${parked} requests and ${queued} contents`)
      }
    },
  }
}

function simple({ client, ways, untold }: Wire): unknown {
  return [client.name, ways.map(({ connection, messages }) => [connection, messages]), untold.map(({ to }) => to.name)]
}
