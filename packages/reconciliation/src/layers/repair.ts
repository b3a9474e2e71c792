/**
 * Repair: every layer is brought to the join of what all of them hold.
 *
 * L12: towards the join, never towards the longest; each layer receives exactly what it lacks, so a second run writes nothing and
 * reads no content. From layer to layer, a page at a time, whatever the size of the document. L13: a fork freezes its session.
 * Not here: when (`background.ts`), which documents (`sweeps.ts`).
 */
import { count, covers, type KnownState, missing } from '@tidemark/known-state'
import {
  type Append,
  type AppendResult,
  type Awaitable,
  type CallOptions,
  type Marks,
  type Page,
  type Storage,
  StorageError,
  type StoredState,
} from '@tidemark/storage'
import { type Agreement, agree, agreementWith, overlapping, seenPart } from './agreement.ts'
import { endOf } from './contents.ts'
import type { Core } from './core.ts'
import { readers, vouching, writers } from './core.ts'
import { clearDirty } from './flags.ts'
import { type Frozen, inStep, isErasedAs, passing, without } from './join.ts'
import { codeOf, isFull, type Layer } from './layer.ts'
import { storeMarks } from './mark-copies.ts'
import { noteStuck } from './needed.ts'
import {
  answerOf,
  ask,
  completed,
  isBehind,
  isInStep,
  sightOf,
  silentLayers,
  stateOf,
  tellCorrupt,
  toldOf,
} from './race.ts'

/**
 * Asks all layers again and brings those that lack something to the join. Answers which layers it waits for: those that are silent, cannot store, or are
 * damaged. What is stuck is left to the next sweep. @throws StorageError what may pass with time.
 */
export function repair(core: Core, id: string): Promise<readonly Layer[]> {
  return core.seen.hold([id], () => repairAll(core, id))
}

async function repairAll(core: Core, id: string): Promise<readonly Layer[]> {
  await ask(core, [id], true)
  completed(core, id)
  const heldBack = writers(core).filter((layer) => isHeldBack(core, id, layer))
  const tried = writers(core).filter((layer) => !heldBack.includes(layer))
  const outcomes = await Promise.allSettled(tried.map((layer) => repairLayer(core, id, layer)))
  const damaged: Layer[] = []
  const failed: unknown[] = []
  for (const [index, outcome] of outcomes.entries()) {
    const layer = tried[index] as Layer
    if (outcome.status === 'fulfilled') clearHold(core, id, layer)
    else if (codeOf(outcome.reason) === 'CORRUPT') damaged.push(layer)
    else failed.push(outcome.reason)
  }
  if (failed.length > 0) throw failed.find((cause) => !isFull(cause)) ?? failed[0]
  const silent = silentLayers(core, id)
  const covered = readers(core).filter((layer) => !silent.includes(layer))
  core.events.emit({ kind: 'settled', id, covers: names(covered), missing: names(silent) })
  return [...silent, ...heldBack, ...damaged]
}

/** What it could not store is there, or is not to be stored any more: others show whether it can. */
function clearHold(core: Core, id: string, layer: Layer): void {
  if (layer.unstored === id && !silentLayers(core, id).includes(layer)) layer.noteStored()
}

/** What a layer could not store last is tried for all that it lacks. */
function isHeldBack(core: Core, id: string, layer: Layer): boolean {
  return layer.unstored !== undefined && layer.unstored !== id && isBehind(core, id, layer)
}

/** Brings one layer to the join of what was last seen; one run at a time per document and layer. */
export function repairLayer(core: Core, id: string, layer: Layer): Promise<void> {
  if (!isBehind(core, id, layer)) return clearIfWhole(core, id, layer)
  const running = layer.repairing.get(id)
  if (running !== undefined) return running
  const run = createRun(core, id, layer)
  const repairing = core.seen.hold([id], () => copyAll(run)).finally(() => layer.repairing.delete(id))
  layer.repairing.set(id, repairing)
  return repairing
}

/**
 * A silent layer may lack what was written, or hold what another one lacks: the flag stays until all were seen. Whoever was not given an
 * acknowledgement because of it is told.
 */
