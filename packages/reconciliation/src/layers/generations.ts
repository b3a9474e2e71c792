/**
 * Generations of the layers, each noted in all others: that is how a layer that was wiped or replaced is told from one that is new.
 *
 * The notes are marks. Not here: refilling (a sweep of that layer does it).
 */
import { type Generation, isHonoured } from '@tidemark/storage'
import { type Core, writers } from './core.ts'
import { INTERNAL } from './dirty.ts'
import type { Layer } from './layer.ts'

const utf8 = new TextEncoder()
const text = new TextDecoder()

/** Compares what the others noted of a layer with what it is now, and notes that. Answers whether it was made anew. */
export async function noteGeneration(core: Core, layer: Layer): Promise<boolean> {
  const { opened } = layer
  if (opened === undefined || !layer.keepsMarks) return false
  const others = writers(core).filter((other) => other !== layer && other.keepsMarks && other.available)
  const notes = await Promise.allSettled(others.map((other) => readNote(other, layer)))
  const marks = new Map([[keyOf(layer), utf8.encode(JSON.stringify(opened.generation))]])
  await Promise.allSettled(others.map((other) => other.call('append', (storage) => storage.append([], { marks }))))
  const noted = notes.flatMap((note) => (note.status === 'fulfilled' && note.value !== undefined ? [note.value] : []))
  const history = opened.history ?? [opened.generation]
  const recreated = noted.some((generation) => !isHonoured(generation, history, opened.generation.sequence))
  if (recreated) core.events.emit({ kind: 'layer', layer: layer.name, condition: 'recreated' })
  return recreated
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
