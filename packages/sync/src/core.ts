/**
 * The tables of one engine, and what its parts share. Every table is bounded by what peers may ask for or by a limit (L10).
 *
 * Not here: behaviour. Each `on-….ts` handles one message; `holdings.ts`, `views.ts`, `lanes.ts`, `senders.ts`, `appends.ts`,
 * `window.ts` keep one table each.
 */
import type { KnownState } from '@tidemark/known-state'
import type { ContentMessage, Digests, Message } from '@tidemark/protocol'
import type { Append, StorageErrorCode, StoredState } from '@tidemark/storage'
import type { Deadlines } from './deadlines.ts'
import type { ConnectionId, ConnectionTraits, Effect, Outcome, Report } from './events.ts'
import type { EngineLimits, EngineOptions } from './options.ts'
import type { Account, Pool } from './pools.ts'
import { takesRoom } from './weights.ts'

export interface Core {
  readonly options: EngineOptions
  readonly limits: EngineLimits
  readonly deadlines: Deadlines
  readonly connections: Map<ConnectionId, Connection>
  readonly upstreams: Set<Connection>
  /** Of connections that are open. See `pools.ts`. */
  readonly accounts: Map<string, Account>
  /** What is received and neither durable nor answered, of all connections. */
  readonly pool: Pool
  readonly holdings: Map<string, Holding>
  /** Holdings that nothing needs at the moment, oldest first; dropped when there are too many. */
  readonly idle: Map<string, Holding>
  /** Document → its one subscriber, or its subscribers. The index of fan-out (L11). */
  readonly subscribers: Map<string, Connection | Set<Connection>>
  readonly checks: Map<number, (outcome: Outcome<unknown>) => void>
  readonly appends: Appends
  /** Dependency → documents whose forwarding waits for it. */
  readonly awaited: Map<string, Set<string>>
  /** Documents whose erasure is under way. */
  readonly erasing: Map<string, Holding>
  /** What shells asked for although nobody here has it open. */
  readonly wanted: Set<string>
  /** What was written here and the upstreams that are connected were to be asked for, until they confirmed it. */
  readonly owed: Set<string>
  /** Contents accepted, and erasures begun, that are not settled. */
  unsettled: number
  recentBytes: number
  now: number
  tickets: number
  effects: Effect[]
}

/** What this node itself holds of a document. See `holdings.ts`. */
export interface Holding {
  readonly id: string
  /** Whether `stored` is the storage's answer. */
  looked: boolean
  /** Ticket of the look-up in flight; 0 if there is none. */
  looking: number
  failures: number
  stored: StoredState | undefined
  /** Durable and queued (L4). */
  accepted: KnownState
  /** Contents accepted and not yet durable, in order. */
  readonly pendings: Set<Pending>
  /** A tombstone became durable: what stays, and how often erasing was tried. */
  erasing: { readonly keep: Set<string>; tries: number } | undefined
  readonly lanes: Map<Connection, Lane>
  /** Senders that need it. */
  pins: number
  /** The last page appended, so that a live push need not read it back. */
  recent: Recent | undefined
  /** Dependencies that its forwarding waits for. */
  awaits: Set<string> | undefined
  /** Its storage said that it changed: what was held before, until it was looked up again. */
  changedFrom: KnownState | undefined
}

/** A page that is kept: what it weighs on the wire, and the bytes that it takes in memory. */
export interface Recent {
  readonly message: ContentMessage
  readonly weight: number
  readonly bytes: number
}

/** Requests of one connection for one document, the first of which waits for something. See `lanes.ts`. */
export interface Lane {
  waiting: 'look' | 'append' | 'upstream' | 'check' | 'dependencies' | 'room' | undefined
  readonly requests: Request[]
}

/** Something to do for one connection and one document, through the same gate as everything else (L1). */
export interface Request {
  readonly connection: Connection
  readonly id: string
  readonly work: Work
  readonly bytes: number
  /** When it arrived. */
  readonly since: number
  /** Answers of the application so far, by question. */
  checks: Map<string, Outcome<unknown>> | undefined
  /** It waits for what was accepted up to this ticket. */
  until: number | undefined
  /** How long it waits for an upstream is decided. */
  timed: boolean
  /** It waited for an upstream as long as it may. */
  expired: boolean
  /** What was held of each session when its content was verified. */
  basis: ReadonlyMap<string, number> | undefined
  /** Its place in the order of its connection's contents. */
  slot: Slot | undefined
}

