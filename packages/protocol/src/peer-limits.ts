/**
 * What the peer of a connection takes, as its `hello` says: frames and parts of states are made no larger.
 *
 * Not here: content that is too large for it (the engine pages, and says what cannot be sent).
 */
import { DEFAULT_LIMITS } from './limits.ts'
import type { Message } from './messages.ts'

export interface PeerLimits {
  readonly frameBytesMax: number
  /** Sessions of one part of a state, or of one content. */
  readonly sessionsMax: number
  /** Takes what a `hello` says; other messages say nothing of it. */
  hear(message: Message): void
}

/** A session with the longest name, its count and its digest, also where the name has to be escaped here and there. */
const SESSION_BYTES = 600

export function createPeerLimits(): PeerLimits {
  let frameBytesMax = Number.POSITIVE_INFINITY
  let { sessionsMax } = DEFAULT_LIMITS
  return {
    get frameBytesMax() {
      return frameBytesMax
    },
    get sessionsMax() {
      return sessionsMax
    },
    hear(message) {
      if (message.action !== 'hello' || message.version !== 1) return
      frameBytesMax = message.limits.frameBytesMax
      const bytes = Math.min(message.limits.messageBytesMax, frameBytesMax)
      sessionsMax = Math.max(1, Math.min(DEFAULT_LIMITS.sessionsMax, Math.floor(bytes / SESSION_BYTES)))
    },
  }
}
