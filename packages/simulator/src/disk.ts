/**
 * A disk: what a node keeps while its processes come and go, and all that goes wrong with it.
 *
 * It is a journal of what was written. What stands in it is what a storage opened from it holds, so that a lost tail, an old backup
 * and an empty disk are the same journal, cut somewhere. L2: an append of several documents is all or nothing for each of them,
 * whatever happens. Not here: the contract (`@tidemark/storage`), when a disk breaks (`troubles.ts`).
 */
import type { KnownState } from '@tidemark/known-state'
import type { AckLevel } from '@tidemark/protocol'
import {
  type Append,
  type AppendOptions,
  type AppendResult,
  type Awaitable,
  andThen,
  type Generation,
  memoryStorage,
  type Opened,
  type Storage,
  StorageError,
  type StorageErrorCode,
  type StoredState,
} from '@tidemark/storage'
import type { Chance } from './chance.ts'
import type { Changing } from './changing.ts'
import type { DiskFaults } from './faults.ts'
import type { Fate, Observe } from './happenings.ts'
import type { Process } from './process.ts'
import type { Schedule } from './schedule.ts'

export interface DiskOptions {
  readonly node: string
  /** Of several disks of one node. */
  readonly number?: number
  readonly schedule: Schedule
  readonly chance: Chance
  faults(): DiskFaults
  readonly observe: Observe
  /** Makes the storage that a process works with; it is filled from the journal. Default: one in memory. */
  readonly make?: ((generation: string) => Storage) | undefined
  /** What a resolved append means. Default `durable`: it survives a power loss. */
  readonly level?: AckLevel | undefined
}

export interface Disk {
  /** What it promises of a write that it has answered. */
  readonly level: AckLevel
  /** The storage for a new process. */
  mount(process: Process): Storage
  /** What is on the disk of a document now, whatever anybody was told. */
  known(id: string): KnownState | undefined
  state(id: string): StoredState | undefined
  /** What the present process was told of a document; all that was there when it started. */
  told(id: string): KnownState | undefined
  ids(): readonly string[]
  /** Whether the present process handed over marks that do not stand here: their writes are under way, or failed and were not repeated. */
  lacks(): boolean
  /** The storage as it is, without faults, for looking into it. */
  readonly bare: Storage
  /** While set, every call fails so. */
  outage: 'fails' | 'full' | 'hangs' | undefined
  /** Remembers the present as what a backup holds. */
  backUp(): void
  /** To be called between two processes. */
  suffer(fate: Fate): void
}

type Write =
  | { readonly type: 'append'; readonly batch: readonly Append[]; readonly options: AppendOptions | undefined }
  /** `id` is the document that it leaves in another state. */
  | { readonly type: 'other'; readonly call: (storage: Storage) => Awaitable<unknown>; readonly id?: string }

const IO = 'made to fail'