/** A page that is being read, after this cursor; `passesOver` when it leaves out what is not to be sent; how many sessions were `frozen`. */
export interface Reading {
  readonly id: string
  readonly ticket: number
  readonly after: KnownState | undefined
  readonly passesOver: boolean
  readonly frozen: number
}

export type Work =
  | Extract<Message, { action: 'load' | 'known' | 'content' | 'done' }>
  /** Ask this peer for the document, with what we hold. */
  | { readonly action: 'ask' }
  /** Push a dependency of a document that this peer is being sent. */
  | { readonly action: 'push'; readonly dependent: string }
  /** A document that came from this peer names this one: ask for it if nobody here holds it. */
  | { readonly action: 'need'; readonly dependent: string }
  /** Compare the hash of a `reconcile` batch. */
  | { readonly action: 'compare'; readonly batch: Batch; readonly hash: string }
  /** Tell the peer plainly what is held (an answer to what was refused). */
  | { readonly action: 'tell' }
  /** Say what we hold by content alone: this upstream refused to say what it holds. */
  | { readonly action: 'name' }
  /** Send the peer what others write, although what it sent was refused. */
  | { readonly action: 'follow' }
  /** Probe a claim once more. */
  | { readonly action: 'probe' }
  /** Correct the peer once more if a gap is still open. */
  | { readonly action: 'repeat'; readonly session: string; readonly have: number }
  /** Correct the peer after a refusal by the storage. */
  | { readonly action: 'correct' }
  /** Go on sending a document that could not be read. */
  | { readonly action: 'resend' }

/** Content accepted and on its way to the disk. */
export interface Pending {
  readonly request: Request
  readonly holding: Holding
  content: Append
  /** Sessions of it that are tombstones: once they are durable the document is erased. */
  readonly tombstones: readonly string[]
  /** What its sender holds up to the end of it, and so what its acknowledgement names. */
  ends: KnownState
  /** Of each of its sessions the count that it relies on: where it begins, or how far it was taken for verified. */
  readonly basis: ReadonlyMap<string, number>
  /** Sessions of it that its sender is believed to hold because of it. */
  readonly believed: Set<string>
  /** Ticket of its acceptance. */
  readonly order: number
  /** Everything of its connection that came before it was handed on, and so was it. */
  ordered: boolean
  /** It is in no queue: it is unknown what became of an earlier append of its document. */
  waits: boolean
  /** The append that carried it was rejected with this code: the next look-up says what became of it. */
  unknown: { readonly code: StorageErrorCode | undefined } | undefined
}

/** A place in the arrival order of one connection's contents; filled when the content is accepted. */
export interface Slot {
  pending: Pending | undefined
  dropped: boolean
}

export interface Appends {
  queue: Pending[]
  inFlight: Pending[] | undefined
  gathering: boolean
}

export interface Connection {
  readonly id: ConnectionId
  readonly traits: ConnectionTraits
  /** Who it is, once it said so, and how large messages it takes. */
  peer: string | undefined
  messageBytesMax: number
  readonly views: Map<string, Belief>
  /** Documents that have a lane of this connection. */
  readonly lanes: Set<string>
  readonly arrivals: Slot[]
  /** It may be handed a page, or a known state of many sessions. See `room.ts`. */
  room: boolean
  /** It is gone: nothing is read for it, and nothing waits for room. */
  leaving: boolean
  /** Documents of which a request waits for room, in order. */
  readonly roomless: Set<string>
  /** The one page being read for it. */
  reading: Reading | undefined
  /** Documents with something to send, by priority, in order. */
  readonly ready: readonly [Set<string>, Set<string>, Set<string>]
  /** Dependency → documents whose sending waits for it. */
  readonly held: Map<string, Set<string>>
  /** Our LOADs. See `window.ts`. */
  readonly asked: Map<string, Asked>
  /** A deadline is set for the oldest of them. */
  expiring: boolean
  /** Documents of which the peer said what it holds while the storage could not be read: they are gone on with later. */
  readonly unheard: Set<string>
  readonly toAsk: readonly [Set<string>, Set<string>, Set<string>]
  /** Document → LOADs of ours that leave after its own, and what each of them is behind. See `asking-order.ts`. */
  readonly followers: Map<string, Map<Request, Set<string>>>
  readonly batches: Map<string, Batch>
  readonly reconciling: Map<string, Set<Batch>>
  /** Sessions that its views name. */
  viewSessions: number
  /** Its own pool, its account's and everybody's. */
  readonly pools: readonly Pool[]
  readonly account: Account | undefined
  malformed: number
}

