/**
 * Bringing the marks of layers into step: exactly as one has them that has them all.
 *
 * Writes go on meanwhile. A copy says the version that it is of with its last commit, and only if no marks were written while it was read; before that
 * it says that nobody knows of when it is. What a layer has that strayed is added once, under a version of its own. Not here: `versions.ts`.
 */
import { compareIds, type Marks, StorageError } from '@tidemark/storage'
import { bytesEqual } from '@tidemark/storage/adapter'
import type { Core } from './core.ts'
import { MARKS } from './dirty.ts'
import { runOf } from './intents.ts'
import type { Layer } from './layer.ts'
import {
  type Giving,
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
  versionMark,
  wholeKeepers,
} from './marks.ts'
import { undated, type Version } from './versions.ts'

const PAGE = 500
/** A copy that began before a write is of before that write. */
const ROUNDS = 2

/** In the background: others write meanwhile, unless that keeps it from ever ending. @throws StorageError what may pass with time. */
export async function repairMarks(core: Core): Promise<void> {
  await learnAll(core)
  if (strayed(core).length === 0) await settle(copies(core))
  if (lacksMarks(core)) await core.documents.take([MARKS], () => repairInTurn(core))
  await settle([...core.marking.copying.values()])
  if (lacksMarks(core)) throw new StorageError('IO', 'layers: not every layer has all marks')
}

/** Nobody waits for a slow layer: it goes on afterwards, and what is written meanwhile it lacks. */
async function repairInTurn(core: Core): Promise<void> {
  await joinStrayed(core)
  await atMost(core, core.limits.mapPatienceMs, Promise.allSettled(copies(core)))
}

async function settle(works: readonly Promise<void>[]): Promise<void> {
  for (const outcome of await Promise.allSettled(works)) if (outcome.status === 'rejected') throw outcome.reason
}

/**
 * Before marks are written, in the turn of that write: waits for as many layers as must store them, and for no other.
 *
 * @throws StorageError if there is none to give them to.
 */
export async function prepareMarks(core: Core, marks: Marks): Promise<Giving> {
  await awaitLast(core, core.limits.mapPatienceMs)
  if (!isEnough(core)) await atMost(core, core.limits.appendTimeoutMs, lift(core))
  return giveMarks(core, marks)
}

/**
 * Without content, and in nobody's turn: a write that waits for this may have it. Nothing is acknowledged by these: they are waited for as others are,
 * but one layer that has all marks is enough, or one that is full would keep content from the home layer.
 *
 * @throws StorageError if no layer stored them.
 */
export async function storeMarks(core: Core, marks: Marks): Promise<void> {
  await core.marking.adding
  if (!isEnough(core)) await learnAll(core)
  await awaitLast(core, core.limits.appendTimeoutMs)
  const giving = giveMarks(core, marks)
  const { needed } = markVotes(core)
  let stored = 0
  const storing = giving.layers.map(async (layer) => {
    try {
      await layer.call('append', (storage) => storage.append([], { marks: giving.marks }), true)
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
  await joinStrayed(core).catch(() => {})
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
  const whole = wholeKeepers(core)
  const behind = markKeepers(core).filter(
    (layer) => !whole.includes(layer) && layer.available && versions.isCertain(layer) && !giving.has(layer),
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
    if (isLast || marks.size > 0) await put(core, target, marks, isLast ? version : undated(target))
  }
}

/** No marks are written meanwhile. */
async function joinStrayed(core: Core): Promise<void> {
  for (const layer of strayed(core)) {
    const [into] = givable(core)
    if (into === undefined || !layer.available) continue
    await addMarks(core, layer, into, 'lacking')
    core.marking.versions.joined(layer)
  }
}

function strayed(core: Core): readonly Layer[] {
  const { versions } = core.marking
  const keepers = markKeepers(core)
  const latest = versions.latest(keepers)
  return keepers.filter((layer) => {
    const version = versions.of(layer)
    if (!versions.isCertain(layer) || version === undefined || version.count < 0) return false
    return versions.isStrayed(layer) || (version.count === latest?.count && version.run !== latest.run)
  })
}

/** `lacking`: the target keeps its own. `over`: it keeps its own unless the source has another. In the turn of marks. */
export async function addMarks(core: Core, source: Layer, target: Layer, how: 'lacking' | 'over'): Promise<void> {
  const { marking } = core
  const version = marking.versions.begin(runOf(core), core.clock.now())
  const add = async () => {
    for await (const { marks } of differences(source, target, how)) await put(core, target, marks, version)
  }
  const adding = add()
  marking.adding = adding.catch(() => {})
  try {
    await adding
  } finally {
    marking.adding = undefined
  }
}

async function put(core: Core, target: Layer, marks: Marks, version: Version): Promise<void> {
  const { versions } = core.marking
  const all = new Map([...marks, versionMark(version)])
  try {
    await target.call('append', (storage) => storage.append([], { marks: all }), true)
  } catch (cause) {
    versions.doubt(target)
    throw cause
  }
  versions.wrote(target, version)
}

interface Difference {
  readonly marks: Marks
  readonly isLast: boolean
}

async function* differences(
  source: Layer,
  target: Layer,
  how: 'exactly' | 'lacking' | 'over',
): AsyncGenerator<Difference> {
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

function difference(page: readonly Mark[], held: Marks, how: 'exactly' | 'lacking' | 'over'): Marks {
  const marks = new Map<string, Uint8Array | undefined>()
  for (const [key, value] of page) {
    const mine = held.get(key)
    if (mine === undefined || (how !== 'lacking' && !bytesEqual(mine, value))) marks.set(key, value)
  }
  const kept = new Set(page.map(([key]) => key))
  if (how === 'exactly') for (const key of held.keys()) if (!kept.has(key)) marks.set(key, undefined)
  return marks
}
