/**
 * Handing a batch to the layers at once, and what each makes of it: its vote.
 *
 * A layer that failed, was skipped or lags gets a dirty flag, committed with what the others store, as is what is being written at all
 * (`intents.ts`). Not here: what is written (`writes.ts`), bringing layers into step before (`repair.ts`).
 */
import { type Append, type AppendResult, type Marks, type Refused, StorageError } from '@tidemark/storage'
import { copyOf, sizeOf } from './contents.ts'
import { type Core, voters, votesNeeded, writers } from './core.ts'
import { MARKS } from './dirty.ts'
import { setDirty } from './flags.ts'
import { type Intent, runOf } from './intents.ts'
import { codeOf, type Layer } from './layer.ts'
import { commitMarks, type Giving, lacksMarks, markVotes } from './marks.ts'
import { isInStep } from './race.ts'

/** A content as it goes to the layers, and what of it is refused before. */
export interface Plan {
  readonly content: Append
  readonly refused: ReadonlyMap<string, Refused>
  readonly answer: AppendResult | undefined
}

/** What one layer is given: contents by index in the batch, and marks. */
interface Gift {
  readonly layer: Layer
  readonly indexes: readonly number[]
  /** The caller's marks are among them. */
  readonly isMarked: boolean
  readonly marks: Marks
}

/** What one layer made of it, by index in the batch. */
export interface Vote {
  readonly layer: Layer
  readonly results: ReadonlyMap<number, AppendResult>
  readonly isMarked: boolean
  readonly cause?: unknown
}

/** Hands the batch to the layers and waits until the policy is fulfilled, or cannot be any more. */
export async function collect(
  core: Core,
  plans: readonly Plan[],
  giving: Giving | undefined,
): Promise<readonly Vote[]> {
  const indexes = plans.flatMap(({ answer }, index) => (answer === undefined ? [index] : []))
  const ids = [...new Set(indexes.map((index) => (plans[index] as Plan).content.id))]
  const all = writers(core)
  const voting = new Set(voters(core))
  const awaitsAll = core.policy === 'all-required'
  // Bytes are the caller's again when this has answered, and a layer that is not waited for may still be at it.
  const shared = awaitsAll && all.every((layer) => voting.has(layer))
  const contents = shared ? plans.map(({ content }) => content) : plans.map(({ content }) => copyOf(content))
  const taken = new Map(all.map((layer) => [layer, takenBy(core, layer, plans, indexes, voting.has(layer))]))
  const flags = new Map<string, Uint8Array | undefined>()
  const flagged = all.map((layer) => {
    const given = taken.get(layer) ?? []
    const missed = indexes.filter((index) => !given.includes(index)).map((index) => plans[index]?.content.id as string)
    for (const [key, value] of core.dirty.add(layer, missed)) flags.set(key, value)
    return { layer, missed }
  })
  const intents = intentsOf(core, ids, taken, voting.size)
  const debts = new Map(all.map((layer) => [layer, layer.owing.begin(ids)]))
  const gifts = all.map((layer): Gift => {
    const isMarked = giving?.layers.includes(layer) === true
    const own = isMarked ? [...giving.marks] : []
    const notes = layer.keepsMarks ? [...flags, ...intents.marksFor(layer)] : []
    return { layer, indexes: taken.get(layer) ?? [], isMarked, marks: new Map([...own, ...notes]) }
  })
  const votes: Vote[] = []
  const cast: readonly { readonly layer: Layer; readonly vote: Promise<void> }[] = gifts
    .filter(({ layer, indexes: given, marks: noted }) => layer.available && (given.length > 0 || noted.size > 0))
    .map((gift) => {
      const vote = store(core, contents, gift).then((one) => {
        if (isStored(one)) intents.stored(one.layer)
        for (const id of storedBy(contents, one)) debts.get(one.layer)?.stored(id)
        if (one.isMarked) noteMarks(core, giving, one)
        votes.push(one)
      })
      return { layer: gift.layer, vote }
    })
  for (const layer of giving?.layers ?? []) if (cast.every((one) => one.layer !== layer)) giving?.failed(layer)
  const waited = cast.flatMap(({ layer, vote }) => (voting.has(layer) ? [vote] : []))
  if (giving !== undefined && lacksMarks(core)) core.background.want(MARKS, 'write')
  if (awaitsAll) await Promise.all(waited)
  else await enough(waited, () => isFulfilled(core, indexes, giving, votes))
  const busy = cast.map(({ layer }) => layer).filter((layer) => votes.every((vote) => vote.layer !== layer))
  if (votes.some((vote) => vote.layer.keepsMarks && isStored(vote)))
    for (const { layer, missed } of flagged) core.dirty.committed(layer, missed)
  for (const layer of all) if (!busy.includes(layer)) await noteMissed(core, layer, ids)
  void Promise.all(cast.map(({ vote }) => vote)).then(async () => {
    const failed = votes.flatMap((vote) => (isStored(vote) ? [] : [vote.layer]))
    for (const layer of failed) if (busy.includes(layer)) await noteMissed(core, layer, ids)
    intents.ended()
    for (const debt of debts) debt[1].ended()
  })
  // In order of preference, whoever answered first.
  return all.flatMap((layer) => votes.filter((vote) => vote.layer === layer))
}

