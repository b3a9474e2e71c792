/**
 * Group commit: what is appended within one turn of the event loop is made durable by one commit.
 *
 * A durable commit waits for the disk once, however much it holds, and a server's contents arrive on many sockets in one turn:
 * gathering them makes tens of thousands of durable contents a second of a few hundred commits. Acknowledgements go out after
 * the commit (law L3).
 * When a commit fails, its calls are committed one by one, and a call that fails content by content: one bad document does not
 * fail its neighbours, but takes the marks of its call with it.
 * Not here: what becomes of a content (work.ts), back-pressure (the engine's).
 */
import type { Append, AppendOptions, AppendResult, Marks } from '@tidemark/storage'
import { throwIfAborted } from '@tidemark/storage/adapter'
import { storageError } from './errors.ts'
import { type Store, transact } from './store.ts'
import { Work } from './work.ts'

/** Contents of one commit, about; the event loop gets a turn between two commits. */
const CONTENTS_PER_COMMIT = 1000

interface Call {
  readonly batch: readonly Append[]
  readonly options: AppendOptions | undefined
  readonly resolve: (results: readonly AppendResult[]) => void
  readonly reject: (cause: unknown) => void
}

export class Group {
  readonly #store: Store
  #waiting: Call[] = []
  #scheduled: NodeJS.Immediate | undefined

  constructor(store: Store) {
    this.#store = store
  }

  append(batch: readonly Append[], options: AppendOptions | undefined): Promise<readonly AppendResult[]> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ batch, options, resolve, reject })
      // Behind the sockets of this turn: what they bring is gathered too.
      this.#scheduled ??= setImmediate(() => this.#commitNext())
    })
  }

  /** Commits everything that waits, now: before what must come after it. */
  flush(): void {
    while (this.#waiting.length > 0) this.#commitSome()
    if (this.#scheduled !== undefined) clearImmediate(this.#scheduled)
    this.#scheduled = undefined
  }

  #commitNext(): void {
    this.#scheduled = undefined
    this.#commitSome()
    if (this.#waiting.length > 0) this.#scheduled = setImmediate(() => this.#commitNext())
  }

  #commitSome(): void {
    const calls: Call[] = []
    let contents = 0
    for (const call of this.#waiting) {
      if (contents >= CONTENTS_PER_COMMIT) break
      contents += call.batch.length
      calls.push(call)
    }
    this.#waiting = this.#waiting.slice(calls.length)
    commit(this.#store, calls.filter(isWanted))
  }
}

/** Aborted before its commit began: nothing of it is stored. */
function isWanted(call: Call): boolean {
  try {
    throwIfAborted(call.options)
    return true
  } catch (reason) {
    call.reject(reason)
    return false
  }
}

function commit(store: Store, calls: readonly Call[]): void {
  if (calls.length === 0) return
  try {
    const results = commitWork(store, calls)
    let at = 0
    for (const call of calls) {
      call.resolve(results.slice(at, at + call.batch.length))
      at += call.batch.length
    }
  } catch (cause) {
    if (isOfStore(store, cause)) for (const call of calls) answerFailed(store, call, cause)
    else if (calls.length > 1) for (const call of calls) commit(store, [call])
    else commitApart(store, calls[0] as Call, cause)
  }
}

/** No content is to blame, and trying each for itself would wait for each. */
function isOfStore({ driver }: Store, cause: unknown): boolean {
  const { code } = storageError(driver, cause, 'storing')
  return code === 'BUSY' || code === 'READ_ONLY'
}

function answerFailed(store: Store, call: Call, cause: unknown): void {
  if (call.batch.length === 0) call.reject(storageError(store.driver, cause, 'storing marks'))
  else call.resolve(call.batch.map((content) => failed(store, content, cause)))
}

function failed({ driver }: Store, { id }: Append, cause: unknown): AppendResult {
  const error = storageError(driver, cause, `storing document ${JSON.stringify(id)}`)
  return { failed: error.code, cause: error }
}

/** One commit per content, after the whole call failed with `cause`; marks are committed with the last, when all others are stored. */
function commitApart(store: Store, call: Call, cause: unknown): void {
  if (call.batch.length === 0) return answerFailed(store, call, cause)
  const results: AppendResult[] = []
  for (const [index, content] of call.batch.entries()) {
    const whole = index === call.batch.length - 1 && !results.some((result) => 'failed' in result)
    try {
      results.push(...commitWork(store, [{ batch: [content], options: whole ? call.options : undefined }]))
    } catch (failure) {
      results.push(failed(store, content, failure))
    }
  }
  call.resolve(results)
}

function commitWork(store: Store, calls: readonly Pick<Call, 'batch' | 'options'>[]): AppendResult[] {
  const contents = calls.flatMap((call) => call.batch)
  const { work, results } = transact(store, () => {
    const work = new Work(store, contents)
    const marks: Marks[] = []
    for (const { batch, options } of calls) {
      let whole = true
      for (const content of batch) if (!work.take(content)) whole = false
      if (whole && options?.marks !== undefined) marks.push(options.marks)
    }
    work.write(marks)
    return { work, results: work.results() }
  })
  work.committed()
  return results
}
