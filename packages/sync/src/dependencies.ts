/**
 * Dependencies: a document leaves after the documents it names.
 *
 * L9, sending: a page that carries a header waits until the dependencies of the document were sent on the same connection; a
 * document waits only for those it named, an absent or failed one delays nobody, and a cycle is cut where it closes. Towards
 * an upstream nothing is pushed: it asks for what it lacks.
 * Receiving: what came without its dependency is stored and acknowledged at once, and forwarded when the dependency came or
 * after a while.
 * Not here: what a document depends on (the application says), the order of our own LOADs (`asking-order.ts`).
 */
import { EMPTY } from '@tidemark/known-state'
import type { ContentMessage } from '@tidemark/protocol'
import { allowed, question } from './checks.ts'
import { type Connection, type Core, type Holding, IN_STEP, type Request, type View } from './core.ts'
import type { Outcome } from './events.ts'
import { guard, isAbsent, keeping } from './holdings.ts'
import { enter, tellsItself } from './lanes.ts'
import { deliverLater, markReady, pump } from './senders.ts'
import { createView, subscribe, subscribersOf } from './views.ts'
import { askPeer } from './window.ts'

/** Whether a page with a header may leave now; if not, its sender goes on by itself when it may. */
export function dependenciesFirst(
  core: Core,
  connection: Connection,
  holding: Holding,
  view: View,
  page: ContentMessage,
): boolean {
  const { upstream, local } = connection.traits
  if (core.options.asks?.dependencies !== true || upstream || local) return true
  if (view.dependencies !== undefined) return view.dependencies.size === 0
  // The page is kept while the application answers, so the connection reads no other meanwhile.
  const reading = { id: holding.id, ticket: 0, after: view.assumed, frozen: 0, passesOver: false }
  connection.reading = reading
  const sessions = [...(holding.stored?.known.sessions.keys() ?? [])]
  question(core, { question: 'dependencies', id: holding.id, header: page.header, sessions }, (outcome) => {
    if (connection.reading !== reading) return
    connection.reading = undefined
    if (view.sending && connection.views.get(holding.id) === view) {
      view.dependencies = pushAll(core, connection, holding.id, named(outcome, holding.id))
      if (view.dependencies.size === 0) deliverLater(core, connection, holding, view, page)
    }
    pump(core, connection)
  })
  return false
}

/** Sends what a document names and answers which of it has to be waited for. */
function pushAll(core: Core, connection: Connection, dependent: string, dependencies: readonly string[]): Set<string> {
  const waits = new Set(
    dependencies.filter((id) => !isSent(core, connection, id) && !waitsFor(connection, id, dependent)),
  )
  for (const id of waits) {
    const dependents = connection.held.get(id) ?? new Set()
    connection.held.set(id, dependents.add(dependent))
  }
  for (const id of [...waits])
    if (!connection.views.has(id) || isUnanswered(connection, id) || isAskedFor(core, connection, id))
      enter(core, connection, id, { action: 'push', dependent })
  // Those that turned out at once to be absent, or were sent at once, are not waited for.
  return new Set([...waits].filter((id) => connection.held.get(id)?.has(dependent)))
}

function isSent(core: Core, connection: Connection, id: string): boolean {
  const belief = connection.views.get(id)
  if (belief === undefined || isUnanswered(connection, id)) return false
  return belief === IN_STEP || (!belief.sending && !isAskedFor(core, connection, id))
}

/** It was asked for it, and has not said what it holds: perhaps it cannot. */
function isUnanswered(connection: Connection, id: string): boolean {
  const belief = connection.views.get(id)
  return typeof belief === 'object' && belief.assumed === undefined
}

/** A LOAD or a correction of it waits, and it is sent nothing before that is answered. */
function isAskedFor(core: Core, connection: Connection, id: string): boolean {
  const holding = core.holdings.get(id)
  return holding !== undefined && tellsItself(holding, connection)
}

/** Whether a document waits, directly or not, for another: the end of a cycle. */
function waitsFor(connection: Connection, id: string, other: string): boolean {
  const seen = new Set([id])
  // A set that is walked while it grows: chains may be longer than the call stack.
  for (const next of seen) {
    if (next === other) return true
    const belief = connection.views.get(next)
    if (belief === undefined || belief === IN_STEP) continue
    for (const dependency of belief.dependencies ?? []) seen.add(dependency)
  }
  return false
}

