/**
 * Uploads: whether the upstream has confirmed what is stored here.
 *
 * L3: an upstream confirms what is durable there, so "uploaded" means what its acknowledgements mean.
 * Not here: sending anything. A document is offered to upstreams for as long as somebody wants it, so whoever waits for its
 * upload keeps it open meanwhile.
 */
import type { KnownState } from '@tidemark/known-state'
import type { Storage } from '@tidemark/storage'
import type { Runner } from '@tidemark/sync/run'
import { ClientError } from './errors.ts'
import { createWaiters, type Waiters } from './waiters.ts'

export interface UploadStatus {
  /** Everything that is stored here is confirmed upstream. */
  /** `undefined` while no upstream is connected, or nobody here has the document open: then it is not known. */
  readonly uploaded: boolean | undefined
}

export interface Uploads {
  status(id: string): UploadStatus
  /**
   * Resolves when everything stored of a document is confirmed upstream, also if it is not open; waits for a connection.
   *
   * @throws ClientError `NO_UPSTREAM`, `ABSENT` (nothing of it is stored here), `CLOSED`; StorageError; the signal's reason.
   */
  whenUploaded(id: string, signal?: AbortSignal): Promise<void>
  /** Something was confirmed or grew: of one document, or of any. */
  changed(id?: string): void
  close(error: ClientError): void
}

export interface UploadsContext {
  readonly runner: Runner
  readonly storage: Storage
  readonly hasUpstream: boolean
  isOpen(id: string): boolean
  /** Whether writes of this document are not settled yet. */
  isWriting(id: string): boolean
  /** Subscribes to a document; answers how to end that. */
  want(id: string, after: KnownState): () => Promise<void>
}

export function createUploads(context: UploadsContext): Uploads {
  const { runner, storage } = context
  const waiting = new Map<string, Waiters<void>>()

  function status(id: string): UploadStatus {
    const { uploaded } = runner.status(id)
    if (uploaded === true) return { uploaded: !context.isWriting(id) }
    return { uploaded: context.isOpen(id) ? uploaded : undefined }
  }

  function waitersOf(id: string): Waiters<void> {
    const waiters = waiting.get(id) ?? createWaiters<void>()
    waiting.set(id, waiters)
    return waiters
  }

  function check(id: string): void {
    const waiters = waiting.get(id)
    if (waiters === undefined || status(id).uploaded !== true) return
    waiting.delete(id)
    waiters.resolve()
  }

  async function whenUploaded(id: string, signal?: AbortSignal): Promise<void> {
    if (!context.hasUpstream) throw new ClientError('NO_UPSTREAM', 'this client has nothing to upload to', { id })
    const [stored] = await storage.knownStates([id])
    signal?.throwIfAborted()
    if (stored === undefined) throw new ClientError('ABSENT', 'nothing of it is stored here', { id })
    const end = context.want(id, stored.known)
    try {
      const uploaded = waitersOf(id).add(signal)
      check(id)
      await uploaded
    } finally {
      if (waiting.get(id)?.size === 0) waiting.delete(id)
      await end()
    }
  }

  return {
    status,
    whenUploaded,
    changed(id) {
      if (id !== undefined) check(id)
      else for (const each of [...waiting.keys()]) check(each)
    },
    close(error) {
      for (const waiters of waiting.values()) waiters.reject(error)
      waiting.clear()
    },
  }
}
