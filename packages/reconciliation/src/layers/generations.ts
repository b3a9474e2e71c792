/**
 * Generations of the layers, each noted in all others: that is how a layer that was wiped or replaced is told from one that is new.
 *
 * The notes are marks. Not here: giving it documents (`taking-in.ts`) and marks (`marks.ts`).
 */
import { type Generation, isHonoured } from '@tidemark/storage'
import { type Core, readers, writers } from './core.ts'
import { INTERNAL } from './dirty.ts'
import type { Layer } from './layer.ts'

const utf8 = new TextEncoder()
const text = new TextDecoder()

/** `first`: there is nothing that it could lack. `unnoted`: it keeps no marks, so nobody knows. */
export type Standing = 'known' | 'recreated' | 'new' | 'first' | 'unnoted'

/**
 * What others noted of a layer: this one, another (it was made anew, or restored), or nothing, and then it is new to them. Notes that could
 * not be read are taken for notes of this one.
 */
export async function standingOf(core: Core, layer: Layer): Promise<Standing> {
  const { opened } = layer
  if (opened === undefined || !layer.keepsMarks) return 'unnoted'
  const notes = await Promise.allSettled(keepers(core, layer).map((other) => readNote(other, layer)))
  const noted = notes.flatMap((note) => (note.status === 'fulfilled' && note.value !== undefined ? [note.value] : []))
  const history = opened.history ?? [opened.generation]
  if (noted.some((generation) => !isHonoured(generation, history, opened.generation.sequence))) return 'recreated'
  if (noted.length > 0 || notes.some(({ status }) => status === 'rejected')) return 'known'
  return (await othersHold(core, layer)) ? 'new' : 'first'
}

/** Whether there is, or may be, anything in other layers. */
async function othersHold(core: Core, layer: Layer): Promise<boolean> {
  const listing = readers(core).filter((other) => other !== layer && other.opened?.capabilities.list)
  const lists = await Promise.allSettled(
    listing.map((other) => other.call('look', (storage) => storage.list({ limit: 1 }))),
  )
  return lists.some((list) => list.status === 'rejected' || list.value.length > 0)
}

/** Notes in all others which layer this is now. */
export async function noteGeneration(core: Core, layer: Layer): Promise<void> {
  if (layer.opened === undefined || !layer.keepsMarks) return
  const marks = new Map([[keyOf(layer), utf8.encode(JSON.stringify(layer.opened.generation))]])
  const others = keepers(core, layer)
  await Promise.allSettled(others.map((other) => other.call('append', (storage) => storage.append([], { marks }))))
}

/** It was taken out: if it comes back it is new. */
export async function forgetGeneration(core: Core, layer: Layer): Promise<void> {
  const marks = new Map([[keyOf(layer), undefined]])
  const others = keepers(core, layer)
  await Promise.allSettled(others.map((other) => other.call('append', (storage) => storage.append([], { marks }))))
}

function keepers(core: Core, about: Layer): readonly Layer[] {
  return writers(core).filter((other) => other !== about && other.keepsMarks && other.available)
}

async function readNote(from: Layer, about: Layer): Promise<Generation | undefined> {
  const prefix = keyOf(about)
  const [found] = await from.call('look', (storage) => storage.marks({ prefix, limit: 1 }))
  if (found?.[0] !== prefix) return undefined
  return JSON.parse(text.decode(found[1])) as Generation
}

function keyOf({ name }: Layer): string {
  return `${INTERNAL}generation ${name.length} ${name}`
}