/** Marks are set by a batch of which nothing failed. */
function isStored({ results, cause }: Vote): boolean {
  return cause === undefined && [...results.values()].every((result) => !('failed' in result))
}

/** Documents of which a layer answered everything that it was given. */
function storedBy(contents: readonly Append[], { results }: Vote): ReadonlySet<string> {
  const stored = new Set<string>()
  const failed = new Set<string>()
  for (const [index, result] of results) ('failed' in result ? failed : stored).add((contents[index] as Append).id)
  for (const id of failed) stored.delete(id)
  return stored
}

/** Whether each content, and the marks, are in as many layers as the policy wants: a layer that was given notes alone has no vote. */
function isFulfilled(
  core: Core,
  indexes: readonly number[],
  giving: Giving | undefined,
  votes: readonly Vote[],
): boolean {
  const voting = voters(core)
  const counted = votes.filter(({ layer }) => voting.includes(layer))
  const isTaken = (index: number, { results }: Vote) => {
    const result = results.get(index)
    return result !== undefined && !('failed' in result)
  }
  const needed = votesNeeded(core, voting.length)
  if (giving !== undefined && markedBy(core, votes).length < markVotes(core).needed) return false
  return indexes.every((index) => counted.filter((vote) => isTaken(index, vote)).length >= needed)
}

/** Where one layer is enough nothing is acknowledged that another lacks. */
function intentsOf(core: Core, ids: readonly string[], taken: ReadonlyMap<Layer, readonly number[]>, voting: number) {
  const run = runOf(core)
  const able = (layer: Layer) => layer.keepsMarks && layer.available
  const taking = [...taken.keys()].filter((layer) => able(layer) && (taken.get(layer)?.length ?? 0) > 0)
  const begun: { readonly intent: Intent; readonly layers: readonly Layer[] }[] = []
  if (taking.length > 0 && votesNeeded(core, voting) > 1)
    begun.push({ intent: core.intents.begin(run, ids, taking), layers: taking })
  const of = (layer: Layer) => begun.filter(({ layers }) => layers.includes(layer)).map(({ intent }) => intent)
  return {
    marksFor: (layer: Layer) => of(layer).flatMap(({ marks }) => [...marks]),
    stored: (layer: Layer) => {
      for (const intent of of(layer)) intent.stored(layer)
    },
    ended: () => {
      for (const { intent } of begun) intent.ended()
    },
  }
}

