/**
 * One layer: a storage that is called with time limits, watched over, and left alone while it fails.
 *
 * L2: a failure, a time limit and a layer that is gone are three kinds of "no answer", and none of them is absence.
 * A storage that answers in the same tick needs no timer. Not here: what is asked of several layers (`race.ts`, `writes.ts`).
 */
import type { KnownState } from '@tidemark/known-state'
import {
  type Awaitable,
  type CallOptions,
  type Clock,
  type Opened,
  type Storage,
  StorageError,
  settle,
} from '@tidemark/storage'
import { Remembered } from '@tidemark/storage/adapter'
import { type Breaker, createBreaker } from './breaker.ts'
import { createThrottle, type Throttle } from './bucket.ts'
import type { Events, LayerCondition } from './events.ts'
import type { LayerOptions, LayersLimits } from './options.ts'
import { createOwing, type Owing } from './owing.ts'

/** A layer did not answer within its time limit. */
export class TimedOut extends StorageError {
  constructor(layer: string, operation: Operation, ms: number) {
    super('IO', `layer ${layer}: no answer to ${operation} within ${ms} ms`)
  }
}

export type Operation = 'open' | 'look' | 'page' | 'append'

/** Documents of which a cache knows from where it has them; the others it does not serve. */
const ORIGINS_MAX = 50_000

/** Remote layers get this many times the time of local ones. */
const REMOTE_TIMES = 3

export interface LayerHome {
  readonly clock: Clock
  readonly limits: LayersLimits
  readonly events: Events
  /** No repair waits any longer. */
  readonly closing: AbortSignal
  /** A layer that failed answers or stores again; `absent` if it was left alone meanwhile, so that anything may have been missed. */
  returned(layer: Layer, absent: boolean): void
  /** A layer is silent: asks it again until it is not. */
  lost(layer: Layer): Promise<void>
}

export class Layer {
  readonly name: string
  readonly storage: Storage
  readonly remote: boolean
  readonly maps: boolean
  readonly breaker: Breaker
  /** Resolves when so many bytes of a repair may pass. */
  readonly throttle: Throttle
  /** Writes that it has not answered. */
  readonly owing: Owing = createOwing()
  /** Repairs of documents in this layer that are under way. */
  readonly repairing: Map<string, Promise<void>> = new Map()
  opened: Opened | undefined
  /** It is a cache in front of durable layers: exempt from repair, from the join and from every count. */
  isCache = false
  /** Of a cache: from which layer it has what it has of a document. That one may be taken out. */
  readonly origins: Remembered<string, WeakRef<Layer>> = new Remembered(ORIGINS_MAX)
  /** It was compared with what others noted of it, since it was opened. */
  takenIn = false
  /** Whether it has said what an earlier process noted there (`taking-up.ts`). */
  takenUp: 'no' | 'yes' | Promise<void> = 'no'
  /** It is new or was wiped, and was not gone through yet: what it lacks it never had. */
  refilling = false
  /** Documents that were told to be damaged there, and what it said that it holds of them. */
  readonly corrupt: Map<string, KnownState> = new Map()
  /** Bytes handed over and not stored yet. */
  unstoredBytes = 0
  readonly #write: 'required' | 'best-effort' | 'none'
  readonly #home: LayerHome
  readonly #gone = new AbortController()
  /** Calls that wait: what to do when it is gone. A signal goes through all its listeners for each that is added. */
  readonly #waiting = new Set<() => void>()
  #condition: LayerCondition | undefined
  #opening: Promise<Opened> | undefined
  /** It was left alone, or could not be opened. */
  #lost = false
  #isAsked = false
  #unstored: string | undefined
  /** What it last failed at. */
  readonly #troubles = new Set<Operation>()

