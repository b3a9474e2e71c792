/**
 * The order of our own LOADs: one leaves behind those of the documents that it depends on, per connection (L9).
 *
 * A LOAD takes its place when it is its turn in the window. When it is known what its document names, what of that has not been
 * asked for is asked for first, whatever waits in the window before it and however full that is. It waits for nothing else, never
 * longer than a LOAD may take, and not for what waits for it.
 * Not here: what may be in flight (`window.ts`), the order of content (`dependencies.ts`).
 */
import { asked } from './checks.ts'
import type { Connection, Core, Holding, Request } from './core.ts'
import { named } from './dependencies.ts'
import { park, resume } from './lanes.ts'
import { askNow } from './window.ts'

/** Whether the LOAD of a request may leave now; if not, it goes on by itself when it may. */
export function dependenciesAsked(core: Core, request: Request, holding: Holding): boolean {
  const { connection, id } = request
  if (core.options.asks?.dependencies !== true || holding.stored === undefined) return true
  const sessions = [...holding.stored.known.sessions.keys()]
  const answer = asked(core, request, 'dependencies', { question: 'dependencies', id, header: 'stored', sessions })
  if (answer === undefined) return false
  const entry = connection.asked.get(id)
  // It waited as long as a LOAD may take.
  if (entry === undefined) return true
  entry.behind ??= goBehind(core, request, named(answer, id))
  if (entry.behind.size === 0) return true
  park(core, holding, request, 'dependencies')
  return false
}

/** Asks for what a document names, and answers what of it has not left. */
function goBehind(core: Core, request: Request, dependencies: readonly string[]): ReadonlySet<string> {
  const { connection, id } = request
  const behind = new Set(
    dependencies.filter((other) => !connection.views.has(other) && !isBehind(connection, other, id)),
  )
  for (const other of behind) {
    const followers = connection.followers.get(other) ?? new Map()
    connection.followers.set(other, followers.set(request, behind))
  }
  for (const other of [...behind]) askNow(core, connection, other)
  return behind
}

/** Whether a LOAD waits, directly or not, for another: the end of a cycle. */
function isBehind(connection: Connection, id: string, other: string): boolean {
  const seen = new Set([id])
  // A set that is walked while it grows: chains may be longer than the call stack.
  for (const next of seen) {
    if (next === other) return true
    for (const before of connection.asked.get(next)?.behind ?? []) seen.add(before)
  }
  return false
}

/** A document was asked for, or will not be: the LOADs behind it go on. */
export function hasLeft(core: Core, connection: Connection, id: string): void {
  const followers = connection.followers.get(id)
  if (followers === undefined) return
  connection.followers.delete(id)
  for (const [request, behind] of followers) {
    behind.delete(id)
    const holding = core.holdings.get(request.id)
    const isParked = holding?.lanes.get(connection)?.waiting === 'dependencies'
    if (behind.size === 0 && isParked) resume(core, holding, request)
  }
}
