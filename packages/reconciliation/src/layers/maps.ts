/**
 * Small maps ("secrets"): entries with versions and tombstones, joined key by key over the layers that keep them.
 *
 * Only keys that are behind are written. A slow or failing layer delays and hides nothing of the others: neither a document nor their maps; it is
 * flagged, and brought to the join when it answers. Merges of one map take turns, until enough layers stored them; reads, and bringing layers together,
 * take none: entries are joined by version, in whatever order they come. Values are in no event and in no error. An equal version with other bytes is a conflict, told once by its
 * key, and each layer keeps its own. Not here: when flags are gone through (`sweeps.ts`).
 */
import { compareVersions, type MapEntry, type MergeResult, StorageError, type Version } from '@tidemark/storage'
import { bytesEqual } from '@tidemark/storage/adapter'
import { type Core, votersAmong, votesNeeded, writers } from './core.ts'
import { clearDirty, setDirty } from './flags.ts'
import type { Layer } from './layer.ts'
import { noteName } from './map-names.ts'

type Entries = ReadonlyMap<string, MapEntry>
type Versioned = Pick<MapEntry, 'version'>

/** What a layer holds, as far as it said so or stored it. */
interface Copy {
  readonly layer: Layer
  entries: Entries
}

/** What one layer answers: a copy, or why there is none. */
type Answer = Copy | { readonly layer: Layer; readonly cause: unknown }

/** All layers, asked at once; `asOf`: what was flagged later they may not have known. */
interface Asking {
  readonly asOf: number
  /** Layers that may hold what nobody was told: they are new, or did not answer when they were asked, or given something. */
  readonly untold: ReadonlySet<Layer>
  readonly answers: readonly Promise<Answer>[]
}

export async function readMap(core: Core, name: string): Promise<Entries> {
  const asking = ask(core, name)
  const copies = copiesAmong(await arrived(core, asking, (some) => some.some(({ entries }) => entries.size > 0)))
  const answered = join(copies)
  // Not waited for: whoever asked has the answer. Others asked before.
  void bringTogether(core, name, asking, join(told(asking, copies)), answered).catch(() => {})
  return answered
}

