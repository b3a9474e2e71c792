/**
 * Liveness: finding peers that are gone without a word, by WebSocket pings.
 *
 * One shared walk for all sockets, so that thousands of idle ones cost nearly nothing. A peer is alive if anything came from it
 * since its last ping, be it a part of a frame that takes minutes; or if what stood in the way of that ping got away.
 * A paused socket is not read, so nothing can come from it, and that is not held against it. A peer that reads nothing of what
 * waits for it, for several periods, is given up in any case.
 * Not here: the keep-alive lines of the Jazz dialect (`@tidemark/server`).
 */
import type { Clock } from '@tidemark/storage'

export interface LivePeer {
  readonly paused: boolean
  /** How often it was paused so far. */
  readonly pauses: number
  /** Counters of its TCP socket, and how much is unsent. */
  bytesRead(): number
  bytesSent(): number
  bytesUnsent(): number
  ping(): void
  terminate(): void
}

export interface Liveness {
  /** Checks a peer from now on; answers how to stop. */
  watch(peer: LivePeer): () => void
}

interface Watched {
  dueAt: number
  /** As they were when it was looked at last. */
  marks: { readonly read: number; readonly sent: number; readonly unsent: number; readonly pauses: number } | undefined
  /** It was pinged then. */
  pinged: boolean
  /** How often in a row it had read nothing of what waits for it. */
  stalls: number
}

const STALLS_MAX = 4

/** A walk looks at a slice of the peers only: those whose ping is due. */
const WALKS_PER_PERIOD = 10

export function createLiveness(everyMs: number, clock: Clock): Liveness {
  const peers = new Map<LivePeer, Watched>()
  let walking: AbortController | undefined

  async function walk(signal: AbortSignal): Promise<void> {
    const stepMs = everyMs / WALKS_PER_PERIOD
    for (let last = clock.now(); ; last = clock.now()) {
      await clock.wait(stepMs, signal)
      const now = clock.now()
      const stalledMs = now - last - stepMs
      // We stood still ourselves (a long computation, a suspended machine): what came meanwhile is not read yet.
      if (stalledMs > stepMs) for (const watched of peers.values()) watched.dueAt += stalledMs
      for (const [peer, watched] of peers) {
        if (watched.dueAt > now) continue
        watched.dueAt = now + everyMs
        check(peer, watched)
      }
    }
  }

  return {
    watch(peer) {
      peers.set(peer, { dueAt: clock.now() + everyMs, marks: undefined, pinged: false, stalls: 0 })
      if (walking === undefined) {
        walking = new AbortController()
        // It ends only by being aborted, when nobody is left to watch.
        walk(walking.signal).catch(() => {})
      }
      return () => {
        if (!peers.delete(peer) || peers.size > 0) return
        walking?.abort()
        walking = undefined
      }
    },
  }
}

function check(peer: LivePeer, watched: Watched): void {
  const { paused, pauses } = peer
  const { marks: before, pinged } = watched
  const now = { read: peer.bytesRead(), sent: peer.bytesSent(), unsent: peer.bytesUnsent(), pauses }
  watched.marks = now
  watched.pinged = !paused
  if (before !== undefined) {
    const backlog = before.unsent > 0
    const moving = backlog && now.sent > before.sent
    watched.stalls = backlog && !moving ? watched.stalls + 1 : 0
    const answerDue = pinged && !paused && pauses === before.pauses
    const silent = answerDue && now.read === before.read && !moving
    if (silent || watched.stalls >= STALLS_MAX) return peer.terminate()
  }
  if (!paused) peer.ping()
}
