/**
 * `layers`: a storage made of storages. The contract, method by method; what each does stands in a file of its own.
 */
import type { KnownState } from '@tidemark/known-state'
import {
  type Append,
  type AppendOptions,
  type AppendResult,
  backgroundClock,
  type CallOptions,
  type Capabilities,
  type Change,
  type Changed,
  type MapEntry,
  type MergeResult,
  type Opened,
  type Page,
  type Storage,
  StorageError,
  type StoredState,
  type Version,
} from '@tidemark/storage'
import {
  checkBatch,
  checkBytesMax,
  checkId,
  checkIds,
  checkListing,
  checkMap,
  checkVersion,
  Remembered,
  throwIfAborted,
} from '@tidemark/storage/adapter'
import { abortable } from './abortable.ts'
import { createBackground } from './background.ts'
import { eraseInCaches } from './cache.ts'
import type { Layers } from './contract.ts'
import { type Core, writers } from './core.ts'
import { createDirty, MARKS } from './dirty.ts'
import { erase } from './erase.ts'
import { createEvents, type LayersEvent, tellAll } from './events.ts'
import { createForks } from './forks.ts'
import { createIntents, takeBackAll } from './intents.ts'
import { Layer, type LayerHome } from './layer.ts'
import * as lists from './lists.ts'
import { type Loaded, type LoadOptions, load } from './load.ts'
import { mergeMap, readMap } from './maps.ts'
import { repairMarks } from './mark-copies.ts'
import { readMarks } from './marks.ts'
import { needsRepair } from './needed.ts'
import { DEFAULT_LAYERS_LIMITS, type LayerOptions, type LayersOptions } from './options.ts'
import { completed, lookUp, stateOf } from './race.ts'
import { readPage } from './read.ts'
import { repair } from './repair.ts'
import { createSeen } from './seen.ts'
import { healthOf, type LayerHealth, type LayersStatus, statusOf } from './status.ts'
import { askUntilBack, sweepAll, sweepDirty, sweepForever, sweepReturned } from './sweeps.ts'
import { forgetLayer, openEnough, takeIn, takeInAll } from './taking-in.ts'
import { createTurns } from './turns.ts'
import { createVersions } from './versions.ts'
import { capabilitiesOf, checkNames, checkQuorum, homeOf, noteCache, openedOf } from './whole.ts'
import { append } from './writes.ts'

/**
 * A storage made of storages, the first being the preferred source. It opens and closes them.
 *
 * @throws RangeError if there is none, if two have one name, or for a quorum of more than there are.
 */
export function layers(given: readonly (LayerOptions | Storage)[], options: LayersOptions = {}): Layers {
  if (given.length === 0) throw new RangeError('layers: expected at least one layer, got none')
  checkQuorum(options.policy, given.length)
  return new LayeredStorage(given, options)
}

class LayeredStorage implements Layers {
  readonly #core: Core
  readonly #home: LayerHome
  readonly #watchers = new Set<(change: Changed) => void>()
  #opening: Promise<unknown> | undefined
  /** Whose generation `open` answered last. */
  #told: Layer | undefined
  #phase: 'made' | 'open' | 'closed' = 'made'
  #named = 0

