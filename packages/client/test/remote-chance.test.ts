/**
 * After random writes and reads, a server as a storage has answered as a store in memory answers to the same, and holds the same.
 */
import { EMPTY } from '@tidemark/known-state'
import { type Run, tidemarkBinary } from '@tidemark/protocol'
import { type Append, memoryStorage, type Storage } from '@tidemark/storage'
import { afterEach, expect, test } from 'vitest'
import { type Far, far, least, note, refusals, run } from './far.ts'

const leftovers: (() => unknown)[] = []
afterEach(async () => {
  for (const end of leftovers.splice(0).reverse()) await end()
})

/** Chances of a seed: 0 to `below - 1`. */
function chances(seed: number): (below: number) => number {
  let state = seed >>> 0
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below
  }
}

const HISTORIES = process.env.TIDEMARK_LARGE ? 100 : 4
const SEED = Number(process.env.TIDEMARK_SEED ?? 1)

const ids = ['one', 'two']
const names = ['a', 'b', 'c', 'd']
/** Where a run begins, from what is held on. */
const AFTER = [0, 0, 0, -1, -3, 1]

/** One that continues what is held, overlaps it, leaves a gap, or brings another history. */
async function contentFor(model: Storage, chance: (below: number) => number, bytes: number): Promise<Append> {
  const id = ids[chance(ids.length)] as string
  const known = (await model.knownStates([id]))[0]?.known ?? EMPTY
  const runs: Run[] = []
  for (const session of names) {
    if (chance(3) === 0) continue
    const have = known.sessions.get(session) ?? 0
    const after = Math.max(0, have + (AFTER[chance(AFTER.length)] ?? 0))
    const history = chance(6) === 0 ? 1 : 0
    const transactions = Array.from({ length: 1 + chance(9) }, (_, at) => payload(after + at, history, bytes))
    runs.push(run(session, transactions, after))
  }
  const header = chance(3) === 0 ? 10 + (chance(8) === 0 ? 1 : 0) : undefined
  return { ...note(header, ...runs), id }
}

const payload = (at: number, history: number, bytes: number) => new Uint8Array(bytes).fill(at * 2 + history)

async function contentOf(storage: Storage, id: string): Promise<Record<string, number[]> | undefined> {
  const found: Record<string, number[]> = {}
  for (let after = EMPTY; ; ) {
    const page = await storage.read(id, after, { bytesMax: 65_536 })
    if (page === undefined) return undefined
    for (const { session, transactions } of page.runs) {
      found[session] ??= []
      found[session].push(...transactions.map(([first]) => first as number))
    }
    after = page.end
    if (!page.more) return found
  }
}

async function play(f: Far, seed: number, bytes: number): Promise<void> {
  const chance = chances(seed)
  const model = memoryStorage()
  model.open()
  for (let step = 0; step < 40; step++) {
    const batch = [await contentFor(model, chance, bytes)]
    while (chance(3) === 0) batch.push(await contentFor(model, chance, bytes))
    const reading = chance(4) === 0 ? contentOf(f.remote, batch[0]?.id as string) : undefined
    const [there, here] = [await f.remote.append(batch), await model.append(batch)]
    await reading
    const said = `seed ${seed}, step ${step}`
    expect(there.map(refusals), said).toEqual(here.map(refusals))
    const states = async (storage: Storage) =>
      (await storage.knownStates(ids)).map((state) => [state?.known, state?.digests])
    if (chance(2) === 0) expect(await states(f.remote), said).toEqual(await states(model))
    if (chance(5) === 0)
      for (const id of ids) expect(await contentOf(f.remote, id), said).toEqual(await contentOf(model, id))
  }
}

for (const [title, limits, bytes] of [
  ['in one message', {}, 10],
  ['in parts', least, 6_000],
] as const)
  test(`whatever is written, ${title}, is answered as by a store that is here`, async () => {
    for (let seed = SEED; seed < SEED + HISTORIES; seed++) {
      const f = await far(tidemarkBinary, limits)
      leftovers.push(() => f.close())
      await play(f, seed, bytes)
    }
  })
