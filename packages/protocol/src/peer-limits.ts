/**
 * What the peer of a connection takes, as its `hello` says: frames, parts of states and announcements are made no larger.
 *
 * Until that was heard it takes what every receiver takes. Not here: content that is too large for it (the engine pages, and says
 * what cannot be sent), and RECONCILE, whose batches are acknowledged as they were sent, so only who makes them can cut them.
 */
import { MINIMUM_LIMITS } from './limits.ts'
import type { Message } from './messages.ts'

export interface PartLimits {
  /** One message, which is at least once alone in a frame. */
  readonly messageBytesMax: number
}

export interface PeerLimits extends PartLimits {
  readonly frameBytesMax: number
  /** Takes what a `hello` says; other messages say nothing of it. */
  hear(message: Message): void
}

export function createPeerLimits(): PeerLimits {
  const { frameBytesMax, messageBytesMax } = MINIMUM_LIMITS
  const peer: { -readonly [Name in keyof PeerLimits]: PeerLimits[Name] } = {
    frameBytesMax,
    messageBytesMax,
    hear(message) {
      if (message.action !== 'hello' || message.version !== 1) return
      // Who says less is not spoken to for long.
      peer.frameBytesMax = Math.max(frameBytesMax, message.limits.frameBytesMax)
      peer.messageBytesMax = Math.min(Math.max(messageBytesMax, message.limits.messageBytesMax), peer.frameBytesMax)
    },
  }
  return peer
}
