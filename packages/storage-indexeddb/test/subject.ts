/**
 * The subject of the conformance kit, in Node and in a browser: a store in a database of its own, on a disk that can be made to
 * fail, and in a tab that can be killed.
 *
 * What a handle opens is watched through the factory it is given. Real kills of real tabs are in tabs.test.ts.
 */
import type { Storage } from '@tidemark/storage'
import type { Subject } from '@tidemark/storage/conformance'
import { type IndexeddbStorageOptions, indexeddbStorage } from '../src/index.ts'

type Access = 'read' | 'write'

/** How a transaction fails: it cannot begin, it is aborted when it is to be committed, or it is complete and nobody is told. */
export type Way = 'begin' | 'commit' | 'unheard'

interface Failing {
  readonly access: Access
  readonly way: Way
  readonly cause: DOMException
  /** Transactions to come that fail. */
  left: number
  hit: boolean
}

/** A transaction as it was asked for. */
interface Begun {
  readonly mode: IDBTransactionMode
  readonly stores: string | Iterable<string>
  readonly durability: IDBTransactionDurability | undefined
  complete: boolean
}

/** A factory whose databases are watched: they can be made to fail, and be taken away. */
export class WatchedFactory {
  /** What happens to transactions from now on. */
  failing: Failing | undefined
  readonly begun: Begun[] = []
  /** Openings to come that fail, and with what. */
  readonly refused: DOMException[] = []
  readonly databases: IDBDatabase[] = []
  readonly #transactions = new Set<IDBTransaction>()
  #killed = false

  readonly factory: IDBFactory = {
    open: (name: string, version?: number) => {
      if (this.#killed) throw new DOMException('its tab was killed', 'InvalidStateError')
      const request = indexedDB.open(name, version)
      request.addEventListener('success', () => this.#watch(request.result))
      const refused = this.refused.shift()
      return refused === undefined ? request : failing(request, refused)
    },
  } as IDBFactory

  fail(access: Access, cause: DOMException, way?: Way, times = Number.POSITIVE_INFINITY): void {
    this.failing = { access, way: way ?? (access === 'read' ? 'begin' : 'commit'), cause, left: times, hit: false }
  }

  /** Ends everything at once, as the end of a tab does. */
  kill(): void {
    this.#killed = true
    for (const transaction of this.#transactions) abort(transaction)
    for (const database of this.databases) database.close()
  }

  #watch(database: IDBDatabase): void {
    this.databases.push(database)
    const begin = database.transaction.bind(database)
    database.transaction = (stores, mode = 'readonly', options) => {
      const begun: Begun = { mode, stores, durability: options?.durability, complete: false }
      this.begun.push(begun)
      const failing = this.#failingNow(mode)
      if (failing?.way === 'begin') throw failing.cause
      const transaction = begin(stores, mode, options)
      this.#transactions.add(transaction)
      transaction.addEventListener('complete', () => (begun.complete = true))
      for (const end of ['complete', 'abort'])
        transaction.addEventListener(end, () => this.#transactions.delete(transaction))
      if (failing?.way === 'commit') failCommit(transaction, failing.cause)
      if (failing?.way === 'unheard') keepQuiet(transaction, failing.cause)
      return transaction
    }
  }

  #failingNow(mode: IDBTransactionMode): Failing | undefined {
    const { failing } = this
    if (failing === undefined || failing.left === 0 || (failing.access === 'read') !== (mode === 'readonly')) return
    failing.left--
    failing.hit = true
    return failing
  }
}

/** It is opened, and says that it could not be. */
function failing(request: IDBOpenDBRequest, cause: DOMException): IDBOpenDBRequest {
  Object.defineProperty(request, 'error', { value: cause })
  const listen = request.addEventListener.bind(request)
  request.addEventListener = (type: string, listener: EventListenerOrEventListenerObject) => {
    if (type === 'error') listen('success', listener)
    else if (type !== 'success') listen(type, listener)
  }
  return request
}

function failCommit(transaction: IDBTransaction, cause: DOMException): void {
  transaction.commit = () => {
    Object.defineProperty(transaction, 'error', { value: cause })
    transaction.abort()
  }
}

/** It is complete, and says that it was aborted: the connection was lost between the two. */
function keepQuiet(transaction: IDBTransaction, cause: DOMException): void {
  const listen = transaction.addEventListener.bind(transaction)
  transaction.addEventListener = (type: string, listener: EventListenerOrEventListenerObject) => {
    if (type === 'abort')
      listen('complete', (event) => {
        Object.defineProperty(transaction, 'error', { value: cause })
        if (typeof listener === 'function') listener(event)
      })
    else if (type !== 'complete') listen(type, listener)
  }
}

function abort(transaction: IDBTransaction): void {
  try {
    transaction.abort()
  } catch {
    // It is committing already: it may be complete or not, as when a tab ends.
  }
}

export const failures = {
  QUOTA: (): DOMException => new DOMException('the disk is full', 'QuotaExceededError'),
  IO: (): DOMException => new DOMException('Internal error committing transaction.', 'UnknownError'),
  LOST: (): DOMException => new DOMException('Connection to Indexed Database server lost.', 'UnknownError'),
  CLOSED: (): DOMException => new DOMException('The database connection is closing.', 'InvalidStateError'),
}

let made = 0

/** A name that no other test has. */
export function freshName(): string {
  made++
  return `store ${made} ${Math.random()}`
}

export function subject(options: Partial<IndexeddbStorageOptions> = {}): Subject {
  const name = freshName()
  let last: WatchedFactory
  const handle = (more: Partial<IndexeddbStorageOptions> = {}): Storage => {
    const watched = new WatchedFactory()
    last = watched
    return failingFor(indexeddbStorage({ name, ...options, ...more, indexedDB: watched.factory }), watched)
  }
  return {
    storage: handle(),
    reopen: () => handle(),
    kill() {
      last.kill()
      return handle()
    },
    second: () => handle(),
    readOnly: () => handle({ readOnly: true }),
    failNext: (access, code) => last.fail(access, failures[code]()),
    destroy: () => deleteDatabase(name),
  }
}

/** A storage whose disk fails for the whole of the call that hits it: failed transactions are tried again in parts. */
function failingFor(storage: Storage, watched: WatchedFactory): Storage {
  return new Proxy(storage, {
    get(target, method) {
      const call: unknown = target[method as keyof Storage]
      if (typeof call !== 'function') return call
      return (...args: unknown[]) =>
        call.apply(target, args).finally(() => {
          if (watched.failing?.hit) watched.failing = undefined
        })
    },
  })
}

export function deleteDatabase(name: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const request = indexedDB.deleteDatabase(name)
    request.onsuccess = () => resolve()
    request.onerror = () => reject(request.error)
  })
}
