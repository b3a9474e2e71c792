/**
 * Small maps: entries with versions and tombstones, joined key by key; the greater version stays.
 *
 *     value      flags (bit 0: a tombstone), counter, actor, the bytes until the checksum
 *
 * Not here: which of two versions is the greater (the contract's).
 */
import type { MapEntry, MergeResult } from '@tidemark/storage'
import { BlobReader, type BlobWriter, bytesEqual, compareVersions, textOf } from '@tidemark/storage/adapter'
import { type Operation, put } from './database.ts'
import { entriesOf, entryIn, entryKey } from './keys.ts'
import { type Store, write } from './store.ts'

const TOMBSTONE = 1

export async function readMap({ database }: Store, name: string): Promise<Map<string, MapEntry>> {
  const entries = await database.entries(entriesOf(name))
  return new Map(entries.map(([key, value]) => [textOf(entryIn(key, name)), decodeEntry(value)]))
}

export async function mergeMap(
  store: Store,
  name: string,
  entries: ReadonlyMap<string, MapEntry>,
): Promise<MergeResult> {
  const keys = [...entries.keys()]
  const values = await store.database.getMany(keys.map((key) => entryKey(name, key)))
  const merged: string[] = []
  const conflicts: string[] = []
  const operations: Operation[] = []
  for (const [index, key] of keys.entries()) {
    const entry = entries.get(key) as MapEntry
    const value = values[index]
    const held = value && decodeEntry(value)
    const order = held === undefined ? 1 : compareVersions(entry.version, held.version)
    if (order > 0) {
      merged.push(key)
      operations.push(put(entryKey(name, key), encodeEntry(store.writer, entry)))
    } else if (order === 0 && !isSame(held?.bytes, entry.bytes)) conflicts.push(key)
  }
  await write(store, operations)
  return { merged, conflicts }
}

function encodeEntry(writer: BlobWriter, { version, bytes }: MapEntry): Uint8Array {
  writer.begin().byte(bytes === undefined ? TOMBSTONE : 0)
  writer.varint(version[0]).text(version[1])
  if (bytes !== undefined) writer.raw(bytes)
  return writer.keep()
}

function decodeEntry(value: Uint8Array): MapEntry {
  const reader = new BlobReader(value)
  const tombstone = reader.byte() === TOMBSTONE
  const version = [reader.varint(), reader.text()] as const
  return { version, bytes: tombstone ? undefined : reader.view(reader.left) }
}

function isSame(a: Uint8Array | undefined, b: Uint8Array | undefined): boolean {
  return a === undefined || b === undefined ? a === b : bytesEqual(a, b)
}