async function clearIfWhole(
  core: Core,
  id: string,
  layer: Layer,
  wasWithheld = core.dirty.has(layer, id),
): Promise<void> {
  if (sightOf(core, id) === undefined || !isInStep(core, id, layer)) return
  await clearDirty(core, layer, id)
  const state = answerOf(core, id)
  if (!wasWithheld || state === undefined) return
  const { durable, known } = state
  if (durable === undefined || covers(durable, without(known, core.forks.of(id)))) core.changed(id, toldOf(core, id))
}

/** One document on its way into one layer. */
interface Run {
  readonly core: Core
  readonly id: string
  readonly target: Layer
  /** Sources that failed or are damaged, and why. */
  readonly excluded: Map<Layer, unknown>
  entries: number
  /** With the source that is copied from. */
  agreed: Agreement | undefined
  gaps: number
  /** Bytes copied since others had a turn. */
  unbroken: number
}

type Stored = Exclude<AppendResult, { failed: unknown }>

const GAPS_MAX = 3
const UNBROKEN_BYTES = 1024 * 1024

function createRun(core: Core, id: string, target: Layer): Run {
  return {
    core,
    id,
    target,
    excluded: new Map(),
    entries: 0,
    agreed: undefined,
    gaps: 0,
    unbroken: 0,
  }
}

async function copyAll(run: Run): Promise<void> {
  const { core, id, target } = run
  const isWithheld = answerOf(core, id)?.durable !== undefined
  tell(run, 'start')
  if (target === core.home) {
    const marks = await inTime(run, Promise.all(marksOfHome(run)))
    if (marks.some((one) => one.size > 0)) await storeMarks(core, new Map(marks.flatMap((one) => [...one])))
  }
  while (isBehind(core, id, target)) {
    if (core.closing.signal.aborted) throw new StorageError('CLOSED', 'layers: closed while repairing')
    const before = stateIn(run, target)
    if (!(await copySome(run))) {
      noteStuck(core, id, target)
      return tell(run, 'stuck')
    }
    const grown = count(stateIn(run, target)?.known ?? NOTHING) - count(before?.known ?? NOTHING)
    if (grown > 0) {
      run.entries += grown
      tell(run, 'progress')
    }
  }
  await clearIfWhole(core, id, target, isWithheld || core.dirty.has(target, id))
  tell(run, 'done')
}

/** Marks that belong to what others bring into the home: a crash must not find it without. To whoever was answered it is no news. */
function marksOfHome({ core, id, target }: Run): readonly Awaitable<Marks>[] {
  const marks: Awaitable<Marks>[] = []
  core.changed(id, toldOf(core, id), (one) => marks.push(one))
  return target.keepsMarks ? marks : []
}

/** Whoever watches may never say it: this document fails to be repaired, and others are. */
async function inTime<T>({ core, id }: Run, work: Promise<T>): Promise<T> {
  const over = new AbortController()
  const late = core.clock.wait(core.limits.appendTimeoutMs, over.signal).then(() => {
    throw new StorageError('IO', `${JSON.stringify(id)}: whoever watches did not say in time which marks belong to it`)
  })
  try {
    return await Promise.race([work, late])
  } finally {
    over.abort()
  }
}

const NOTHING: KnownState = { header: false, sessions: new Map() }

/** One page, or the erasure. Answers whether it makes sense to go on. */
async function copySome(run: Run): Promise<boolean> {
  const { core, id, target } = run
  const frozen = core.forks.of(id)
  const joined = stateOf(core, id) as StoredState
  const held = stateIn(run, target)
  if (joined.erased !== undefined && (held?.erased !== undefined || hasKept(held, joined, frozen)))
    return eraseIn(run, joined)
  const source = sourceFor(run, joined, held, frozen)
  if (source === undefined) {
    const [cause] = run.excluded.values()
    if (cause === undefined || codeOf(cause) === 'CORRUPT') return false
    throw cause
  }
  const agreed = run.agreed?.source === source ? run.agreed : agreementWith(source)
  run.agreed = agreed
  const page = await readFrom(run, agreed, held, frozen)
  if (page === undefined) return true
  return store(run, agreed, page, held)
}

