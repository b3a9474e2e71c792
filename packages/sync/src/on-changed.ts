/**
 * The storage says that a document changed by something else than our appends: a layer returned, another process wrote.
 *
 * L1: it is looked up again before anything is said. Subscribers are then sent what they lack: what a peer in step holds is what was
 * known before. L2: gaps that could not be judged while a layer was silent are corrected now, if they are there.
 * Not here: finding that out (the storage does).
 */
import { covers, EMPTY, type KnownState } from '@tidemark/known-state'
import { sendKnown } from './claims.ts'
import { reportConfirmed } from './confirmations.ts'
import { type Core, type Holding, IN_STEP } from './core.ts'
import { settleGaps } from './corrections.ts'
import { forward, sendRest } from './forward.ts'
import { acknowledgeable, durable, forget, holdingOf, lookAgain } from './holdings.ts'
import { lower, subscribersOf, viewOf } from './views.ts'

export function onChanged(core: Core, id: string, before: KnownState | undefined): void {
  const subscribers = subscribersOf(core, id)
  if (!core.holdings.has(id) && subscribers.length === 0) return
  const holding = holdingOf(core, id)
  // Said again before it was looked up: what grew since the first time is still to be sent.
  // What this node was answered counts, also absence: the storage may know of an append that is not answered yet.
  const isAnswered = holding.looked || holding.stored !== undefined || holding.changedFrom !== undefined
  const known = isAnswered ? storedUntilNow(holding) : (before ?? EMPTY)
  // A marker says "what is stored": from now on that is more.
  for (const connection of subscribers) viewOf(connection, id, known)
  if (holding.changedFrom === undefined) holding.pins += 1
  holding.changedFrom ??= known
  holding.looked = false
  lookAgain(core, holding)
}

/** It is about to be known what changed: markers that were set meanwhile mean what was stored until now. */
export function settleMarkers(core: Core, holding: Holding): void {
  if (holding.changedFrom === undefined) return
  const known = storedUntilNow(holding)
  for (const connection of subscribersOf(core, holding.id)) viewOf(connection, holding.id, known)
}

/** Of a document that was not looked up since it changed, what the storage said was known before. */
function storedUntilNow(holding: Holding): KnownState {
  return holding.stored === undefined ? (holding.changedFrom ?? EMPTY) : durable(holding)
}

/** It was looked up again: whoever lacks something of it is sent that. The holding must be pinned. */
export function settleChanged(core: Core, holding: Holding): void {
  const known = holding.changedFrom
  if (known === undefined) return
  dropChanged(holding)
  if (holding.stored?.partial !== true) settleGaps(core, holding)
  tellWithheld(core, holding)
  if (covers(known, durable(holding))) {
    // An earlier look-up that failed may have left somebody behind.
    for (const connection of subscribersOf(core, holding.id)) sendRest(core, connection, holding)
  } else {
    forget(core, holding)
    // Where it is not known what was there before, it is not known what grew.
    forward(core, holding, known.header ? known : durable(holding), [])
  }
  settleWhole(core, holding)
}

/** It is known now what there is in all: an upstream that has been found to hold that has confirmed it. */
function settleWhole(core: Core, { id, stored }: Holding): void {
  if (stored?.partial === true) return
  for (const connection of subscribersOf(core, id))
    if (connection.traits.upstream) reportConfirmed(core, connection, id)
}

/** L3: what could not be acknowledged when it was stored, or claimed, and now can, is said to whoever waits for it. */
function tellWithheld(core: Core, holding: Holding): void {
  for (const connection of subscribersOf(core, holding.id)) {
    const view = connection.views.get(holding.id)
    if (view === undefined || view === IN_STEP || !view.withheld) continue
    if (!covers(acknowledgeable(holding), lower(view.confirmed, durable(holding)))) continue
    view.withheld = false
    sendKnown(core, connection, holding)
  }
}

export function dropChanged(holding: Holding): void {
  if (holding.changedFrom === undefined) return
  holding.changedFrom = undefined
  holding.pins -= 1
}
