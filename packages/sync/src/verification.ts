/**
 * Verification: the application judges content before it is stored.
 *
 * What it refuses is not stored, acknowledged or forwarded. It is given only what is new, and the opaque state it left behind for
 * each session; its answer counts for exactly what will be stored before it, so if that changed meanwhile it is asked again.
 * Not here: what makes content genuine.
 */
import type { ContentMessage, Run } from '@tidemark/protocol'
import type { Append } from '@tidemark/storage'
import { asked } from './checks.ts'
import type { Connection, Core, Holding, Request } from './core.ts'
import type { Verified } from './events.ts'
import { durable } from './holdings.ts'
import type { Refusal } from './refusals.ts'

/** What is left of a content, with the verifier's new states, and how the rest is refused. */
export interface Judged {
  readonly content: ContentMessage & Append
  readonly refusal: Refusal | undefined
}

/** `undefined` if the request was parked for the answer. */
export function verified(core: Core, request: Request, holding: Holding, content: ContentMessage): Judged | undefined {
  if (!isVerified(core, request.connection)) return { content, refusal: undefined }
  const { counts, states: ours } = ahead(holding, request.connection)
  const fresh = {
    ...content,
    runs: content.runs.map((run) => newPart(counts, run)).filter((run) => run.transactions.length > 0),
  }
  if (fresh.runs.length === 0) return { content, refusal: undefined }
  if (!sameBasis(request, fresh.runs)) request.checks?.delete('verify')
  request.basis = new Map(fresh.runs.map((run) => [run.session, run.after]))
  const states = new Map(fresh.runs.map((run) => [run.session, ours.get(run.session)]))
  const answer = asked<Verified>(core, request, 'verify', { question: 'verify', content: fresh, states })
  if (answer === undefined) return undefined
  if ('failed' in answer) return { content: withoutHeader({ ...content, runs: [] }), refusal: UNVERIFIED }
  return keepAccepted(counts, content, answer.value)
}

export function isVerified(core: Core, connection: Connection): boolean {
  return core.options.asks?.verify === true && !connection.traits.local
}

/** Of each session: how much there is, and what the verifier left behind for the part that is not durable yet. */
interface Ahead {
  readonly counts: ReadonlyMap<string, number>
  readonly states: ReadonlyMap<string, Uint8Array>
}

/**
 * What is durable, or will be before the next content of a connection: judged content may rely on nothing else. What another
 * connection sent may still wait in the order of that one, and is stored later, or not at all.
 */
export function ahead(holding: Holding, connection: Connection): Ahead {
  if (holding.pendings.size === 0) return { counts: durable(holding).sessions, states: new Map() }
  const counts = new Map(durable(holding).sessions)
  const states = new Map<string, Uint8Array>()
  for (const { ordered, request, ends, content } of holding.pendings) {
    if (!ordered && request.connection !== connection) continue
    for (const [session, end] of ends.sessions) {
      if (end <= (counts.get(session) ?? 0)) continue
      counts.set(session, end)
      const state = content.verifier?.get(session)
      if (state !== undefined) states.set(session, state)
      else states.delete(session)
    }
  }
  return { counts, states }
}

export const UNVERIFIED: Refusal = { code: 'failed', message: 'the content could not be verified' }
export const REFUSED: Refusal = { code: 'refused', message: 'the content was refused by verification' }

function keepAccepted(counts: ReadonlyMap<string, number>, content: ContentMessage, answer: Verified): Judged {
  const runs = content.runs.flatMap((run) => cut(counts, run, answer.accepted.get(run.session) ?? 0))
  const whole = runs.length === content.runs.length && runs.every((run, index) => run === content.runs[index])
  const states = [...answer.states].filter(([session]) => runs.some((run) => run.session === session))
  // A document of which nothing is genuine is not created.
  const kept = runs.some((run) => run.transactions.length > 0) ? content : withoutHeader(content)
  return { content: { ...kept, runs, verifier: new Map(states) }, refusal: whole ? undefined : REFUSED }
}

export function withoutHeader({ header: _header, ...rest }: ContentMessage): ContentMessage {
  return rest
}

/** The run up to what was accepted; a sealed run is taken whole or not at all. */
function cut(counts: ReadonlyMap<string, number>, run: Run, accepted: number): Run[] {
  const known = run.transactions.length - newPart(counts, run).transactions.length
  if (known + accepted >= run.transactions.length) return [run]
  if (run.seal !== undefined || known + accepted === 0) return []
  return [{ ...run, transactions: run.transactions.slice(0, known + accepted) }]
}

function newPart(counts: ReadonlyMap<string, number>, run: Run): Run {
  const have = counts.get(run.session) ?? 0
  return have > run.after ? { ...run, after: have, transactions: run.transactions.slice(have - run.after) } : run
}

function sameBasis(request: Request, runs: readonly Run[]): boolean {
  return runs.every((run) => request.basis?.get(run.session) === run.after)
}
