/**
 * The one place that tells a value from a promise.
 *
 * A synchronous store answers in the same tick and an asynchronous one later, through the same code (see "Value or
 * promise" in ARCHITECTURE.md). Not here: retries, time limits.
 */
import type { Awaitable } from './contract.ts'

/**
 * Calls `done` with what `call` answers, or `failed` with what it throws or rejects with; in the same tick if it answers a value.
 * What `done` and `failed` throw is theirs: it is never taken for a failure of `call`.
 */
export function settle<T>(call: () => Awaitable<T>, done: (value: T) => void, failed: (cause: unknown) => void): void {
  let answer: Awaitable<T>
  try {
    answer = call()
  } catch (cause) {
    failed(cause)
    return
  }
  if (isPromise(answer)) void answer.then(done, failed)
  else done(answer)
}

/** What `done` makes of an answer; in the same tick if it is a value. For wrappers that only look at what passes through. */
export function andThen<T, R>(answer: Awaitable<T>, done: (value: T) => Awaitable<R>): Awaitable<R> {
  return isPromise(answer) ? answer.then(done) : done(answer)
}

function isPromise<T>(value: Awaitable<T>): value is PromiseLike<T> {
  return typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function'
}
