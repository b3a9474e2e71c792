/**
 * The connection to one store, for as long as the storage is open: lost ones are replaced, once per call.
 *
 * Browsers lose connections: WebKit ends its database process in the background, another tab asks for an upgrade or a deletion, a
 * person clears site data. What was being done is done again on a new connection, once; appending is idempotent, so a write whose
 * outcome is unknown may be repeated. A second failure is the caller's to know. What is never done is going on with a
 * store that is no longer the one that was opened: `CLOSED` then, for every later call.
 */
import { StorageError } from '@tidemark/storage'
import { wrap } from 'idb'
import { isConnectionLost, storageError } from './errors.ts'
import { type OpenSettings, openDatabase, quoted } from './open-database.ts'
import { STORES, type StoreName } from './schema.ts'
import { type Reach, type TransactionSettings, transact } from './transaction.ts'

export interface ConnectionSettings extends OpenSettings {
  readonly durability: 'strict' | 'relaxed'
}

/** Where the generation of this open is recorded, to know the store by. */
export interface Identity {
  readonly key: IDBValidKey
  readonly id: string
}

export class Connection {
  readonly #settings: ConnectionSettings
  #database: Promise<IDBDatabase> | undefined
  #identity: Identity | undefined
  /** Why there will be no other connection. */
  #gone: StorageError | undefined

  constructor(settings: ConnectionSettings) {
    this.#settings = settings
  }

  /** Reads, in one transaction over `stores`. `doing` completes "IndexedDB failed while …". */
  read<T>(doing: string, stores: readonly StoreName[], body: (reach: Reach) => Promise<T>): Promise<T> {
    return this.#attempt(doing, { stores, mode: 'readonly', durability: this.#settings.durability }, body)
  }

  /** Reads and writes, in one transaction over all stores; resolves when it is complete. `body` may be called twice. */
  write<T>(doing: string, body: (reach: Reach, transaction: IDBTransaction) => Promise<T>): Promise<T> {
    return this.#attempt(doing, { stores: STORES, mode: 'readwrite', durability: this.#settings.durability }, body)
  }

  /** From now on only a store with this generation is the one that was opened. */
  identify(identity: Identity): void {
    this.#identity = identity
  }

  async close(): Promise<void> {
    const database = this.#database
    this.#gone ??= new StorageError('CLOSED', `The store ${quoted(this.#settings.name)} was closed.`)
    this.#drop(database)
    await close(database)
  }

  async #attempt<T>(
    doing: string,
    settings: TransactionSettings,
    body: (reach: Reach, transaction: IDBTransaction) => Promise<T>,
  ): Promise<T> {
    for (let again = false; ; again = true) {
      const database = this.#connected()
      try {
        return await transact(await database, settings, body)
      } catch (cause) {
        if (again || !isConnectionLost(cause)) throw storageError(cause, doing)
        this.#drop(database)
        await close(database)
      }
    }
  }

  #connected(): Promise<IDBDatabase> {
    if (this.#gone !== undefined) return Promise.reject(this.#gone)
    if (this.#database === undefined) {
      const database = this.#connect(() => this.#drop(database))
      this.#database = database
      database.catch(() => this.#drop(database))
    }
    return this.#database
  }

  async #connect(ended: () => void): Promise<IDBDatabase> {
    const identity = this.#identity
    const database = openDatabase(this.#settings, identity !== undefined, ended)
    try {
      if (identity !== undefined) await this.#recognise(await database, identity)
      return await database
    } catch (cause) {
      await close(database)
      if (identity !== undefined && cause instanceof StorageError && cause.code === 'CLOSED') this.#gone ??= cause
      throw cause
    }
  }

  async #recognise(database: IDBDatabase, { key, id }: Identity): Promise<void> {
    const stores: readonly StoreName[] = ['generations']
    const found = await transact(database, { stores, mode: 'readonly', durability: 'relaxed' }, (reach) =>
      wrap(reach('generations').get(key)),
    )
    if (found?.id !== id)
      throw new StorageError('CLOSED', `The store ${quoted(this.#settings.name)} was replaced while it was open.`)
  }

  /** Not if there is a newer connection already. */
  #drop(database: Promise<IDBDatabase> | undefined): void {
    if (this.#database === database) this.#database = undefined
  }
}

/** If it is open one day. */
async function close(database: Promise<IDBDatabase> | undefined): Promise<void> {
  try {
    ;(await database)?.close()
  } catch {
    // It was never opened.
  }
}
