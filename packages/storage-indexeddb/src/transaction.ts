/**
 * One transaction: what `body` writes is stored when this resolves, and none of it when it rejects.
 *
 * L3: a write resolves with the `complete` event, never with that of a request: a request that succeeded may still be undone. What
 * a write rejects with is the transaction's own error, which is the one that names a full disk.
 */
import type { StoreName } from './schema.ts'

/** The object stores of a transaction. */
export type Reach = (name: StoreName) => IDBObjectStore

export interface TransactionSettings {
  readonly stores: readonly StoreName[]
  readonly mode: 'readonly' | 'readwrite'
  readonly durability: 'strict' | 'relaxed'
}

export async function transact<T>(
  database: IDBDatabase,
  { stores, mode, durability }: TransactionSettings,
  body: (reach: Reach, transaction: IDBTransaction) => Promise<T>,
): Promise<T> {
  const transaction = database.transaction(stores, mode, mode === 'readwrite' ? { durability } : {})
  const ended = endOf(transaction)
  // Told by `failureOf`, where it is waited for.
  ended.catch(() => {})
  try {
    const result = await body((name) => transaction.objectStore(name), transaction)
    if (mode === 'readonly') return result
    // Without it the browser waits for every request to be answered first.
    transaction.commit?.()
    await ended
    return result
  } catch (cause) {
    throw await failureOf(transaction, ended, cause)
  }
}

/** Resolves when the transaction is complete; rejects when it was aborted. */
function endOf(transaction: IDBTransaction): Promise<void> {
  return new Promise((resolve, reject) => {
    transaction.addEventListener('complete', () => resolve())
    transaction.addEventListener('abort', () => reject(transaction.error ?? new Error('The transaction was aborted')))
  })
}

/** Undoes what was written; answers why it failed. */
async function failureOf(transaction: IDBTransaction, ended: Promise<void>, cause: unknown): Promise<unknown> {
  try {
    transaction.abort()
  } catch {
    // It has ended already.
  }
  await ended.catch(() => {})
  // Requests of an aborted transaction fail with AbortError: why it was aborted is in the transaction.
  return transaction.error ?? cause
}
