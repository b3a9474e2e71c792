/**
 * What a load handed over, and what may follow that.
 *
 * L13: parts of histories that disagree are not put together. A layer is gone on with only where its header is the one that was handed over; of
 * `bytes` sessions what follows has the digest of what was handed over; `json` ones were compared (`overlaps.ts`). A session that is a fork stays with the
 * layer that it began in. Not here: which layer is read (`read.ts`), when (`load.ts`).
 */
import type { KnownState } from '@tidemark/known-state'
import { EMPTY_DIGEST, extendDigest, type Page } from '@tidemark/storage'
import { samePayload } from '@tidemark/storage/adapter'
import type { Core } from './core.ts'
import { passing } from './join.ts'
import type { Layer } from './layer.ts'
import { joinedLayers, uncompared } from './overlaps.ts'
import { stateOf } from './race.ts'

export interface Handed {
  readonly core: Core
  readonly id: string
  header: Uint8Array | undefined
  /** Layers that have this header. */
  readonly alike: Set<Layer>
  /** Where what was handed over of a session is from, and its digest. */
  readonly sources: Map<string, Layer>
  readonly digests: Map<string, string>
  /** Sessions that were known to be forks, and those of which something had been handed over when they turned out to be. */
  readonly frozen: Set<string>
  readonly ended: Set<string>
}

export function createHanded(core: Core, id: string): Handed {
  const forks = core.forks.of(id)
  return {
    core,
    id,
    header: undefined,
    alike: new Set(),
    sources: new Map(),
    digests: new Map(),
    frozen: new Set(forks === 'document' ? [] : forks),
    ended: new Set(),
  }
}

/**
 * `known` was handed over: past the sessions that turned out to be forked, which are not gone on with. What was handed over of one may be from another
 * layer than what would follow.
 */
export function goingOn({ core, id, frozen, ended }: Handed, known: KnownState): KnownState {
  const forks = core.forks.of(id)
  for (const session of forks === 'document' ? [] : (forks ?? [])) {
    if (frozen.has(session)) continue
    frozen.add(session)
    if (known.sessions.has(session)) ended.add(session)
  }
  return passing(known, ended, stateOf(core, id)?.known ?? known)
}

/** Sessions of which this layer is not to be read for more. */
export function* passedOver(handed: Handed, layer: Layer): Iterable<string> {
  const { core, id, alike, sources, ended } = handed
  yield* ended
  const forks = core.forks.of(id)
  if (forks === 'document' && alike.size > 0 && !alike.has(layer))
    yield* core.seen.of(id)?.states.get(layer)?.known.sessions.keys() ?? []
  const isOther = (session: string) => sources.has(session) && sources.get(session) !== layer
  for (const session of forks === 'document' ? sources.keys() : (forks ?? [])) if (isOther(session)) yield session
  const joined = stateOf(core, id)
  if (joined?.kind !== 'json') return
  // Another layer was read for them, which is gone, or could not be compared, or of which something else is erased.
  const apart = uncompared(core, id, joined)
  const layers = joinedLayers(core, id, joined)
  const isKnown = (source: Layer, session: string) => {
    const holds = layers.includes(source) && core.seen.of(id)?.states.get(source)?.known.sessions.has(session)
    return holds && !apart.get(source)?.has(session)
  }
  for (const [session, source] of sources) if (source !== layer && !isKnown(source, session)) yield session
}

/**
 * Whether a page is of the document that was handed over; if not, nothing of it is to be handed over. A session of it that does not continue what was
 * handed over has ended.
 */
export function follows(handed: Handed, page: Page, source: Layer): boolean {
  const { core, id, header, alike, sources, digests, ended } = handed
  if (header !== undefined && page.header !== undefined && !samePayload(page.kind, header, page.header)) {
    core.forks.freeze(id, undefined, namesOf([...alike], source))
    return false
  }
  handed.header ??= page.header
  alike.add(source)
  if (page.kind !== 'bytes') return true
  const begun = new Set<string>()
  for (const { session, digest } of page.runs) {
    const end = digests.get(session)
    if (!begun.has(session) && end !== undefined && digest !== undefined && end !== digest) {
      core.forks.freeze(id, session, namesOf([sources.get(session)], source))
      ended.add(session)
    }
    begun.add(session)
  }
  return true
}

/** A page is handed over. */
export function note({ sources, digests }: Handed, { kind, runs }: Page, source: Layer): void {
  for (const { session, after, digest, transactions } of runs) {
    sources.set(session, source)
    const start = digest ?? digests.get(session) ?? (after === 0 ? EMPTY_DIGEST : undefined)
    if (kind === 'bytes' && start !== undefined) digests.set(session, extendDigest(start, transactions))
  }
}

const namesOf = (first: readonly (Layer | undefined)[], last: Layer) => [
  ...first.slice(0, 1).flatMap((layer) => layer?.name ?? []),
  last.name,
]
