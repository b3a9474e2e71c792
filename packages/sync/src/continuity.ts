/**
 * Continuity: whether what continues a session really follows what we hold of it.
 *
 * A run of JSON has no digest, in no dialect: it says where it begins, not after what. Two histories of equal length would be spliced, and
 * every subscriber would refuse the document. With `proveContinuity` the first continuation of a session of such a document on a connection
 * is not taken, but asked for like a claim (L7), one sealed run short: what comes overlaps what we hold, and the storage compares (L13).
 * That guards against accidents, a restored device for instance; who means harm can lie as before, which is what `verify` is for.
 * Not here: asking (`claims.ts`), freezing what is forked (`forks.ts`).
 */
import { EMPTY, type KnownState, union } from '@tidemark/known-state'
import type { ContentMessage, Run } from '@tidemark/protocol'
import { askForClaim } from './claims.ts'
import type { Connection, Core, Holding, View } from './core.ts'
import { IN_STEP } from './core.ts'
import { durable } from './holdings.ts'

/** Parts a content into what may be taken, and what has to be proven first. */
export function partByProof(
  core: Core,
  connection: Connection,
  holding: Holding,
  content: ContentMessage,
): { readonly proven: ContentMessage; readonly unproven: readonly Run[] } {
  const { upstream, local } = connection.traits
  if (core.options.proveContinuity !== true || upstream || local) return { proven: content, unproven: [] }
  const belief = connection.views.get(holding.id)
  const known = belief === undefined || belief === IN_STEP ? undefined : belief.proven
  const needsProof = (run: Run) =>
    run.transactions.length > 0 &&
    known?.has(run.session) !== true &&
    run.after > 0 &&
    run.after === durable(holding).sessions.get(run.session) &&
    // There is something that it can overlap with: of bytes, whose digests are compared, no last runs are known.
    holding.stored?.lastRuns.has(run.session) === true
  const unproven = content.runs.filter(needsProof)
  if (unproven.length === 0) return { proven: content, unproven }
  return { proven: { ...content, runs: content.runs.filter((run) => !unproven.includes(run)) }, unproven }
}

/** Asks for the overlap, once: who then goes on where it was is believed. */
export function askForProof(
  core: Core,
  connection: Connection,
  holding: Holding,
  view: View,
  unproven: readonly Run[],
): void {
  if (unproven.length === 0) return
  const sessions = new Map(unproven.map(({ session, after, transactions }) => [session, after + transactions.length]))
  noteProven(core, view, unproven)
  const claim: KnownState = { header: true, sessions }
  view.claims = union(view.claims ?? EMPTY, claim)
  askForClaim(core, connection, holding, view)
}

/** Of what was taken nothing more is asked: it overlapped, or begins its session. */
export function noteProven(core: Core, view: View, runs: readonly Run[]): void {
  if (core.options.proveContinuity !== true || runs.length === 0) return
  view.proven ??= new Set()
  for (const { session } of runs) view.proven.add(session)
}
