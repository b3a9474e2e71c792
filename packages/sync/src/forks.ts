/**
 * Forks: two different histories of one session.
 *
 * L13: a fork is reported, never decided by length, never silently merged. What a peer says freezes that session for its
 * connection only: nothing of it is taken from or sent to that peer, its other sessions go on.
 * Not here: comparing bytes (the storage does when it appends).
 */
import type { Digests } from '@tidemark/protocol'
import { sendKnown } from './claims.ts'
import { type Connection, type Core, emit, type Holding, report, type View } from './core.ts'
import { durable } from './holdings.ts'

export function freeze(
  core: Core,
  connection: Connection,
  holding: Holding,
  view: View | undefined,
  session: string,
): void {
  if (view === undefined || view.frozen?.has(session)) return
  view.frozen ??= new Set()
  view.frozen.add(session)
  report(core, { kind: 'fork', connection: connection.id, id: holding.id, session })
  if (connection.traits.errors) {
    const message = `session ${JSON.stringify(session)} has two histories: open a new session and write there`
    emit(core, {
      type: 'send',
      connection: connection.id,
      message: { action: 'error', id: holding.id, code: 'fork', message },
      answers: 'content',
    })
  }
  sendKnown(core, connection, holding)
}

/** Equal counts with different digests are a fork. */
export function compareDigests(
  core: Core,
  connection: Connection,
  holding: Holding,
  view: View,
  claimed: Digests | undefined,
): void {
  const own = holding.stored?.digests
  if (claimed === undefined || own === undefined) return
  for (const [session, digest] of claimed) {
    const ours = own.get(session)
    const sameCount = view.confirmed.sessions.get(session) === durable(holding).sessions.get(session)
    if (ours !== undefined && sameCount && ours !== digest) freeze(core, connection, holding, view, session)
  }
}
