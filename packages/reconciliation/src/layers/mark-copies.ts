/**
 * Bringing the marks of layers into step: exactly as one has them that has them all.
 *
 * Writes go on meanwhile. A copy says the version that it is of with its last commit, and only if no marks were written while it was read; before that
 * it says that nobody knows of when it is. What a layer has that strayed is added to what the others have, before it is given theirs. Not here: `versions.ts`.
 */
import { compareIds, type Marks, StorageError } from '@tidemark/storage'
import { bytesEqual } from '@tidemark/storage/adapter'
import type { Core } from './core.ts'
import { MARKS } from './dirty.ts'
import { runOf } from './intents.ts'
import type { Layer } from './layer.ts'
import {
  commitMarks,
  givable,
  giveMarks,
  isEnough,
  type Listing,
  lacksMarks,
  lastMarks,
  learnAll,
  type Mark,
  markKeepers,
  marksOf,
  markVotes,
  strayedKeepers,
  versionMark,
  wholeKeepers,
} from './marks.ts'
import { partial, type Version } from './versions.ts'

const PAGE = 500
/** A copy that began before a write is of before that write. */
const ROUNDS = 2

/** In the background: others write meanwhile, unless that keeps it from ever ending. @throws StorageError what may pass with time. */
export async function repairMarks(core: Core): Promise<void> {
  await learnAll(core)
  if (strayedKeepers(core).length === 0) await settle(copies(core))
  if (lacksMarks(core)) await core.documents.take([MARKS], () => repairInTurn(core))
  await settle([...core.marking.copying.values()])
  if (lacksMarks(core)) throw new StorageError('IO', 'layers: not every layer has all marks')
}

/** All that a layer has, and all that it lacks, before it is the first. No marks are written meanwhile. @throws StorageError if it could not be done. */
export async function bringMarks(core: Core, layer: Layer): Promise<void> {
  await learnAll(core)
  await lastMarks(core)
  await joinStrayed(core)
  await settle(copies(core))
  if (!wholeKeepers(core).includes(layer)) throw new StorageError('IO', `layer ${layer.name}: it has not all marks`)
}

/** Nobody waits for a slow layer: it goes on afterwards, and what is written meanwhile it lacks. */
async function repairInTurn(core: Core): Promise<void> {
  await joinStrayed(core)
  await atMost(core, core.limits.mapPatienceMs, Promise.allSettled(copies(core)))
}

async function settle(works: readonly Promise<void>[]): Promise<void> {
  for (const outcome of await Promise.allSettled(works)) if (outcome.status === 'rejected') throw outcome.reason
}

/** Before marks are written, in the turn of that write: waits for as many layers as must store them, and for no other. */
export async function prepareMarks(core: Core): Promise<void> {
  await awaitLast(core, core.limits.mapPatienceMs)
  if (!isEnough(core)) await atMost(core, core.limits.appendTimeoutMs, lift(core))
}

/**
 * Without content, and in nobody's turn: a write that waits for this may have it. Nothing is acknowledged by these: they are waited for as others are,
 * but one layer that has all marks is enough, or one that is full would keep content from the home layer.
 *
 * @throws StorageError if no layer stored them.
 */
export async function storeMarks(core: Core, marks: Marks): Promise<void> {
  if (!isEnough(core)) await learnAll(core)
  await awaitLast(core, core.limits.appendTimeoutMs)
  while (core.marking.adding !== undefined) await core.marking.adding
  const giving = giveMarks(core, marks)
  const { needed } = markVotes(core)
  let stored = 0
  const storing = giving.layers.map(async (layer) => {
    try {
      await commitMarks(core, layer, [], giving.marks, true)
    } catch {
      core.background.want(MARKS, 'write')
      return giving.failed(layer)
    }
    giving.stored(layer)
    stored += 1
  })
  if (lacksMarks(core)) core.background.want(MARKS, 'write')
  await untilEnough(storing, () => stored >= needed)
  if (stored === 0) throw new StorageError('IO', 'layers: none of them stored marks')
}

/** What is merely slow gets the next marks too. */
async function awaitLast(core: Core, ms: number): Promise<void> {
  if (core.marking.giving.size > 0) await atMost(core, ms, lastMarks(core))
}

async function atMost(core: Core, ms: number, work: Promise<unknown>): Promise<void> {
  const late = new AbortController()
  await Promise.race([work, core.clock.wait(ms, late.signal).catch(() => {})])
  late.abort()
}

async function lift(core: Core): Promise<void> {
  await learnAll(core)
  if (!isEnough(core)) await joinStrayed(core).catch(() => {})
  for (let round = 0; round < ROUNDS && !isEnough(core); round++) await untilEnough(copies(core), () => isEnough(core))
}

