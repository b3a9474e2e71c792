/**
 * Writes: to every layer at once, acknowledged when the write policy is fulfilled.
 *
 * L3: what is answered is durable in as many layers as the policy wants; memory never counts while anything durable is there.
 * L2: content that cannot be judged while a layer is silent is neither refused nor stored as new: it failed, for now. L13: only layers in step
 * judge, so that a lagging one never takes a continuation that the others would call a fork.
 * Not here: the order of calls (`turns.ts`), handing to the layers (`votes.ts`), small maps (`maps.ts`).
 */
import { EMPTY, type KnownState, union } from '@tidemark/known-state'
import {
  type Append,
  type AppendOptions,
  type AppendResult,
  type Refused,
  StorageError,
  type StoredState,
} from '@tidemark/storage'
import { fillCaches } from './cache.ts'
import { endOf } from './contents.ts'
import { type Core, voters, votesNeeded } from './core.ts'
import type { Layer } from './layer.ts'
import { prepareMarks, untilEnough } from './mark-copies.ts'
import { giveMarks } from './marks.ts'
import { answerOf, ask, isBehind, isInStep, sightOf, silentLayers, stateOf } from './race.ts'
import { repairLayer } from './repair.ts'
import { checkMarks, collect, type Plan, unfulfilled, type Vote } from './votes.ts'

type Taken = Exclude<AppendResult, { failed: unknown }>

export async function append(
  core: Core,
  batch: readonly Append[],
  options: AppendOptions = {},
): Promise<readonly AppendResult[]> {
  const ids = [...new Set(batch.map(({ id }) => id))]
  await look(core, ids)
  await lift(core, ids)
  const given = options.marks !== undefined && options.marks.size > 0 ? options.marks : undefined
  if (given !== undefined) await prepareMarks(core)
  // L2: a layer may have fallen silent meanwhile. From here on nothing is waited for until they are handed what is planned.
  const plans = planAll(core, batch)
  const isFailed = plans.some(({ answer }) => answer !== undefined && 'failed' in answer)
  const giving = isFailed || given === undefined ? undefined : giveMarks(core, given)
  const votes = await collect(core, plans, giving)
  const results = plans.map((plan, index) => resultOf(core, plan, index, votes))
  if (giving !== undefined && results.every((result) => !('failed' in result))) checkMarks(core, votes)
  for (const [index, result] of results.entries()) tellStored(core, (batch[index] as Append).id, result)
  for (const [index, { content }] of plans.entries())
    if (isTaken(results[index])) fillCaches(core, content, takenBy(votes, index))
  return results
}

function isTaken(result: AppendResult | undefined): boolean {
  return (
    result !== undefined && !('failed' in result) && result.headerRefused === undefined && result.refused.size === 0
  )
}

function takenBy(votes: readonly Vote[], index: number): readonly Layer[] {
  return votes.flatMap(({ layer, results }) => (isTaken(results.get(index)) ? [layer] : []))
}

/** What every layer holds of the documents that are to be written, asked where it is not remembered. */
export async function look(core: Core, ids: readonly string[]): Promise<void> {
  const unseen = ids.filter((id) => sightOf(core, id) === undefined)
  if (unseen.length > 0) await ask(core, unseen)
}

function planAll(core: Core, batch: readonly Append[]): readonly Plan[] {
  const expected = new Map<string, KnownState>()
  return batch.map((content) => {
    const held = expected.get(content.id) ?? stateOf(core, content.id)?.known ?? EMPTY
    const plan = planOne(core, content, held)
    if (plan.answer === undefined) expected.set(content.id, union(held, endOf(plan.content)))
    return plan
  })
}

function planOne(core: Core, content: Append, held: KnownState): Plan {
  const frozen = core.forks.of(content.id)
  const none = new Map<string, Refused>()
  if (frozen === 'document') {
    const state = answerOf(core, content.id)
    // What is erased stores nothing and refuses nothing, also where it was two documents.
    const answer = { state, refused: none, ...(state?.erased === undefined && { headerRefused: 'fork' as const }) }
    return { content, refused: none, answer }
  }
  if (silentLayers(core, content.id).length > 0 && denies(core, content, held)) {
    const cause = new StorageError('IO', 'not every layer answered: what is new or a gap cannot be told')
    return { content, refused: none, answer: { failed: 'IO', cause } }
  }
  if (frozen === undefined) return { content, refused: none, answer: undefined }
  const refused = new Map<string, Refused>()
  const runs = content.runs.filter(({ session }) => {
    if (frozen.has(session)) refused.set(session, { why: 'fork', have: held.sessions.get(session) ?? 0 })
    return !frozen.has(session)
  })
  return { content: { ...content, runs }, refused, answer: undefined }
}

