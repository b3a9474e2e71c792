/**
 * Loading one document for whoever opens it: known states are raced, contents are not.
 *
 * The first layer whose state is usable is read and handed over; each later one contributes only what is still missing, so every
 * range is fetched once. L1: a usable document may be handed over before all answered, and says that it is partial. L2: absent, failed and
 * timed out are told apart; absent is only what every layer says. Repair is not waited for, unless one asks for it.
 */
import { covers, EMPTY, type KnownState, union } from '@tidemark/known-state'
import type { Page, StoredState } from '@tidemark/storage'
import { abortable } from './abortable.ts'
import { endOf } from './contents.ts'
import { type Core, readers } from './core.ts'
import { passing } from './join.ts'
import type { Layer } from './layer.ts'
import { uncompared } from './overlaps.ts'
import { answerOf, askLayer, completed, isTimeout, silentLayers, stateOf, tellGrowth } from './race.ts'
import { type Reader, readPage } from './read.ts'

export interface LoadOptions {
  /**
   * `usable`: a layer's content was handed over, or none has any. `merged` (default): all layers answered or were given up, and what each adds was
   * handed over. `settled`: and every layer was brought to the join, as far as that can be done now.
   */
  readonly until?: 'usable' | 'merged' | 'settled'
  readonly signal?: AbortSignal
  /** Takes the content, page by page; each continues what was handed over before. Without it nothing is read. */
  readonly onPage?: (page: Page) => void
  /** What the caller has already. */
  readonly after?: KnownState
}

export interface Loaded {
  /** `unknown`: no layer that answered has it, and not all answered. */
  readonly found: 'present' | 'absent' | 'unknown'
  readonly state: StoredState | undefined
  /** Names of layers that hold it, say that they do not, failed, did not answer in time. */
  readonly answered: readonly string[]
  readonly absent: readonly string[]
  readonly failed: readonly string[]
  readonly timedOut: readonly string[]
}

/** One load under way. */
interface Loading {
  readonly core: Core
  readonly id: string
  readonly options: LoadOptions
  readonly answered: string[]
  readonly absent: string[]
  readonly failed: string[]
  readonly timedOut: string[]
  cursor: KnownState
  /** One hands over at a time. */
  handing: Promise<unknown>
  usable: boolean
  /** Sessions that are known to be forks, and those of which something was handed over before. */
  readonly frozen: Set<string>
  readonly ended: Set<string>
  /** Where what was handed over of a session is from. */
  readonly sources: Map<string, Layer>
  readonly handedOver: () => void
  /** Whoever takes the pages failed: that is no layer's fault. */
  thrown: { readonly cause: unknown } | undefined
}

export async function load(core: Core, id: string, options: LoadOptions = {}): Promise<Loaded> {
  const { until = 'merged', signal, after = EMPTY } = options
  signal?.throwIfAborted()
  let handedOver = () => {}
  const first = new Promise<void>((resolve) => {
    handedOver = resolve
  })
  const lists = { answered: [], absent: [], failed: [], timedOut: [] }
  const forks = core.forks.of(id)
  const frozen = new Set(forks === 'document' ? [] : forks)
  const ended = new Set<string>()
  const sources = new Map<string, Layer>()
  const empty = { cursor: after, handing: first, usable: false, frozen, ended, sources, thrown: undefined }
  const loading: Loading = { core, id, options, ...lists, ...empty, handedOver }
  loading.handing = Promise.resolve()
  const merged = core.seen.hold([id], () => merge(loading))
  // Whoever went away is told nothing of what came after.
  merged.catch(() => {})
  const enough = until === 'usable' ? Promise.race([first, merged]) : merged
  await abortable(signal, until === 'settled' ? enough.then(() => core.background.settled(id)) : enough)
  if (loading.thrown !== undefined) throw loading.thrown.cause
  return loaded(loading)
}

function loaded({ core, id, answered, absent, failed, timedOut }: Loading): Loaded {
  const state = answerOf(core, id)
  const whole = silentLayers(core, id).length === 0
  const found = state !== undefined ? 'present' : whole ? 'absent' : 'unknown'
  return { found, state, answered: [...answered], absent: [...absent], failed: [...failed], timedOut: [...timedOut] }
}