export function createDisk(options: DiskOptions): Disk {
  const { node, number, schedule, chance, faults, observe, level = 'durable' } = options
  const make = options.make ?? ((generation: string) => memoryStorage({ generation }))
  const isSynchronous = chance.happens(faults().synchronous)
  let journal: Write[] = []
  /** How much of the journal is safe from a power loss. */
  let synced = 0
  let backup = 0
  let history: Generation[] = []
  let openings = 0
  const name = number === undefined ? node : `${node}.${number}`
  let bare = make('')
  let states = new Map<string, StoredState>()
  let told = new Map<string, KnownState>()
  /** Keys of marks that the present process handed over and that do not stand here. */
  let unwritten = new Set<string>()

  function note(id: string, state: StoredState | undefined): void {
    if (state === undefined) return
    states.set(id, state)
    observe({ type: 'stored', node, id, known: state.known })
  }

  function write(batch: readonly Append[], marks: AppendOptions | undefined): Awaitable<readonly AppendResult[]> {
    return andThen(bare.append(batch, marks), (results) => {
      journal.push({ type: 'append', batch, options: marks })
      for (const key of marks?.marks?.keys() ?? []) unwritten.delete(key)
      for (const [index, result] of results.entries())
        if (!('failed' in result)) note((batch[index] as Append).id, result.state)
      return results
    })
  }

  function other(one: Extract<Write, { type: 'other' }>): Awaitable<unknown> {
    journal.push(one)
    return andThen(one.call(bare), (result) => {
      if (one.id !== undefined) note(one.id, result as StoredState | undefined)
      return result
    })
  }

  function open(): Awaitable<Opened> {
    openings += 1
    const generation = { id: `${name}-${openings}`, sequence: journal.length }
    history = [...history, generation]
    return andThen(bare.open(), (opened) => ({ ...opened, generation, history, level }))
  }

  /** A new storage with what the journal says. */
  function rebuild(): void {
    bare = make(`${name}-${openings}`)
    disk.bare = bare
    states = new Map()
    const written = journal
    journal = []
    let done: Awaitable<unknown> = bare.open()
    // One after the other, also where a storage takes its time: what an erase left is what is noted last.
    for (const one of written)
      done = andThen(done, () => (one.type === 'append' ? write(one.batch, one.options) : other(one)))
  }

  const disk: Changing<Disk> = {
    level,
    outage: undefined,
    bare,
    known: (id) => states.get(id)?.known,
    told: (id) => told.get(id),
    state: (id) => states.get(id),
    ids: () => [...states.keys()],
    lacks: () => unwritten.size > 0,
    backUp() {
      backup = journal.length
    },
    suffer(fate) {
      if (fate === 'kept') return
      const kept = fate === 'wiped' ? 0 : fate === 'restored' ? backup : synced
      journal = journal.slice(0, kept)
      // Neither a new disk nor an old backup knows the generations since.
      history = fate === 'wiped' ? [] : history.filter(({ sequence }) => sequence <= kept)
      synced = Math.min(synced, kept)
      backup = Math.min(backup, kept)
      rebuild()
    },
    mount(process) {
      told = new Map([...states].map(([id, { known }]) => [id, known]))
      unwritten = new Set()
      return mounted(process)
    },
  }

  /** A disk that promises less than `durable` has answered before it synced. */
  function sync(): void {
    const written = journal.length
    const done = () => {
      synced = Math.max(synced, Math.min(written, journal.length))
    }
    if (level === 'durable') done()
    else schedule.after(SYNC_MS, done)
  }

  function mounted(process: Process): Storage {
    let writing = 0
    /** One call: it takes a while until it is done and a while until it is answered, and may fail before or after. */
    function call<T>(
      method: string,
      ids: readonly string[],
      isWrite: boolean,
      perform: () => Awaitable<T>,
    ): Awaitable<T> {
      const { fails, failsDone, delayMs, slow, slowMs } = faults()
      const failed = (how: string, code: StorageErrorCode = 'IO'): never => {
        observe({ type: 'disk failed', node, method, ids, how })
        throw new StorageError(code, `${method}: ${IO} (${how})`)
      }
      let tell = () => {}
      const attempt = (): Awaitable<T> => {
        const answer = work()
        // What a failed write did is told by the next look-up.
        const present = ids.map((id) => [id, states.get(id)?.known] as const)
        tell = () => {
          for (const [id, known] of present) if (known !== undefined) told.set(id, known)
        }
        return answer
      }
      const work = (): Awaitable<T> => {
        if (disk.outage === 'fails') return failed('outage')
        if (disk.outage === 'full' && isWrite) return failed('full', 'QUOTA')
        if (chance.happens(fails)) return failed('nothing done')
        return perform()
      }
      const answer = (value: T): T => {
        if (isWrite && chance.happens(failsDone)) return failed('done')
        if (isWrite) sync()
        tell()
        return value
      }
      if (isSynchronous && disk.outage !== 'hangs') return andThen(attempt(), answer)
      const takes = () => chance.between(delayMs) + (chance.happens(slow) ? chance.between(slowMs) : 0)
      return new Promise<T>((resolve, reject) => {
        const begin = () => {
          if (disk.outage === 'hangs') {
            process.after(HANG_MS, begin)
            return
          }
          let value: Awaitable<T>
          const late = (settle: () => void) => void process.after(takes(), settle)
          try {
            value = attempt()
          } catch (cause) {
            late(() => reject(cause))
            return
          }
          const done = (written: T) =>
            late(() => {
              try {
                resolve(answer(written))
              } catch (cause) {
                reject(cause)
              }
            })
          if (value instanceof Promise) value.then(done, (cause) => late(() => reject(cause)))
          else done(value as T)
        }
        const { now } = schedule
        // Writes take effect in the order in which they were called.
        const startsAt = isWrite ? Math.max(writing, now + takes()) : now + takes()
        if (isWrite) writing = startsAt
        process.after(startsAt - now, begin)
      })
    }
    return faulty(call)
  }

  function faulty(call: Call): Storage {
    return {
      open,
      knownStates: (ids, given) => call('knownStates', ids, false, () => bare.knownStates(ids, given)),
      headers: (ids, given) => call('headers', ids, false, () => bare.headers(ids, given)),
      read: (id, after, given) => call('read', [id], false, () => bare.read(id, after, given)),
      append(batch, given) {
        for (const key of given?.marks?.keys() ?? []) unwritten.add(key)
        return call('append', [...new Set(batch.map(({ id }) => id))], true, () => appendSome(batch, given))
      },
      verifierStates: (id, sessions) => call('verifierStates', [id], false, () => bare.verifierStates(id, sessions)),
      marks: (given) => call('marks', [], false, () => bare.marks(given)),
      list: (given) => call('list', [], false, () => bare.list(given)),
      count: (given) => call('count', [], false, () => bare.count(given)),
      changes: (given) => call('changes', [], false, () => bare.changes(given)),
      readMap: (name) => call('readMap', [], false, () => bare.readMap(name)),
      mergeMap: (name, entries) =>
        call('mergeMap', [], true, () => other({ type: 'other', call: (to) => to.mergeMap(name, entries) }) as never),
      erase: (id, version, given) =>
        call(
          'erase',
          [id],
          true,
          () => other({ type: 'other', call: (to) => to.erase(id, version, given), id }) as never,
        ),
      // The next process opens what this one leaves.
      close() {},
    }
  }

  /** Appends what fits; tears now and then between two documents. */
  function appendSome(batch: readonly Append[], given: AppendOptions | undefined): Awaitable<readonly AppendResult[]> {
    const { tears, full } = faults()
    const ids = [...new Set(batch.map(({ id }) => id))]
    if (chance.happens(tears)) {
      const whole = new Set(ids.slice(0, chance.below(ids.length + 1)))
      const written = write(
        batch.filter(({ id }) => whole.has(id)),
        // Marks commit with the content they belong to: before anything of the batch is there without them.
        whole.size === 0 ? undefined : given,
      )
      return andThen(written, () => {
        observe({ type: 'disk failed', node, method: 'append', ids, how: `torn after ${whole.size} documents` })
        throw new StorageError('IO', `append: ${IO} (torn)`)
      })
    }
    const lacking = new Set(full > 0 ? ids.filter(() => chance.happens(full)) : [])
    if (lacking.size === 0) return write(batch, given)
    observe({ type: 'disk failed', node, method: 'append', ids: [...lacking], how: 'full' })
    const fitting = batch.filter(({ id }) => !lacking.has(id))
    return andThen(write(fitting, undefined), (results) => {
      const left = [...results]
      return batch.map(({ id }) => (lacking.has(id) ? { failed: 'QUOTA' as const } : (left.shift() as AppendResult)))
    })
  }

  return disk
}

type Call = <T>(method: string, ids: readonly string[], isWrite: boolean, perform: () => Awaitable<T>) => Awaitable<T>

const HANG_MS = 100
const SYNC_MS = 500
