/**
 * Group commit: everything that wants to be written waits in one queue, and what waits is written by one batch.
 *
 * A durable write waits for the disk once, however much it holds: what arrives while one batch is being written is gathered for
 * the next. Acknowledgements go out after the write (law L3). Maps and erasures stand in the same queue, each alone.
 * A failed write is an unknown outcome for all in it: the database is opened anew, and what was remembered is read again.
 * Not here: what becomes of a content (work.ts), back-pressure (the engine's).
 */
import { type Append, type AppendOptions, type AppendResult, nextTurn } from '@tidemark/storage'
import { bytesOf, throwIfAborted } from '@tidemark/storage/adapter'
import { storageError } from './errors.ts'
import { recover, type Store, write } from './store.ts'
import { Work } from './work.ts'

/** A batch takes what waits up to about here: its documents are in memory, and those who wait want an answer. */
const CONTENTS_PER_BATCH = 1000
const BYTES_PER_BATCH = 8 * 1024 * 1024

interface Call {
  readonly batch: readonly Append[]
  readonly bytes: number
  readonly options: AppendOptions | undefined
  readonly resolve: (results: readonly AppendResult[]) => void
  readonly reject: (cause: unknown) => void
}

/** A write that shares its batch with no other. */
interface Alone {
  /** Completes "The database failed while …". */
  readonly doing: string
  readonly perform: () => Promise<void>
  readonly reject: (cause: unknown) => void
}

export class Writer {
  readonly #store: Store
  #waiting: (Call | Alone)[] = []
  #running: Promise<void> | undefined

  constructor(store: Store) {
    this.#store = store
  }

  append(batch: readonly Append[], options: AppendOptions | undefined): Promise<readonly AppendResult[]> {
    return new Promise((resolve, reject) => {
      this.#enqueue({ batch, bytes: sizeOf(batch), options, resolve, reject })
    })
  }

  /** Performs `write` when everything before it is written; nothing else is written meanwhile. */
  alone<T>(doing: string, write: () => Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      this.#enqueue({ doing, perform: async () => resolve(await write()), reject })
    })
  }

  /** Resolves when nothing waits any more. */
  async idle(): Promise<void> {
    while (this.#running !== undefined) await this.#running
  }

  #enqueue(job: Call | Alone): void {
    this.#waiting.push(job)
    this.#running ??= this.#run()
  }

  async #run(): Promise<void> {
    // Behind the sockets of this turn: what they bring is gathered too.
    await new Promise<void>((resolve) => nextTurn(resolve))
    while (this.#waiting.length > 0) {
      const [next] = this.#waiting as [Call | Alone]
      const jobs = 'perform' in next ? [next] : this.#callsThatWait()
      this.#waiting = this.#waiting.slice(jobs.length)
      try {
        if (this.#store.uncertain) await recover(this.#store)
        if ('perform' in next) await next.perform()
        else await this.#commit((jobs as Call[]).filter(isWanted))
      } catch (cause) {
        for (const { reject } of jobs) reject(storageError(cause, 'doing' in next ? next.doing : 'storing'))
        // Readers need not wait until somebody writes; whoever writes tries again.
        if (this.#store.uncertain) await recover(this.#store).catch(() => {})
      }
    }
    this.#running = undefined
  }

  #callsThatWait(): Call[] {
    const calls: Call[] = []
    let contents = 0
    let bytes = 0
    for (const job of this.#waiting) {
      if ('perform' in job || contents >= CONTENTS_PER_BATCH || bytes >= BYTES_PER_BATCH) break
      calls.push(job)
      contents += job.batch.length
      bytes += job.bytes
    }
    return calls
  }

  async #commit(calls: readonly Call[]): Promise<void> {
    if (calls.length === 0) return
    const store = this.#store
    const work = new Work(store)
    await work.take(calls.flatMap((call) => call.batch))
    const operations = await work.operations()
    const answers = shares(work.results(), calls)
    for (let index = 0; index < calls.length; index++) {
      const marks = calls[index]?.options?.marks
      // A content that failed takes the marks of its call with it.
      if (marks === undefined || answers[index]?.some((result) => 'failed' in result)) continue
      operations.push(...work.marks(marks))
    }
    await write(store, operations)
    work.committed()
    for (let index = 0; index < calls.length; index++) calls[index]?.resolve(answers[index] as AppendResult[])
  }
}

/** To each call its part of `results`. */
function shares(results: readonly AppendResult[], calls: readonly Call[]): AppendResult[][] {
  let until = 0
  return calls.map(({ batch }) => {
    until += batch.length
    return results.slice(until - batch.length, until)
  })
}

/** Aborted before its batch began: nothing of it is stored. */
function isWanted(call: Call): boolean {
  try {
    throwIfAborted(call.options)
    return true
  } catch (reason) {
    call.reject(reason)
    return false
  }
}

function sizeOf(batch: readonly Append[]): number {
  let bytes = 0
  for (const { header, runs } of batch) {
    bytes += header?.length ?? 0
    for (const { transactions, seal } of runs) bytes += bytesOf(transactions, seal)
  }
  return bytes
}
