/**
 * Claims: a peer says that it holds more than we accepted.
 *
 * L7: it is asked for it, with a `load` of what we hold, and then told the same plainly. A correction alone, or a plain known
 * state alone, would not bring it: that is how a server that lost its data gets it back. Of JSON, which has no digests, we
 * ask one sealed run short, so that what comes overlaps what we hold and a fork shows.
 * Not here: comparing the overlap (the storage does), digests (`forks.ts`).
 */
import { covers, type KnownState, missing } from '@tidemark/known-state'
import type { Digests } from '@tidemark/protocol'
import { answeredBy } from './absence.ts'
import { hasLeft } from './asking-order.ts'
import { type Connection, type Core, emit, type Holding, IN_STEP, send, type View } from './core.ts'
import { noteCorrected } from './corrections.ts'
import { durable } from './holdings.ts'
import { lower } from './views.ts'
import { noteAsked } from './window.ts'

/** Asks for what a peer claims beyond what we hold, once what it lacks was sent. */
export function askForClaim(core: Core, connection: Connection, holding: Holding, view: View): void {
  const claim = view.claims
  view.claims = undefined
  const stored = durable(holding)
  if (claim === undefined || covers(stored, claim)) return
  // While a LOAD of ours is outstanding the peer owes us what it holds: asking again, two ends would ask each other for ever.
  const asking = connection.asked.has(holding.id)
  if (asking) return sendKnown(core, connection, holding)
  const short = tellable(connection, holding, oneRunShort(holding, claim))
  sendLoad(core, connection, holding, short)
  // A plain known state adds to the LOAD before it: all that we hold would take the overlap back. Clients that need ours first look at
  // the LOAD alone.
  sendKnown(core, connection, holding, connection.traits.knownFirst ? tellable(connection, holding) : short)
  // The `load` is the correction of these gaps (L5).
  noteCorrected(
    core,
    connection,
    holding,
    view,
    [...missing(stored, claim).sessions].map(([session, { after }]) => [session, after] as const),
  )
}

/** Asks a peer for a document. */
export function sendLoad(core: Core, connection: Connection, holding: Holding, known: KnownState): void {
  const entry = noteAsked(core, connection, holding.id)
  const said = told(connection, holding, known)
  const isWhole = said.known === durable(holding) && holding.stored?.partial !== true
  entry.said = isWhole ? said : undefined
  send(core, connection, { action: 'load', id: holding.id, ...said })
  hasLeft(core, connection, holding.id)
}

/** Tells a peer plainly what is durable here: all of it, or what is named. Absence is told with who was asked. */
export function sendKnown(
  core: Core,
  connection: Connection,
  holding: Holding,
  known: KnownState = tellable(connection, holding),
): void {
  const message = {
    action: 'known',
    id: holding.id,
    ...told(connection, holding, known),
    correction: false,
  } as const
  const absent = holding.stored === undefined
  emit(core, { type: 'send', connection: connection.id, message, ...(absent && { answeredBy: answeredBy(core) }) })
}

/**
 * What a peer may be told of what is held: who may only write learns of the sessions that it named itself, and of `sessions`, which it just
 * did.
 */
export function tellable(
  connection: Connection,
  holding: Holding,
  known: KnownState = durable(holding),
  sessions: Iterable<string> = [],
): KnownState {
  const view = connection.views.get(holding.id)
  if (view === undefined || view === IN_STEP || view.readable) return known
  const { confirmed, corrected, frozen, proven } = view
  const named = [
    ...sessions,
    ...confirmed.sessions.keys(),
    ...(corrected?.keys() ?? []),
    ...(frozen ?? []),
    ...(proven ?? []),
  ]
  const isNamed = new Set(named)
  return { header: known.header, sessions: new Map([...known.sessions].filter(([session]) => isNamed.has(session))) }
}

/**
 * L3: whatever a known state is said for, it is taken for an acknowledgement, so it names no more than may be acknowledged. Digests stand for
 * exactly what is held.
 */
export function told(
  connection: Connection,
  holding: Holding,
  known: KnownState,
): { readonly known: KnownState; readonly digests?: Digests } {
  const enough = holding.stored?.durable
  const said = enough === undefined ? known : lower(known, enough)
  noteWithheld(connection, holding, known, said)
  return enough === undefined ? { known, ...digestsFor(connection, holding, known) } : { known: said }
}

/** Whether what was said of `known` leaves out something that its peer holds and may wait for. */
function noteWithheld(connection: Connection, holding: Holding, known: KnownState, said: KnownState): void {
  const view = connection.views.get(holding.id)
  if (view === undefined || view === IN_STEP) return
  if (said !== known) view.withheld ||= !covers(said, lower(view.confirmed, known))
  else if (view.withheld) view.withheld = !covers(known, lower(view.confirmed, durable(holding)))
}

/** Whether a known state says to this peer what stands behind its counts, and not only how much is held. */
export function tellsDigests({ traits }: Connection, { stored }: Holding): boolean {
  return traits.digests && stored?.kind === 'bytes' && stored.durable === undefined
}

/** Digests of what `known` names, which is all or some of what is durable; of nothing else, whose counts would not be told. */
function digestsFor(connection: Connection, holding: Holding, known: KnownState): { digests?: Digests } {
  const all = holding.stored?.digests
  if (!connection.traits.digests || all === undefined || all.size === 0) return {}
  const durableSessions = durable(holding).sessions
  const isNamed = (session: string) => known.sessions.get(session) === durableSessions.get(session)
  const digests = known === durable(holding) ? all : new Map([...all].filter(([session]) => isNamed(session)))
  return digests.size > 0 ? { digests } : {}
}

/** Of bytes, which have digests instead, no last runs are known: what is stored. */
function oneRunShort(holding: Holding, claim: KnownState): KnownState {
  const { stored } = holding
  if (stored === undefined || stored.lastRuns.size === 0) return durable(holding)
  const sessions = new Map(stored.known.sessions)
  for (const [session, claimed] of claim.sessions) {
    const start = stored.lastRuns.get(session)
    if (start === undefined || claimed <= (sessions.get(session) ?? 0)) continue
    if (start > 0) sessions.set(session, start)
    else sessions.delete(session)
  }
  return { header: stored.known.header, sessions }
}
