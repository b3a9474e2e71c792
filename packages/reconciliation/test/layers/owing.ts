/**
 * Marks as tests of layers write and read them: an outbox of names, each with a number.
 *
 * Not here: the disks and the clock (`world.ts`).
 */
import { type Layers, type LayersOptions, layers } from '../../src/layers.ts'
import { type Disk, type ManualClock, passing, type Store, settled, store } from './world.ts'

export interface Options extends LayersOptions {
  readonly clock: ManualClock
  /** The last one is not required. */
  readonly hasSpare?: boolean
  readonly before?: (stores: readonly Store[]) => void
}

export async function over(disks: readonly Disk[], { hasSpare = false, before, ...options }: Options) {
  const stores = disks.map((on) => store(on))
  before?.(stores)
  const given = stores.map((storage, index) => {
    const write = hasSpare && index === stores.length - 1 ? 'best-effort' : 'required'
    return { storage, name: 'ABC'[index] as string, write } as const
  })
  const all = layers(given, options)
  await passing(options.clock, all.open())
  await settled()
  const [a, b, c] = stores as [Store, Store, Store]
  return { all, a, b, c }
}

export const owed = async (all: Layers) => {
  const found = await all.marks({ prefix: 'outbox', limit: 99 })
  return found.map(([key, [value]]) => `${key.slice(7)} ${value}`)
}
export const owedBy = (on: Disk) =>
  on.data.marks({ prefix: 'outbox', limit: 99 }).map(([key, [value]]) => `${key.slice(7)} ${value}`)

/** `{ x: 1, y: undefined }`: x is set, y removed. */
export const marks = (values: Readonly<Record<string, number | undefined>>) => ({
  marks: new Map(
    Object.entries(values).map(([key, value]) => [
      `outbox ${key}`,
      value === undefined ? undefined : new Uint8Array([value]),
    ]),
  ),
})

export const failsTo = (one: Store, method: string) => {
  one.plan = (call) => (call.method === method ? { fails: 'IO' } : undefined)
}
