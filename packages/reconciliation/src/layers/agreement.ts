/**
 * Up to where the target of a repair is known to hold the same as the layer that it is copied from.
 *
 * L13: nothing is copied over a difference. The header comes again with the first page of every source and is compared, and so does the last run
 * of `json` sessions, which carry no digest that would tell a fork: all of it, in as many pages as that takes. What was compared with one source
 * says nothing about another. Not here: the comparison itself, which is the storage's (`append`).
 */
import type { KnownState } from '@tidemark/known-state'
import type { AppendResult, Page, StoredState } from '@tidemark/storage'
import type { Layer } from './layer.ts'

export interface Agreement {
  readonly source: Layer
  header: boolean
  /** Counts of sessions. */
  readonly sessions: Map<string, number>
}

export const agreementWith = (source: Layer): Agreement => ({ source, header: false, sessions: new Map() })

/** A cursor before what the target lacks, so far that what comes overlaps what was not compared yet. */
export function overlapping(agreed: Agreement, held: StoredState | undefined, source: StoredState): KnownState {
  if (held === undefined) return { header: false, sessions: new Map() }
  const sessions = new Map(held.known.sessions)
  if ((held.guessed ? source : held).kind === 'json')
    for (const [session, have] of held.known.sessions) {
      if (have === 0 || (source.known.sessions.get(session) ?? 0) <= have) continue
      const from = agreed.sessions.get(session) ?? held.lastRuns.get(session) ?? have - 1
      sessions.set(session, Math.min(from, have))
    }
  return { header: agreed.header && held.known.header, sessions }
}

/** The target took a page of the source. Answers whether more is known to be the same than before. */
export function agree(agreed: Agreement, page: Page, result: Exclude<AppendResult, { failed: unknown }>): boolean {
  let isMore = false
  if (page.header !== undefined && result.headerRefused === undefined && !agreed.header) {
    agreed.header = true
    isMore = true
  }
  for (const { session, after, transactions } of page.runs) {
    if (result.refused.has(session)) continue
    // It may hold less than it was given, or more.
    const same = Math.min(after + transactions.length, result.state?.known.sessions.get(session) ?? 0)
    if (same <= (agreed.sessions.get(session) ?? 0)) continue
    agreed.sessions.set(session, same)
    isMore = true
  }
  return isMore
}

/**
 * Of a `json` page what was seen of its source. What that holds beyond by now goes on where nothing was compared: it comes with its overlap, once it
 * is seen.
 */
export function seenPart(page: Page, { known }: StoredState): Page {
  if (page.kind !== 'json') return page
  const isSeen = ({ session, after }: Page['runs'][number]) => after === 0 || after < (known.sessions.get(session) ?? 0)
  return page.runs.every(isSeen) ? page : { ...page, runs: page.runs.filter(isSeen) }
}
