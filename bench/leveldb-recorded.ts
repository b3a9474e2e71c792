/**
 * The bare LevelDB beside the storage: what the storage wrote is recorded, and written again by nobody but LevelDB.
 *
 * "The same rows, bytes and batch" is then meant literally. Not here: what is written.
 */
import { ClassicLevel } from 'classic-level'

export type Operation =
  | { readonly type: 'put'; readonly key: Uint8Array; readonly value: Uint8Array }
  | { readonly type: 'del'; readonly key: Uint8Array }

export type Batch = readonly Operation[]

export type Bare = ClassicLevel<Uint8Array, Uint8Array>

export const BYTES = { keyEncoding: 'view', valueEncoding: 'view' } as const

export async function openBare(path: string): Promise<Bare> {
  const database: Bare = new ClassicLevel(path, { ...BYTES, cacheSize: 16 * 1024 * 1024 })
  await database.open()
  return database
}

/**
 * Notes the batches that are written to the folder `path` while `perform` runs. Not while it is measured: what is kept for later
 * makes work for the collector.
 */
export async function recorded(path: string, perform: () => Promise<unknown>): Promise<readonly Batch[]> {
  const batches: Batch[] = []
  const { prototype } = ClassicLevel
  const batch = prototype.batch as (operations: Operation[], options: object) => Promise<void>
  prototype.batch = function (this: ClassicLevel, operations: Operation[], options: object) {
    if (this.location === path) batches.push(operations)
    return batch.call(this, operations, options)
  } as typeof prototype.batch
  try {
    await perform()
  } finally {
    prototype.batch = batch as typeof prototype.batch
  }
  return batches
}

export async function replay(database: Bare, batches: readonly Batch[]): Promise<void> {
  for (const operations of batches) await database.batch(operations as Operation[], { sync: true })
}

export function bytesOf(operations: readonly Operation[]): number {
  let bytes = 0
  for (const operation of operations)
    bytes += operation.key.length + ('value' in operation ? operation.value.length : 0)
  return bytes
}
