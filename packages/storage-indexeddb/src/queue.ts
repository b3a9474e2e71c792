/**
 * Writes in the order of their calls, and group commit: appends that wait together are made durable by one transaction.
 *
 * A durable transaction waits for the disk once, however much it holds, and while it does, further appends arrive: they are
 * the next one. Acknowledgements go out after the transaction's `complete` (law L3).
 * When a transaction fails, its calls are stored one by one, and a call that fails content by content: one bad document does
 * not fail its neighbours. A call with marks is not divided: they are stored with all of it or not at all.
 * Not here: what becomes of a content (work.ts), lost connections (connection.ts).
 */
import { type AppendOptions, type AppendResult, nextTurn, StorageError } from '@tidemark/storage'
import { throwIfAborted } from '@tidemark/storage/adapter'
import type { Call } from './work.ts'

/** Contents of one transaction, about: others get their turn between two. */
const CONTENTS_PER_COMMIT = 1000

/** Stores the contents of some calls in one transaction. */
export type Commit = (calls: readonly Call[]) => Promise<readonly (readonly AppendResult[])[]>

interface Append {
  readonly call: Call
  readonly options: AppendOptions | undefined
  readonly resolve: (results: readonly AppendResult[]) => void
  readonly reject: (cause: unknown) => void
}

/** Something else that takes its turn. */
type Other = () => Promise<void>

export class WriteQueue {
  readonly #commit: Commit
  #waiting: (Append | Other)[] = []
  #working: Promise<void> | undefined

  constructor(commit: Commit) {
    this.#commit = commit
  }

  append(call: Call, options: AppendOptions | undefined): Promise<readonly AppendResult[]> {
    return new Promise((resolve, reject) => this.#add({ call, options, resolve, reject }))
  }

  /** Runs `write` behind everything that was called before it. */
  run<T>(write: () => Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => this.#add(() => write().then(resolve, reject)))
  }

  /** Resolves when everything that was called so far has been answered. */
  async idle(): Promise<void> {
    await this.#working
  }

  #add(item: Append | Other): void {
    this.#waiting.push(item)
    this.#working ??= this.#work()
  }

  async #work(): Promise<void> {
    while (this.#waiting.length > 0) {
      // Whoever was answered by the last transaction may call again: what they bring is gathered, too.
      await new Promise<void>((resolve) => nextTurn(resolve))
      const next = this.#waiting[0]
      if (typeof next === 'function') {
        this.#waiting.shift()
        await next()
      } else await this.#store(this.#takeAppends().filter(isWanted))
    }
    this.#working = undefined
  }

  #takeAppends(): Append[] {
    let contents = 0
    const end = this.#waiting.findIndex((item) => {
      if (typeof item === 'function' || contents >= CONTENTS_PER_COMMIT) return true
      contents += item.call.batch.length
      return false
    })
    return this.#waiting.splice(0, end < 0 ? this.#waiting.length : end) as Append[]
  }

  /** Never rejects: every append is answered for itself. */
  async #store(appends: readonly Append[]): Promise<void> {
    if (appends.length === 0) return
    try {
      const results = await this.#commit(appends.map(({ call }) => call))
      for (const [index, { resolve }] of appends.entries()) resolve(results[index] as readonly AppendResult[])
    } catch (cause) {
      if (appends.length > 1) for (const append of appends) await this.#store([append])
      else await this.#storeApart(appends[0] as Append, cause)
    }
  }

  /** One transaction per content, after the whole call failed with `cause`. */
  async #storeApart({ call, resolve, reject }: Append, cause: unknown): Promise<void> {
    if (call.batch.length < 2 || call.marks !== undefined) return reject(cause)
    const results: AppendResult[] = []
    for (const content of call.batch) results.push(await this.#storeOne({ batch: [content], marks: undefined }))
    if (results.every((result) => 'failed' in result)) reject(cause)
    else resolve(results)
  }

  async #storeOne(call: Call): Promise<AppendResult> {
    try {
      return (await this.#commit([call]))[0]?.[0] as AppendResult
    } catch (cause) {
      return { failed: cause instanceof StorageError ? cause.code : 'IO', cause }
    }
  }
}

/** Aborted before its transaction began: nothing of it is stored. */
function isWanted({ options, reject }: Append): boolean {
  try {
    throwIfAborted(options)
    return true
  } catch (reason) {
    reject(reason)
    return false
  }
}
