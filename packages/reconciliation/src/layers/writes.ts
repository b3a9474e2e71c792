/**
 * Writes: to every layer at once, acknowledged when the write policy is fulfilled.
 *
 * L3: what is answered is durable in as many layers as the policy wants; memory never counts while anything durable is there.
 * L2: content that cannot be judged while a layer is silent is neither refused nor stored as new: it failed, for now. A layer that
 * failed, was skipped or lags gets a dirty flag and is repaired. L13: only layers in step judge, so that a lagging one never takes a
 * continuation that the others would call a fork.
 * Not here: the order of calls (`turns.ts`), small maps (`maps.ts`).
 */
import { EMPTY, type KnownState, union } from '@tidemark/known-state'
import {
  type Append,
  type AppendOptions,
  type AppendResult,
  type Marks,
  type Refused,
  StorageError,
  type StoredState,
  type Version,
} from '@tidemark/storage'
import { eraseInCaches, fillCaches } from './cache.ts'
import { copyOf, endOf, sizeOf } from './contents.ts'
import { type Core, voters, votesNeeded, writers } from './core.ts'
import { setDirty } from './flags.ts'
import { codeOf, type Layer } from './layer.ts'
import { answerOf, ask, isBehind, isInStep, sightOf, silentLayers, stateOf, unknown } from './race.ts'
import { repairLayer } from './repair.ts'

type Taken = Exclude<AppendResult, { failed: unknown }>

/** A content as it goes to the layers, and what of it is refused before. */
interface Plan {
  readonly content: Append
  readonly refused: ReadonlyMap<string, Refused>
  readonly answer: AppendResult | undefined
}

/** What one layer was given, by index in the batch, and what it made of it. */
interface Vote {
  readonly layer: Layer
  readonly results: ReadonlyMap<number, AppendResult>
  readonly cause?: unknown
}

export async function append(
  core: Core,
  batch: readonly Append[],
  options: AppendOptions = {},
): Promise<readonly AppendResult[]> {
  const ids = [...new Set(batch.map(({ id }) => id))]
  await look(core, ids)
  const plans = planAll(core, batch)
  await lift(core, ids)
  const failed = plans.some(({ answer }) => answer !== undefined && 'failed' in answer)
  const votes = await collect(core, plans, failed ? undefined : options.marks)
  if (plans.length === 0 && options.marks !== undefined && options.marks.size > 0) checkStored(core, votes)
  const results = plans.map((plan, index) => resultOf(core, plan, index, votes))
  fillCaches(
    core,
    plans.flatMap(({ content }, index) => (isTaken(results[index]) ? [content] : [])),
  )
  return results
}

/** Marks alone are acknowledged as contents are. */
function checkStored(core: Core, votes: readonly Vote[]): void {
  const voting = voters(core)
  const stored = votes.flatMap(({ layer, cause }) => (cause === undefined && voting.includes(layer) ? [layer] : []))
  if (stored.length < votesNeeded(core, voting.length)) throw unfulfilled(core, votes, stored)
}

function isTaken(result: AppendResult | undefined): boolean {
  return (
    result !== undefined && !('failed' in result) && result.headerRefused === undefined && result.refused.size === 0
  )
}

