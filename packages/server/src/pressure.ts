/**
 * Pressure: what connections cost in memory together, against a budget that the operator sets.
 *
 * Above it nobody new is let in, and those that cost most are sent away, until there is room: one who reads nothing and asks for
 * everything goes before a thousand who are idle. Counted is what grows with what peers do; code, caches of the storage and the
 * runtime's own needs come on top. L10. Not here: bounds of single connections, which hold in any case (`options.ts`).
 */
import type { Clock } from '@tidemark/storage'
import type { EngineSizes } from '@tidemark/sync'
import type { Attached } from '@tidemark/sync/run'

export interface Pressure {
  /** The latest count is so near to the budget that nobody new is let in. */
  high(): boolean
  /** Counts from now on, until `stop`. */
  start(): void
  stop(): void
}

/** A connection as far as it costs something. */
export interface Costly {
  sizes(): ReturnType<Attached['sizes']>
  unsentBytes(): number
  /** Sends it away. */
  shed(): void
}

export interface PressureOptions {
  readonly bytesMax: number
  readonly clock: Clock
  connections(): Iterable<Costly>
  tables(): EngineSizes
}

const LOOK_EVERY_MS = 250
/** Below this part of the budget there is room again. */
const RELIEVED = 0.9
/** Measured with Node 26: 40 kB of resident memory an idle connection, 125 bytes of heap a subscription while its table is full; so is a question. */
const CONNECTION_BYTES = 40 * 1024
const DOCUMENT_BYTES = 200
/** A session that its peer named, with its name: 625 MB were measured for four million. */
const SESSION_BYTES = 160
/** A known state in memory; estimated. */
const HOLDING_BYTES = 1_024

export function createPressure({ bytesMax, clock, connections, tables }: PressureOptions): Pressure {
  const stopping = new AbortController()
  let high = false

  function look(): void {
    const costs = [...connections()].map((connection) => ({ connection, bytes: costOf(connection) }))
    const { holdings, recentBytes } = tables()
    let bytes = holdings * HOLDING_BYTES + recentBytes
    for (const cost of costs) bytes += cost.bytes
    high = bytes > bytesMax * RELIEVED
    if (bytes <= bytesMax) return
    costs.sort((a, b) => b.bytes - a.bytes)
    for (const cost of costs) {
      if (bytes <= bytesMax * RELIEVED) return
      bytes -= cost.bytes
      cost.connection.shed()
    }
  }

  async function watch(): Promise<void> {
    for (;;) {
      await clock.wait(LOOK_EVERY_MS, stopping.signal)
      look()
    }
  }

  return {
    high: () => high,
    start() {
      // It ends only by being aborted.
      if (Number.isFinite(bytesMax)) watch().catch(() => {})
    },
    stop: () => stopping.abort(),
  }
}

function costOf(connection: Costly): number {
  const { subscriptions, sessions, asking, pendingBytes, keptBytes } = connection.sizes()
  const bytes = pendingBytes + keptBytes + connection.unsentBytes()
  const documents = (subscriptions + asking) * DOCUMENT_BYTES
  return CONNECTION_BYTES + bytes + documents + sessions * SESSION_BYTES
}
