/**
 * `@tidemark/sync/reconnect`: the connection to an upstream, kept up by trying again. For clients, and for servers that have one.
 *
 * Attempts are made with full jitter from the first one on, later and later up to a cap, not before the time for which the peer asked to be
 * left alone (`retryAfterMs`), which has a cap of its own. Waits through the clock it is given; no socket and no timer of its own.
 * Not here: what is said on a connection (the engine), what a channel is made of (`@tidemark/websocket`).
 */
import type { Clock } from '@tidemark/storage'
import { type BackoffOptions, backoff } from './backoff.ts'
import type { Hints } from './hints.ts'
import type { Attached, Channel, Connect } from './run-channel.ts'
import { SILENT, type Supervised, supervise } from './supervise.ts'

export type { Hint, Hints } from './hints.ts'

/** `connecting`: a channel is being opened, or the peer has not said anything yet. */
export type ConnectionState = 'offline' | 'connecting' | 'online'

/** How the latest connection, or attempt, ended. The code is that of the WebSocket protocol; 0 if none was made. */
export interface Disconnect {
  readonly code: number
  readonly reason: string
}

export interface ConnectionLimits extends BackoffOptions {
  /** An attempt, and the wait for the first word of a peer. */
  readonly connectMsMax: number
  /**
   * Silence of a peer that pings (Jazz servers do every 5 s), or of one that was asked for a word. After each connection in a row that ended so
   * it is doubled, up to sixteenfold: a large message may be on its way, of which nothing is heard before its end.
   */
  readonly silenceMsMax: number
  /**
   * In a dialect without pings, a peer that was silent for so long is asked for a word, so one that is gone without a close is noticed after
   * `probeMs + silenceMsMax`, and a second for each 8 kB that were sent meanwhile: they may be on their way. `Infinity`: never asked, for
   * transports that find out themselves.
   */
  readonly probeMs: number
  /** A connection that lasted as long was a good one: failures are counted anew. */
  readonly stableMs: number
  /** A peer that asks to be left alone (`retryAfterMs`, `Retry-After`) is left alone for so long at most. */
  readonly retryAfterMsMax: number
}

export const DEFAULT_CONNECTION_LIMITS: ConnectionLimits = {
  reconnectMs: 1_000,
  reconnectMsMax: 30_000,
  connectMsMax: 10_000,
  silenceMsMax: 10_000,
  probeMs: 30_000,
  stableMs: 10_000,
  retryAfterMsMax: 600_000,
}

export interface Connection {
  state(): ConnectionState
  ended(): Disconnect | undefined
  /** The peer introduced itself. */
  greeted(): void
  /** The peer wants to be left alone for a while after this connection. */
  retryAfter(ms: number): void
  connectNow(): void
  /** Stays offline until `connectNow`. */
  disconnect(): void
  close(): void
}

export interface ConnectionContext {
  readonly connect: Connect
  readonly clock: Clock
  readonly limits: ConnectionLimits
  readonly hints?: Hints
  attach(channel: Channel): Attached
  /** `state` changed. */
  changed(): void
}

const SILENCE_DOUBLINGS_MAX = 4
/** A connection that became silent after longer than this did not so because of a message that it began with. */
const EARLY_MS = 600_000

const NO_NETWORK: Disconnect = { code: 4001, reason: 'the platform says that there is no network' }
const GOING: Disconnect = { code: 1000, reason: 'going offline' }

