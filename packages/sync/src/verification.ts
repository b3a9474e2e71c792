/**
 * Verification: the application judges content before it is stored.
 *
 * What it refuses is not stored, acknowledged or forwarded. It is given only what is new, and the opaque state it left behind for
 * each session; its answer counts for exactly what was held then, so if that changed meanwhile it is asked again.
 * Not here: what makes content genuine.
 */
import type { ContentMessage, Run } from '@tidemark/protocol'
import type { Append } from '@tidemark/storage'
import { asked } from './checks.ts'
import type { Core, Holding, Request } from './core.ts'
import type { Verified } from './events.ts'
import type { Refusal } from './refusals.ts'

/** What is left of a content, with the verifier's new states, and how the rest is refused. */
export interface Judged {
  readonly content: ContentMessage & Append
  readonly refusal: Refusal | undefined
}

/** `undefined` if the request was parked for the answer. */
export function verified(core: Core, request: Request, holding: Holding, content: ContentMessage): Judged | undefined {
  if (core.options.asks?.verify !== true || request.connection.traits.local) return { content, refusal: undefined }
  const fresh = {
    ...content,
    runs: content.runs.map((run) => newPart(holding, run)).filter((run) => run.transactions.length > 0),
  }
  if (fresh.runs.length === 0) return { content, refusal: undefined }
  if (!sameBasis(request, fresh.runs)) request.checks?.delete('verify')
  request.basis = new Map(fresh.runs.map((run) => [run.session, run.after]))
  const states = new Map(fresh.runs.map((run) => [run.session, holding.verifying?.get(run.session)]))
  const answer = asked<Verified>(core, request, 'verify', { question: 'verify', content: fresh, states })
  if (answer === undefined) return undefined
  if ('failed' in answer) return { content: withoutHeader({ ...content, runs: [] }), refusal: UNVERIFIED }
  return keepAccepted(holding, content, answer.value)
}

const UNVERIFIED: Refusal = { code: 'failed', message: 'the content could not be verified' }
const REFUSED: Refusal = { code: 'refused', message: 'the content was refused by verification' }

function keepAccepted(holding: Holding, content: ContentMessage, answer: Verified): Judged {
  const runs = content.runs.flatMap((run) => cut(holding, run, answer.accepted.get(run.session) ?? 0))
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
function cut(holding: Holding, run: Run, accepted: number): Run[] {
  const known = run.transactions.length - newPart(holding, run).transactions.length
  if (known + accepted >= run.transactions.length) return [run]
  if (run.seal !== undefined || known + accepted === 0) return []
  return [{ ...run, transactions: run.transactions.slice(0, known + accepted) }]
}

function newPart(holding: Holding, run: Run): Run {
  const have = holding.accepted.sessions.get(run.session) ?? 0
  return have > run.after ? { ...run, after: have, transactions: run.transactions.slice(have - run.after) } : run
}

function sameBasis(request: Request, runs: readonly Run[]): boolean {
  return runs.every((run) => request.basis?.get(run.session) === run.after)
}