/** A LOAD of ours that has a place, and is not answered yet. */
export interface Asked {
  readonly since: number
  /** What it said, if that was exactly what is stored, and still is. */
  said: { readonly known: KnownState; readonly digests?: Digests } | undefined
  /** What is asked for before it, and has not left; `undefined` until it is known what it depends on. */
  behind: ReadonlySet<string> | undefined
}

/** An open `reconcile` batch: acknowledged when all its documents are settled. */
export interface Batch {
  readonly id: string
  readonly connection: Connection
  readonly open: Set<string>
}

/** Confirmed and assumed are both exactly what is stored here: a marker instead of a copy. */
export const IN_STEP = 'in step'
export type Belief = View | typeof IN_STEP

/** What we believe one connection's peer holds of a document (L6: for as long as the connection lives). */
export interface View {
  /** It holds another header under the same id: nothing of the document is taken from it or sent to it. */
  rival: boolean
  /** It asked for what it is being sent, which so does not wait for dependencies that are still to come to us. */
  loads: boolean
  /** What it claimed is to be probed once it was sent what it lacks. */
  toProbe: boolean
  /** It may be sent the document; one that may only write is known for its gaps alone. */
  readable: boolean
  /** What it told us. */
  confirmed: KnownState
  /**
   * It did not say that it holds nothing (L2): it asked for all, as it also does when its storage cannot be read, or went on with what is
   * not held here.
   */
  mayHold: boolean
  /** Confirmed and sent; `undefined` while we asked and it did not answer. */
  assumed: KnownState | undefined
  /** Sessions that count for its connection, of everything here that names some. */
  weight: number
  /** Nothing is to be sent, and `assumed` is exactly what is stored. */
  exact: boolean
  /** It stands in `ready`, is being read, or waits for dependencies. */
  sending: boolean
  /** Our LOAD failed, and a deadline to ask again is set. */
  asksAgain: boolean
  /** Nobody here wants it any more, and it is told so when what is being sent has been. */
  leaves: boolean
  /** Pages that could not be read, in a row. */
  failures: number
  /** Pages of one stream follow each other. */
  streaming: boolean
  /** It claims more than we accepted: to be asked for it after what it lacks was sent (L7). */
  claims: KnownState | undefined
  /** The gaps that were corrected, by session (L5). */
  corrected: Map<string, Corrected> | undefined
  /** A gap to correct when the appends in flight are settled. */
  gaps: Map<string, number> | undefined
  /** Refusals by the storage in a row, and whether a correction is scheduled. */
  refusals: number
  refused: boolean
  /** It was told less than both hold, since too few layers of the storage have it (L3): it is told when enough have. */
  withheld: boolean
  /** What the storage refused of it: refused until that is durable, or corrected; `much`: more than is remembered. */
  lost: KnownState | 'much' | undefined
  /** What the answer to our LOAD announced to bring in several pages. */
  until: KnownState | undefined
  /** A claim is being probed: for the first time, answered with a correction that is not believed yet, or again. */
  probe: 'first' | 'doubted' | 'second' | undefined
  /** Sessions forked by this peer (L13). */
  frozen: Set<string> | undefined
  /** Sessions that hold more in one piece than this peer takes. */
  tooLarge: Set<string> | undefined
  /** Sessions of its that hold more in one piece than the storage here takes; the empty id stands for the header. */
  unstorable: Set<string> | undefined
  /** Sessions whose continuity was proven here, or asked for. See `continuity.ts`. */
  proven: Set<string> | undefined
  /** Dependencies to be sent first; `undefined` when they were not asked for yet. */
  dependencies: Set<string> | undefined
}

/** A gap that was corrected: what we held, and when; whether it is looked at again, and is told of then in any case. */
export interface Corrected {
  readonly have: number
  readonly at: number
  repeats: boolean
  owed: boolean
}

export function emit(core: Core, effect: Effect): void {
  core.effects.push(effect)
  if (effect.type !== 'send' || !takesRoom(effect.message)) return
  const connection = core.connections.get(effect.connection)
  if (connection !== undefined) connection.room = false
}

export function send(core: Core, connection: Connection, message: Message): void {
  emit(core, { type: 'send', connection: connection.id, message })
}

export function report(core: Core, about: Report): void {
  core.effects.push({ type: 'report', report: about })
}

export function ticket(core: Core): number {
  core.tickets += 1
  return core.tickets
}
