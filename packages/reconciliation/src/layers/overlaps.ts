/**
 * Sessions of `json` documents carry no digest: before parts of one that come from two layers are put together, what both hold is compared.
 *
 * L13: a session is continued from another layer only where the last run that both have is the same there, all of it; otherwise it is a
 * fork, told and frozen. A layer that could not be compared with the one that holds most is passed over for that session. So it is with what an
 * erasure kept, where layers kept different counts. Not here: forks that digests tell (`join.ts`).
 */
import type { StoredState } from '@tidemark/storage'
import { samePayload } from '@tidemark/storage/adapter'
import { type Core, readers } from './core.ts'
import { isErasedAs, passing } from './join.ts'
import type { Layer } from './layer.ts'

/** Compares what is held in different lengths, where that was not done before; `joined` is the join of what was seen. */
export async function compareOverlaps(core: Core, id: string, joined: StoredState): Promise<void> {
  for (const [layer, sessions] of uncompared(core, id, joined))
    for (const session of sessions) await compareSession(core, id, session, layer, joined)
}

/** Layers that answer and whose part is in the join: where it is erased, those that are erased likewise. */
export function joinedLayers(core: Core, id: string, joined: StoredState): readonly Layer[] {
  const states = core.seen.of(id)?.states
  return readers(core).filter((layer) => {
    const state = states?.get(layer)
    return state !== undefined && (joined.erased === undefined || isErasedAs(state, joined))
  })
}

/** Sessions of which a layer holds less than another and which were not compared with that one: they are not read there. */
export function uncompared(core: Core, id: string, joined: StoredState): ReadonlyMap<Layer, ReadonlySet<string>> {
  const found = new Map<Layer, Set<string>>()
  const sight = core.seen.of(id)
  const frozen = core.forks.of(id)
  if (joined.kind !== 'json' || frozen === 'document') return found
  const layers = joinedLayers(core, id, joined)
  for (const layer of layers) {
    const compared = sight?.compared.get(layer)
    for (const [session, count] of sight?.states.get(layer)?.known.sessions ?? []) {
      if (count >= (joined.known.sessions.get(session) ?? 0) || frozen?.has(session)) continue
      const longest = longestOf(core, id, session, layers)
      if (longest === layer || (longest && compared?.get(longest)?.get(session) === count)) continue
      const sessions = found.get(layer) ?? new Set()
      found.set(layer, sessions.add(session))
    }
  }
  return found
}

/** Who of them holds most of a session; of several the first, which is read. A silent layer may have kept more of what is erased. */
function longestOf(core: Core, id: string, session: string, layers: readonly Layer[]): Layer | undefined {
  const states = core.seen.of(id)?.states
  const counts = layers.map((layer) => states?.get(layer)?.known.sessions.get(session) ?? 0)
  return layers[counts.indexOf(Math.max(...counts))]
}

async function compareSession(core: Core, id: string, session: string, layer: Layer, joined: StoredState) {
  const sight = core.seen.of(id)
  const state = sight?.states.get(layer)
  const longest = longestOf(core, id, session, joinedLayers(core, id, joined))
  const count = state?.known.sessions.get(session)
  if (sight === undefined || state === undefined || longest === undefined || count === undefined) return
  const after = state.lastRuns.get(session) ?? count - 1
  const isSame = await sameIn(core, id, session, [layer, longest], after, count).catch(() => undefined)
  if (isSame === undefined) return
  if (!isSame) return core.forks.freeze(id, session, [layer.name, longest.name])
  const compared = sight.compared.get(layer) ?? new WeakMap<Layer, Map<string, number>>()
  const counts = compared.get(longest) ?? new Map<string, number>()
  sight.compared.set(layer, compared.set(longest, counts.set(session, count)))
}

/** Whether two layers hold the same of one session between two counts, page by page; `undefined` if one of them does not answer all of that. */
async function sameIn(
  core: Core,
  id: string,
  session: string,
  both: readonly [Layer, Layer],
  after: number,
  until: number,
): Promise<boolean | undefined> {
  for (let at = after; at < until; ) {
    const parts = await Promise.all(both.map((layer) => partIn(core, id, layer, session, at)))
    const [mine = [], theirs = []] = parts
    const common = Math.min(mine.length, theirs.length, until - at)
    if (common === 0) return undefined
    for (let index = 0; index < common; index++)
      if (!samePayload('json', mine[index] as Uint8Array, theirs[index] as Uint8Array)) return false
    at += common
  }
  return true
}

/** What a layer holds of one session after a count, as much as a page has; nothing if it does not answer that. */
async function partIn(core: Core, id: string, layer: Layer, session: string, after: number) {
  const known = core.seen.of(id)?.states.get(layer)?.known
  if (known === undefined) return []
  const others = new Set([...known.sessions.keys()].filter((one) => one !== session))
  const cursor = passing({ header: true, sessions: new Map(after > 0 ? [[session, after]] : []) }, others, known)
  const bytesMax = core.limits.pageBytes
  const page = await layer.call('page', (storage, options) => storage.read(id, cursor, { bytesMax, ...options }))
  const runs = page?.runs.filter((one) => one.session === session) ?? []
  return runs[0]?.after === after ? runs.flatMap(({ transactions }) => transactions) : []
}
