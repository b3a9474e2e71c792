/**
 * Marks of the whole: in every durable layer near by, so that any of them may be the only one left.
 *
 * They are in no join: the layers with the highest version have them all, are read, and are given more; every other is brought into step with
 * one of these (`mark-copies.ts`). L2: while nobody knows whether a layer that did not say its version has newer ones, marks are neither read nor written.
 */
import {
  type Append,
  type AppendResult,
  type CallOptions,
  type Marks,
  type Storage,
  StorageError,
  settle,
} from '@tidemark/storage'
import { type Core, voters, votesNeeded, writers } from './core.ts'
import { INTERNAL, MARKS } from './dirty.ts'
import { runOf } from './intents.ts'
import type { Layer } from './layer.ts'
import { isBefore, isSame, NO_MARKS, undated, type Version, type Versions } from './versions.ts'

const VERSION_KEY = `${INTERNAL}version`

const utf8 = new TextEncoder()
const text = new TextDecoder()

export type Mark = readonly [key: string, value: Uint8Array]

export interface Listing {
  readonly prefix: string
  readonly after?: string
  readonly limit: number
}

/** What is under way with marks, by layer. */
export interface Marking {
  readonly versions: Versions
  readonly learning: Map<Layer, Promise<void>>
  readonly giving: Map<Layer, { readonly version: Version; readonly ended: Promise<void> }>
  readonly copying: Map<Layer, Promise<void>>
  /** Stores in which a commit of marks was given up and has not ended: it may arrive at any time. */
  readonly unsettled: WeakSet<Storage>
  /** Marks are added to one layer: none are given meanwhile. */
  adding: Promise<void> | undefined
}

/** Layers that are given marks, the home layer first. */
export function markKeepers(core: Core): readonly Layer[] {
  const { home } = core
  const others = writers(core).filter((layer) => layer !== home && !layer.remote && (layer.durable || !home.durable))
  return home.write === 'none' || home.detached ? others : [home, ...others]
}

/** Those that have them all. */
export function wholeKeepers(core: Core): readonly Layer[] {
  const { versions } = core.marking
  const keepers = markKeepers(core)
  const latest = versions.latest(keepers)
  return keepers.filter((layer) => versions.isCertain(layer) && isSame(versions.of(layer), latest))
}

/** Those that have what the newest was not made of. */
export function strayedKeepers(core: Core): readonly Layer[] {
  const { versions } = core.marking
  const keepers = markKeepers(core)
  const latest = versions.latest(keepers)
  return keepers.filter((layer) => {
    const version = versions.of(layer)
    return versions.isCertain(layer) && version !== undefined && latest !== undefined && !isBefore(version, latest)
  })
}

/** Those that can be given more: they have all, and nothing is on its way to them that could fail. */
export function givable(core: Core): readonly Layer[] {
  return wholeKeepers(core).filter((layer) => layer.available && !core.marking.giving.has(layer))
}

/** Resolves when the last marks have arrived, or failed, wherever they were sent. */
export async function lastMarks(core: Core): Promise<void> {
  const latest = core.marking.versions.latest(markKeepers(core))
  // What lags further behind gets no more before it is repaired: it is not waited for again.
  const last = [...core.marking.giving.values()].filter(({ version }) => isSame(version, latest))
  await Promise.all(last.map(({ ended }) => ended))
}

export function lacksMarks(core: Core): boolean {
  return wholeKeepers(core).length < markKeepers(core).length
}

/** The layers that count for marks, and how many of them must have stored some. One that is not open yet may keep them: it lowers nothing. */
export function markVotes(core: Core): { readonly counting: readonly Layer[]; readonly needed: number } {
  const all = voters(core)
  const keepers = markKeepers(core)
  const among = all.filter((layer) => keepers.includes(layer) || (!layer.remote && layer.opened === undefined))
  const counting = among.length > 0 ? among : keepers
  return { counting, needed: Math.max(1, Math.min(votesNeeded(core, all.length), counting.length)) }
}

/** Whether marks that are given now can be acknowledged. */
export function isEnough(core: Core): boolean {
  const { counting, needed } = markVotes(core)
  const able = givable(core)
  return counting.filter((layer) => able.includes(layer)).length >= needed
}

/** Whether marks may have been acknowledged that only layers have whose version was never read. Nobody waits for unopened ones alone. */
function isUnread(core: Core): boolean {
  const { counting, needed } = markVotes(core)
  const unread = counting.filter((layer) => core.marking.versions.of(layer) === undefined)
  return unread.length >= needed && unread.some((layer) => layer.opened !== undefined)
}

/** From the first layer that has them all and answers. */
export async function readMarks(core: Core, options: Listing): Promise<readonly Mark[]> {
  if (markKeepers(core).length === 0) return marksOf(core.home, options)
  if (wholeKeepers(core).length === 0 || isUnread(core)) await learnAll(core)
  checkRead(core)
  let failure: unknown
  for (const layer of wholeKeepers(core))
    try {
      return await marksOf(layer, options)
    } catch (cause) {
      failure ??= cause
    }
  throw failure
}