/** What every layer holds of the documents that are to be written, asked where it is not remembered. */
async function look(core: Core, ids: readonly string[]): Promise<void> {
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
    const answer = { state: answerOf(core, content.id), refused: none, headerRefused: 'fork' } as const
    return { content, refused: none, answer }
  }
  if (silentLayers(core, content.id).length > 0 && denies(content, held)) {
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

/** Whether storing or refusing this would say that something is not held. */
function denies(content: Append, held: KnownState): boolean {
  return !held.header || content.runs.some(({ session, after }) => after > (held.sessions.get(session) ?? 0))
}

/** Brings the layers that must store what is written into step first. */
async function lift(core: Core, ids: readonly string[]): Promise<void> {
  const behind = voters(core).flatMap((layer) =>
    layer.available ? ids.filter((id) => isBehind(core, id, layer)).map((id) => ({ layer, id })) : [],
  )
  if (behind.length === 0) return
  const lifting = Promise.allSettled(behind.map(({ layer, id }) => repairLayer(core, id, layer)))
  // A large document may take longer than a write may: the repair goes on, and this write fails.
  const late = new AbortController()
  const patience = core.clock.wait(core.limits.appendTimeoutMs, late.signal).catch(() => {})
  await Promise.race([lifting, patience])
  late.abort()
}

/** Hands the batch to the layers and waits until the policy is fulfilled, or cannot be any more. */
async function collect(core: Core, plans: readonly Plan[], marks: Marks | undefined): Promise<readonly Vote[]> {
  const indexes = plans.flatMap(({ answer }, index) => (answer === undefined ? [index] : []))
  const all = writers(core)
  const voting = new Set(voters(core))
  const awaitsAll = core.policy === 'all-required'
  // Bytes are the caller's again when this has answered, and a layer that is not waited for may still be at it.
  const shared = awaitsAll && all.every((layer) => voting.has(layer))
  const contents = shared ? plans.map(({ content }) => content) : plans.map(({ content }) => copyOf(content))
  const given = all.map((layer) => ({ layer, indexes: takenBy(core, layer, plans, indexes, voting.has(layer)) }))
  const flags = new Map<string, Uint8Array | undefined>(marks)
  const flagged = given.map(({ layer, indexes: taken }) => {
    const missed = indexes.filter((index) => !taken.includes(index)).map((index) => plans[index]?.content.id as string)
    for (const [key, value] of core.dirty.add(layer, missed)) flags.set(key, value)
    return { layer, missed }
  })
  const votes: Vote[] = []
  const cast = given
    .filter(({ layer, indexes: taken }) => layer.available && (taken.length > 0 || flags.size > 0))
    .map(({ layer, indexes: taken }) => {
      const vote = store(core, layer, contents, taken, layer.durable || !core.home.durable ? flags : undefined)
      return { layer, vote: vote.then((one) => void votes.push(one)) }
    })
  const waited = cast.filter(({ layer }) => voting.has(layer))
  if (awaitsAll) await Promise.all(waited.map(({ vote }) => vote))
  else
    await enough(
      core,
      waited.map(({ vote }) => vote),
      votes,
    )
  const busy = cast.map(({ layer }) => layer).filter((layer) => votes.every((vote) => vote.layer !== layer))
  if (votes.some(keepsFlags)) for (const { layer, missed } of flagged) core.dirty.committed(layer, missed)
  const ids = new Set(indexes.map((index) => (plans[index] as Plan).content.id))
  for (const layer of all) if (!busy.includes(layer)) await noteMissed(core, layer, ids)
  // In order of preference, whoever answered first.
  return all.flatMap((layer) => votes.filter((vote) => vote.layer === layer))
}

/** Marks are set by a batch of which nothing failed. */
function keepsFlags({ layer, results, cause }: Vote): boolean {
  return layer.keepsMarks && cause === undefined && [...results.values()].every((result) => !('failed' in result))
}

/** A repair that ran while others were still writing saw nothing of this, and may have taken a flag back. */
async function noteMissed(core: Core, layer: Layer, ids: Iterable<string>): Promise<void> {
  const missed = [...ids].filter((id) => !isInStep(core, id, layer))
  await setDirty(core, layer, missed)
  for (const id of missed) core.background.want(id, 'write')
}

/** Which contents a layer gets: those of documents in which it is in step, if it can be called at all. */
function takenBy(
  core: Core,
  layer: Layer,
  plans: readonly Plan[],
  indexes: readonly number[],
  votes: boolean,
): readonly number[] {
  if (!layer.available) return []
  const taken = indexes.filter((index) => {
    const { id } = (plans[index] as Plan).content
    return isInStep(core, id, layer)
  })
  const bytes = taken.reduce((sum, index) => sum + sizeOf((plans[index] as Plan).content), 0)
  const waits = votes && core.policy === 'all-required'
  return waits || layer.unstoredBytes === 0 || layer.unstoredBytes + bytes <= core.limits.unstoredBytesMax ? taken : []
}

async function store(
  core: Core,
  layer: Layer,
  contents: readonly Append[],
  indexes: readonly number[],
  marks: Marks | undefined,
): Promise<Vote> {
  const batch = indexes.map((index) => contents[index] as Append)
  const bytes = batch.reduce((sum, content) => sum + sizeOf(content), 0)
  layer.unstoredBytes += bytes
  try {
    const options = marks === undefined || marks.size === 0 ? undefined : { marks }
    const answers = await layer.call('append', (storage) => storage.append(batch, options))
    const results = new Map(indexes.map((index, at) => [index, answers[at] as AppendResult]))
    const missed = new Set<string>()
    for (const [index, result] of results) {
      const { id } = contents[index] as Append
      if ('failed' in result) missed.add(id)
      else core.seen.wrote(id, layer, result.state)
    }
    if (missed.size > 0) await miss(core, layer, missed)
    return { layer, results }
  } catch (cause) {
    await miss(core, layer, new Set(batch.map(({ id }) => id)))
    return { layer, results: new Map(), cause }
  } finally {
    layer.unstoredBytes -= bytes
  }
}

/** It is unknown what a layer has of these documents (L2): it is looked at again, and repaired. */
async function miss(core: Core, layer: Layer, ids: ReadonlySet<string>): Promise<void> {
  for (const id of ids) core.seen.doubt(id, layer)
  await setDirty(core, layer, ids)
  for (const id of ids) core.background.want(id, 'write')
}

async function enough(core: Core, casting: readonly Promise<void>[], votes: readonly Vote[]): Promise<void> {
  const needed = votesNeeded(core, casting.length)
  await new Promise<void>((resolve) => {
    let open = casting.length
    if (open === 0) resolve()
    for (const vote of casting)
      void vote.then(() => {
        open -= 1
        if (open === 0 || votes.filter(({ cause }) => cause === undefined).length >= needed) resolve()
      })
  })
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
  const isJoin = stored !== undefined && now !== undefined && core.forks.of(id) === undefined
  const { partial, durable } = now ?? {}
  const state = isJoin ? { ...stored, ...(partial && { partial }), ...(durable !== undefined && { durable }) } : now
  const told = core.seen.of(id)?.told
  if (told !== undefined && state !== undefined) core.seen.tell(id, union(told, state.known))
  return state
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

function unfulfilled(core: Core, votes: readonly Vote[], stored: readonly Layer[]): StorageError {
  const lacking = voters(core).filter((layer) => !stored.includes(layer))
  const failed = votes.flatMap(({ results }) => [...results.values()]).find((result) => 'failed' in result)
  const cause = votes.find((vote) => vote.cause !== undefined)?.cause ?? failed?.cause
  const names = lacking.map((layer) => layer.name).join(', ')
  return new StorageError(codeOf(cause) ?? failed?.failed ?? 'IO', `too few layers stored it: ${names} did not`, cause)
}

/** Erases in all layers; those that cannot now are repaired to it later. */
export async function erase(
  core: Core,
  id: string,
  version: Version,
  keep: readonly string[],
): Promise<StoredState | undefined> {
  await look(core, [id])
  if (stateOf(core, id) === undefined) {
    if (silentLayers(core, id).length > 0) throw unknown(id, [])
    return undefined
  }
  await lift(core, [id])
  eraseInCaches(core, id, version, keep)
  const outcomes = await Promise.all(
    writers(core).map(async (layer) => {
      // It keeps what it has: nobody can take it away there.
      if (layer.opened?.capabilities.erase === false)
        return { layer, unable: true, cause: new StorageError('IO', `layer ${layer.name}: it cannot erase`) }
      try {
        // What a layer lacks of the tombstones it could not be given afterwards.
        if (!layer.available || !isInStep(core, id, layer))
          throw new StorageError('IO', `layer ${layer.name}: it is not there`)
        core.seen.wrote(id, layer, await layer.call('append', (storage) => storage.erase(id, version, { keep })))
        return { layer, unable: false }
      } catch (cause) {
        await miss(core, layer, new Set([id]))
        return { layer, unable: false, cause }
      }
    }),
  )
  for (const { layer, cause, unable } of outcomes)
    if (cause !== undefined && !unable) await noteMissed(core, layer, [id])
  const voting = voters(core)
  const stored = outcomes.filter(({ layer, cause }) => cause === undefined && voting.includes(layer))
  if (stored.length < votesNeeded(core, voting.length))
    throw unfulfilled(
      core,
      outcomes.map((one) => ({ ...one, results: new Map() })),
      stored.map(({ layer }) => layer),
    )
  return answerOf(core, id)
}
