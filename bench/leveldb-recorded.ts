/**
 * The bare LevelDB beside the storage: what the storage wrote is recorded, and written again by nobody but LevelDB.
 *
 * "The same rows, bytes and batch" is then meant literally. Not here: what is written.
 */
import { ClassicLevel } from 'classic-level'

export type Operation =
  | { readonly type: 'put'; readonly key: Uint8Array; readonly value: Uint8Array }
  | { readonly type: 'del'; readonly key: Uint8Array }

export type Bare = ClassicLevel<Uint8Array, Uint8Array>

export const BYTES = { keyEncoding: 'view', valueEncoding: 'view' } as const

export async function openBare(path: string): Promise<Bare> {
  const database: Bare = new ClassicLevel(path, { ...BYTES, cacheSize: 16 * 1024 * 1024 })
  await database.open()
  return database
}

/** Notes every batch that is written to `database`; answers those since it was last asked. */
export function recorder(database: Bare): () => readonly (readonly Operation[])[] {
  let batches: (readonly Operation[])[] = []
  const batch = database.batch.bind(database) as (operations: Operation[], options: object) => Promise<void>
  database.batch = ((operations: Operation[], options: object) => {
    batches.push(operations)
    return batch(operations, options)
  }) as typeof database.batch
  return () => {
    const noted = batches
    batches = []
    return noted
  }
}

export async function replay(database: Bare, batches: readonly (readonly Operation[])[]): Promise<void> {
  for (const operations of batches) await database.batch(operations as Operation[], { sync: true })
}

export function bytesOf(operations: readonly Operation[]): number {
  let bytes = 0
  for (const operation of operations)
    bytes += operation.key.length + ('value' in operation ? operation.value.length : 0)
  return bytes
}