/** Subscribes a peer to a dependency of what it is being sent, as if it held nothing of it. */
export function onPush(core: Core, request: Request): void {
  const { connection, id } = request
  const may = allowed(core, request, 'read')
  if (may === undefined) return
  if (!may) return dependencyDone(core, connection, id)
  const holding = guard(core, request)
  if (holding === undefined) return
  const known = connection.views.get(id)
  // It asks for it itself, behind this: what it holds is heard first.
  if (known === undefined && tellsItself(holding, connection)) return enter(core, connection, id, request.work)
  const view = known ?? (isAbsent(holding) ? undefined : subscribe(core, connection, id, createView(EMPTY, EMPTY)))
  // It was asked for it, and not whether it may read it, which is known now.
  if (typeof view === 'object' && view.assumed === undefined) Object.assign(view, { assumed: EMPTY, readable: true })
  if (view === undefined || view === IN_STEP) dependencyDone(core, connection, id)
  else markReady(core, connection, holding, view)
}

/** Lets a peer leave a document. If nothing of it was sent, what waits for it still comes after it (L9). */
export function pushedAgain(core: Core, connection: Connection, id: string, leave: () => void): void {
  const belief = connection.views.get(id)
  const dependents = connection.held.get(id)
  if (dependents === undefined || belief === IN_STEP || belief?.assumed?.header === true) return leave()
  connection.held.delete(id)
  leave()
  connection.held.set(id, dependents)
  for (const dependent of dependents) enter(core, connection, id, { action: 'push', dependent })
}

/** A dependency was sent, or will not be: what waited for it goes on. */
export function dependencyDone(core: Core, connection: Connection, id: string): void {
  const dependents = connection.held.get(id)
  if (dependents === undefined) return
  connection.held.delete(id)
  for (const dependent of dependents) {
    const view = connection.views.get(dependent)
    const holding = core.holdings.get(dependent)
    if (view === undefined || view === IN_STEP || holding === undefined) continue
    view.dependencies?.delete(id)
    if (view.sending && view.dependencies?.size === 0) markReady(core, connection, holding, view)
  }
}

/** Content came from a peer: asks the same peer, and upstreams, for what it names and nobody here holds. */
export function needDependencies(
  core: Core,
  connection: Connection,
  holding: Holding,
  dependencies: readonly string[],
): void {
  for (const id of dependencies) {
    if (id === holding.id || isHeld(core, id)) continue
    holding.awaits ??= new Set()
    holding.awaits.add(id)
    const dependents = core.awaited.get(id) ?? new Set()
    core.awaited.set(id, dependents.add(holding.id))
    enter(core, connection, id, { action: 'need', dependent: holding.id })
  }
  const { awaits } = holding
  if (awaits === undefined) return
  core.deadlines.add(core.now + core.limits.dependencyTimeoutMs, () => {
    if (holding.awaits === awaits) for (const id of [...awaits]) arrivedFor(core, holding, id)
  })
}

export function onNeed(core: Core, request: Request): void {
  const holding = guard(core, request)
  if (holding === undefined) return
  if (isAbsent(holding)) askForNeeded(core, request.connection, request.id)
  else dependencyArrived(core, request.id)
}

/** What a document names that this peer sent is here perhaps, but nobody can tell, or is not. */
export function askForNeeded(core: Core, connection: Connection, id: string): void {
  // An application has no more than what it wrote.
  const peers = connection.traits.local ? core.upstreams : new Set([connection, ...core.upstreams])
  for (const peer of peers) askPeer(core, peer, id, 'user')
}

/** A document is held now: what was to be forwarded after it is. */
export function dependencyArrived(core: Core, id: string): void {
  for (const dependent of core.awaited.get(id) ?? []) {
    const holding = core.holdings.get(dependent)
    if (holding !== undefined) arrivedFor(core, holding, id)
  }
}

function arrivedFor(core: Core, holding: Holding, id: string): void {
  const dependents = core.awaited.get(id)
  dependents?.delete(holding.id)
  if (dependents?.size === 0) core.awaited.delete(id)
  holding.awaits?.delete(id)
  if (holding.awaits?.size !== 0) return
  holding.awaits = undefined
  keeping(core, holding, () => {
    for (const connection of subscribersOf(core, holding.id)) {
      const view = connection.views.get(holding.id)
      if (view !== undefined && view !== IN_STEP && view.sending) markReady(core, connection, holding, view)
    }
  })
}

function isHeld(core: Core, id: string): boolean {
  const holding = core.holdings.get(id)
  return holding?.looked === true && !isAbsent(holding)
}

/** What a document depends on, according to the application. */
export function named(outcome: Outcome<unknown>, id: string): readonly string[] {
  // A question that failed names nothing: it delays nobody.
  return 'value' in outcome ? (outcome.value as readonly string[]).filter((dependency) => dependency !== id) : []
}
