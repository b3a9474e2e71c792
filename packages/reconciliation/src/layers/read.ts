/**
 * One page of the join: from the first layer that has something of it.
 *
 * A layer that fails is passed over while another has what is wanted; a damaged one is never read for what it could not read. A cache that has
 * from a layer what that one holds is read in its place. L13: what is read of a session continues what was held of it, or the session is frozen.
 * Not here: which states there are (`race.ts`), copying (`repair.ts`).
 */
import { covers, type KnownState, missing, union } from '@tidemark/known-state'
import { type Page, StorageError, type StoredState } from '@tidemark/storage'
import { seenPart } from './agreement.ts'
import { cacheOf, fillCaches } from './cache.ts'
import { endOf } from './contents.ts'
import { type Core, readers } from './core.ts'
import { isErasedAs, passing } from './join.ts'
import { codeOf, type Layer } from './layer.ts'
import { compareOverlaps, joinedLayers, uncompared } from './overlaps.ts'
import { ask, sightOf, silentLayers, stateOf, tellCorrupt, unknown } from './race.ts'

/** Of whoever reads on and knows where from. */
export interface Reader {
  /** Sessions that are not to be gone on with from this layer. */
  passesOver(layer: Layer): Iterable<string>
  /** Whether its header is known to be that of the document; if not it comes with the next page. */
  knowsHeader(layer: Layer): boolean
  took(source: Layer, page: Page): void
}

const NOBODY: Reader = { passesOver: () => [], knowsHeader: () => true, took: () => {} }

export async function readPage(
  core: Core,
  id: string,
  after: KnownState,
  bytesMax: number,
  reader: Reader = NOBODY,
): Promise<Page | undefined> {
  const silences = isSeen(core, id, after) ? [] : await ask(core, [id])
  const failed = new Map<Layer, unknown>()
  for (let tries = 0; tries <= core.layers.length * 2; tries++) {
    const joined = await comparedState(core, id)
    if (joined === undefined) {
      if (silentLayers(core, id).length > 0) throw unknown(id, silences)
      return undefined
    }
    const passed = passedIn(core, id, joined, reader)
    const source = sourceOf(core, id, after, joined, failed, passed)
    if (source === undefined) {
      const [cause] = failed.values()
      if (cause !== undefined && !covers(after, joined.known)) throw cause
      // L2: what a silent layer may hold beyond that is not denied.
      if (silentLayers(core, id).length > 0) throw unknown(id, silences)
      return asPage(core, joined, id, after, undefined)
    }
    const cursor = cursorFor(core, id, after, source, passed(source))
    const header = cursor.header && reader.knowsHeader(source)
    const page = await readFrom(core, source, id, { after, cursor: { ...cursor, header }, bytesMax }, failed)
    if (page === undefined || !isOfKind(core, page, joined, source, failed) || !continues(core, id, page, source))
      continue
    reader.took(source, page)
    return asPage(core, joined, id, after, page)
  }
  throw new StorageError('IO', `${JSON.stringify(id)}: no layer has what it said it holds`)
}

/** The join, after what has to be compared was. */
async function comparedState(core: Core, id: string): Promise<StoredState | undefined> {
  const joined = stateOf(core, id)
  if (joined === undefined || uncompared(core, id, joined).size === 0) return joined
  await compareOverlaps(core, id, joined)
  return stateOf(core, id)
}

/** Whether what was last seen is enough to go on: whoever reads looked before, and a silent layer is not asked for every page. */
function isSeen(core: Core, id: string, after: KnownState): boolean {
  const seen = stateOf(core, id)
  return sightOf(core, id) !== undefined || (seen !== undefined && lacks(after, seen.known))
}

function passedIn(core: Core, id: string, joined: StoredState, reader: Reader): (layer: Layer) => ReadonlySet<string> {
  const apart = uncompared(core, id, joined)
  return (layer) => new Set([...(apart.get(layer) ?? []), ...reader.passesOver(layer)])
}

/** The first that has something beyond `after` that is not another's to serve. */
function sourceOf(
  core: Core,
  id: string,
  after: KnownState,
  joined: StoredState,
  failed: ReadonlyMap<Layer, unknown>,
  passed: (layer: Layer) => ReadonlySet<string>,
): Layer | undefined {
  return readers(core).find((layer) => {
    const state = core.seen.of(id)?.states.get(layer)
    if (state === undefined || failed.has(layer)) return false
    if (state.kind !== joined.kind && !state.guessed && !joined.guessed) return false
    if (joined.erased !== undefined && !isErasedAs(state, joined)) return false
    return lacks(cursorFor(core, id, after, layer, passed(layer)), state.known)
  })
}