/** A repair that ran while others were still writing saw nothing of this, and may have taken a flag back. */
export async function noteMissed(core: Core, layer: Layer, ids: Iterable<string>): Promise<void> {
  const missed = [...ids].filter((id) => !isInStep(core, id, layer))
  await setDirty(core, layer, missed)
  for (const id of missed) core.background.consider(id, 'write')
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

async function store(core: Core, contents: readonly Append[], gift: Gift): Promise<Vote> {
  const { layer, indexes, isMarked, marks } = gift
  const batch = indexes.map((index) => contents[index] as Append)
  const bytes = batch.reduce((sum, content) => sum + sizeOf(content), 0)
  layer.unstoredBytes += bytes
  const asked = core.seen.tick()
  try {
    const options = marks.size === 0 ? {} : { marks }
    const answers = isMarked
      ? await commitMarks(core, layer, batch, marks)
      : await layer.call('append', (storage, given) => storage.append(batch, { ...options, ...given }))
    const results = new Map(indexes.map((index, at) => [index, answers[at] as AppendResult]))
    const missed = new Set<string>()
    for (const [index, result] of results) {
      const { id } = contents[index] as Append
      if ('failed' in result) missed.add(id)
      else core.seen.heard(id, layer, result.state, asked)
    }
    if (missed.size > 0) await miss(core, layer, missed)
    else if (batch.length > 0) layer.noteStored()
    return { layer, results, isMarked }
  } catch (cause) {
    if (codeOf(cause) !== 'CORRUPT') layer.noteStored(batch.at(-1)?.id ?? layer.unstored)
    await miss(core, layer, new Set(batch.map(({ id }) => id)))
    return { layer, results: new Map(), isMarked, cause }
  } finally {
    layer.unstoredBytes -= bytes
  }
}

/** It is unknown what a layer has of these documents (L2): it is looked at again, and repaired. */
export async function miss(core: Core, layer: Layer, ids: ReadonlySet<string>): Promise<void> {
  for (const id of ids) core.seen.doubt(id, layer)
  await setDirty(core, layer, ids)
  for (const id of ids) core.background.consider(id, 'write')
}

/** Whoever did not store marks may lack them: its version says. */
function noteMarks(core: Core, giving: Giving | undefined, vote: Vote): void {
  if (isStored(vote)) return giving?.stored(vote.layer)
  giving?.failed(vote.layer)
  core.background.want(MARKS, 'write')
}

/** Until it is fulfilled, or all have answered: what one could not take another may still store. */
async function enough(casting: readonly Promise<void>[], isFulfilled: () => boolean): Promise<void> {
  await new Promise<void>((resolve) => {
    let open = casting.length
    if (open === 0) resolve()
    for (const vote of casting)
      void vote.then(() => {
        open -= 1
        if (open === 0 || isFulfilled()) resolve()
      })
  })
}

/** L3: marks are acknowledged as contents are. @throws StorageError if too few layers stored them. */
export function checkMarks(core: Core, votes: readonly Vote[]): void {
  const counted = markedBy(core, votes)
  if (counted.length < markVotes(core).needed) throw unfulfilled(core, votes, counted)
}

function markedBy(core: Core, votes: readonly Vote[]): readonly Layer[] {
  const { counting } = markVotes(core)
  return votes.flatMap((vote) => (vote.isMarked && isStored(vote) && counting.includes(vote.layer) ? [vote.layer] : []))
}

export function unfulfilled(core: Core, votes: readonly Vote[], stored: readonly Layer[]): StorageError {
  const lacking = voters(core).filter((layer) => !stored.includes(layer))
  const failed = votes.flatMap(({ results }) => [...results.values()]).find((result) => 'failed' in result)
  const cause = votes.find((vote) => vote.cause !== undefined)?.cause ?? failed?.cause
  const names = lacking.map((layer) => layer.name).join(', ')
  return new StorageError(codeOf(cause) ?? failed?.failed ?? 'IO', `too few layers stored it: ${names} did not`, cause)
}
