/**
 * Small maps ("secrets"): entries with versions and tombstones, joined key by key over the layers that keep them.
 *
 * Only keys that are behind are written. A slow or failing layer delays and hides nothing of the others: neither a document nor their maps. Values
 * are in no event and in no error. An equal version with other bytes is a conflict, told by its key, and each layer keeps its own.
 */
import { compareVersions, type MapEntry, type MergeResult, StorageError } from '@tidemark/storage'
import { bytesEqual } from '@tidemark/storage/adapter'
import { type Core, votersAmong, votesNeeded, writers } from './core.ts'
import type { Layer } from './layer.ts'

type Entries = ReadonlyMap<string, MapEntry>

interface Copy {
  readonly layer: Layer
  readonly entries: Entries
}

export async function readMap(core: Core, name: string): Promise<Entries> {
  const copies = await copiesOf(core, name)
  const joined = join(core, name, copies)
  // Not waited for: whoever asked has the answer.
  void Promise.all(copies.map((copy) => write(core, name, copy, joined)))
  return joined
}

export async function mergeMap(core: Core, name: string, entries: Entries): Promise<MergeResult> {
  const copies = await copiesOf(core, name)
  const held = join(core, name, copies)
  const merged = new Map(held)
  const result = merge(merged, entries)
  const outcomes = await Promise.all(copies.map((copy) => write(core, name, copy, merged)))
  const keeping = mapLayers(core)
  const counted = votersAmong(
    core,
    writers(core).filter((layer) => keeping.includes(layer)),
  )
  const stored = copies.filter(({ layer }, index) => outcomes[index] === undefined && counted.includes(layer))
  if (stored.length >= Math.max(1, votesNeeded(core, counted.length))) return result
  const cause = outcomes.find((outcome) => outcome !== undefined)
  const code = cause instanceof StorageError ? cause.code : 'IO'
  throw new StorageError(code, `map ${JSON.stringify(name)}: too few layers stored it`, cause)
}

function mapLayers(core: Core): readonly Layer[] {
  return core.layers.filter((layer) => layer.maps && !layer.isCache && layer.opened?.capabilities.maps !== false)
}

/** What each layer has. @throws StorageError if none answered: failed is not empty (L2). */
async function copiesOf(core: Core, name: string): Promise<readonly Copy[]> {
  const causes: unknown[] = []
  const answers = await Promise.all(
    mapLayers(core).map(async (layer) => {
      try {
        return { layer, entries: await layer.call('look', (storage) => storage.readMap(name)) }
      } catch (cause) {
        causes.push(cause)
        return undefined
      }
    }),
  )
  const copies = answers.filter((answer) => answer !== undefined)
  if (copies.length > 0) return copies
  throw causes[0] ?? new TypeError('no layer keeps maps')
}

function join(core: Core, name: string, copies: readonly Copy[]): Map<string, MapEntry> {
  const joined = new Map<string, MapEntry>()
  for (const { entries } of copies)
    for (const key of merge(joined, entries).conflicts) core.events.emit({ kind: 'conflict', map: name, key })
  return joined
}

function merge(into: Map<string, MapEntry>, entries: Entries): MergeResult {
  const merged: string[] = []
  const conflicts: string[] = []
  for (const [key, entry] of entries) {
    const held = into.get(key)
    const order = held === undefined ? 1 : compareVersions(entry.version, held.version)
    if (order === 0 && !sameValue(held, entry)) conflicts.push(key)
    if (order <= 0) continue
    into.set(key, entry)
    merged.push(key)
  }
  return { merged, conflicts }
}

function sameValue(a: MapEntry | undefined, b: MapEntry): boolean {
  if (a?.bytes === undefined || b.bytes === undefined) return a?.bytes === b.bytes
  return bytesEqual(a.bytes, b.bytes)
}

/** Writes what a layer lacks; answers why it could not. */
async function write(core: Core, name: string, { layer, entries }: Copy, joined: Entries): Promise<unknown> {
  const behind = [...joined].filter(([key, { version }]) => {
    const held = entries.get(key)
    return held === undefined || compareVersions(version, held.version) > 0
  })
  if (behind.length === 0 || core.closing.signal.aborted) return undefined
  if (layer.write === 'none') return new StorageError('READ_ONLY', `layer ${layer.name}: it may not be written`)
  try {
    await layer.call('append', (storage) => storage.mergeMap(name, new Map(behind)))
    return undefined
  } catch (cause) {
    return cause
  }
}
