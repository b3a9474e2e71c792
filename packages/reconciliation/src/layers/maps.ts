/**
 * Small maps ("secrets"): entries with versions and tombstones, joined key by key over the layers that keep them.
 *
 * Only keys that are behind are written. A slow or failing layer delays and hides nothing of the others: neither a document nor their maps; it is
 * flagged, and brought to the join when it answers. Values are in no event and in no error. An equal version with other bytes is a conflict, told by its
 * key, and each layer keeps its own. Not here: when flags are gone through (`sweeps.ts`).
 */
import { compareVersions, type MapEntry, type MergeResult, StorageError } from '@tidemark/storage'
import { bytesEqual } from '@tidemark/storage/adapter'
import { type Core, votersAmong, votesNeeded, writers } from './core.ts'
import { clearDirty, setDirty } from './flags.ts'
import type { Layer } from './layer.ts'
import { noteName } from './map-names.ts'

type Entries = ReadonlyMap<string, MapEntry>

interface Copy {
  readonly layer: Layer
  readonly entries: Entries
}

/** What one layer answers: a copy, or why there is none. */
type Answer = Copy | { readonly layer: Layer; readonly cause: unknown }

export async function readMap(core: Core, name: string): Promise<Entries> {
  const asking = ask(core, name)
  const joined = join(await arrived(core, asking))
  // Not waited for: whoever asked has the answer.
  void bringTogether(core, name, asking, joined).catch(() => {})
  return joined
}

export async function mergeMap(core: Core, name: string, entries: Entries): Promise<MergeResult> {
  await noteName(core, name)
  const asking = ask(core, name)
  const copies = core.policy === 'all-required' ? await all(asking) : await arrived(core, asking)
  const merged = join(copies)
  const result = merge(merged, entries)
  const keeping = mapLayers(core)
  for (const layer of keeping)
    if (copies.every((copy) => copy.layer !== layer)) await setDirty(core, layer, [name], core.dirtyMaps)
  const outcomes = await Promise.all(copies.map((copy) => write(core, name, copy, merged)))
  void bringTogether(core, name, asking, merged).catch(() => {})
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

/** Resolves when every layer that answers has what any of them has. */
export async function mendMap(core: Core, name: string): Promise<void> {
  await bringTogether(core, name, ask(core, name))
}

function mapLayers(core: Core): readonly Layer[] {
  return core.layers.filter((layer) => layer.maps && !layer.isCache && layer.opened?.capabilities.maps !== false)
}

function ask(core: Core, name: string): readonly Promise<Answer>[] {
  return mapLayers(core).map(async (layer) => {
    try {
      return { layer, entries: await layer.call('look', (storage) => storage.readMap(name)) }
    } catch (cause) {
      return { layer, cause }
    }
  })
}

/** @throws StorageError if none answered: failed is not empty (L2). */
async function all(asking: readonly Promise<Answer>[]): Promise<readonly Copy[]> {
  return copiesAmong(await Promise.all(asking))
}

function copiesAmong(answers: readonly Answer[]): readonly Copy[] {
  const copies = answers.filter((answer) => 'entries' in answer)
  if (copies.length > 0) return copies
  const [failed] = answers
  throw failed !== undefined && 'cause' in failed ? failed.cause : new TypeError('no layer keeps maps')
}

/** As `all`, but when one has some entries the others are waited for no longer than they take to be merely slow. */
async function arrived(core: Core, asking: readonly Promise<Answer>[]): Promise<readonly Copy[]> {
  const answers: Answer[] = []
  const over = new AbortController()
  let begin: (() => void) | undefined
  const patience = new Promise<void>((resolve) => {
    begin = () => void core.clock.wait(core.limits.mapPatienceMs, over.signal).then(resolve, () => {})
  })
  const noting = asking.map(async (one) => {
    const answer = await one
    answers.push(answer)
    if ('entries' in answer && answer.entries.size > 0) begin?.()
  })
  await Promise.race([Promise.all(noting), patience])
  over.abort()
  const inOrder = mapLayers(core).flatMap((layer) => answers.find((answer) => answer.layer === layer) ?? [])
  return copiesAmong(inOrder.length > 0 ? inOrder : answers)
}

/** When all have answered: each gets what it lacks. `known`: what was answered, or written. */
async function bringTogether(
  core: Core,
  name: string,
  asking: readonly Promise<Answer>[],
  known?: Entries,
): Promise<void> {
  const answers = await Promise.all(asking)
  const copies = answers.filter((answer) => 'entries' in answer)
  const joined = join(copies, (key) => core.events.emit({ kind: 'conflict', map: name, key }))
  if (known !== undefined && merge(new Map(known), joined).merged.length > 0)
    core.events.emit({ kind: 'map', map: name })
  merge(joined, known ?? new Map())
  for (const answer of answers) {
    const { layer } = answer
    const failed = 'cause' in answer || (await write(core, name, answer, joined)) !== undefined
    if (failed && layer.write !== 'none') await setDirty(core, layer, [name], core.dirtyMaps)
    else await clearDirty(core, layer, name, core.dirtyMaps)
  }
}

function join(copies: readonly Copy[], conflicted: (key: string) => void = () => {}): Map<string, MapEntry> {
  const joined = new Map<string, MapEntry>()
  for (const { entries } of copies) for (const key of merge(joined, entries).conflicts) conflicted(key)
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