export function createConnection({ connect, clock, limits, hints, attach, changed }: ConnectionContext): Connection {
  let state: ConnectionState = 'offline'
  let ended: Disconnect | undefined
  let wanted = true
  let closed = false
  let hurried = false
  let failures = 0
  let silences = 0
  let notBefore = 0
  let onlineSince: number | undefined
  let supervised: Supervised | undefined
  let attempt = new AbortController()
  let nap = new AbortController()

  function become(next: ConnectionState): void {
    if (state === next) return
    state = next
    if (next === 'online') onlineSince = clock.now()
    changed()
  }

  async function keepUp(): Promise<void> {
    while (!closed) {
      if (!wanted) await asleep(undefined)
      else {
        ended = await connectOnce()
        become('offline')
        if (wanted && !closed && !hurried) await asleep(restMs())
      }
    }
  }

  /** One connection from the attempt to its end. */
  async function connectOnce(): Promise<Disconnect> {
    become('connecting')
    hurried = false
    onlineSince = undefined
    let channel: Channel
    try {
      channel = await open()
    } catch (cause) {
      leaveAlone(retryAfterOf(cause))
      return { code: 0, reason: cause instanceof Error ? cause.message : String(cause) }
    }
    // Between the channel's arrival and this line somebody may have ended it.
    if (closed || !wanted) {
      channel.close(GOING.code, GOING.reason)
      return GOING
    }
    const { hello } = channel.dialect.traits
    let attached: Attached | undefined
    supervised = supervise(channel, {
      clock,
      firstMsMax: limits.connectMsMax,
      silenceMsMax: limits.silenceMsMax * 2 ** Math.min(silences, SILENCE_DOUBLINGS_MAX),
      probe: hello ? { afterMs: limits.probeMs, ask: () => attached?.probe() } : undefined,
      heard: () => hello || become('online'),
    })
    attached = attach(supervised.channel)
    const end = await attached.closed
    supervised = undefined
    const lastedMs = onlineSince === undefined ? 0 : clock.now() - onlineSince
    if (lastedMs >= limits.stableMs) failures = 0
    if (onlineSince !== undefined) silences = end.code === SILENT && lastedMs < EARLY_MS ? silences + 1 : 0
    return end
  }

  /** A channel, or the reason why there is none in time. One that comes too late is closed. */
  async function open(): Promise<Channel> {
    attempt = new AbortController()
    const { signal } = attempt
    const opening = connect(signal)
    const patience = new AbortController()
    clock.wait(limits.connectMsMax, patience.signal).then(
      () => attempt.abort(new Error(`no connection within ${limits.connectMsMax} ms`)),
      () => {},
    )
    try {
      const channel = await Promise.race([opening, abortOf(signal)])
      signal.throwIfAborted()
      return channel
    } catch (cause) {
      opening.then(
        (late) => late.close(GOING.code, GOING.reason),
        () => {},
      )
      throw cause
    } finally {
      patience.abort()
    }
  }

  /** Whoever asks for years is broken, or means harm. */
  function leaveAlone(ms: number): void {
    notBefore = Math.max(notBefore, clock.now() + Math.min(ms, limits.retryAfterMsMax))
  }

  function restMs(): number {
    const jitterMs = backoff(limits, failures, clock.random())
    failures += 1
    return Math.max(0, notBefore - clock.now()) + jitterMs
  }

  async function asleep(ms: number | undefined): Promise<void> {
    nap = new AbortController()
    const { signal } = nap
    await (ms === undefined ? abortOf(signal) : clock.wait(ms, signal)).catch(() => {})
  }

  function connectNow(): void {
    if (closed || (wanted && state !== 'offline')) return
    wanted = true
    hurried = true
    failures = 0
    notBefore = 0
    nap.abort()
  }

  /** The peer's own wish to be left alone outweighs a hint. */
  function hinted(hint: 'online' | 'offline'): void {
    if (hint === 'online') {
      if (wanted && notBefore <= clock.now()) connectNow()
    } else if (supervised !== undefined) supervised.end(NO_NETWORK.code, NO_NETWORK.reason)
    else attempt.abort(new Error(NO_NETWORK.reason))
  }

  function drop({ code, reason }: Disconnect): void {
    attempt.abort(new Error(reason))
    supervised?.end(code, reason)
    nap.abort()
    become('offline')
  }

  const stopHints = hints?.watch(hinted)
  // Later, so that whoever asked for the connection has it when it begins to change.
  queueMicrotask(() => void keepUp())
  return {
    state: () => state,
    ended: () => ended,
    greeted: () => become('online'),
    retryAfter: leaveAlone,
    connectNow,
    disconnect() {
      wanted = false
      drop(GOING)
    },
    close() {
      closed = true
      stopHints?.()
      drop({ code: 1000, reason: 'closed' })
    },
  }
}

/** Rejects when the signal aborts, with its reason. */
function abortOf(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    if (signal.aborted) reject(signal.reason)
    else signal.addEventListener('abort', () => reject(signal.reason), { once: true })
  })
}

/** Whoever opens channels may say when to come back (an HTTP server with `Retry-After` does). */
function retryAfterOf(cause: unknown): number {
  const ms = (cause as { readonly retryAfterMs?: unknown } | undefined)?.retryAfterMs
  return typeof ms === 'number' && ms > 0 ? ms : 0
}
