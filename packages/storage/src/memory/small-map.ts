/**
 * A small map with versions and tombstones: joined key by key, the greater version stays.
 */
import type { MapEntry, MergeResult } from '../contract.ts'
import { bytesEqual } from '../json-equal.ts'
import { compareVersions } from '../version.ts'
import { copy } from './session.ts'

export function merge(into: Map<string, MapEntry>, entries: ReadonlyMap<string, MapEntry>): MergeResult {
  const merged: string[] = []
  const conflicts: string[] = []
  for (const [key, entry] of entries) {
    const held = into.get(key)
    const order = held === undefined ? 1 : compareVersions(entry.version, held.version)
    if (order > 0) {
      into.set(key, { version: [entry.version[0], entry.version[1]], bytes: entry.bytes && copy(entry.bytes) })
      merged.push(key)
    } else if (order === 0 && !sameBytes(held?.bytes, entry.bytes)) conflicts.push(key)
  }
  return { merged, conflicts }
}

function sameBytes(a: Uint8Array | undefined, b: Uint8Array | undefined): boolean {
  return a === undefined || b === undefined ? a === b : bytesEqual(a, b)
}