/** Whether it has all that an erasure kept and that can be copied: of another document that is nothing, nor of a fork. */
function hasKept(held: StoredState | undefined, joined: StoredState, frozen: Frozen | undefined): boolean {
  if (held === undefined) return covers(NOTHING, joined.known)
  return frozen === 'document' || covers(held.known, without(joined.known, frozen))
}

/** The first layer that has something the target lacks; near ones before remote ones. */
function sourceFor(
  run: Run,
  joined: StoredState,
  held: StoredState | undefined,
  frozen: Frozen | undefined,
): Layer | undefined {
  const { core, target } = run
  const lacking = (layer: Layer) => {
    const state = stateIn(run, layer)
    if (state === undefined || layer === target || run.excluded.has(layer)) return false
    if (joined.erased !== undefined && !isErasedAs(state, joined)) return false
    const { header, sessions } = missing(held?.known ?? NOTHING, without(state.known, frozen))
    return header || sessions.size > 0
  }
  const found = readers(core).filter(lacking)
  return found.find((layer) => !layer.remote) ?? found[0]
}

async function readFrom(
  run: Run,
  agreed: Agreement,
  held: StoredState | undefined,
  frozen: Frozen | undefined,
): Promise<Page | undefined> {
  const { core, id } = run
  const { source } = agreed
  const state = stateIn(run, source) as StoredState
  const cursor = passing(overlapping(agreed, held, state), frozen, state.known)
  const bytesMax = core.limits.repairPageBytes
  const read = (storage: Storage, options: CallOptions) => storage.read(id, cursor, { bytesMax, ...options })
  try {
    const found = await source.call('page', read, true)
    const page = found && seenPart(found, state)
    if (page !== undefined && (page.runs.length > 0 || page.header !== undefined)) return page
    if (found !== undefined && found.runs.length > 0) return void (await ask(core, [id], true))
    // It does not have what it said: it is asked again, and believed less.
    run.excluded.set(source, new StorageError('IO', `layer ${source.name}: it lacks what it said it holds`))
    await ask(core, [id], true)
  } catch (cause) {
    run.excluded.set(source, cause)
    if (codeOf(cause) === 'CORRUPT') tellCorrupt(core, id, source)
  }
  return undefined
}

async function store(run: Run, agreed: Agreement, page: Page, held: StoredState | undefined): Promise<boolean> {
  const { core, id, target } = run
  const { source } = agreed
  const verifier = await verifierFor(run, source, page).catch((cause) => void run.excluded.set(source, cause))
  // Another source may have them; without them nothing is copied.
  if (verifier === undefined) return true
  const content: Append = { ...page, verifier }
  const bytes = sizeOf(page)
  await breathe(run, bytes)
  await source.throttle(bytes)
  await target.throttle(bytes)
  const asked = core.seen.tick()
  const result = await appendTo(run, content, unnoted(run, source, page))
  core.seen.heard(id, target, result.state, asked)
  if (result.headerRefused === 'fork') core.forks.freeze(id, undefined, [source.name, target.name])
  let refused = result.headerRefused !== undefined
  for (const [session, { why }] of result.refused) {
    if (why === 'fork') core.forks.freeze(id, session, [source.name, target.name])
    else if (why === 'gap') core.events.emit({ kind: 'gap', id, layer: target.name, session })
    else refused = true
  }
  if (result.headerRefused === 'fork' || [...result.refused.values()].some(({ why }) => why === 'fork')) return true
  // A gap restarts at what the target really has; a target that never grows is left alone.
  const isCompared = agree(agreed, page, result)
  const grew = !covers(held?.known ?? NOTHING, result.state?.known ?? NOTHING)
  if (!grew && !isCompared) run.gaps += 1
  return grew || isCompared || (!refused && run.gaps < GAPS_MAX)
}

/**
 * L3: what was not written here is noted, as a write is, for whoever lacks it: its silence is no vote for it. A page may hold more than was seen, and what
 * everybody has that was seen is not all of it then.
 */
