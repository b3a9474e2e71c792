/**
 * Connections of a server: channels attached to the engine, counted, kept alive, closed together.
 *
 * Not here: one of them (`supervise.ts`), sockets, who is admitted (`admission.ts`).
 */
import type { Limits } from '@tidemark/protocol'
import type { Clock } from '@tidemark/storage'
import { attach, type Channel, type Runner } from '@tidemark/sync/run'
import { accountOf } from './accounts.ts'
import type { Counters } from './counters.ts'
import type { KeepAlive } from './keep-alive.ts'
import type { Log } from './log.ts'
import type { ServerLimits } from './options.ts'
import type { Penalties } from './penalties.ts'
import type { Costly } from './pressure.ts'
import type { Rates } from './rates.ts'
import { type Supervised, supervise } from './supervise.ts'
import type { Pass } from './turnstile.ts'

export interface Who {
  /** Handed to `authorize`. Connections whose principals are equal share their quotas. */
  readonly principal?: unknown
  /** By what the client is recognised when it comes again. */
  readonly key?: string | undefined
  /** With which it came in; given back when it found out what it missed. */
  readonly pass?: Pass | undefined
}

export interface Connections extends Iterable<Costly> {
  size(): number
  accept(channel: Channel, who: Who): void
  /** Stops reading from all of them, for good. */
  pauseAll(): void
  closeAll(code: number, reason: string): void
}

export interface ConnectionsOptions {
  readonly runner: Runner
  readonly counters: Counters
  readonly keepAlive: KeepAlive
  readonly penalties: Penalties
  readonly rates: Rates
  readonly limits: Partial<Limits> & ServerLimits
  readonly clock: Clock
  readonly log: Log
}

export function createConnections(options: ConnectionsOptions): Connections {
  const { runner, counters, keepAlive, limits, log } = options
  const open = new Map<Supervised, Costly>()

  function accept(channel: Channel, who: Who): void {
    const account = accountOf(who.principal)
    counters.opened(channel.dialect.name)
    const supervised = supervise(channel, { ...options, who, account }, (code, reason) => {
      open.delete(supervised)
      stopPinging?.()
      who.pass?.giveBack()
      counters.closed(code)
      log('debug', 'connection closed', { code, reason })
    })
    const stopPinging = channel.dialect.traits.hello ? undefined : keepAlive.watch(supervised)
    const { principal } = who
    const { unsentBytesMax } = limits
    const attached = attach(runner, supervised.channel, { principal, account, limits, unsentBytesMax })
    if (supervised.ended()) return
    open.set(supervised, {
      sizes: () => attached.sizes(),
      unsentBytes: () => channel.unsent(),
      shed() {
        counters.shed()
        attached.sendAway(SHED, limits.retryAfterMs)
      },
    })
    who.pass?.use(() => supervised.heardSomething() || !attached.sizes().idle)
  }

  return {
    size: () => open.size,
    [Symbol.iterator]: () => open.values(),
    accept,
    pauseAll() {
      for (const { stopReading } of open.keys()) stopReading()
    },
    closeAll(code, reason) {
      for (const { channel } of open.keys()) channel.close(code, reason)
    },
  }
}

const SHED = 'the server has too much to do: try again later'
