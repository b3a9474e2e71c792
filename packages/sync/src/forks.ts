/**
 * Forks: two different histories of one session.
 *
 * L13: a fork is reported, never decided by length, never silently merged. What a peer says freezes that session for its
 * connection only: nothing of it is taken from or sent to that peer, its other sessions go on.
 * Not here: comparing bytes (the storage does when it appends).
 */
import type { KnownState } from '@tidemark/known-state'
import type { Digests } from '@tidemark/protocol'
import { type Connection, type Core, emit, type Holding, report, type View } from './core.ts'
import { durable } from './holdings.ts'

/** Freezes a session for a peer and says so where that can be said; answers whether it was not frozen before. */
export function freeze(
  core: Core,
  connection: Connection,
  holding: Holding,
  view: View | undefined,
  session: string,
): boolean {
  if (view === undefined || view.frozen?.has(session)) return false
  view.frozen ??= new Set()
  view.frozen.add(session)
  report(core, { kind: 'fork', connection: connection.id, id: holding.id, session })
  if (!connection.traits.errors) return true
  const text = `session ${JSON.stringify(session)} has two histories: open a new session and write there`
  const message = { action: 'error', id: holding.id, code: 'fork', message: text } as const
  emit(core, { type: 'send', connection: connection.id, message, answers: 'content' })
  return true
}

/**
 * Equal counts with different digests are a fork. Answers whether one was found. What counts is what this message says: the peer
 * may have gone on since it said something else of a session.
 */
export function compareDigests(
  core: Core,
  connection: Connection,
  holding: Holding,
  view: View,
  { known, digests }: { readonly known: KnownState; readonly digests?: Digests },
): boolean {
  const own = holding.stored?.digests
  if (digests === undefined || own === undefined) return false
  let found = false
  for (const [session, digest] of digests) {
    const ours = own.get(session)
    const sameCount = known.sessions.get(session) === durable(holding).sessions.get(session)
    if (ours !== undefined && sameCount && ours !== digest)
      found = freeze(core, connection, holding, view, session) || found
  }
  return found
}
