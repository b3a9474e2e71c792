/**
 * Channels: what carries frames between two nodes, whatever it is made of, and how one is attached to a runner.
 *
 * A channel knows its dialect; here frames become messages and back. Not here: sockets (`@tidemark/websocket`), reconnecting
 * (`reconnect.ts`), keep-alives (the shells).
 */
import { checkLimits, type Dialect, type Frame, type Limits, type Message } from '@tidemark/protocol'
import type { ConnectionId } from './events.ts'
import type { Port, Runner, Sent } from './run.ts'
import type { Hold } from './run-inflow.ts'
import type { ConnectionSizes } from './status.ts'

/** What a channel tells whoever opened it. Nothing is told before `open`, nothing after `closed`. */
export interface Receiver {
  frame(frame: Frame): void
  /** `room()` is true again after it was false. */
  drained(): void
  closed(code: number, reason: string): void
}

export interface Channel {
  readonly dialect: Dialect
  /** Begins to deliver; frames that arrived before are delivered first. */
  open(receiver: Receiver): void
  send(frame: Frame): void
  /** Whether what was sent has left to such a degree that another page may be handed over. */
  room(): boolean
  /** Bytes that were sent and have not left yet. */
  unsent(): number
  close(code: number, reason: string): void
  /** Stop, or go on, delivering frames; what arrives meanwhile is kept out of memory where the transport can. */
  pause(): void
  resume(): void
}

/** Opens a channel to a peer; rejects if that cannot be done, or with the signal's reason. */
export type Connect = (signal: AbortSignal) => Promise<Channel>

export interface AttachOptions {
  /** The peer is asked for what we are interested in. */
  readonly upstream?: boolean
  /** Of an upstream: documents that are owed to it. They are asked for before what is only to be compared. */
  readonly owed?: readonly string[]
  /** Handed to `authorize`. */
  readonly principal?: unknown
  /** Connections of one account share what they may have. */
  readonly account?: string | undefined
  /** Limits of what is received. Those of messages and frames are the runner's, which says them in its `hello`, whatever stands here. */
  readonly limits?: Partial<Limits>
  /** A peer that does not read its answers, so that more than this is unsent, is not read from until there is room again. */
  readonly unsentBytesMax?: number
  /** Frames that are sent carry at most this, unless one message alone is larger. */
  readonly frameBytes?: number
}

export interface Attached {
  /** As reports name the connection. */
  readonly id: ConnectionId
  /**
   * Asks this peer for documents that nobody here has open, with what the storage holds of them; for what is to be uploaded (`outbox`)
   * before what is only to be compared (the default).
   */
  ask(ids: readonly string[], urgency?: 'outbox' | 'reconcile'): void
  /** Takes back `ask`: what nobody else wants and is in step needs no subscription. */
  leave(ids: readonly string[]): void
  /** What the connection costs at the moment. */
  sizes(): ConnectionSizes & { readonly keptBytes: number }
  /** Asks for a sign of life: a comparison of nothing, which a peer acknowledges at once, whatever its storage does. */
  probe(): void
  /** Closes it with 1013, and says when to come again where the dialect has words for it. */
  sendAway(reason: string, retryAfterMs: number): void
  /** Resolves when the channel is closed, by either end. */
  readonly closed: Promise<{ readonly code: number; readonly reason: string }>
}

const FRAME_BYTES = 128 * 1024
const PROBE: Message = { action: 'reconcile', batch: 'probe', values: [] }

/**
 * Lets a runner speak through a channel until it closes.
 *
 * @throws TypeError for limits below what every peer may send.
 */
export function attach(runner: Runner, channel: Channel, options: AttachOptions = {}): Attached {
  const {
    upstream = false,
    owed = [],
    principal,
    account,
    limits,
    frameBytes = FRAME_BYTES,
    unsentBytesMax = Number.POSITIVE_INFINITY,
  } = options
  checkLimits(limits ?? {})
  const { messageBytesMax, frameBytesMax } = runner.limits
  const codec = channel.dialect.createCodec({ ...limits, messageBytesMax, frameBytesMax })
  const reading = createGate(channel)
  const port: Port = {
    traits: { ...channel.dialect.traits, upstream, local: false, account },
    principal,
    owed,
    send(sent: readonly Sent[]) {
      const messages = sent.map(({ message }) => message)
      for (const frame of codec.encode(messages, frameBytes)) channel.send(frame)
    },
    room: () => channel.room(),
    full: () => channel.unsent() > unsentBytesMax,
    close: (code, reason) => channel.close(code, reason),
    pause: (why) => reading.hold(why),
    resume: (why) => reading.release(why),
  }
  const link = runner.connect(port)
  const closed = new Promise<{ code: number; reason: string }>((resolve) => {
    channel.open({
      frame: (frame) => link.receive(codec.decodeInPortions(frame), frame.length),
      drained: () => link.drained(),
      closed(code, reason) {
        link.closed()
        resolve({ code, reason })
      },
    })
  })
  return {
    id: link.id,
    ask: (ids, urgency) => link.ask(ids, urgency),
    leave: (ids) => link.leave(ids),
    sizes: () => ({ ...link.sizes(), keptBytes: codec.keptBytes?.() ?? 0 }),
    probe() {
      for (const frame of codec.encode([PROBE], frameBytes)) channel.send(frame)
    },
    sendAway(reason, retryAfterMs) {
      const error = { action: 'error', code: 'busy', message: reason, retryAfterMs } as const
      if (channel.dialect.traits.errors) for (const frame of codec.encode([error], frameBytes)) channel.send(frame)
      link.abandon()
      channel.close(1013, reason)
    },
    closed,
  }
}

/** Reads while nothing holds it. */
function createGate(channel: Channel) {
  const holds = new Set<Hold>()
  return {
    hold(reason: Hold) {
      if (holds.size === 0) channel.pause()
      holds.add(reason)
    },
    release(reason: Hold) {
      if (holds.delete(reason) && holds.size === 0) channel.resume()
    },
  }
}
