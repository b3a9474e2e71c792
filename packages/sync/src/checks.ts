/**
 * Checks: questions to the application (may this peer, what does this document depend on, is this content genuine).
 *
 * An answer may take its time: the request is parked and handled again with the answer at hand. A question that is not
 * configured is not asked. Not here: what follows from an answer, who performs the question (`run.ts`).
 */
import { type Core, emit, type Request, report, ticket } from './core.ts'
import type { Check, Outcome } from './events.ts'
import { holdingOf } from './holdings.ts'
import { park, resume } from './lanes.ts'
import { refuseContent, refuseLoad } from './refusals.ts'

/** The answer to a question that a request needs, or `undefined` if the request was parked for it. */
export function asked<T>(core: Core, request: Request, key: string, check: Check): Outcome<T> | undefined {
  const answer = request.checks?.get(key)
  if (answer !== undefined) return answer as Outcome<T>
  const holding = holdingOf(core, request.id)
  park(core, holding, request, 'check')
  question(core, check, (outcome) => {
    request.checks ??= new Map()
    request.checks.set(key, outcome)
    resume(core, holding, request)
  })
  return undefined
}

/** Asks the application; `done` is called with what it said, in a later event. */
export function question(core: Core, check: Check, done: (outcome: Outcome<unknown>) => void): void {
  const number = ticket(core)
  core.checks.set(number, (outcome) => {
    if ('failed' in outcome) report(core, { kind: 'check', question: check.question, cause: outcome.failed })
    done(outcome)
  })
  emit(core, { type: 'check', ticket: number, check })
}

/** Whether the request's peer may read or write its document; `undefined` if the request was parked. A check that failed is a no. */
export function allowed(core: Core, request: Request, action: 'read' | 'write'): boolean | undefined {
  const { connection, id } = request
  if (core.options.asks?.authorize !== true || connection.traits.local || connection.traits.upstream) return true
  const answer = asked<boolean>(core, request, action, { question: 'authorize', connection: connection.id, action, id })
  return answer === undefined ? undefined : 'value' in answer && answer.value === true
}

/** As `allowed`, and says so to the peer if it may not. */
export function permitted(core: Core, request: Request, action: 'read' | 'write'): boolean {
  const may = allowed(core, request, action)
  if (may === false) {
    const refuse = action === 'read' ? refuseLoad : refuseContent
    refuse(core, request.connection, request.id, {
      code: 'forbidden',
      message: `no permission to ${action} this document`,
    })
  }
  return may === true
}
