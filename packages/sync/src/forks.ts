/**
 * Forks: two different histories of one session.
 *
 * L13: a fork is reported, never decided by length, never silently merged. What a peer says freezes that session for its
 * connection only: nothing of it is taken from or sent to that peer, its other sessions go on. An application is told, has nothing in that
 * place then, and is given what stands there.
 * Not here: comparing bytes (the storage does when it appends).
 */
import type { KnownState } from '@tidemark/known-state'
import type { Digests } from '@tidemark/protocol'
import { type Connection, type Core, emit, type Holding, report, type View } from './core.ts'
import { durable } from './holdings.ts'

/** Freezes sessions for a peer and says so, once for all of them; answers whether any was not frozen before. */
export function freeze(
  core: Core,
  connection: Connection,
  holding: Holding,
  view: View | undefined,
  sessions: readonly string[],
): boolean {
  const found = view === undefined ? [] : sessions.filter((session) => !view.frozen?.has(session))
  if (view === undefined || found.length === 0) return false
  if (!connection.traits.local) {
    view.frozen ??= new Set()
    for (const session of found) view.frozen.add(session)
  }
  report(core, { kind: 'fork', connection: connection.id, id: holding.id, sessions: found })
  if (!connection.traits.errors) return true
  const named = `session ${JSON.stringify(found[0])}${found.length > 1 ? `, like ${found.length - 1} more,` : ''}`
  const text = `${named} has two histories: open a new session and write there`
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
  const forked: string[] = []
  for (const [session, digest] of digests) {
    const ours = own.get(session)
    const sameCount = known.sessions.get(session) === durable(holding).sessions.get(session)
    if (ours !== undefined && sameCount && ours !== digest) forked.push(session)
  }
  return freeze(core, connection, holding, view, forked)
}
