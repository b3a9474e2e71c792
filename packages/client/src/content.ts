/**
 * Content, measured against a known state. Not here: where it goes.
 */
import { type KnownState, knownState } from '@tidemark/known-state'
import type { Content, Run } from '@tidemark/protocol'

/** What somebody holds who holds a content and all that comes before it. */
export function endOf(content: Pick<Content, 'header' | 'runs'>): KnownState {
  return knownState(
    content.header !== undefined,
    content.runs.map((run) => [run.session, run.after + run.transactions.length] as const),
  )
}

/** What a content brings beyond what is held; `undefined` if nothing. */
export function beyond(held: KnownState, { header, runs, ...content }: Content): Content | undefined {
  const fresh = runs.map((run) => cut(run, held.sessions.get(run.session) ?? 0)).filter((run) => run !== undefined)
  const isNew = header !== undefined && !held.header
  if (!isNew && fresh.length === 0) return undefined
  return { ...content, ...(isNew && { header }), runs: fresh }
}

function cut(run: Run, held: number): Run | undefined {
  if (run.after >= held) return run.transactions.length > 0 ? run : undefined
  const transactions = run.transactions.slice(held - run.after)
  if (transactions.length === 0) return undefined
  // The digest is that of the place where the run began.
  const { digest: _digest, ...rest } = run
  return { ...rest, after: held, transactions }
}
