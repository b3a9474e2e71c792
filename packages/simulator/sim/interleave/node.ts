/**
 * A node of a world of interleavings: an engine, its storage, and what it waits for. Nothing goes on by itself: every wait is a choice.
 *
 * The laws that are judged at every step: what is said to be held is stored (L3), absence is not said of what is stored (L1), and an
 * application is given every transaction once and in order. Not here: what is between nodes (`world.ts`).
 */
import { covers, EMPTY, type KnownState, union } from '@tidemark/known-state'
import type { ContentMessage, Message, Run } from '@tidemark/protocol'
import { type Awaitable, memoryStorage, type StoredState } from '@tidemark/storage'
import { createEngine, type Effect, type Engine, type Event } from '@tidemark/sync'
import { describe, describeState } from '../../src/trace.ts'
import { Violation } from '../../src/violation.ts'
import { pictureOf } from './picture.ts'

export const ID = 'note'
/** The connection of the application; every other one is a wire. */
export const LOCAL = 0

export const TRAITS = {
  hello: false,
  errors: true,
  done: true,
  digests: true,
  claimsStreams: false,
  knownFirst: false,
  kinds: ['bytes'],
} as const

export interface Node {
  readonly name: string
  /** What it waits for. */
  readonly waits: readonly { text(): string }[]
  /** One of these has an answer now. */
  answer(index: number): void
  tell(event: Event): void
  /** All that decides what it does from now on. */
  readonly picture: string
  /** What its application was given or wrote, by session. */
  readonly given: ReadonlyMap<string, readonly string[]>
  /** Its application writes one more transaction to its session. */
  write(): void
  stored(): StoredState | undefined
  readonly engine: Engine
}

const utf8 = new TextEncoder()
const text = new TextDecoder()
const HEADER = utf8.encode(ID)

export function createNode(
  name: string,
  isClient: boolean,
  send: (connection: number, message: Message) => void,
): Node {
  const storage = memoryStorage({ generation: name })
  const opened = atOnce(storage.open())
  const engine = createEngine({
    self: { peer: name, generation: opened.generation, level: 'stored' },
    ...(isClient && { upstreamExpected: true }),
    random: () => 0,
  })
  const waits: { readonly effect: Effect; text(): string; answer(): void }[] = []
  const events: Event[] = []
  const given = new Map<string, string[]>()
  let written = 0

  function perform(effect: Effect): void {
    const wait = (words: string, answer: () => void) =>
      void waits.push({ effect, text: () => `${name} ${words}`, answer })
    switch (effect.type) {
      case 'send':
        check(effect.message)
        if (effect.connection === LOCAL) hear(effect.message)
        else send(effect.connection, effect.message)
        // There is room for the next page at once.
        if (effect.message.action === 'content') events.push({ type: 'drained', connection: effect.connection })
        return
      case 'look':
        return wait('looks', () => {
          const value = stored()
          node.tell({ type: 'looked', id: ID, ticket: effect.ticket, outcome: { value } })
        })
      case 'page':
        return wait(`reads for ${effect.connection}`, () => {
          const { connection, ticket, after, bytesMax } = effect
          node.tell({
            type: 'paged',
            connection,
            ticket,
            outcome: { value: atOnce(storage.read(ID, after, { bytesMax })) },
          })
        })
      case 'gather':
        return wait('ends its turn', () => node.tell({ type: 'gathered' }))
      case 'append':
        return wait('appends', () => {
          node.tell({ type: 'appended', outcome: { value: atOnce(storage.append(effect.batch)) } })
        })
      case 'report':
        return
      default:
        throw new Error(`${name} is not expected to ${effect.type}`)
    }
  }

  const stored = () => atOnce(storage.knownStates([ID]))[0]

  function check(message: Message): void {
    const held = stored()?.known ?? EMPTY
    const claim = claimOf(message)
    if (claim !== undefined && !covers(held, claim))
      throw new Violation('durability', `${name} says ${describe(message)} and holds ${describeState(held)}`)
    if (message.action === 'known' && !message.known.header && held.header)
      throw new Violation('absence', `${name} says ${describe(message)} and holds ${describeState(held)}`)
  }

  function hear(message: Message): void {
    if (message.action === 'error')
      throw new Violation('error', `the application of ${name} hears ${describe(message)}`)
    if (message.action === 'content') for (const run of message.runs) take(run)
  }

  function take({ session, after, transactions }: Run): void {
    const texts = given.get(session) ?? []
    if (session === name || after !== texts.length)
      throw new Violation('once', `the application of ${name} has ${texts.length} of ${session} and is given ${after}`)
    given.set(session, [...texts, ...transactions.map((transaction) => text.decode(transaction))])
  }

  const node: Node = {
    name,
    engine,
    given,
    stored,
    waits,
    answer(index) {
      waits.splice(index, 1)[0]?.answer()
    },
    tell(event) {
      events.push(event)
      for (let next = events.shift(); next !== undefined; next = events.shift())
        for (const effect of engine.handle(next, 0)) perform(effect)
    },
    get picture() {
      return pictureOf([engine, stored(), waits.map(({ effect }) => effect), given, written])
    },
    write() {
      const transaction = `${name}/${written + 1}`
      const message: ContentMessage = {
        action: 'content',
        id: ID,
        kind: 'bytes',
        priority: 3,
        header: HEADER,
        runs: [{ session: name, after: written, transactions: [utf8.encode(transaction)] }],
      }
      written += 1
      given.set(name, [...(given.get(name) ?? []), transaction])
      node.tell({ type: 'received', connection: LOCAL, message, bytes: 100 })
    },
  }
  return node
}

function claimOf(message: Message): KnownState | undefined {
  if (message.action === 'known' || message.action === 'load') return message.known
  if (message.action !== 'content') return undefined
  const ends = message.runs.map(({ session, after, transactions }) => [session, after + transactions.length] as const)
  const known = { header: message.header !== undefined, sessions: new Map(ends) }
  return union(known, message.expectUntil ?? EMPTY)
}

/** A storage in memory answers at once. */
function atOnce<T>(answer: Awaitable<T>): T {
  if (answer instanceof Promise) throw new TypeError('expected an answer at once')
  return answer as T
}
