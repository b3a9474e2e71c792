/**
 * What a dialect is: messages to frames and back, and what can be said in it.
 *
 * A codec belongs to one connection (the binary dialect keeps dictionaries in it). Decoding never throws for what a peer
 * sent: a malformed message becomes a `ProtocolError` in its place, and costs only itself (law L14).
 * Not here: sockets, who answers what.
 */
import type { ProtocolError } from './errors.ts'
import type { Limits } from './limits.ts'
import type { Message, PayloadKind } from './messages.ts'

/** What travels: text dialects make and take UTF-8 bytes or strings, binary ones bytes. */
export type Frame = string | Uint8Array

/** What can be said in a dialect; the engine asks these, never the dialect's name. */
export interface Traits {
  /** `hello` is the first message each way. */
  readonly hello: boolean
  /** `error` can be said; otherwise a refusal is expressed as a known state, or as silence. */
  readonly errors: boolean
  /** DONE ends a subscription; otherwise it is ignored. */
  readonly done: boolean
  /** Known states and runs carry rolling digests; otherwise continuity is proven by overlap. */
  readonly digests: boolean
  /** A peer's claim may be the end of a stream it never received whole: up-to-date claims on long documents are probed. */
  readonly claimsStreams: boolean
  /** A peer that claims something must be told our state before it is sent content, or it takes the content for all we hold. */
  readonly knownFirst: boolean
  /** Kinds of payload that can be carried. */
  readonly kinds: readonly PayloadKind[]
}

export interface Codec {
  /**
   * The messages of one frame in order; in place of one that cannot be understood, why. Unknown ones are left out. They are
   * decoded as they are asked for; in a binary dialect frames have to be heard in order, each to its end.
   */
  decode(frame: Frame): Iterable<Decoded>
  /** As `decode`, with `undefined` after each `PASSED_BYTES` or so that said nothing by themselves: others may go first there. */
  decodeInPortions(frame: Frame): Iterable<Decoded | undefined>
  /** Frames that carry `messages` in order, each at most `frameBytes` unless one message alone is larger. */
  encode(messages: readonly Message[], frameBytes: number): Frame[]
  /**
   * What it keeps in memory between frames: names that either end announced, and a state of which more is to come; estimated. Without it
   * the dialect keeps nothing.
   */
  keptBytes?(): number
}

/** Announcements, parts of states and unknown messages that are passed over in one go. */
export const PASSED_BYTES: number = 64 * 1024
/** What each of them counts beside its bytes. */
export const PASSED_STEP_BYTES = 128

/** One decoded message with the bytes it took on the wire, or why it could not be decoded. */
export type Decoded = { readonly message: Message; readonly bytes: number } | ProtocolError

export interface Dialect {
  readonly name: 'jazz' | 'tidemark.1' | 'tidemark.1.json'
  /** WebSocket sub-protocol that selects it; `undefined` for the dialect of clients that name none. */
  readonly subprotocol: string | undefined
  /** Frames are WebSocket text messages. */
  readonly text: boolean
  readonly traits: Traits
  createCodec(limits?: Partial<Limits>): Codec
}
