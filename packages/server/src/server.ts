/**
 * The server as policy: a runner over a storage, who may connect, what is counted and said, how it ends.
 *
 * It answers from the storage and loads no documents. No socket and no timer of its own: channels come from outside, waiting
 * goes through the clock, so it runs in a simulation as it does behind a socket.
 * L3: closing waits until what was accepted is stored and acknowledged. Not here: HTTP and sockets (`listen.ts`).
 */
import { checkLimits, type Frame, jazz, type Limits } from '@tidemark/protocol'
import { type Clock, type Opened, systemClock } from '@tidemark/storage'
import type { Effect, Event, Report } from '@tidemark/sync'
import { type Channel, run } from '@tidemark/sync/run'
import type { Admission, UpgradeRequest } from '@tidemark/websocket'
import { createAdmission } from './admission.ts'
import { createConnections, type Who } from './connections.ts'
import { createCounters } from './counters.ts'
import { observeSizes } from './gauges.ts'
import type { Health } from './health.ts'
import { createKeepAlive } from './keep-alive.ts'
import { layersOf } from './layered.ts'
import { silent } from './log.ts'
import { createReportLog } from './log-reports.ts'
import { DEFAULT_SERVER_LIMITS, type ServerLimits, type ServerOptions } from './options.ts'
import { createOriginCheck } from './origins.ts'
import { createPenalties } from './penalties.ts'
import { createPressure } from './pressure.ts'
import { createRates } from './rates.ts'
import { reconcileHash } from './reconcile-hash.ts'
import { createRegistry } from './registry.ts'
import { createStoreCalls } from './store-calls.ts'
import { createStoreWatch } from './store-watch.ts'
import { createTurnstile } from './turnstile.ts'
import { openUpstream, watchUnowed } from './upstream.ts'
import { createWriteWatch } from './write-watch.ts'

export interface Server {
  /** Who this server is to its peers. */
  readonly peer: string
  /** How the storage answered when it was opened. */
  readonly opened: Opened
  /** As given at its creation, with its own defaults. */
  readonly limits: ServerLimits & Partial<Limits>
  /** Whether whoever sent an upgrade request is let in; what is admitted goes to `accept`. Never rejects. */
  admit(request: UpgradeRequest): Promise<Admission<Who>>
  /** Serves a client until its channel is closed. */
  accept(channel: Channel, who?: Who): void
  health(): Health
  /** All metrics as Prometheus text; `undefined` if a meter was handed in. */
  metrics(): string | undefined
  /** Hears what the engine reports; answers how to stop. */
  onReport(listener: (report: Report) => void): () => void
  /**
   * Lets nobody in any more, waits until what was accepted is stored and acknowledged, closes all connections with 1001, then the
   * storage.
   *
   * @throws Error if the storage does not settle in time; connections are closed nevertheless.
   */
  close(): Promise<void>
}

