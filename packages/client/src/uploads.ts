/**
 * Uploads: whether the upstream has confirmed what is stored here, now or before this process began.
 *
 * L3: an upstream confirms what it has stored, so "uploaded" means what its acknowledgements mean: its `hello` says what. What the
 * upstream says on this connection comes first; else what the outbox and the comparison remember.
 * Not here: remembering it (`outbox.ts`, `comparison.ts`), sending anything (the engine).
 */
import type { AckLevel } from '@tidemark/protocol'
import type { Comparison, Outbox } from '@tidemark/reconciliation'
import type { Storage } from '@tidemark/storage'
import type { Runner } from '@tidemark/sync/run'
import { ClientError } from './errors.ts'
import { createWaiters, type Waiters } from './waiters.ts'

export interface UploadStatus {
  /**
   * The upstream has confirmed everything that is stored here, as far as it was heard of. `undefined` while that is not known: it
   * was never asked, or speaks a dialect that does not say which server it is and is not connected.
   */
  readonly uploaded: boolean | undefined
}

/** The same of everything stored. */
export interface ClientUploadStatus extends UploadStatus {
  /** Documents of which something written here is not confirmed. */
  readonly pending: number
}

export interface UploadOptions {
  /**
   * What the confirmation has to mean: `stored` survives the server's process, `durable` its machine. Default: whatever the server
   * gives.
   */
  readonly level?: AckLevel
  readonly signal?: AbortSignal
}

export interface Uploads {
  status(id: string): UploadStatus
  statusOfAll(): ClientUploadStatus
  /**
   * Resolves when everything stored of a document, or of all documents, is confirmed; waits for a connection if need be.
   *
   * @throws ClientError `NO_UPSTREAM`, `ABSENT` (nothing of it is stored here), `LEVEL`, `CLOSED`; StorageError; the signal's reason.
   */
  whenUploaded(id: string | undefined, options?: UploadOptions): Promise<void>
  /** Something was confirmed or grew: of one document, or of any. */
  changed(id?: string): void
  /** Nothing will be confirmed any more: whoever waits, or asks from now on, is told why. */
  close(error: ClientError): void
}

export interface UploadsContext {
  readonly runner: Runner
  readonly storage: Storage
  readonly hasUpstream: boolean
  readonly outbox: Outbox
  readonly comparison: Comparison
  /** Has a document asked for; answers how to end that. */
  want(id: string): () => void
}

export function createUploads(context: UploadsContext): Uploads {
  const { runner, storage, hasUpstream, outbox, comparison } = context
  /** By document; `undefined` waits for all. */
  const waiting = new Map<string | undefined, Waiters<void>>()
  let over: ClientError | undefined

  function status(id: string): UploadStatus {
    if (!hasUpstream) return { uploaded: undefined }
    if (outbox.has(id)) return { uploaded: false }
    return { uploaded: runner.status(id).uploaded ?? comparison.confirms(id) }
  }

  function statusOfAll(): ClientUploadStatus {
    const pending = outbox.size()
    if (!hasUpstream) return { uploaded: undefined, pending }
    return { uploaded: pending === 0 && comparison.confirmsAll(), pending }
  }

  function isUploaded(id: string | undefined): boolean {
    return (id === undefined ? statusOfAll() : status(id)).uploaded === true
  }

  /** @throws ClientError `LEVEL` if the server that is connected promises less. */
  function isDone(id: string | undefined, level: AckLevel | undefined): boolean {
    const promised = level === undefined || comparison.level() === 'durable' || comparison.level() === level
    if (!promised && comparison.isConnected()) throw tooLittle(comparison.level(), level, id)
    return promised && isUploaded(id)
  }

  function wake(id: string | undefined): void {
    const waiters = waiting.get(id)
    waiting.delete(id)
    waiters?.resolve()
  }

  async function wait(id: string | undefined, { level, signal }: UploadOptions): Promise<void> {
    for (;;) {
      if (isDone(id, level)) return
      if (over !== undefined) throw over
      const waiters = waiting.get(id) ?? createWaiters<void>()
      waiting.set(id, waiters)
      try {
        await waiters.add(signal)
      } finally {
        if (waiters.size() === 0 && waiting.get(id) === waiters) waiting.delete(id)
      }
    }
  }

  async function whenUploaded(id: string | undefined, options: UploadOptions = {}): Promise<void> {
    if (!hasUpstream) throw new ClientError('NO_UPSTREAM', 'this client has nothing to upload to', { id })
    options.signal?.throwIfAborted()
    if (id === undefined) return wait(id, options)
    const [stored] = await storage.knownStates([id])
    options.signal?.throwIfAborted()
    if (stored === undefined) throw new ClientError('ABSENT', 'nothing of it is stored here', { id })
    if (isDone(id, options.level)) return
    if (over !== undefined) throw over
    // Asked for, it is answered for.
    const end = context.want(id)
    try {
      await wait(id, options)
    } finally {
      end()
    }
  }

  return {
    status,
    statusOfAll,
    whenUploaded,
    changed(id) {
      if (id === undefined) for (const each of [...waiting.keys()]) wake(each)
      else {
        if (isUploaded(id)) wake(id)
        if (waiting.has(undefined) && isUploaded(undefined)) wake(undefined)
      }
    },
    close(error) {
      over ??= error
      for (const waiters of waiting.values()) waiters.reject(error)
      waiting.clear()
    },
  }
}

function tooLittle(promised: AckLevel | undefined, wanted: AckLevel | undefined, id: string | undefined): ClientError {
  const said = promised === undefined ? 'does not say what its acknowledgements mean' : `promises '${promised}' only`
  return new ClientError('LEVEL', `'${wanted}' was asked for, and the server ${said}`, { id })
}
