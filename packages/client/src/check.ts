/**
 * What an application hands over, checked at the border (L14): its mistakes are `TypeError`s before anything is done.
 *
 * Not here: ids (`@tidemark/storage`), JSON payloads (`json.ts`).
 */
import { checkId } from '@tidemark/storage'
import type { AppendOptions, Creation } from './doc.ts'
import type { Write } from './writes.ts'

/** @throws TypeError, RangeError for what is no session id or no bytes. */
export function creationWrite(creation: Creation): Write {
  const { header, priority = 3, session, transactions = [], seal } = creation
  if (session === undefined && transactions.length > 0)
    throw new TypeError('expected a session for the transactions of a new document, got none')
  return {
    header: checkBytes(header, 'header'),
    priority,
    ...(session === undefined
      ? { session, transactions: [], seal: undefined }
      : runOf(session, transactions, seal === undefined ? {} : { seal })),
  }
}

/** @throws TypeError, RangeError for what is no session id or no bytes. */
export function appendWrite(session: string, transactions: readonly Uint8Array[], options: AppendOptions): Write {
  return { header: undefined, priority: 3, ...runOf(session, transactions, options) }
}

function runOf(
  session: string,
  transactions: readonly Uint8Array[],
  { seal }: AppendOptions,
): Pick<Write, 'session' | 'transactions' | 'seal'> {
  checkId(session, 'session id')
  for (const transaction of transactions) checkBytes(transaction, 'transaction')
  if (seal !== undefined) checkBytes(seal, 'seal')
  return { session, transactions: [...transactions], seal }
}

function checkBytes(value: Uint8Array, what: string): Uint8Array {
  if (value instanceof Uint8Array) return value
  throw new TypeError(`${what}: expected bytes (Uint8Array), got ${value === null ? 'null' : typeof value}`)
}
