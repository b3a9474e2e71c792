/**
 * The bare IndexedDB beside the storage: what the storage wrote is recorded, and written again by nobody but IndexedDB.
 *
 * "The same rows, bytes and batch" is then meant literally: the same keys and values in object stores of the same names, but
 * without the index. Runs in a page. Not here: what is written.
 */

type Operation = readonly [store: string, value: unknown, key: IDBValidKey | IDBKeyRange | undefined]

/** What one transaction wrote. Without a value: a removal. */
export type Batch = readonly Operation[]

export interface Recorder {
  readonly factory: IDBFactory
  /** What was written since it was last asked. */
  taken(): readonly Batch[]
}

/** A factory whose databases note every put and delete. */
export function recorder(): Recorder {
  let batches: Operation[][] = []
  const watch = (database: IDBDatabase): void => {
    const begin = database.transaction.bind(database)
    database.transaction = (stores, mode, options) => {
      const transaction = begin(stores, mode, options)
      if (mode !== 'readwrite') return transaction
      const batch: Operation[] = []
      batches.push(batch)
      const reach = transaction.objectStore.bind(transaction)
      transaction.objectStore = (name) => note(reach(name), name, batch)
      return transaction
    }
  }
  const open = (name: string, version?: number): IDBOpenDBRequest => {
    const request = indexedDB.open(name, version)
    request.addEventListener('success', () => watch(request.result))
    return request
  }
  return {
    factory: { open } as IDBFactory,
    taken() {
      const noted = batches.filter((batch) => batch.length > 0)
      batches = []
      return noted
    },
  }
}

function note(store: IDBObjectStore, name: string, batch: Operation[]): IDBObjectStore {
  if (Object.hasOwn(store, 'put')) return store
  const put = store.put.bind(store)
  const remove = store.delete.bind(store)
  store.put = (value, key) => {
    batch.push([name, value, key])
    return put(value, key)
  }
  store.delete = (key) => {
    batch.push([name, undefined, key])
    return remove(key)
  }
  return store
}

/** A database with the object stores of `like`, and nothing else. */
export async function openBare(name: string, like: readonly string[]): Promise<IDBDatabase> {
  const request = indexedDB.open(name, 1)
  request.onupgradeneeded = () => {
    for (const store of like) request.result.createObjectStore(store)
  }
  return answer(request)
}

export async function replay(database: IDBDatabase, batches: readonly Batch[]): Promise<void> {
  for (const batch of batches) {
    const transaction = database.transaction(database.objectStoreNames, 'readwrite', { durability: 'strict' })
    for (const [name, value, key] of batch)
      if (value === undefined) transaction.objectStore(name).delete(key as IDBValidKey)
      else transaction.objectStore(name).put(value, key as IDBValidKey)
    transaction.commit()
    await new Promise<void>((resolve, reject) => {
      transaction.oncomplete = () => resolve()
      transaction.onabort = () => reject(transaction.error)
    })
  }
}

export function bytesOf(batches: readonly Batch[]): number {
  let bytes = 0
  for (const batch of batches) for (const operation of batch) for (const part of operation) bytes += sizeOf(part)
  return bytes
}

function sizeOf(value: unknown): number {
  if (value instanceof Uint8Array) return value.length
  return typeof value === 'object' && value !== null && 'row' in value ? sizeOf(value.row) + 8 : 0
}

export function answer<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result)
    request.onerror = () => reject(request.error)
  })
}
