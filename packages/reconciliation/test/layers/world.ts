/**
 * Small worlds for tests of layers: manual time, disks that outlive their handles, contents that say what they are.
 *
 * Not here: faults (`@tidemark/storage/conformance`).
 */
import { EMPTY, type KnownState } from '@tidemark/known-state'
import type { PayloadKind, Run } from '@tidemark/protocol'
import { type Append, type Clock, type Generation, memoryStorage, type Storage, StorageError } from '@tidemark/storage'
import { type FaultyStorage, faults } from '@tidemark/storage/conformance'
import { type LayersEvent, type LayersOptions, layers } from '../../src/layers.ts'

const utf8 = new TextEncoder()

export interface ManualClock extends Clock {
  advance(ms: number): Promise<void>
  /** Waits that have not ended. */
  readonly waiting: number
}

/** Numbers from a seed, the same on every machine. */
export function chance(seed: number): () => number {
  let state = seed | 0
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

export function manualClock(random: () => number = () => 0.5): ManualClock {
  let now = 1_000
  const alarms = new Set<{ readonly at: number; ring(): void }>()
  return {
    now: () => now,
    random,
    get waiting() {
      return alarms.size
    },
    wait: (ms, signal) =>
      new Promise((resolve, reject) => {
        if (signal?.aborted) return reject(signal.reason)
        const aborted = () => {
          alarms.delete(alarm)
          reject(signal?.reason)
        }
        const alarm = {
          at: now + Math.max(0, ms),
          ring: () => {
            signal?.removeEventListener('abort', aborted)
            resolve()
          },
        }
        alarms.add(alarm)
        signal?.addEventListener('abort', aborted)
      }),
    async advance(ms) {
      const end = now + ms
      await settled()
      for (;;) {
        let due: { readonly at: number; ring(): void } | undefined
        for (const alarm of alarms) if (alarm.at <= end && (due === undefined || alarm.at < due.at)) due = alarm
        if (due === undefined) break
        now = Math.max(now, due.at)
        alarms.delete(due)
        due.ring()
        await settled()
      }
      now = end
      await settled()
    },
  }
}

declare function setImmediate(callback: () => void): unknown

/** Everything that waits for no time has happened when the next turn comes. */
export const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

/** Lets time pass until `work` is done. */
export async function passing<T>(clock: ManualClock, work: Promise<T>, msMax = 600_000): Promise<T> {
  let done = false
  const finished = () => {
    done = true
  }
  work.then(finished, finished)
  await settled()
  for (let passed = 0; !done; passed += 50) {
    if (passed > msMax) throw new Error(`not done after ${passed} ms`)
    await clock.advance(50)
  }
  return work
}

/** What stays when a process ends: handles on it come and go. */
export interface Disk {
  /** The data, always open. */
  readonly data: ReturnType<typeof memoryStorage>
  /** A durable store over the data, as a new process would open it. */
  handle(): Storage
  /** Handles given so far never answer again. */
  kill(): void
}

let disks = 0

export function disk(): Disk {
  const data = memoryStorage()
  data.open()
  const name = `disk ${++disks}`
  const history: Generation[] = []
  let life = 0
  return {
    data,
    kill() {
      life++
    },
    handle() {
      const mine = life
      let phase: 'made' | 'open' | 'closed' = 'made'
      const handle = Object.create(data) as Storage
      for (const method of METHODS)
        handle[method] = ((...args: never[]) => {
          if (mine !== life) return new Promise(() => {})
          if (phase !== 'open') throw new StorageError('CLOSED', 'this handle is not open')
          return (data[method] as (...values: never[]) => unknown)(...args)
        }) as never
      handle.open = () => {
        if (mine !== life) return new Promise(() => {})
        if (phase === 'closed') throw new StorageError('CLOSED', 'this handle was closed')
        if (phase === 'made') history.push({ id: `${name}, opening ${history.length + 1}`, sequence: history.length })
        phase = 'open'
        const capabilities = { list: true, changes: true, maps: true, erase: true }
        const generation = history.at(-1) as Generation
        return { generation, history: [...history], writable: true, capabilities, level: 'durable' }
      }
      handle.close = () => {
        phase = 'closed'
      }
      return handle
    },
  }
}

const METHODS = [
  'knownStates',
  'headers',
  'read',
  'append',
  'verifierStates',
  'marks',
  'list',
  'count',
  'changes',
  'readMap',
  'mergeMap',
  'erase',
] as const

/** A durable store in memory that can be made to fail, and counts its calls. */
export function store(of: Disk = disk()): FaultyStorage & { readonly disk: Disk } {
  return Object.assign(faults(of.handle()), { disk: of })
}

export type Store = ReturnType<typeof store>

/** Layers over disks, A first, opened; `before` is called with their handles when nothing was asked of them yet. */
export async function over(
  disks: readonly Disk[],
  options: LayersOptions & { readonly clock: ManualClock },
  before: (stores: readonly Store[]) => void = () => {},
) {
  const stores = disks.map((on) => store(on))
  before(stores)
  const all = layers(
    stores.map((storage, index) => ({ storage, name: 'ABCDE'[index] as string })),
    options,
  )
  const events: LayersEvent[] = []
  all.listen((event) => events.push(event))
  await passing(options.clock, all.open())
  await settled()
  const [a, b, c] = stores as [Store, Store, Store]
  return { all, stores, events, a, b, c }
}

/** Each call takes so long; one that takes for ever never answers. */
export function slow(storage: FaultyStorage, clock: Clock, ms: number, except: readonly string[] = []): void {
  storage.plan = ({ method }) =>
    except.includes(method)
      ? undefined
      : { after: ms === Number.POSITIVE_INFINITY ? new Promise(() => {}) : clock.wait(ms) }
}

export interface ContentOptions {
  readonly header?: boolean
  readonly kind?: PayloadKind
  /** What another writer wrote. */
  readonly salt?: string
  readonly seal?: boolean
}

/** `content('note', 'a:0-3 b:0-1')`: transactions 0, 1, 2 of session a and 0 of b. */
export function content(id: string, sessions: string, options: ContentOptions = {}): Append {
  const { header = true, kind = 'bytes', salt = '', seal = false } = options
  const runs: Run[] = sessions
    .split(' ')
    .filter(Boolean)
    .map((part) => {
      const [session, range] = part.split(':') as [string, string]
      const [after, until] = range.split('-').map(Number) as [number, number]
      const transactions = Array.from({ length: until - after }, (_, at) =>
        utf8.encode(`"${session} ${after + at}${salt}"`),
      )
      return { session, after, transactions, ...(seal && { seal: utf8.encode(`seal ${until}`) }) }
    })
  return { id, kind, priority: 3, runs, ...(header && { header: utf8.encode(`"${id}"`) }) }
}

/** `a:3 b:1` */
export function counts(known: KnownState | undefined): string {
  if (known === undefined) return 'absent'
  return [...known.sessions]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([session, count]) => `${session}:${count}`)
    .join(' ')
}

