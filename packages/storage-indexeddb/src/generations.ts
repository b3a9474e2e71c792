/**
 * Every open of a store, recorded: what tells a restored or recreated store from the one that was there before.
 */
import type { Generation } from '@tidemark/storage'
import { wrap } from 'idb'
import type { Identity } from './connection.ts'
import { readNumbers } from './numbers.ts'
import type { Reach } from './transaction.ts'

/** Generations kept: those before cost the holder of an old mark a comparison. */
const GENERATIONS_KEPT = 1000

export interface Recorded {
  readonly identity: Identity
  /** Oldest first, the new one last. */
  readonly history: readonly Generation[]
}

/** Begins a new generation. */
export async function recordGeneration(reach: Reach): Promise<Recorded> {
  const store = reach('generations')
  const { sequence } = await readNumbers(reach)
  const generation: Generation = { id: randomId(), sequence }
  const key = await wrap(store.add(generation))
  store.delete(IDBKeyRange.upperBound((key as number) - GENERATIONS_KEPT))
  const history: Generation[] = await wrap(store.getAll())
  return { identity: { key, id: generation.id }, history }
}

/** The generation that the last writer began; `undefined` if nobody ever wrote. */
export async function readGeneration(reach: Reach): Promise<Recorded | undefined> {
  const store = reach('generations')
  const [keys, history] = await Promise.all([wrap(store.getAllKeys()), wrap(store.getAll()) as Promise<Generation[]>])
  const [key, generation] = [keys.at(-1), history.at(-1)]
  return key === undefined || generation === undefined ? undefined : { identity: { key, id: generation.id }, history }
}

function randomId(): string {
  let id = ''
  for (const byte of crypto.getRandomValues(new Uint8Array(16))) id += byte.toString(16).padStart(2, '0')
  return id
}