/** Resolves when there is enough, or nothing more to wait for. */
export function untilEnough(works: readonly Promise<unknown>[], isEnough: () => boolean): Promise<void> {
  return new Promise((resolve) => {
    let open = works.length
    if (open === 0 || isEnough()) resolve()
    const ended = () => {
      open -= 1
      if (open === 0 || isEnough()) resolve()
    }
    for (const work of works) work.then(ended, ended)
  })
}

/** Into every layer that lacks something and answers; one run at a time for each. */
function copies(core: Core): readonly Promise<void>[] {
  const { giving, copying, versions } = core.marking
  const able = givable(core)
  const source = able.find((layer) => layer.condition === 'up') ?? able[0]
  if (source === undefined) return []
  const others = [...wholeKeepers(core), ...strayedKeepers(core)]
  const behind = markKeepers(core).filter(
    (layer) => !others.includes(layer) && layer.available && versions.isCertain(layer) && !giving.has(layer),
  )
  return behind.map((layer) => {
    const running = copying.get(layer) ?? copyExactly(core, source, layer).finally(() => copying.delete(layer))
    copying.set(layer, running)
    return running
  })
}

async function copyExactly(core: Core, source: Layer, target: Layer): Promise<void> {
  const { versions } = core.marking
  const version = versions.of(source) as Version
  const { begun } = versions
  for await (const { marks, isLast } of differences(source, target, 'exactly')) {
    if (isLast && versions.begun !== begun) return
    if (isLast || marks.size > 0) await put(core, target, marks, isLast ? version : partial(target))
  }
}

/** No marks are written meanwhile. */
async function joinStrayed(core: Core): Promise<void> {
  for (const layer of strayedKeepers(core)) {
    const [into] = givable(core)
    if (into === undefined || !layer.available || !strayedKeepers(core).includes(layer)) continue
    const adding = addMarks(core, layer, into)
    core.marking.adding = adding.catch(() => {})
    await adding.finally(() => {
      core.marking.adding = undefined
    })
  }
}

/**
 * What the target has stands. Each commit makes a version, but only the last says that it was made of what the source has, too: until then that has
 * strayed, whatever fails on the way.
 */
async function addMarks(core: Core, source: Layer, target: Layer): Promise<void> {
  const { versions } = core.marking
  const added = versions.of(source) as Version
  for await (const { marks, isLast } of differences(source, target, 'lacking')) {
    const of = [versions.of(target) as Version, ...(isLast ? [added] : [])]
    await put(core, target, marks, versions.begin(runOf(core), core.clock.now(), of))
  }
}

async function put(core: Core, target: Layer, marks: Marks, version: Version): Promise<void> {
  const { versions } = core.marking
  try {
    await commitMarks(core, target, [], new Map([...marks, versionMark(version)]), true)
  } catch (cause) {
    versions.doubt(target)
    throw cause
  }
  versions.has(target, version)
}

interface Difference {
  readonly marks: Marks
  readonly isLast: boolean
}

async function* differences(source: Layer, target: Layer, how: 'exactly' | 'lacking'): AsyncGenerator<Difference> {
  for (let after: string | undefined; ; ) {
    const page = await marksOf(source, listing(after))
    const until = page.length < PAGE ? undefined : (page.at(-1)?.[0] as string)
    const marks = difference(page, await marksUntil(target, after, until), how)
    yield { marks, isLast: until === undefined }
    if (until === undefined) return
    after = until
  }
}

function listing(after: string | undefined): Listing {
  return { prefix: '', limit: PAGE, ...(after !== undefined && { after }) }
}

async function marksUntil(layer: Layer, start: string | undefined, until: string | undefined): Promise<Marks> {
  const found = new Map<string, Uint8Array>()
  for (let after = start; ; ) {
    const page = await marksOf(layer, listing(after))
    for (const [key, value] of page) {
      if (until !== undefined && compareIds(key, until) > 0) return found
      found.set(key, value)
    }
    if (page.length < PAGE) return found
    after = page.at(-1)?.[0]
  }
}

function difference(page: readonly Mark[], held: Marks, how: 'exactly' | 'lacking'): Marks {
  const marks = new Map<string, Uint8Array | undefined>()
  for (const [key, value] of page) {
    const mine = held.get(key)
    if (mine === undefined || (how === 'exactly' && !bytesEqual(mine, value))) marks.set(key, value)
  }
  const kept = new Set(page.map(([key]) => key))
  if (how === 'exactly') for (const key of held.keys()) if (!kept.has(key)) marks.set(key, undefined)
  return marks
}