function lacks(after: KnownState, state: KnownState): boolean {
  const { header, sessions } = missing(after, state)
  return header || sessions.size > 0
}

/** Frozen sessions are read from the first layer that has them in the join, and passed over in the others, as are those that could not be compared. */
function cursorFor(core: Core, id: string, after: KnownState, layer: Layer, passed: ReadonlySet<string>): KnownState {
  const forks = core.forks.of(id)
  const frozen = forks === undefined || forks === 'document' ? new Set<string>() : forks
  if (frozen.size + passed.size === 0) return after
  const sight = core.seen.of(id)
  const joined = stateOf(core, id)
  const layers = joined === undefined ? [] : joinedLayers(core, id, joined)
  const owner = (session: string) => layers.find((one) => sight?.states.get(one)?.known.sessions.has(session))
  const others = new Set([...passed, ...[...frozen].filter((session) => owner(session) !== layer)])
  return passing(after, others, sight?.states.get(layer)?.known ?? after)
}

interface Wanted {
  readonly after: KnownState
  /** As `after`, past what this layer is not to be read for. */
  readonly cursor: KnownState
  readonly bytesMax: number
}

async function readFrom(
  core: Core,
  source: Layer,
  id: string,
  { after, cursor, bytesMax }: Wanted,
  failed: Map<Layer, unknown>,
): Promise<Page | undefined> {
  const seen = core.seen.of(id)?.states.get(source)
  const cache = cacheOf(core, source, id)
  const from = cache === undefined || failed.has(cache) ? source : cache
  try {
    const read = await from.call('page', (storage, options) => storage.read(id, cursor, { bytesMax, ...options }))
    const page = read && following(seen === undefined ? read : seenPart(read, seen), after)
    if (page !== undefined && (page.runs.length > 0 || page.header !== undefined)) {
      if (from === source) fillCaches(core, page, [source])
      return page
    }
    failed.set(from, new StorageError('IO', `layer ${from.name}: it does not hold what it said it holds`))
    await ask(core, [id])
  } catch (cause) {
    failed.set(from, cause)
    if (codeOf(cause) === 'CORRUPT') tellCorrupt(core, id, from)
  }
  return undefined
}

/** Without the sessions that were passed over: a layer may hold more of them by now than was seen, which follows nothing. */
function following(page: Page, after: KnownState): Page {
  const follows = ({ session, after: begin }: Page['runs'][number]) => begin === (after.sessions.get(session) ?? 0)
  return page.runs.every(follows) ? page : { ...page, runs: page.runs.filter(follows) }
}

/** What a layer had not said: if its document is of another kind, the document is a fork. */
function isOfKind(core: Core, page: Page, joined: StoredState, source: Layer, failed: Map<Layer, unknown>): boolean {
  const { id, kind } = page
  if (kind === joined.kind || joined.guessed) return true
  const states = core.seen.of(id)?.states
  const sayers = readers(core).filter(
    (layer) => states?.get(layer)?.kind === joined.kind && !states.get(layer)?.guessed,
  )
  core.forks.freeze(id, undefined, [...sayers.map(({ name }) => name), source.name])
  failed.set(source, new StorageError('IO', `layer ${source.name}: its document is of another kind`))
  return false
}

/** Whether what was read continues what every other layer holds at that count; if not, the session is a fork. */
function continues(core: Core, id: string, page: Page, source: Layer): boolean {
  if (page.kind !== 'bytes') return true
  let whole = true
  const frozen = core.forks.of(id)
  for (const { session, after, digest } of page.runs) {
    if (digest === undefined || after === 0 || frozen === 'document' || frozen?.has(session)) continue
    for (const layer of readers(core)) {
      const state = core.seen.of(id)?.states.get(layer)
      if (layer === source || state?.known.sessions.get(session) !== after) continue
      if (state.digests.get(session) === undefined || state.digests.get(session) === digest) continue
      core.forks.freeze(id, session, [layer.name, source.name])
      whole = false
    }
  }
  return whole
}

/**
 * The page as one of the join: what ends it and whether there is more is judged against all layers. L2: what a silent one may hold beyond it is not denied;
 * whoever reads on gets it, or is told that it failed.
 */
function asPage(core: Core, joined: StoredState, id: string, after: KnownState, page: Page | undefined): Page {
  const brought = page === undefined ? { header: true, sessions: new Map() } : { ...endOf(page), header: true }
  const end = union(after, brought)
  const { kind } = page ?? joined
  const { priority } = joined
  const header = page?.header === undefined || after.header ? {} : { header: page.header }
  return {
    id,
    kind,
    priority,
    ...header,
    runs: page?.runs ?? [],
    end,
    more: page !== undefined && (!covers(end, joined.known) || silentLayers(core, id).length > 0),
  }
}
