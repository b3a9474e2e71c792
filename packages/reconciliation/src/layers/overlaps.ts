/**
 * Sessions of `json` documents carry no digest: before parts of one that come from two layers are put together, what both hold is compared.
 *
 * L13: a session is continued from another layer only where the last run that both have is the same there; otherwise it is a fork, told and
 * frozen. A layer that could not be compared is passed over for that session. Not here: forks that digests tell (`join.ts`).
 */
import type { StoredState } from '@tidemark/storage'
import { samePayload } from '@tidemark/storage/adapter'
import { type Core, readers } from './core.ts'
import { passing } from './join.ts'
import type { Layer } from './layer.ts'

/** Compares what is held in different lengths, where that was not done before; `joined` is the join of what was seen. */
export async function compareOverlaps(core: Core, id: string, joined: StoredState): Promise<void> {
  for (const [layer, sessions] of uncompared(core, id, joined))
    for (const session of sessions) await compareSession(core, id, session, layer, joined)
}

/** Sessions of which a layer holds less than another and which were not compared: they are not read there. */
export function uncompared(core: Core, id: string, joined: StoredState): ReadonlyMap<Layer, ReadonlySet<string>> {
  const found = new Map<Layer, Set<string>>()
  const sight = core.seen.of(id)
  const frozen = core.forks.of(id)
  if (joined.kind !== 'json' || joined.erased !== undefined || frozen === 'document') return found
  for (const layer of readers(core)) {
    const compared = sight?.compared.get(layer)
    for (const [session, count] of sight?.states.get(layer)?.known.sessions ?? []) {
      if (count >= (joined.known.sessions.get(session) ?? 0) || frozen?.has(session)) continue
      if (compared?.get(session) === count) continue
      const sessions = found.get(layer) ?? new Set()
      found.set(layer, sessions.add(session))
    }
  }
  return found
}

async function compareSession(core: Core, id: string, session: string, layer: Layer, joined: StoredState) {
  const sight = core.seen.of(id)
  const state = sight?.states.get(layer)
  const most = joined.known.sessions.get(session)
  const longest = readers(core).find((one) => sight?.states.get(one)?.known.sessions.get(session) === most)
  const count = state?.known.sessions.get(session)
  if (sight === undefined || state === undefined || longest === undefined || count === undefined) return
  const after = state.lastRuns.get(session) ?? count - 1
  const parts = await Promise.allSettled([layer, longest].map((one) => tailIn(core, id, one, session, after, count)))
  const [mine, theirs] = parts.map((part) => (part.status === 'fulfilled' ? part.value : undefined))
  if (mine === undefined || theirs === undefined) return
  const isSame = theirs.every((transaction, index) => samePayload('json', transaction, mine[index] as Uint8Array))
  if (!isSame) return core.forks.freeze(id, session, [layer.name, longest.name])
  const compared = sight.compared.get(layer) ?? new Map<string, number>()
  sight.compared.set(layer, compared.set(session, count))
}

/** What a layer holds of one session between two counts; `undefined` if it does not answer that. */
async function tailIn(core: Core, id: string, layer: Layer, session: string, after: number, until: number) {
  const known = core.seen.of(id)?.states.get(layer)?.known
  if (known === undefined) return undefined
  const others = new Set([...known.sessions.keys()].filter((one) => one !== session))
  const cursor = passing({ header: true, sessions: new Map(after > 0 ? [[session, after]] : []) }, others, known)
  const bytesMax = core.limits.pageBytes
  const page = await layer.call('page', (storage, options) => storage.read(id, cursor, { bytesMax, ...options }))
  const run = page?.runs.find((one) => one.session === session && one.after === after)
  const found = run?.transactions.slice(0, until - after) ?? []
  return found.length > 0 ? found : undefined
}