/** Asks everybody and hands over what each adds. */
async function merge(loading: Loading): Promise<void> {
  const { core, id } = loading
  const local = readers(core).filter((layer) => !layer.remote)
  const remote = readers(core).filter((layer) => layer.remote)
  await Promise.all(local.map((layer) => take(loading, layer)))
  await Promise.all(remote.map((layer) => take(loading, layer, [stateOf(core, id)?.known])))
  await loading.handing
  // What could not be read from one layer may be there in another that answered later.
  if (loading.usable || stateOf(core, id) !== undefined)
    await handOver(loading).then(
      () => noteUnread(loading),
      (cause) => {
        if (!loading.cursor.header) throw cause
        noteUnread(loading)
      },
    )
  tellGrowth(core, id)
  completed(core, id)
  const { answered, absent, failed, timedOut } = loading
  if (failed.length + timedOut.length > 0) core.seen.noteUnsure(id, stateOf(core, id)?.known ?? EMPTY)
  core.events.emit({ kind: 'merged', id, answered: [...answered, ...absent], failed, timedOut })
  core.background.consider(id, 'load')
}

async function take(loading: Loading, layer: Layer, have?: readonly (KnownState | undefined)[]): Promise<void> {
  const { core, id } = loading
  const silence = await askLayer(core, layer, [id], false, have)
  if (silence !== undefined) {
    ;(isTimeout(silence.cause) ? loading.timedOut : loading.failed).push(layer.name)
    return
  }
  const state = core.seen.of(id)?.states.get(layer)
  if (state === undefined) {
    loading.absent.push(layer.name)
    return
  }
  loading.answered.push(layer.name)
  if (!loading.usable && !core.usable(state)) return
  const isFirst = !loading.usable
  loading.usable = true
  const handing = loading.handing.then(() => handOver(loading))
  loading.handing = handing.catch(() => {})
  if (!isFirst) return
  await handing.then(
    () => {
      core.events.emit({ kind: 'usable', id, layer: layer.name })
      loading.handedOver()
    },
    () => {
      loading.usable = false
    },
  )
}

/** What was handed over stands, also if some layer could not be read, or not be gone on with: it failed. */
function noteUnread(loading: Loading): void {
  const { core, id, answered, failed, options } = loading
  if (options.onPage === undefined || isWhole(loading) || loading.thrown !== undefined || options.signal?.aborted)
    return
  for (const layer of readers(core)) {
    const known = core.seen.of(id)?.states.get(layer)?.known
    const at = answered.indexOf(layer.name)
    if (at < 0 || known === undefined || covers(loading.cursor, known)) continue
    answered.splice(at, 1)
    failed.push(layer.name)
  }
}

/**
 * L13: a session that turns out to be forked is not gone on with: what was handed over of it may be from another layer than what would follow.
 */
function cursorOf(loading: Loading): KnownState {
  const { core, id, frozen, ended } = loading
  const forks = core.forks.of(id)
  for (const session of forks === 'document' ? [] : (forks ?? [])) {
    if (frozen.has(session)) continue
    frozen.add(session)
    if (loading.cursor.sessions.has(session)) ended.add(session)
  }
  return passing(loading.cursor, ended, stateOf(core, id)?.known ?? EMPTY)
}

function isWhole(loading: Loading): boolean {
  return covers(cursorOf(loading), stateOf(loading.core, loading.id)?.known ?? EMPTY)
}

/** L13: sessions of `json` documents that another layer was read for, which is gone, or could not be compared. */
function* passedOver({ core, id, sources }: Loading, layer: Layer): Iterable<string> {
  const joined = stateOf(core, id)
  if (joined?.kind !== 'json') return
  const apart = uncompared(core, id, joined)
  const isKnown = (source: Layer, session: string) => {
    if (source.isCache) return [...apart.values()].every((sessions) => !sessions.has(session))
    const holds = readers(core).includes(source) && core.seen.of(id)?.states.get(source)?.known.sessions.has(session)
    return holds && !apart.get(source)?.has(session)
  }
  for (const [session, source] of sources) if (source !== layer && !isKnown(source, session)) yield session
}

/** Hands over what is held by now and was not handed over yet. */
async function handOver(loading: Loading): Promise<void> {
  const { core, id, options } = loading
  if (options.onPage === undefined || loading.thrown !== undefined) return
  let from: Layer | undefined
  const reader: Reader = {
    passesOver: (layer) => passedOver(loading, layer),
    took: (source) => {
      from = source
    },
  }
  while (!isWhole(loading)) {
    const page = await readPage(core, id, cursorOf(loading), core.limits.pageBytes, reader)
    if (page === undefined || options.signal?.aborted || (page.runs.length === 0 && page.header === undefined)) return
    cursorOf(loading)
    // It was read when it was found to be a fork.
    if (page.runs.some(({ session }) => loading.ended.has(session))) continue
    loading.cursor = union(loading.cursor, { ...endOf(page), header: true })
    if (from !== undefined && page.kind === 'json')
      for (const { session } of page.runs) loading.sources.set(session, from)
    try {
      options.onPage(page)
    } catch (cause) {
      loading.thrown = { cause }
      return
    }
    if (!page.more) return
  }
}
