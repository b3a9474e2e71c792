/**
 * Marks of the whole: in every durable layer near by, so that any of them may be the only one left.
 *
 * They are in no join. A layer that missed some, was made anew or added is flagged: it is not read for marks and given none until it was brought into
 * step with one that has them all. After a crash, what any of those has stands, the home layer first.
 * Not here: flags (`dirty.ts`), what a crash leaves (`intents.ts`).
 */
import { compareIds, type Marks } from '@tidemark/storage'
import { bytesEqual } from '@tidemark/storage/adapter'
import { type Core, writers } from './core.ts'
import { INTERNAL, MARKS } from './dirty.ts'
import { clearDirty } from './flags.ts'
import type { Layer } from './layer.ts'

const PAGE = 500

type Mark = readonly [key: string, value: Uint8Array]

export interface Listing {
  readonly prefix: string
  readonly after?: string
  readonly limit: number
}

/** Layers that are given marks, the home layer first. */
export function markKeepers(core: Core): readonly Layer[] {
  const { home } = core
  const others = writers(core).filter((layer) => layer !== home && !layer.remote && (layer.durable || !home.durable))
  return home.write === 'none' || home.detached ? others : [home, ...others]
}

/** Those that have them all. */
export function wholeKeepers(core: Core): readonly Layer[] {
  return markKeepers(core).filter((layer) => !core.dirty.has(layer, MARKS))
}

/** From the first layer that has them all and answers. */
export async function readMarks(core: Core, options: Listing): Promise<readonly Mark[]> {
  const whole = wholeKeepers(core)
  const asked = whole.length > 0 ? whole : [core.home]
  let failure: unknown
  for (const layer of asked)
    try {
      return await marksOf(layer, options)
    } catch (cause) {
      failure ??= cause
    }
  throw failure
}

async function marksOf(layer: Layer, options: Listing): Promise<readonly Mark[]> {
  const found: Mark[] = []
  for (let after = options.after; ; ) {
    const limit = options.limit - found.length
    const position = after === undefined ? {} : { after }
    const page = await layer.call('look', (storage) => storage.marks({ prefix: options.prefix, limit, ...position }))
    found.push(...page.filter(([key]) => !key.startsWith(INTERNAL)))
    if (page.length < limit || found.length >= options.limit) return found
    after = page.at(-1)?.[0]
  }
}

export async function hasMarks(layer: Layer): Promise<boolean> {
  return (await marksOf(layer, { prefix: '', limit: 1 })).length > 0
}

export function lacksMarks(core: Core): boolean {
  return wholeKeepers(core).length < markKeepers(core).length
}

/** Brings flagged layers into step. Nothing may write marks meanwhile. @throws StorageError what may pass with time. */
export async function repairMarks(core: Core): Promise<void> {
  const [source, ...others] = wholeKeepers(core)
  const behind = markKeepers(core).filter((layer) => core.dirty.has(layer, MARKS))
  // Those that had them all were taken away: what the first has stands.
  const [first, ...rest] = source === undefined ? behind : [source, ...behind]
  if (first === undefined || (rest.length === 0 && others.length > 0)) return
  const outcomes = await Promise.allSettled(
    rest.map(async (layer) => {
      await copyMarks(first, layer, 'exactly')
      await clearDirty(core, layer, MARKS)
    }),
  )
  for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason
  await clearDirty(core, first, MARKS)
}

/** As `repairMarks`, after the writes that are under way. */
export function repairMarksInTurn(core: Core): Promise<void> {
  return core.documents.take([MARKS], () => repairMarks(core))
}

/** After a crash, any that should have them all may lack some: what one of them has they all get. */
export async function joinMarks(core: Core): Promise<void> {
  const [first, ...others] = wholeKeepers(core)
  if (first === undefined) return
  for (const layer of others) await copyMarks(layer, first, 'lacking')
  for (const layer of others) await copyMarks(first, layer, 'exactly')
}

/** `exactly`: the target has the same in the end. `lacking`: it keeps its own. `over`: it keeps its own unless the source has another. */
export async function copyMarks(source: Layer, target: Layer, how: 'exactly' | 'lacking' | 'over'): Promise<void> {
  for (let after: string | undefined; ; ) {
    const page = await marksOf(source, listing(after))
    const until = page.length < PAGE ? undefined : (page.at(-1)?.[0] as string)
    const marks = difference(page, await marksUntil(target, after, until), how)
    if (marks.size > 0) await target.call('append', (storage) => storage.append([], { marks }), true)
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
