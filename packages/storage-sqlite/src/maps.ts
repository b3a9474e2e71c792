/**
 * Small maps: entries with versions and tombstones, joined key by key; the greater version stays.
 *
 * Not here: which of two versions is the greater (the contract's).
 */
import type { MapEntry, MergeResult, Version } from '@tidemark/storage'
import { bytesEqual, compareVersions, textOf, viewOf } from '@tidemark/storage/adapter'
import type { SqliteValue } from './driver.ts'
import { type Store, transact } from './store.ts'

export function readMap({ sql }: Store, name: string): Map<string, MapEntry> {
  const entries = new Map<string, MapEntry>()
  for (const [key, counter, actor, bytes] of sql.mapEntries.all(name))
    entries.set(textOf(key as Uint8Array), entryOf(counter as number, actor, bytes))
  return entries
}

export function mergeMap(store: Store, name: string, entries: ReadonlyMap<string, MapEntry>): MergeResult {
  return transact(store, () => {
    const merged: string[] = []
    const conflicts: string[] = []
    for (const [key, entry] of entries) {
      const row = store.sql.mapEntry.get(name, key)
      const held = row && entryOf(row[0] as number, row[1], row[2])
      const order = held === undefined ? 1 : compareVersions(entry.version, held.version)
      if (order > 0) {
        const [counter, actor] = entry.version
        store.sql.setMapEntry.run(name, key, counter, actor, entry.bytes === undefined ? 1 : 0, entry.bytes ?? null)
        merged.push(key)
      } else if (order === 0 && !isSame(held?.bytes, entry.bytes)) conflicts.push(key)
    }
    return { merged, conflicts }
  })
}

function entryOf(counter: number, actor: SqliteValue | undefined, bytes: SqliteValue | undefined): MapEntry {
  const version: Version = [counter, textOf(actor as Uint8Array)]
  return { version, bytes: bytes === null ? undefined : viewOf(bytes as Uint8Array) }
}

function isSame(a: Uint8Array | undefined, b: Uint8Array | undefined): boolean {
  return a === undefined || b === undefined ? a === b : bytesEqual(a, b)
}