  constructor(options: LayerOptions, name: string, home: LayerHome) {
    this.name = options.name ?? name
    this.storage = options.storage
    this.remote = options.remote ?? false
    this.maps = (options.maps ?? (this.remote ? 'none' : 'join')) === 'join'
    const perSecond = options.repairBytesPerSecond ?? Number.POSITIVE_INFINITY
    this.throttle = createThrottle(home.clock, perSecond, AbortSignal.any([this.#gone.signal, home.closing]))
    this.#write = options.write ?? (this.remote ? 'best-effort' : 'required')
    this.breaker = createBreaker(home.limits)
    this.#home = home
  }

  /** What writes to it are: none if it was opened to be read only. */
  get write(): 'required' | 'best-effort' | 'none' {
    return this.isCache || this.opened?.writable === false ? 'none' : this.#write
  }

  get required(): boolean {
    return this.write === 'required'
  }

  /** Whether what it stored survives. */
  get durable(): boolean {
    return this.opened !== undefined && this.opened.level !== 'memory'
  }

  /** Whether what others noted about layers is kept there. */
  get keepsMarks(): boolean {
    return this.durable && !this.remote
  }

  get detached(): boolean {
    return this.#gone.signal.aborted
  }

  /** Whether it makes sense to call it now. */
  get available(): boolean {
    return !this.detached && this.opened !== undefined && this.breaker.allows(this.#home.clock.now())
  }

  /** It did not say what it holds when it was last asked, or is left alone: what it may lack waits until it is asked and answers. */
  get silent(): boolean {
    return this.#lost || this.#troubles.has('open') || this.#troubles.has('look')
  }

  /** A document that it could not store. It is tried again now and then; repairs of others wait until something was stored. */
  get unstored(): string | undefined {
    return this.#unstored
  }

  /** What waits for it may be done when it is back, not before. */
  get troubled(): boolean {
    return this.silent || this.#unstored !== undefined
  }

  /** `id`: a document that it could not store; without, it could. */
  noteStored(id?: string): void {
    const before = this.#unstored
    // The first that failed is the one that is tried: what fails while that waits for its time may itself wait for it.
    this.#unstored = id === undefined ? undefined : (before ?? id)
    if (id === undefined && before !== undefined && !this.detached) this.#home.returned(this, false)
  }

  /** How it is, in one word. */
  get condition(): LayerCondition {
    return this.#condition ?? 'up'
  }

  open(): Promise<Opened> {
    this.#opening ??= this.#inTime('open', this.#limitMs('open', false), (options) => this.storage.open(options)).then(
      (opened) => {
        this.opened = opened
        if (!opened.writable) this.#home.events.emit({ kind: 'layer', layer: this.name, condition: 'read-only' })
        this.#succeeded('open')
        return opened
      },
      (cause) => {
        this.#opening = undefined
        this.#failed('open', cause)
        throw cause
      },
    )
    return this.#opening
  }

  /**
   * Calls the storage. `patient`: for work in the background, which has as long as a write.
   *
   * @throws StorageError what the storage threw, or `IO` if it did not answer, is left alone, or was detached.
   */
  async call<T>(
    operation: Operation,
    run: (storage: Storage, options: CallOptions) => Awaitable<T>,
    patient = false,
  ): Promise<T> {
    if (this.detached) throw this.#detachedError()
    if (!this.breaker.allows(this.#home.clock.now()))
      throw new StorageError('IO', `layer ${this.name}: it failed ${this.breaker.failures} times and is left alone`)
    // In the order of the calls: nothing is awaited where nothing is to be waited for.
    if (this.opened === undefined) await this.open()
    try {
      const value = await this.#inTime(operation, this.#limitMs(operation, patient), (options) =>
        run(this.storage, options),
      )
      this.#succeeded(operation)
      return value
    } catch (cause) {
      this.#failed(operation, cause)
      throw cause
    }
  }

  /** Waits for what is in flight, but not for ever; what comes later is not called any more. */
  async close(): Promise<void> {
    try {
      await this.#inTime('append', this.#limitMs('append', true), () => this.storage.close())
    } finally {
      this.#leave()
    }
  }

  /** Whoever waits for it is told that it is gone. */
  detach(): void {
    this.#say('detached')
    this.#leave()
  }

  #leave(): void {
    this.#gone.abort()
    for (const gone of [...this.#waiting]) gone()
  }

  /** An opened layer is handed in at run time, or what was given is not called any more. */
  attached(): void {
    this.#home.events.emit({ kind: 'layer', layer: this.name, condition: 'attached' })
  }

  #limitMs(operation: Operation, patient: boolean): number {
    const { openTimeoutMs, lookTimeoutMs, pageTimeoutMs, appendTimeoutMs } = this.#home.limits
    const own = { open: openTimeoutMs, look: lookTimeoutMs, page: pageTimeoutMs, append: appendTimeoutMs }[operation]
    return (patient ? Math.max(own, appendTimeoutMs) : own) * (this.remote ? REMOTE_TIMES : 1)
  }

  /** A remote storage is told when nobody waits for it any more; a local one ends what it began, and is looked at again. */
  #inTime<T>(operation: Operation, ms: number, run: (options: CallOptions) => Awaitable<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      let settled = false
      const timer = new AbortController()
      const gone = () => end(() => reject(this.#detachedError()))
      const end = (how: () => void) => {
        if (settled) return
        settled = true
        timer.abort()
        this.#waiting.delete(gone)
        how()
      }
      settle(
        () => run(this.remote ? { signal: timer.signal } : {}),
        (value) => end(() => resolve(value)),
        (cause) => end(() => reject(cause)),
      )
      if (settled) return
      this.#waiting.add(gone)
      this.#home.clock.wait(ms, timer.signal).then(
        () => end(() => reject(new TimedOut(this.name, operation, ms))),
        () => {},
      )
    })
  }

  #succeeded(operation: Operation): void {
    this.breaker.succeeded()
    this.#condition ??= 'up'
    const isOver = this.#troubles.delete(operation)
    const absent = this.#lost && !this.#troubles.has('open') && !this.#troubles.has('look')
    if (absent) this.#lost = false
    if (!isOver && !absent) return
    // That it answers what it holds does not mean that it can be read.
    if (this.#troubles.size === 0) this.#say('up')
    this.#home.returned(this, absent)
  }

  #failed(operation: Operation, cause: unknown): void {
    if (this.detached) return
    const code = codeOf(cause)
    // One damaged document is that document's failure.
    if (code === 'CORRUPT' && operation !== 'open') return
    this.#troubles.add(operation)
    // A full disk still reads.
    if (isFull(cause)) return this.#say(code === 'QUOTA' ? 'quota' : 'read-only', code)
    this.breaker.failed(this.#home.clock.now(), this.#home.clock.random())
    this.#say(cause instanceof TimedOut ? 'slow' : 'down', code)
    if (operation === 'open' || this.breaker.failures >= this.#home.limits.failuresMax) this.#lost = true
    this.#askAgain()
  }

  /** One asks for all who wait for it. */
  #askAgain(): void {
    if (this.#isAsked || !this.silent || this.detached || this.#home.closing.aborted) return
    this.#isAsked = true
    void this.#home.lost(this).then(() => {
      this.#isAsked = false
      this.#askAgain()
    })
  }

  /** Told when it changes, not with every call. */
  #say(condition: LayerCondition, code?: ReturnType<typeof codeOf>): void {
    if (this.#condition === condition) return
    // Slow and down are one trouble: it is told once.
    const troubled = this.#condition === 'slow' || this.#condition === 'down'
    this.#condition = condition
    if (troubled && (condition === 'slow' || condition === 'down')) return
    this.#home.events.emit({ kind: 'layer', layer: this.name, condition, code })
  }

  #detachedError(): StorageError {
    return new StorageError('IO', `layer ${this.name}: it was detached`)
  }
}

/** Whether nothing can be stored there, and for long. */
export function isFull(cause: unknown): boolean {
  const code = codeOf(cause)
  return code === 'QUOTA' || code === 'READ_ONLY'
}

export function codeOf(cause: unknown): StorageError['code'] | undefined {
  // By shape: an adapter may have its own copy of the contract.
  const { name, code } = (cause ?? {}) as { name?: unknown; code?: unknown }
  return name === 'StorageError' ? (code as StorageError['code']) : undefined
}
