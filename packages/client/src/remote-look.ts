/**
 * Asking a server what it holds of a document, without any content; and its refusals in the words of storages.
 *
 * Law L2: an error is a failure, never absence. Not here: contents (`remote-read.ts`, `remote-append.ts`).
 */
import { EMPTY, type KnownState } from '@tidemark/known-state'
import type { ErrorCode, ErrorMessage, KnownMessage, Message } from '@tidemark/protocol'
import { StorageError, type StorageErrorCode, type StoredState } from '@tidemark/storage'
import type { RemoteLink } from './remote-link.ts'

/** What the server holds. What is on its way to its disk, and `have` claims, is waited for. */
export async function look(
  link: RemoteLink,
  id: string,
  have: KnownState = EMPTY,
  signal?: AbortSignal,
): Promise<StoredState | undefined> {
  const load: Message = { action: 'load', id, known: have, probe: true }
  const hear = (message: Message) => {
    failIfError(message)
    // A correction answers content.
    return message.action === 'known' && !message.correction ? message : undefined
  }
  const answer = await link.talk(id, [load], hear, signal)
  return answer.known.header ? stateOf(answer) : undefined
}

/**
 * The kind is not told. Only documents of bytes have digests, so without transactions it may be either, and so it may where the server names none of
 * them: as long as it acknowledges less than it holds.
 */
export function stateOf({ known, digests = new Map() }: KnownMessage): StoredState {
  const state = { known, priority: 3, digests, lastRuns: new Map(), paged: true, erased: undefined } as const
  return digests.size > 0 ? { ...state, kind: 'bytes' } : { ...state, kind: 'json', guessed: true }
}

export function failIfError(message: Message): void {
  if (message.action === 'error') throw errorOf(message)
}

/** What a server refused or could not do, in the words of storages. */
export function errorOf({ code, message }: ErrorMessage): StorageError {
  return new StorageError(CODES[code] ?? 'IO', `the server refused: ${code} (${message})`)
}

const CODES: Readonly<Partial<Record<ErrorCode, StorageErrorCode>>> = {
  quota: 'QUOTA',
  tooLarge: 'TOO_LARGE',
  forbidden: 'READ_ONLY',
}
