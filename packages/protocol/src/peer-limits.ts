/**
 * What the peer of a connection takes, as its `hello` says: frames, parts of states and announcements are made no larger.
 *
 * Until that was heard it takes what everybody takes by default. Not here: content that is too large for it (the engine pages, and says
 * what cannot be sent), and RECONCILE, whose batches are acknowledged as they were sent, so only who makes them can cut them.
 */
import { DEFAULT_LIMITS } from './limits.ts'
import type { Message } from './messages.ts'

export interface PartLimits {
  /** Sessions of one part of a state, or of one content. */
  readonly sessionsMax: number
  /** Sessions that a content announces beside what it brings. */
  readonly announcedMax: number
}

/** What every receiver takes whose `hello` says nothing less. */
export const EVERY_RECEIVER: PartLimits = {
  sessionsMax: DEFAULT_LIMITS.sessionsMax,
  announcedMax: DEFAULT_LIMITS.sessionsMax,
}

export interface PeerLimits extends PartLimits {
  readonly frameBytesMax: number
  /** Takes what a `hello` says; other messages say nothing of it. */
  hear(message: Message): void
}

/** A session with the longest name, its count and its digest, also where the name has to be escaped here and there. */
const SESSION_BYTES = 600
/** Of a message that is for an announcement: content may be half of it. */
const ANNOUNCED_SHARE = 1 / 4

export function createPeerLimits(): PeerLimits {
  const peer: { -readonly [Name in keyof PeerLimits]: PeerLimits[Name] } = {
    frameBytesMax: DEFAULT_LIMITS.frameBytesMax,
    ...EVERY_RECEIVER,
    hear(message) {
      if (message.action !== 'hello' || message.version !== 1) return
      peer.frameBytesMax = message.limits.frameBytesMax
      const bytes = Math.min(message.limits.messageBytesMax, peer.frameBytesMax)
      peer.sessionsMax = sessionsIn(bytes)
      peer.announcedMax = sessionsIn(bytes * ANNOUNCED_SHARE)
    },
  }
  return peer
}

function sessionsIn(bytes: number): number {
  return Math.max(1, Math.min(DEFAULT_LIMITS.sessionsMax, Math.floor(bytes / SESSION_BYTES)))
}