export async function mergeMap(core: Core, name: string, entries: Entries): Promise<MergeResult> {
  await noteName(core, name)
  const counted = votersAmong(
    core,
    writers(core).filter((layer) => mapLayers(core).includes(layer)),
  )
  // Layers that keep no maps have no vote, and none is missed of them.
  const needed = Math.max(1, Math.min(votesNeeded(core, counted.length), counted.length))
  const among = (layers: readonly { readonly layer: Layer }[]) =>
    layers.filter(({ layer }) => counted.includes(layer)).length
  const asking = ask(core, name)
  const copies = copiesAmong(await arrived(core, asking, (answered) => among(answered) >= needed))
  const merged = join(copies)
  const result = merge(merged, entries)
  const before = join(told(asking, copies))
  merge(before, entries)
  const stored: Copy[] = []
  let cause: unknown
  const writing = copies.map(async (copy) => {
    const failure = await write(core, name, copy, merged)
    if (failure === undefined) stored.push(copy)
    else cause ??= failure
  })
  await until(writing, () => among(stored) >= needed)
  // What a layer missed is flagged when all have answered: a crash before that leaves it to the daily sweep.
  void Promise.all(writing)
    .then(() => bringTogether(core, name, asking, before, merged))
    .catch(() => {})
  if (among(stored) >= needed) return result
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

function ask(core: Core, name: string): Asking {
  const asOf = core.dirtyMaps.ticks()
  const asked = mapLayers(core)
  const untold = new Set(asked.filter((layer) => layer.refilling || core.dirtyMaps.has(layer, name)))
  const answers = asked.map(async (layer): Promise<Answer> => {
    try {
      return { layer, entries: await layer.call('look', (storage) => storage.readMap(name)) }
    } catch (cause) {
      return { layer, cause }
    }
  })
  return { asOf, untold, answers }
}

/** @throws StorageError if none answered: failed is not empty (L2). */
function copiesAmong(answers: readonly Answer[]): readonly Copy[] {
  const copies = answers.filter((answer) => 'entries' in answer)
  if (copies.length > 0) return copies
  const [failed] = answers
  throw failed !== undefined && 'cause' in failed ? failed.cause : new TypeError('no layer keeps maps')
}

/** What all say, in order of preference; when what came is enough the others are waited for no longer than they take to be merely slow. */
async function arrived(
  core: Core,
  asking: Asking,
  isEnough: (copies: readonly Copy[]) => boolean,
): Promise<readonly Answer[]> {
  const answers = new Map<number, Answer>()
  const noting = asking.answers.map(async (one, index) => void answers.set(index, await one))
  await until(noting, () => isEnough([...answers.values()].filter((answer) => 'entries' in answer)))
  const over = new AbortController()
  const patience = core.clock.wait(core.limits.mapPatienceMs, over.signal).catch(() => {})
  await Promise.race([Promise.all(noting), patience])
  over.abort()
  return asking.answers.flatMap((_, index) => answers.get(index) ?? [])
}

/** Resolves when enough is done, or all. */
function until(working: readonly Promise<void>[], isEnough: () => boolean): Promise<void> {
  return new Promise((resolve) => {
    for (const work of working) void work.then(() => isEnough() && resolve())
    void Promise.all(working).then(() => resolve())
  })
}

/** Copies of which an earlier answer may have been made. */
function told({ untold }: Asking, copies: readonly Copy[]): readonly Copy[] {
  return copies.filter(({ layer }) => !untold.has(layer))
}

/** When all have answered: each gets what it lacks. `known` may have been answered before, `answered` is what was answered or written now. */
async function bringTogether(
  core: Core,
  name: string,
  asking: Asking,
  known?: Entries,
  answered?: Entries,
): Promise<void> {
  const answers = await Promise.all(asking.answers)
  const copies = answers.filter((answer) => 'entries' in answer)
  const joined = join(copies, (key, version) => core.forks.conflict(name, key, version))
  const before = known ?? join(told(asking, copies))
  const news = new Map(beyond(before, joined))
  merge(joined, before)
  const isNew = noteNews(core, name, news, joined)
  if (isNew) core.events.emit({ kind: 'map', map: name })
  let isTaken = false
  const bringing = answers.map(async (answer) => {
    const { layer } = answer
    const held = 'cause' in answer ? undefined : answer.entries
    const failed = 'cause' in answer || (await write(core, name, answer, joined)) !== undefined
    if (!failed && answer.entries !== held) isTaken = true
    if (failed && layer.write !== 'none') await setDirty(core, layer, [name], core.dirtyMaps)
    else await clearDirty(core, layer, name, core.dirtyMaps, asking.asOf)
  })
  await Promise.all(bringing)
  // Whoever was told before and read without it reads more now.
  const isMissed = beyond(answered ?? new Map(), news).length > 0
  if (isTaken && isMissed && !isNew) core.events.emit({ kind: 'map', map: name })
}

/**
 * What is more than earlier answers had is told once, not with every read: it may stay in the layer that brought it alone, where no other takes it.
 * Answers whether some of it was not told yet. What is gone meanwhile is news again.
 */
function noteNews(core: Core, name: string, news: Entries, joined: Entries): boolean {
  const noted = core.mapNews.get(name) ?? new Map<string, Versioned>()
  if (news.size === 0) core.mapNews.delete(name)
  else core.mapNews.set(name, new Map([...joined].map(([key, { version }]) => [key, { version }])))
  return beyond(noted, news).length > 0
}

function join(copies: readonly Copy[], conflicted: (key: string, version: Version) => void = () => {}) {
  const joined = new Map<string, MapEntry>()
  for (const { entries } of copies)
    for (const key of merge(joined, entries).conflicts) conflicted(key, (entries.get(key) as MapEntry).version)
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

/** Entries that are not held, or only in an earlier version. */
function beyond(held: ReadonlyMap<string, Versioned>, entries: Entries): readonly [string, MapEntry][] {
  return [...entries].filter(([key, { version }]) => {
    const one = held.get(key)
    return one === undefined || compareVersions(version, one.version) > 0
  })
}

function sameValue(a: MapEntry | undefined, b: MapEntry): boolean {
  if (a?.bytes === undefined || b.bytes === undefined) return a?.bytes === b.bytes
  return bytesEqual(a.bytes, b.bytes)
}

/** Writes what a layer lacks; answers why it could not. */
async function write(core: Core, name: string, copy: Copy, joined: Entries): Promise<unknown> {
  const { layer, entries } = copy
  const behind = beyond(entries, joined)
  if (behind.length === 0 || core.closing.signal.aborted) return undefined
  if (layer.write === 'none') return new StorageError('READ_ONLY', `layer ${layer.name}: it may not be written`)
  try {
    await layer.call('append', (storage) => storage.mergeMap(name, new Map(behind)))
    copy.entries = new Map([...entries, ...behind])
    return undefined
  } catch (cause) {
    return cause
  }
}