  constructor(given: readonly (LayerOptions | Storage)[], options: LayersOptions) {
    const limits = { ...DEFAULT_LAYERS_LIMITS, ...options.limits }
    const clock = options.clock ?? backgroundClock
    const events = createEvents()
    const closing = new AbortController()
    this.#home = {
      clock,
      limits,
      events,
      closing: closing.signal,
      returned: (layer, absent) => this.#returned(layer, absent),
      lost: (layer) => askUntilBack(this.#core, layer).catch(() => {}),
    }
    const dirty = createDirty('dirty')
    const made = given.map((one) => this.#make('storage' in one ? one : { storage: one }, []))
    const background = createBackground({
      clock,
      limits,
      signal: closing.signal,
      repair: (id) => (id === MARKS ? repairMarks(this.#core).then(() => []) : repair(this.#core, id)),
      needed: (id, besides, urgency) => needsRepair(this.#core, id, besides, urgency !== 'load'),
      missed: (id) => writers(this.#core).some((layer) => dirty.has(layer, id)),
      stateOf: (id) => stateOf(this.#core, id)?.known,
    })
    this.#core = {
      clock,
      limits,
      policy: options.policy ?? 'all-required',
      usable: options.usable ?? ((state) => state.known.header),
      events,
      closing,
      documents: createTurns(),
      maps: createTurns(),
      dirtyMaps: createDirty('map'),
      mapNames: new Remembered(limits.rememberedMax),
      mapNews: new Remembered(limits.rememberedMax),
      background,
      seen: createSeen(events, limits.rememberedMax, (id, state) => eraseInCaches(this.#core, id, state)),
      forks: createForks(events, limits.rememberedMax),
      dirty,
      intents: createIntents((id) => this.#core.layers.every((layer) => !dirty.isUnsaid(layer, id))),
      marking: {
        versions: createVersions(),
        learning: new Map(),
        giving: new Map(),
        copying: new Map(),
        unsettled: new WeakSet(),
        adding: undefined,
      },
      layers: made,
      home: made[0] as Layer,
      changed: (id, before, storeWith) => tellAll(this.#watchers, { id, before, ...(storeWith && { storeWith }) }),
    }
    checkNames(made)
  }

  async open(options?: CallOptions): Promise<Opened> {
    throwIfAborted(options)
    if (this.#phase === 'closed') throw closed(this.#phase)
    this.#opening ??= this.#start()
    await this.#opening
    this.#told = this.#core.home
    return openedOf(this.#core)
  }

  async knownStates(ids: readonly string[], options?: CallOptions): Promise<readonly (StoredState | undefined)[]> {
    this.#ready(options)
    checkIds(ids)
    return abortable(
      options?.signal,
      this.#core.seen.hold(ids, () => lookUp(this.#core, ids)),
    )
  }

  async headers(ids: readonly string[], options?: CallOptions): Promise<readonly (Uint8Array | undefined)[]> {
    this.#ready(options)
    checkIds(ids)
    return abortable(options?.signal, lists.headers(this.#core, ids))
  }

  async read(
    id: string,
    after: KnownState,
    options: CallOptions & { readonly bytesMax: number },
  ): Promise<Page | undefined> {
    this.#ready(options)
    checkId(id, 'document id')
    checkBytesMax(options.bytesMax)
    const { bytesMax, signal } = options
    return abortable(
      signal,
      this.#core.seen.hold([id], () => readPage(this.#core, id, after, bytesMax)),
    )
  }

  async append(batch: readonly Append[], options?: AppendOptions): Promise<readonly AppendResult[]> {
    this.#ready(options)
    checkBatch(batch, options?.marks)
    this.#writable()
    const ids = [...new Set(batch.map(({ id }) => id))]
    const core = this.#core
    return this.#core.documents.take(options?.marks === undefined ? ids : [...ids, MARKS], () =>
      core.seen.hold(ids, () => append(core, batch, options)),
    )
  }

  async verifierStates(
    id: string,
    sessions: readonly string[],
    options?: CallOptions,
  ): Promise<ReadonlyMap<string, Uint8Array>> {
    this.#ready(options)
    checkId(id, 'document id')
    checkIds(sessions, 'session id')
    return this.#core.seen.hold([id], () => lists.verifierStates(this.#core, id, sessions))
  }

  async marks(options: CallOptions & { readonly prefix: string; readonly after?: string; readonly limit: number }) {
    this.#ready(options)
    checkListing(options)
    return abortable(options.signal, readMarks(this.#core, options))
  }

  async list(options: CallOptions & { readonly after?: string; readonly limit: number }): Promise<readonly string[]> {
    this.#ready(options)
    checkListing(options)
    this.#can('list')
    return abortable(options.signal, lists.list(this.#core, options.after, options.limit))
  }

  async count(options?: CallOptions): Promise<number> {
    this.#ready(options)
    this.#can('list')
    return lists.count(this.#core)
  }

  /** Those of the home layer: what it lacks of the join is a change when it was repaired. Another one counts otherwise. */
  async changes(options: CallOptions & { readonly since: number; readonly limit: number }): Promise<readonly Change[]> {
    this.#ready(options)
    checkListing(options)
    this.#can('changes')
    const { since, limit } = options
    if (this.#core.home !== this.#told)
      throw new StorageError(
        'IO',
        'layers: the changes are those of another layer now, open() says which generation it has',
      )
    return this.#core.home.call('look', (storage) => storage.changes({ since, limit }))
  }

  async readMap(name: string, options?: CallOptions): Promise<ReadonlyMap<string, MapEntry>> {
    this.#ready(options)
    checkMap(name)
    this.#can('maps')
    return readMap(this.#core, name)
  }

  async mergeMap(name: string, entries: ReadonlyMap<string, MapEntry>, options?: CallOptions): Promise<MergeResult> {
    this.#ready(options)
    checkMap(name, entries)
    this.#can('maps')
    this.#writable()
    return this.#core.maps.take([name], () => mergeMap(this.#core, name, entries))
  }

  async erase(
    id: string,
    version: Version,
    options: CallOptions & { readonly keep: readonly string[] },
  ): Promise<StoredState | undefined> {
    this.#ready(options)
    checkId(id, 'document id')
    checkIds(options.keep, 'session id')
    checkVersion(version, 'version')
    this.#can('erase')
    this.#writable()
    const core = this.#core
    return this.#core.documents.take([id], () => core.seen.hold([id], () => erase(core, id, version, options.keep)))
  }

  async load(id: string, options?: LoadOptions): Promise<Loaded> {
    this.#ready(options)
    checkId(id, 'document id')
    return this.#core.seen.hold([id], () => load(this.#core, id, options))
  }

  async status(id: string): Promise<LayersStatus> {
    this.#ready(undefined)
    checkId(id, 'document id')
    return this.#core.seen.hold([id], () => statusOf(this.#core, id))
  }

  health(): readonly LayerHealth[] {
    return healthOf(this.#core)
  }

  whenSettled(id?: string): Promise<void> {
    return this.#core.background.settled(id)
  }

  async sweep(): Promise<void> {
    this.#ready(undefined)
    await sweepAll(this.#core)
  }

  async attach(given: LayerOptions): Promise<void> {
    this.#ready(undefined)
    const layer = this.#make(given, this.#core.layers)
    layer.attached()
    this.#core.layers = [...this.#core.layers, layer]
    // One that does not open is asked again until it does.
    await layer
      .open()
      .then(() => takeIn(this.#core, layer, true))
      .catch(() => {})
  }

  detach(name: string): void {
    const core = this.#core
    const layer = core.layers.find((one) => one.name === name)
    if (layer === undefined) throw new RangeError(`detach: there is no layer ${JSON.stringify(name)}`)
    if (core.layers.length === 1) throw new RangeError('detach: the last layer stays')
    layer.detach()
    core.layers = core.layers.filter((one) => one !== layer)
    if (core.home === layer) core.home = homeOf(core)
    core.background.resume(layer)
    forgetLayer(core, layer).catch(() => {})
    for (const id of [...core.seen.unsure.keys()]) completed(core, id)
  }

  listen(listener: (event: LayersEvent) => void): () => void {
    return this.#core.events.listen(listener)
  }

  watch(listener: (change: Changed) => void): () => void {
    this.#watchers.add(listener)
    return () => this.#watchers.delete(listener)
  }

  async close(): Promise<void> {
    const wasOpen = this.#phase === 'open'
    this.#phase = 'closed'
    const core = this.#core
    await this.#opening?.catch(() => {})
    if (wasOpen) {
      await Promise.all([this.#core.documents.done(), this.#core.maps.done()])
      await takeBackAll(core)
    }
    core.closing.abort()
    await Promise.allSettled(core.layers.flatMap((layer) => [...layer.repairing.values()]))
    const closing = await Promise.allSettled(core.layers.map((layer) => layer.close()))
    const failed = closing.find((one) => one.status === 'rejected')
    if (failed !== undefined) throw failed.reason
  }

  #make(given: LayerOptions, others: readonly Layer[]): Layer {
    const layer = new Layer(given, `layer ${++this.#named}`, this.#home)
    checkNames([...others, layer])
    return layer
  }

  /** Waits for those that every write must reach; the others come when they come. */
  async #start(): Promise<void> {
    const core = this.#core
    const needed = core.layers.filter((layer) => layer.required && !layer.remote)
    const awaited = new Set(needed.length > 0 ? needed : core.layers.slice(0, 1))
    for (const layer of core.layers)
      if (!awaited.has(layer))
        layer
          .open()
          .then(() => takeIn(core, layer, false))
          .catch(() => {})
    try {
      await openEnough(core, [...awaited])
    } catch (cause) {
      this.#phase = 'closed'
      core.closing.abort()
      await Promise.allSettled(core.layers.map((layer) => layer.close()))
      throw cause
    }
    if (this.#phase === 'closed') throw closed(this.#phase)
    this.#phase = 'open'
    core.home = homeOf(core)
    // Nothing was written yet: memory beside durable layers is a cache from the start.
    for (const layer of core.layers) noteCache(core, layer)
    const opened = [...awaited].filter((layer) => layer.opened !== undefined)
    await takeInAll(core, opened)
    sweepForever(core).catch(() => {})
  }

  #returned(layer: Layer, absent: boolean): void {
    const core = this.#core
    const isAll = core.background.resume(layer)
    for (const id of core.seen.unsure.keys()) core.background.consider(id, 'write')
    sweepDirty(core)
    if (!layer.takenIn && this.#phase === 'open') takeIn(core, layer, true).catch(() => {})
    else if (absent || !isAll) sweepReturned(core, layer).catch(() => {})
  }

  #ready(options: CallOptions | undefined): void {
    throwIfAborted(options)
    if (this.#phase !== 'open') throw closed(this.#phase)
  }

  #writable(): void {
    if (writers(this.#core).length === 0) throw new StorageError('READ_ONLY', 'layers: none of them may be written')
  }

  #can(capability: keyof Capabilities): void {
    if (!capabilitiesOf(this.#core)[capability]) throw new TypeError(`layers: they cannot do this: ${capability}`)
  }
}

function closed(phase: 'made' | 'open' | 'closed'): StorageError {
  return new StorageError('CLOSED', phase === 'made' ? 'layers: call open() first' : 'layers: they were closed')
}