/** @throws StorageError if the storage does not open; TypeError, before it is opened, for an allowed origin that is none or a limit that is too low or no whole number. */
export async function createServer(options: ServerOptions): Promise<Server> {
  const { storage, hooks = {}, clock = systemClock, log = silent } = options
  const layered = layersOf(storage)
  const limits = { ...DEFAULT_SERVER_LIMITS, ...options.limits }
  checkLimits(limits)
  const peer = options.peer ?? randomPeer(clock)
  const registry = createRegistry()
  const meter = options.meter ?? registry
  const counters = createCounters(meter)
  const penalties = createPenalties(clock)
  const mayComeFrom = createOriginCheck(options.allowedOrigins)
  const { soon, proveContinuity = false } = options
  const writes = createWriteWatch(clock)
  const calls = createStoreCalls(clock)
  const observe = (step: Event | Effect) => {
    counters.observe(step)
    writes.observe(step)
    calls.observe(step)
  }
  const upstream = options.upstream && (await openUpstream(options.upstream, { storage, clock, log }))
  const unowed = upstream === undefined ? watchUnowed(storage) : undefined
  const runner = await run({
    storage,
    peer,
    clock,
    hooks,
    reconcileHash,
    limits,
    observe,
    proveContinuity,
    ...(soon && { soon }),
    ...(upstream?.runOptions ?? (unowed && { append: unowed.append })),
  })
  const keepAlive = createKeepAlive(clock, createPing(peer))
  const rates = createRates(limits, clock)
  const connections = createConnections({ runner, counters, keepAlive, penalties, rates, limits, clock, log })
  const pressure = createPressure({
    bytesMax: limits.memoryBytesMax,
    clock,
    connections: () => connections,
    tables: () => runner.sizes(),
  })
  pressure.start()
  const turnstile = createTurnstile(limits.reconcilingMax, clock)
  const startedMs = clock.now()
  const watch = createStoreWatch({
    storage,
    clock,
    failedAsAWhole(cause) {
      log('error', 'the store failed as a whole: clients are sent away until it answers again', { cause })
      connections.closeAll(1013, 'the store does not answer; try again later')
    },
    answersAgain: () => log('warn', 'the store answers again'),
  })
  runner.listen((report) => {
    counters.report(report)
    if (report.kind === 'storage') watch.suspect()
  })
  runner.listen(createReportLog(log, clock))
  const forgetSizes = observeSizes(meter, () => runner.sizes())
  upstream?.start(runner)
  let closing: Promise<void> | undefined

  /** Whether the store is slow to answer; if so it is asked whether it is there at all. */
  function isSlow(): boolean {
    const slow = calls.oldestMs() >= SLOW_MS
    if (slow) watch.suspect()
    return slow
  }

  function obstacle(): string | undefined {
    isSlow()
    if (closing !== undefined) return 'the server is closing'
    if (watch.failed()) return 'the store does not answer'
    if (pressure.high()) return 'the server has too much to do'
    return connections.size() >= limits.connectionsMax ? 'too many connections' : undefined
  }

  function condition(): Pick<Health, 'status' | 'reason'> {
    if (watch.failed()) return { status: 'failed', reason: 'the store does not answer' }
    if (closing !== undefined) return { status: 'draining' }
    if (writes.failing() !== undefined)
      return { status: 'degraded', reason: `what clients write cannot be stored: ${writes.failing()}` }
    if (isSlow()) return { status: 'degraded', reason: `the store has not answered for ${SLOW_MS} ms` }
    const why = obstacle()
    return why === undefined ? { status: 'ok' } : { status: 'full', reason: why }
  }

  async function close(): Promise<void> {
    // What arrives from now on stays with its senders; they were told nothing of it, so they send it again elsewhere.
    connections.pauseAll()
    upstream?.stop()
    unowed?.stop()
    const settled = await inTime(runner.flushed(), limits.drainMsMax, clock)
    connections.closeAll(1001, 'the server is going away')
    watch.stop()
    pressure.stop()
    turnstile.stop()
    forgetSizes()
    // Without settling the runner cannot close; the storage is closed nevertheless, and with it the lock of its file.
    if (settled) await runner.close()
    if (upstream !== undefined) await inTime(upstream.flushed(), limits.drainMsMax, clock)
    await inTime(Promise.resolve(storage.close()), limits.drainMsMax, clock)
    if (!settled) throw new Error(`the storage did not settle what was accepted within ${limits.drainMsMax} ms`)
  }

  return {
    peer,
    opened: runner.opened,
    limits,
    admit: createAdmission({
      authenticate: hooks.authenticate,
      penalties,
      counters,
      log,
      obstacle,
      mayComeFrom,
      turnstile,
      // At random, so that they do not all come again at one time.
      retryAfterMs: () => Math.round(limits.retryAfterMs * (1 + clock.random())),
    }),
    accept(channel, who = {}) {
      const why = obstacle()
      if (why !== undefined) channel.close(1013, why)
      else connections.accept(channel, who)
    },
    health() {
      const { documents, subscriptions, queued } = runner.sizes()
      const { generation, level, writable } = runner.opened
      return {
        ...condition(),
        peer,
        storage: { generation, level, writable, ...(layered && { layers: layered.health() }) },
        connections: connections.size(),
        documents,
        subscriptions,
        queued,
        ...(upstream && { upstream: { state: upstream.state(), owed: upstream.owed() } }),
        uptimeMs: clock.now() - startedMs,
      }
    },
    metrics: () => (options.meter === undefined ? registry.render() : undefined),
    onReport: (listener) => runner.listen(listener),
    close() {
      closing ??= close()
      return closing
    },
  }
}

/** A call to the store that takes as long makes it suspect. */
const SLOW_MS = 3_000

/** The keep-alive line of the Jazz dialect, the one dialect that has it. */
function createPing(peer: string): (timeMs: number) => Frame {
  const codec = jazz.createCodec()
  return (timeMs) => codec.encode([{ action: 'ping', time: Math.round(timeMs), from: peer }], PING_BYTES)[0] ?? ''
}

const PING_BYTES = 1_024

/** Whether `work` was done within `ms`. */
async function inTime(work: Promise<void>, ms: number, clock: Clock): Promise<boolean> {
  const done = new AbortController()
  const late = clock.wait(ms, done.signal).then(() => false)
  try {
    return await Promise.race([work.then(() => true), late])
  } finally {
    done.abort()
  }
}

function randomPeer(clock: Clock): string {
  const letter = () => Math.floor(clock.random() * 36).toString(36)
  return Array.from({ length: PEER_LETTERS }, letter).join('')
}

const PEER_LETTERS = 20
