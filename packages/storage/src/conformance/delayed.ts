/**
 * A synchronous storage made asynchronous: each call is performed later, in the order of the calls.
 *
 * For tests of the kit and of whoever must work over both flavours.
 */
import type { Awaitable, Storage } from '../contract.ts'

/** `wait` is what a call takes before it is performed; a few microtasks unless given. */
export function delayed(storage: Storage, wait: () => PromiseLike<unknown> = microtasks): Storage {
  let last: Promise<unknown> = Promise.resolve()
  const queue = <T>(call: () => Awaitable<T>): Promise<T> => {
    const answer = last.then(wait).then(call)
    last = answer.catch(() => {})
    return answer
  }
  return {
    open: (...args) => queue(() => storage.open(...args)),
    knownStates: (...args) => queue(() => storage.knownStates(...args)),
    headers: (...args) => queue(() => storage.headers(...args)),
    read: (...args) => queue(() => storage.read(...args)),
    append: (...args) => queue(() => storage.append(...args)),
    verifierStates: (...args) => queue(() => storage.verifierStates(...args)),
    marks: (...args) => queue(() => storage.marks(...args)),
    list: (...args) => queue(() => storage.list(...args)),
    count: (...args) => queue(() => storage.count(...args)),
    changes: (...args) => queue(() => storage.changes(...args)),
    readMap: (...args) => queue(() => storage.readMap(...args)),
    mergeMap: (...args) => queue(() => storage.mergeMap(...args)),
    erase: (...args) => queue(() => storage.erase(...args)),
    close: () => queue(() => storage.close()),
  }
}

async function microtasks(): Promise<void> {
  for (let turn = 0; turn < 3; turn++) await undefined
}
