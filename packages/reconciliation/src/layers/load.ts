/**
 * Loading one document for whoever opens it: known states are raced, contents are not.
 *
 * The first layer whose state is usable is read and handed over; each later one contributes only what is still missing, so every
 * range is fetched once. L1: a usable document may be handed over before all answered, and says that it is partial. L2: absent, failed and
 * timed out are told apart; absent is only what every layer says. Repair is not waited for, unless one asks for it.
 */
import { covers, EMPTY, type KnownState, union } from '@tidemark/known-state'
import { backgroundClock, type Page, type StoredState, systemClock } from '@tidemark/storage'
import { abortable } from './abortable.ts'
import { endOf, sizeOf } from './contents.ts'
import { type Core, readers } from './core.ts'
import { createHanded, follows, goingOn, type Handed, note, passedOver } from './handed.ts'
import { isErasedAs } from './join.ts'
import type { Layer } from './layer.ts'
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
  /** Bytes handed over since others had a turn. */
  unbroken: number
  readonly handed: Handed
  readonly handedOver: () => void
  /** Whoever takes the pages failed: that is no layer's fault. */
  thrown: { readonly cause: unknown } | undefined
}

const UNBROKEN_BYTES = 1024 * 1024

export async function load(core: Core, id: string, options: LoadOptions = {}): Promise<Loaded> {
  const { until = 'merged', signal, after = EMPTY } = options
  signal?.throwIfAborted()
  let handedOver = () => {}
  const first = new Promise<void>((resolve) => {
    handedOver = resolve
  })
  const lists = { answered: [], absent: [], failed: [], timedOut: [] }
  const none = { usable: false, unbroken: 0, thrown: undefined }
  const begun = { cursor: after, handing: Promise.resolve(), handed: createHanded(core, id) }
  const loading: Loading = { core, id, options, ...lists, ...none, ...begun, handedOver }
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
        // Where what there is now is in no layer that answers, those that did not are named.
        if (!loading.cursor.header && !isErasedElsewhere(core, id)) throw cause
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

/** Whether a document was erased last in a silent layer alone: what the others have is not what there is. */
function isErasedElsewhere(core: Core, id: string): boolean {
  const joined = stateOf(core, id)
  const states = readers(core).flatMap((layer) => core.seen.of(id)?.states.get(layer) ?? [])
  return joined?.erased !== undefined && !states.some((state) => isErasedAs(state, joined))
}

/** What was handed over stands, also if some layer could not be read, or not be gone on with: it failed. */
function noteUnread(loading: Loading): void {
  const { core, id, answered, failed, options } = loading
  if (options.onPage === undefined || isWhole(loading) || loading.thrown !== undefined || options.signal?.aborted)
    return
  for (const layer of readers(core)) {
    const state = core.seen.of(id)?.states.get(layer)
    const at = answered.indexOf(layer.name)
    // What was erased elsewhere is not to be handed over.
    if (at < 0 || state === undefined || covers(loading.cursor, state.known) || isErasedElsewhere(core, id)) continue
    answered.splice(at, 1)
    failed.push(layer.name)
  }
}

/** What is not handed over again, nor gone on with. */
function cursorOf({ handed, cursor }: Loading): KnownState {
  return goingOn(handed, cursor)
}

function isWhole(loading: Loading): boolean {
  return covers(cursorOf(loading), stateOf(loading.core, loading.id)?.known ?? EMPTY)
}

/** Hands over what is held by now and was not handed over yet. */
async function handOver(loading: Loading): Promise<void> {
  const { core, id, options, handed } = loading
  if (options.onPage === undefined || loading.thrown !== undefined) return
  const took: { readonly from: Layer; readonly isNext: boolean }[] = []
  const reader: Reader = {
    passesOver: (layer) => passedOver(handed, layer),
    knowsHeader: (layer) => handed.alike.has(layer),
    took: (from, page) => void took.push({ from, isNext: follows(handed, page, from) }),
  }
  while (!isWhole(loading) && !options.signal?.aborted) {
    const ended = handed.ended.size
    const after = cursorOf(loading)
    const read = await readPage(core, id, after, core.limits.pageBytes, reader)
    const taken = took.pop()
    if (read === undefined || taken === undefined || options.signal?.aborted) return
    if (!taken.isNext) continue
    cursorOf(loading)
    const page = withoutEnded(handed, read, after)
    // What was known to be forked before comes again for ever where its layer grows.
    if (page === undefined && handed.ended.size === ended) return
    if (page === undefined) continue
    loading.cursor = union(loading.cursor, { ...endOf(page), header: true })
    note(handed, page, taken.from)
    // A header that the caller has already was compared.
    if (page.runs.length === 0 && page.header === undefined) continue
    try {
      options.onPage(page)
    } catch (cause) {
      loading.thrown = { cause }
      return
    }
    if (!page.more) return
    await breathe(loading, page)
  }
}

/** What of a page goes on with what was handed over: sessions may have turned out to be forked while it was read. */
function withoutEnded({ ended }: Handed, page: Page, after: KnownState): Page | undefined {
  const runs = page.runs.filter(({ session }) => !ended.has(session))
  if (runs.length === page.runs.length) return page
  const part = { ...page, runs }
  return runs.length === 0 && page.header === undefined ? undefined : { ...part, end: union(after, endOf(part)) }
}

/** Storages that answer in the same tick would let nobody else do anything until a large document is handed over. */
async function breathe(loading: Loading, page: Page): Promise<void> {
  loading.unbroken += sizeOf(page)
  if (loading.unbroken < UNBROKEN_BYTES) return
  loading.unbroken = 0
  const { clock } = loading.core
  // Somebody waits for it: the process does not end meanwhile.
  await (clock === backgroundClock ? systemClock : clock).wait(0)
}
