/**
 * Merging the runs of several contents into one page. Not here: deciding what is a page.
 */
import type { KnownState } from '@tidemark/known-state'
import type { Run } from '@tidemark/protocol'

/**
 * One run per session, beginning exactly at `before`; `undefined` if the runs overlap, leave something out, or would join a sealed
 * part with an unsealed one (L8: the receiver could not check it).
 */
export function mergeRuns(lists: readonly (readonly Run[])[], before: KnownState): readonly Run[] | undefined {
  const merged = new Map<string, Run>()
  for (const run of lists.flat()) {
    if (run.transactions.length === 0) continue
    const first = merged.get(run.session)
    const end = first === undefined ? (before.sessions.get(run.session) ?? 0) : first.after + first.transactions.length
    if (run.after !== end) return undefined
    if (first !== undefined && (first.seal === undefined) !== (run.seal === undefined)) return undefined
    const { seal } = run
    merged.set(
      run.session,
      first === undefined
        ? run
        : { ...first, transactions: [...first.transactions, ...run.transactions], ...(seal !== undefined && { seal }) },
    )
  }
  return [...merged.values()]
}
