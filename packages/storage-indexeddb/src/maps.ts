/**
 * Small maps: entries with versions and tombstones, joined key by key; the greater version stays.
 *
 * Not here: which of two versions is the greater (the contract's).
 */
import type { MapEntry, MergeResult } from '@tidemark/storage'
import { bytesEqual, compareVersions } from '@tidemark/storage/adapter'
import { keyInMap, mapKey, mapRange } from './keys.ts'
import { lookUpEach, recordsIn } from './rows.ts'
import type { MapRecord } from './schema.ts'
import type { Reach } from './transaction.ts'

export async function readMap(reach: Reach, name: string): Promise<Map<string, MapEntry>> {
  const records = await recordsIn<MapRecord>(reach('maps'), mapRange(name))
  return new Map(records.map(({ key, value }) => [keyInMap(key), { version: value.version, bytes: value.bytes }]))
}

/** `tried`: keys that an earlier attempt of the same merge replaced, if it was stored; this one adds its own. */
export async function mergeMap(
  reach: Reach,
  name: string,
  entries: ReadonlyMap<string, MapEntry>,
  tried: Set<string>,
): Promise<MergeResult> {
  const keys = [...entries.keys()].map((key) => mapKey(name, key))
  const records = await lookUpEach<MapRecord>(reach('maps'), keys)
  const merged: string[] = []
  const conflicts: string[] = []
  for (const [index, [key, { version, bytes }]] of [...entries].entries()) {
    const held = records[index]
    const order = held === undefined ? 1 : compareVersions(version, held.version)
    if (order > 0) {
      // The bytes may be a view of something large, all of which would be stored.
      const record: MapRecord = {
        version: [version[0], version[1]],
        ...(bytes === undefined ? {} : { bytes: bytes.slice() }),
      }
      reach('maps').put(record, keys[index])
      merged.push(key)
      tried.add(key)
    } else if (order === 0) {
      if (!isSame(held?.bytes, bytes)) conflicts.push(key)
      else if (tried.has(key)) merged.push(key)
    }
  }
  return { merged, conflicts }
}

function isSame(a: Uint8Array | undefined, b: Uint8Array | undefined): boolean {
  return a === undefined || b === undefined ? a === b : bytesEqual(a, b)
}