/** @throws StorageError if nobody knows which layer has all marks. */
function checkRead(core: Core): void {
  if (!isUnread(core) && wholeKeepers(core).length > 0) return
  const { versions } = core.marking
  const silent = markKeepers(core).filter((layer) => !versions.isCertain(layer))
  const names = silent.map((layer) => layer.name).join(', ')
  throw new StorageError('IO', `layers: marks that only ${names} may have cannot be told from none`)
}

/** Those of its users. */
export async function marksOf(layer: Layer, options: Listing): Promise<readonly Mark[]> {
  const found: Mark[] = []
  for (let after = options.after; ; ) {
    const limit = options.limit - found.length
    const position = after === undefined ? {} : { after }
    const page = await layer.call('look', (storage) => storage.marks({ prefix: options.prefix, limit, ...position }))
    found.push(...page.filter(([key]) => !key.startsWith(INTERNAL)))
    if (page.length < limit || found.length >= options.limit) return found
    after = page.at(-1)?.[0]
  }
}

/** Asks those whose version is not known. One that does not say it is asked again when that matters. */
export async function learnAll(core: Core): Promise<void> {
  const unknown = markKeepers(core).filter((layer) => layer.available && !core.marking.versions.isCertain(layer))
  await Promise.allSettled(unknown.map((layer) => learn(core, layer)))
}

export function learn(core: Core, layer: Layer): Promise<void> {
  const { learning, giving, unsettled, versions } = core.marking
  const running = learning.get(layer)
  if (running !== undefined) return running
  if (unsettled.has(layer.storage)) return Promise.resolve()
  const before = versions.of(layer)
  const run = versionOf(layer)
    .then((version) => {
      // What was stored meanwhile may not be in the answer.
      const isOvertaken = giving.has(layer) || unsettled.has(layer.storage)
      if (versions.of(layer) === before && !isOvertaken) versions.has(layer, version)
    })
    .finally(() => learning.delete(layer))
  learning.set(layer, run)
  return run
}

async function versionOf(layer: Layer): Promise<Version> {
  const [found] = await layer.call('look', (storage) => storage.marks({ prefix: VERSION_KEY, limit: 1 }))
  if (found?.[0] === VERSION_KEY) return JSON.parse(text.decode(found[1])) as Version
  const [some] = await marksOf(layer, { prefix: '', limit: 1 })
  return some === undefined ? NO_MARKS : undated(layer)
}

/** The mark that says the version. */
export function versionMark(version: Version): Mark {
  return [VERSION_KEY, utf8.encode(JSON.stringify(version))]
}

/**
 * Every commit of marks goes through this. One that was given up may arrive at any time, over whatever came after it: until it has ended the layer is not
 * asked which marks it has, and so it is given none and none are copied there. If it never ends, nobody waits for it.
 *
 * @throws StorageError as the layer does.
 */
export async function commitMarks(
  core: Core,
  layer: Layer,
  batch: readonly Append[],
  marks: Marks,
  patient = false,
): Promise<readonly AppendResult[]> {
  const { unsettled } = core.marking
  let hasEnded = true
  const end = () => {
    hasEnded = true
    if (unsettled.delete(layer.storage)) core.background.want(MARKS, 'write')
  }
  const append = (storage: Storage, options: CallOptions) => {
    const appended = storage.append(batch, { marks, ...options })
    hasEnded = false
    settle(() => appended, end, end)
    return appended
  }
  try {
    return await layer.call('append', append, patient)
  } catch (cause) {
    if (!hasEnded) unsettled.add(layer.storage)
    throw cause
  }
}

/** One commit of marks, on its way to layers that have all before. */
export interface Giving {
  readonly layers: readonly Layer[]
  /** To be committed with them. */
  readonly marks: Marks
  /** Of every layer one of these is said, once. */
  stored(layer: Layer): void
  failed(layer: Layer): void
}

/** Nothing else is given to these layers until it has ended there. @throws StorageError if there is none to give them to. */
export function giveMarks(core: Core, given: Marks): Giving {
  checkRead(core)
  const layers = givable(core)
  if (layers.length === 0) throw new StorageError('IO', 'layers: no layer that has all marks answers')
  const { versions, giving } = core.marking
  const version = versions.begin(runOf(core), core.clock.now(), [versions.of(layers[0] as Layer) as Version])
  const ends = new Map<Layer, () => void>()
  for (const layer of layers) {
    const ended = new Promise<void>((resolve) => {
      ends.set(layer, resolve)
    })
    giving.set(layer, { version, ended })
  }
  function end(layer: Layer): void {
    giving.delete(layer)
    ends.get(layer)?.()
  }
  return {
    layers,
    marks: new Map([...given, versionMark(version)]),
    stored(layer) {
      versions.has(layer, version)
      end(layer)
    },
    failed(layer) {
      versions.doubt(layer)
      end(layer)
    },
  }
}
