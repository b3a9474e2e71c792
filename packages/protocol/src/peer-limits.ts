/**
 * What the peer of a connection takes, as its `hello` says: frames, parts of states and announcements are made no larger.
 *
 * Until that was heard it takes what every receiver takes; what it says in another one changes nothing. Not here: content that is too large for
 * it (the engine pages, and says what cannot be sent), and RECONCILE, whose batches are acknowledged as they were sent, so only who makes them
 * can cut them.
 */
import { MINIMUM_LIMITS } from './limits.ts'
import type { Message } from './messages.ts'

export interface PartLimits {
  /** One message, which is at least once alone in a frame. */
  readonly messageBytesMax: number
}

export interface PeerLimits extends PartLimits {
  readonly frameBytesMax: number
  /** Takes what the first `hello` says; nothing else says anything of it. Answers whether this was it. */
  hear(message: Message): boolean
}

export function createPeerLimits(): PeerLimits {
  const { frameBytesMax, messageBytesMax } = MINIMUM_LIMITS
  let heard = false
  const peer: { -readonly [Name in keyof PeerLimits]: PeerLimits[Name] } = {
    frameBytesMax,
    messageBytesMax,
    hear(message) {
      if (heard || message.action !== 'hello' || message.version !== 1) return false
      heard = true
      // Who says less is not spoken to for long.
      peer.frameBytesMax = Math.max(frameBytesMax, message.limits.frameBytesMax)
      peer.messageBytesMax = Math.min(Math.max(messageBytesMax, message.limits.messageBytesMax), peer.frameBytesMax)
      return true
    },
  }
  return peer
}