function unnoted(run: Run, source: Layer, page: Page): ReadonlyMap<Layer, Marks> {
  const { core, id, target } = run
  const near = vouching(core)
  if (!near.includes(target) || near.includes(source)) return new Map()
  const end = without(endOf(page), core.forks.of(id))
  const hasAll = (layer: Layer) => isInStep(core, id, layer) && covers(stateIn(run, layer)?.known ?? NOTHING, end)
  const lacking = writers(core).filter((layer) => layer !== target && layer !== source && !hasAll(layer))
  return new Map(lacking.map((layer) => [layer, core.dirty.add(layer, [id])]))
}

/** What fails here is what the others that wait for this layer are judged by, unless it is this document alone that is damaged. */
async function appendTo({ core, id, target }: Run, content: Append, notes: ReadonlyMap<Layer, Marks>): Promise<Stored> {
  const marks = new Map(target.keepsMarks ? [...notes.values()].flatMap((one) => [...one]) : [])
  const noting = marks.size === 0 ? {} : { marks }
  const append = (storage: Storage, options: CallOptions) => storage.append([content], { ...noting, ...options })
  const [result] = await target.call('append', append, true).catch((cause) => {
    core.seen.doubt(id, target)
    if (codeOf(cause) !== 'CORRUPT') target.noteStored(id)
    throw cause
  })
  if (result !== undefined && !('failed' in result)) {
    target.noteStored()
    if (marks.size > 0) for (const layer of notes.keys()) core.dirty.committed(layer, [id])
    return result
  }
  if (result?.failed !== 'CORRUPT') target.noteStored(id)
  throw new StorageError(result?.failed ?? 'IO', `layer ${target.name}: it could not store a repair`, result?.cause)
}

/** Storages that answer in the same tick would let nobody else do anything until a large document is copied. */
async function breathe(run: Run, bytes: number): Promise<void> {
  run.unbroken += bytes
  if (run.unbroken < UNBROKEN_BYTES) return
  run.unbroken = 0
  await run.core.clock.wait(0, run.core.closing.signal)
}

/** The verifier's states of sessions that the page brings to the end of what the source holds. */
async function verifierFor(run: Run, source: Layer, page: Page): Promise<ReadonlyMap<string, Uint8Array>> {
  const { core, id } = run
  const ending = page.runs.filter(({ session, after, transactions }) => {
    // It may hold more by now than was seen.
    return (stateIn(run, source)?.known.sessions.get(session) ?? 0) <= after + transactions.length
  })
  if (ending.length === 0) return new Map()
  const sessions = ending.map(({ session }) => session)
  const states = await source.call('look', (storage) => storage.verifierStates(id, sessions), true)
  if (states.size === 0) return states
  // A state belongs to the count that the source had when it was read.
  const asked = core.seen.tick()
  const [now] = await source.call('look', (storage) => storage.knownStates([id]), true)
  core.seen.heard(id, source, now, asked)
  const stands = ending.filter((one) => now?.known.sessions.get(one.session) === one.after + one.transactions.length)
  return new Map(
    stands.flatMap(({ session }) => (states.has(session) ? [[session, states.get(session) as Uint8Array]] : [])),
  )
}

/** Only a versioned tombstone deletes; what it keeps was copied before. */
async function eraseIn(run: Run, joined: StoredState): Promise<boolean> {
  const { core, id, target } = run
  const version = joined.erased
  if (version === undefined || target.opened?.capabilities.erase !== true) return false
  const keep = [...joined.known.sessions.keys()]
  const asked = core.seen.tick()
  const state = await target.call('append', (storage) => storage.erase(id, version, { keep }), true)
  core.seen.heard(id, target, state, asked)
  return inStep(state, joined)
}

function stateIn({ core, id }: Run, layer: Layer): StoredState | undefined {
  return core.seen.of(id)?.states.get(layer)
}

function tell({ core, id, target, entries }: Run, step: 'start' | 'progress' | 'done' | 'stuck'): void {
  core.events.emit({ kind: 'repair', id, layer: target.name, step, entries })
}

function sizeOf(page: Page): number {
  let bytes = page.header?.length ?? 0
  for (const { transactions } of page.runs) for (const transaction of transactions) bytes += transaction.length
  return bytes
}

function names(layers: readonly Layer[]): readonly string[] {
  return layers.map((layer) => layer.name)
}
