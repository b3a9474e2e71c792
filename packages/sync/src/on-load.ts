/**
 * LOAD: "subscribe me; this is what I hold". Every LOAD is answered.
 *
 * L6: it replaces what was believed of its sender. A peer that is up to date costs one known state and no content (seed 001); one
 * that lacks something gets just that, in pages; one that claims more is asked for it (L7).
 * Not here: sending pages (`senders.ts`).
 */
import { covers, EMPTY, equals, type KnownState, union } from '@tidemark/known-state'
import type { LoadMessage } from '@tidemark/protocol'
import { absenceIsKnown, wantUpstream } from './absence.ts'
import { allowed, permitted } from './checks.ts'
import { askForClaim, sendKnown } from './claims.ts'
import { type Connection, type Core, type Holding, IN_STEP, type Request, type View } from './core.ts'
import { compareDigests } from './forks.ts'
import { durable, guard, isAbsent } from './holdings.ts'
import { park, waitsForAppends } from './lanes.ts'
import { isProbed, probeClaim } from './probes.ts'
import { OTHER_HEADER, otherKind, refuseLoad, tooManyDocuments } from './refusals.ts'
import { endReading, markReady, wanted } from './senders.ts'
import { kept, markExact, replaceBelief, settleView, subscribeInStep } from './views.ts'

export function onLoad(core: Core, request: Request, message: LoadMessage): void {
  const { connection, id } = request
  const may = allowed(core, request, 'read')
  if (may === undefined) return
  if (!may) endReading(core, connection, id)
  if (!permitted(core, request, 'read')) return
  const holding = guard(core, request)
  if (holding === undefined) return
  if (mustWait(core, holding, request, message.known)) return
  if (claimsNothing(message.known) && isAbsent(holding) && !absenceIsKnown(core, holding, request)) return
  // Who may read learns all of it, also of what it left.
  if (message.probe === true) return sendKnown(core, connection, holding, durable(holding))
  if (holding.stored !== undefined && !connection.traits.kinds.includes(holding.stored.kind))
    return refuseLoad(core, connection, id, otherKind(holding.stored.kind))
  if (answerInStep(core, connection, holding, message)) return
  const claim = kept(core, connection, holding, undefined, message.known)
  const view = replaceBelief(core, connection, holding, claim)
  if (view?.rival) return refuseLoad(core, connection, id, OTHER_HEADER)
  if (view === undefined) return refuseLoad(core, connection, id, tooManyDocuments(core))
  view.mayHold = connection.traits.upstream && claimsNothing(message.known)
  // Only a LOAD asks for permission to read; whatever else a peer says leaves that as it is.
  view.readable = true
  view.gaps = undefined
  // What the storage refused of it is asked for where its claim says so; who could not look claims nothing, and is still corrected.
  const { lost } = view
  if (lost === undefined || (lost !== 'much' && covers(message.known, lost)))
    Object.assign(view, { refusals: 0, refused: false, lost: undefined })
  view.toProbe = isProbed(connection, holding) && !claimsNothing(message.known)
  compareDigests(core, connection, holding, view, message)
  if (holding.stored?.erased !== undefined) answerErased(core, connection, holding, view, message.known)
  else answer(core, connection, holding, view, claim)
  if (!connection.traits.upstream) wantUpstream(core, id, connection)
}

/** A claim that is not durable yet, but may be when the appends in flight are, is answered then; so is absence. */
function mustWait(core: Core, holding: Holding, request: Request, claim: KnownState): boolean {
  if (holding.stored !== undefined && covers(durable(holding), claim)) return false
  // L1: what is on its way to the disk is not absent, also if it came after this LOAD.
  if (holding.stored === undefined && holding.pendings.size > 0) {
    park(core, holding, request, 'append')
    return true
  }
  return waitsForAppends(core, holding, request)
}

/** The common case: the peer holds exactly what is stored. All there is to remember of it is the marker. */
function answerInStep(core: Core, connection: Connection, holding: Holding, { known, digests }: LoadMessage): boolean {
  const belief = connection.views.get(holding.id)
  if (
    holding.stored?.partial === true ||
    holding.stored?.durable !== undefined ||
    digests !== undefined ||
    (connection.traits.upstream && claimsNothing(known)) ||
    isProbed(connection, holding) ||
    !equals(known, durable(holding))
  )
    return false
  if ((belief !== undefined && belief !== IN_STEP) || !subscribeInStep(core, connection, holding.id)) return false
  sendKnown(core, connection, holding)
  if (!connection.traits.upstream) wantUpstream(core, holding.id, connection)
  return true
}

const claimsNothing = (claim: KnownState): boolean => !claim.header && claim.sessions.size === 0

function answer(core: Core, connection: Connection, holding: Holding, view: View, claim: KnownState): void {
  const stored = durable(holding)
  const claimsMore = !covers(stored, claim)
  const lacks = !covers(view.assumed ?? EMPTY, wanted(holding, view))
  if (claimsMore) view.claims = claim
  if (lacks) {
    if (isToldFirst(connection, stored, claim)) tellFirst(core, connection, holding, view)
    view.loads = true
    markReady(core, connection, holding, view)
  } else if (claimsMore) {
    askForClaim(core, connection, holding, view)
    probeClaim(core, connection, holding, view)
  } else {
    probeClaim(core, connection, holding, view)
    sendKnown(core, connection, holding)
    markExact(view, holding)
    settleView(connection, holding.id, view)
  }
}

/**
 * A peer that hears nothing of a session takes it that we lack it, and sends it: whoever is sent content is told first of what the
 * content leaves out because the peer has it. Some clients even take content for all we hold.
 */
function isToldFirst({ traits }: Connection, stored: KnownState, claim: KnownState): boolean {
  if (traits.knownFirst) return !claimsNothing(claim)
  if (traits.local) return false
  if (!covers(stored, claim)) return true
  return [...claim.sessions].some(([session, count]) => count === stored.sessions.get(session))
}

function tellFirst(core: Core, connection: Connection, holding: Holding, view: View): void {
  if (view.claims === undefined) sendKnown(core, connection, holding)
  else askForClaim(core, connection, holding, view)
}

/** An erased document covers every claim: what is left of it is served, and nothing more is asked for. */
function answerErased(core: Core, connection: Connection, holding: Holding, view: View, claim: KnownState): void {
  sendKnown(core, connection, holding, union(claim, durable(holding)))
  markReady(core, connection, holding, view)
}
