/**
 * Keep-alives of dialects that have no `hello`: their clients give up after 10 s without a word, and take the first line for
 * "connected".
 *
 * One walk for all connections twice a second, one frame for all that need it: thousands of idle ones cost nearly nothing.
 * Not here: finding dead clients (WebSocket pings, in `@tidemark/websocket`).
 */
import type { Frame } from '@tidemark/protocol'
import type { Clock } from '@tidemark/storage'

export interface Pinged {
  /** When something was last sent to it. */
  sentAtMs(): number
  send(frame: Frame): void
}

export interface KeepAlive {
  /** Pings at once, and from then on whenever nothing else was sent for a while; answers how to stop. */
  watch(connection: Pinged): () => void
}

const WALK_EVERY_MS = 500
/** With a walk in between, and a timer that is late, still less than the 5 s that are promised. */
const PING_AFTER_MS = 4_250

export function createKeepAlive(clock: Clock, pingAt: (timeMs: number) => Frame): KeepAlive {
  const connections = new Set<Pinged>()
  let walking: AbortController | undefined

  async function walk(signal: AbortSignal): Promise<void> {
    for (;;) {
      await clock.wait(WALK_EVERY_MS, signal)
      const nowMs = clock.now()
      let ping: Frame | undefined
      for (const connection of connections) {
        if (nowMs - connection.sentAtMs() < PING_AFTER_MS) continue
        ping ??= pingAt(nowMs)
        connection.send(ping)
      }
    }
  }

  return {
    watch(connection) {
      connections.add(connection)
      connection.send(pingAt(clock.now()))
      if (walking === undefined) {
        walking = new AbortController()
        // It ends only by being aborted, when nobody is left.
        walk(walking.signal).catch(() => {})
      }
      return () => {
        if (!connections.delete(connection) || connections.size > 0) return
        walking?.abort()
        walking = undefined
      }
    },
  }
}