/** Whether storing or refusing this would say that something is not held. Of what is erased nothing is stored, and nothing refused. */
function denies(core: Core, content: Append, held: KnownState): boolean {
  const isNew = !held.header || content.runs.some(({ session, after }) => after > (held.sessions.get(session) ?? 0))
  return isNew && stateOf(core, content.id)?.erased === undefined
}

/** Brings as many layers as must store what is written into step first; others are waited for only if they may be merely slow. */
export async function lift(core: Core, ids: readonly string[]): Promise<void> {
  const behind = voters(core).flatMap((layer) =>
    layer.available ? ids.filter((id) => isBehind(core, id, layer)).map((id) => ({ layer, id })) : [],
  )
  if (behind.length === 0) return
  const isLiftable = () => ids.every((id) => isEnough(core, id))
  const isNew = behind.some(({ layer, id }) => !layer.repairing.has(id))
  const repairing = behind.map(({ layer, id }) => repairLayer(core, id, layer))
  await patiently(core, untilEnough(repairing, isLiftable), core.limits.appendTimeoutMs)
  if (isNew) await patiently(core, Promise.allSettled(repairing), core.limits.mapPatienceMs)
}

function isEnough(core: Core, id: string): boolean {
  const voting = voters(core)
  return (
    voting.filter((layer) => layer.available && isInStep(core, id, layer)).length >= votesNeeded(core, voting.length)
  )
}

/** A repair may take longer than a write may: it goes on, and the write fails where it needed it. */
async function patiently(core: Core, repairing: Promise<unknown>, ms: number): Promise<void> {
  const late = new AbortController()
  const patience = core.clock.wait(ms, late.signal).catch(() => {})
  await Promise.race([repairing.catch(() => {}), patience])
  late.abort()
}

/** What the votes say of one content. @throws StorageError if too few layers stored it: the outcome is unknown. */
function resultOf(core: Core, plan: Plan, index: number, votes: readonly Vote[]): AppendResult {
  const { id } = plan.content
  if (plan.answer !== undefined) return plan.answer
  const cast = votes.flatMap(({ layer, results }) => {
    const result = results.get(index)
    return result === undefined ? [] : [{ layer, result }]
  })
  const judged = cast.flatMap(({ layer, result }) => ('failed' in result ? [] : [{ layer, result }]))
  const [first] = judged
  const voting = voters(core)
  if (first === undefined) {
    const [failed] = cast
    if (failed !== undefined && votes.every(({ cause }) => cause === undefined)) return failed.result
    throw unfulfilled(core, votes, [])
  }
  for (const { layer, result } of judged) noteForks(core, id, first, { layer, result })
  const agreeing = judged.filter(({ layer, result }) => voting.includes(layer) && agrees(result, first.result))
  if (agreeing.length < votesNeeded(core, voting.length))
    throw unfulfilled(
      core,
      votes,
      agreeing.map(({ layer }) => layer),
    )
  const refused = new Map([...plan.refused, ...first.result.refused])
  const headerRefused = first.result.headerRefused
  return {
    state: stateAfter(core, id, first.result.state),
    refused,
    ...(headerRefused !== undefined && { headerRefused }),
  }
}

/** What a layer in step answered is the join; a batch may have gone on with the same document since. */
function stateAfter(core: Core, id: string, stored: StoredState | undefined): StoredState | undefined {
  const now = answerOf(core, id)
  // L2: whoever stored it fell silent since, and nobody else holds anything of it.
  if (now === undefined) return stored && { ...stored, partial: true }
  const isJoin = stored !== undefined && core.forks.of(id) === undefined
  const { partial, durable } = now
  return isJoin ? { ...stored, ...(partial && { partial }), ...(durable !== undefined && { durable }) } : now
}

/** Only what is answered is known to who writes: a batch fails as a whole where one of its documents does. */
function tellStored(core: Core, id: string, result: AppendResult): void {
  const told = core.seen.of(id)?.told
  if (told !== undefined && !('failed' in result) && result.state !== undefined)
    core.seen.tell(id, union(told, result.state.known))
}

/** One layer took what another calls a fork: they hold different things. */
function noteForks(
  core: Core,
  id: string,
  a: { layer: Layer; result: Taken },
  b: { layer: Layer; result: Taken },
): void {
  if (a.layer === b.layer) return
  const names = [a.layer.name, b.layer.name]
  if ((a.result.headerRefused === 'fork') !== (b.result.headerRefused === 'fork'))
    core.forks.freeze(id, undefined, names)
  const forked = ({ refused }: Taken) =>
    [...refused].filter(([, { why }]) => why === 'fork').map(([session]) => session)
  for (const session of new Set([...forked(a.result), ...forked(b.result)]))
    if (a.result.refused.get(session)?.why !== b.result.refused.get(session)?.why) core.forks.freeze(id, session, names)
}

function agrees(a: Taken, b: Taken): boolean {
  return a.headerRefused === b.headerRefused && [...a.refused.keys()].every((session) => b.refused.has(session))
}