export function held(of: { readonly disk: Disk }, id = 'note'): string {
  return counts(of.disk.data.knownStates([id])[0]?.known)
}

/** All of a document as one text, the same wherever it is held. */
export function dump(data: ReturnType<typeof memoryStorage>, id = 'note'): string {
  const text = new TextDecoder()
  const sessions = new Map<string, string[]>()
  for (let after = EMPTY; ; ) {
    const page = data.read(id, after, { bytesMax: 1_000_000 })
    if (page === undefined) return 'absent'
    for (const { session, transactions } of page.runs)
      sessions.set(session, [...(sessions.get(session) ?? []), ...transactions.map((one) => text.decode(one))])
    if (!page.more) break
    after = page.end
  }
  return [...sessions]
    .sort()
    .map(([session, entries]) => `${session}: ${entries.join(' ')}`)
    .join('\n')
}

/** Events of one kind, as they came. */
export function of<K extends LayersEvent['kind']>(
  events: readonly LayersEvent[],
  kind: K,
): readonly Extract<LayersEvent, { kind: K }>[] {
  return events.filter((event): event is Extract<LayersEvent, { kind: K }> => event.kind === kind)
}

/** Entries of content that a store was given to append. */
export function writes(storage: FaultyStorage): { entries: number } {
  const counted = { entries: 0 }
  const real = storage.append
  storage.append = (batch, options) => {
    for (const { runs } of batch) for (const { transactions } of runs) counted.entries += transactions.length
    return real(batch, options)
  }
  return counted
}

/** Whether something was done, or failed. */
export const outcome = (work: PromiseLike<unknown> | unknown): Promise<'done' | 'failed'> =>
  Promise.resolve(work).then(
    () => 'done',
    () => 'failed',
  )
