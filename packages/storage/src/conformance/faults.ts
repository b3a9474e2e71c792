/**
 * A storage that fails on purpose, and counts its calls: for tests of whoever must survive that.
 *
 * `plan` sees every call and says what shall happen to it; without a plan the wrapper is a spy. Not here: faults below an
 * adapter, on its disk (those are `Subject.failNext` of the conformance kit).
 */
import type { Append, AppendOptions, AppendResult, Awaitable, Storage, StorageErrorCode } from '../contract.ts'
import { StorageError } from '../errors.ts'
import { andThen } from '../settle.ts'

export type Method = keyof Storage

export interface Call {
  readonly method: Method
  /** How many calls of this method there were, this one included. */
  readonly nth: number
  readonly args: readonly unknown[]
}

/** What happens to one call, in this order. */
export interface Fault {
  /** It is performed only when this has settled: a slow call, or one that never answers. */
  readonly after?: PromiseLike<unknown>
  /** It fails with this. */
  readonly fails?: StorageErrorCode | Error
  /** It fails only after it was performed: the outcome that the caller cannot know. */
  readonly performed?: boolean
  /** Of an `append`: contents for which this answers a code come back as `failed` and are not stored, nor are marks. */
  readonly failsFor?: (content: Append) => StorageErrorCode | undefined
}

export type Plan = (call: Call) => Fault | undefined

export type Calls = Readonly<Record<Method, number>>

export interface FaultyStorage extends Storage {
  /** Number of calls by method, those that failed included. */
  readonly calls: Calls
  /** To be replaced at any time; `undefined`: everything works. */
  plan: Plan | undefined
}

export function faults(storage: Storage, plan?: Plan): FaultyStorage {
  const calls: Record<Method, number> = {
    open: 0,
    knownStates: 0,
    headers: 0,
    read: 0,
    append: 0,
    verifierStates: 0,
    marks: 0,
    list: 0,
    count: 0,
    changes: 0,
    readMap: 0,
    mergeMap: 0,
    erase: 0,
    close: 0,
  }

  function perform<T>(method: Method, args: readonly unknown[], call: (fault: Fault) => Awaitable<T>): Awaitable<T> {
    calls[method]++
    const fault = faulty.plan?.({ method, nth: calls[method], args }) ?? {}
    if (fault.after === undefined) return suffer(fault, method, call)
    const now = () => suffer(fault, method, call)
    return fault.after.then(now, now)
  }

  const faulty: FaultyStorage = {
    calls,
    plan,
    open: (...args) => perform('open', args, () => storage.open(...args)),
    knownStates: (...args) => perform('knownStates', args, () => storage.knownStates(...args)),
    headers: (...args) => perform('headers', args, () => storage.headers(...args)),
    read: (...args) => perform('read', args, () => storage.read(...args)),
    append: (...args) => perform('append', args, (fault) => appendSome(storage, fault.failsFor, ...args)),
    verifierStates: (...args) => perform('verifierStates', args, () => storage.verifierStates(...args)),
    marks: (...args) => perform('marks', args, () => storage.marks(...args)),
    list: (...args) => perform('list', args, () => storage.list(...args)),
    count: (...args) => perform('count', args, () => storage.count(...args)),
    changes: (...args) => perform('changes', args, () => storage.changes(...args)),
    readMap: (...args) => perform('readMap', args, () => storage.readMap(...args)),
    mergeMap: (...args) => perform('mergeMap', args, () => storage.mergeMap(...args)),
    erase: (...args) => perform('erase', args, () => storage.erase(...args)),
    close: (...args) => perform('close', args, () => storage.close(...args)),
  }
  return faulty
}

function suffer<T>(fault: Fault, method: Method, call: (fault: Fault) => Awaitable<T>): Awaitable<T> {
  if (fault.fails === undefined) return call(fault)
  const cause = typeof fault.fails === 'string' ? new StorageError(fault.fails, `${method}: made to fail`) : fault.fails
  const fail = (): never => {
    throw cause
  }
  return fault.performed === true ? andThen(call(fault), fail) : fail()
}

function appendSome(
  storage: Storage,
  failsFor: Fault['failsFor'],
  batch: readonly Append[],
  options?: AppendOptions,
): Awaitable<readonly AppendResult[]> {
  if (failsFor === undefined) return storage.append(batch, options)
  const codes = batch.map((content) => failsFor(content))
  const taken = batch.filter((_, index) => codes[index] === undefined)
  // Where one content fails no mark is set.
  const { marks: _, ...unmarked } = options ?? {}
  return andThen(storage.append(taken, taken.length < batch.length ? unmarked : options), (results) => {
    const left = [...results]
    return codes.map((failed) => (failed === undefined ? (left.shift() as AppendResult) : { failed }))
  })
}
