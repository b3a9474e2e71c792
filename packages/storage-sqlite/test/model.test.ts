/**
 * Beside the memory store: whatever is asked of both, in any order, is answered alike, page by page and byte by byte.
 *
 * The cases of the kit are small; here sessions outgrow their first row, are folded into segments, and documents outgrow their
 * row. A failing seed is printed in the title: run it again with TIDEMARK_SEED.
 */
import { isDeepStrictEqual } from 'node:util'
import { EMPTY, type KnownState, knownState } from '@tidemark/known-state'
import type { Run } from '@tidemark/protocol'
import { type Append, memoryStorage, type SynchronousStorage } from '@tidemark/storage'
import { expect, test } from 'vitest'
import { betterSqlite3, type SqliteStorage, sqliteStorage } from '../src/index.ts'
import { nodeSqlite } from '../src/node-sqlite.ts'
import { bytesOf, folder } from './support.ts'

const LIMITS = { runBytesMax: 20_000, pageBytes: 8_000 }
const base = Number(process.env.TIDEMARK_SEED ?? 20_261_121)

for (const seed of [base, base + 1]) {
  for (const driver of [betterSqlite3, nodeSqlite]) {
    test(`answers as the memory store does (${driver.name}, seed ${seed})`, { timeout: 60_000 }, async () => {
      const home = folder()
      // So few sessions remembered that names and large states are forgotten all the time, or so many that they are not.
      const options = { ...LIMITS, path: home.file(), driver, sessionsRememberedMax: seed % 2 === 0 ? 70 : 10_000 }
      const world = createWorld(seed)
      const model = memoryStorage(LIMITS)
      model.open()
      let storage = sqliteStorage(options)
      storage.open()
      for (let step = 0; step < 160; step++) {
        await world.append(storage, model)
        if (step > 120 && world.random(5) === 0) world.erase(storage, model)
        world.compare(storage, model)
        if (world.random(25) > 0) continue
        await storage.close()
        storage = sqliteStorage(options)
        storage.open()
      }
      await storage.close()
      home.remove()
    })
  }
}

/** The runner's own comparison walks every byte, and says where they differ. */
function same(actual: unknown, expected: unknown): void {
  if (!isDeepStrictEqual(actual, expected)) expect(actual).toEqual(expected)
}

function createWorld(seed: number) {
  let state = seed >>> 0
  /** An integer below `below`. */
  const random = (below: number): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return Math.floor((state / 2 ** 32) * below)
  }
  const ids = ['few', 'bytes few', 'many', 'bytes many']
  const sessionOf = (id: string) => `${id.includes('many') ? 'm' : 's'}${random(id.includes('many') ? 300 : 4)}`
  const payload = (session: string, index: number, fork: boolean) =>
    bytesOf(`{"${session}":${index}${fork ? ',"fork":1' : ''}}`.padEnd(20 + ((index * 7919) % 400), ' '))

  function runOf(model: SynchronousStorage, id: string, session: string): Run {
    const held = model.knownStates([id])[0]?.known.sessions.get(session) ?? 0
    // Mostly it continues; it may overlap, repeat, leave a gap, or differ.
    const after = random(4) > 0 ? held : Math.max(0, held - 3 + random(5))
    const length = random(12) === 0 ? random(150) : random(6)
    const fork = random(15) === 0
    const transactions = Array.from({ length }, (_, index) => payload(session, after + index, fork))
    return {
      session,
      after,
      transactions,
      ...(random(2) === 0 ? { seal: bytesOf(`seal ${session} ${after + length}`) } : {}),
    }
  }

  function contentOf(model: SynchronousStorage): Append {
    const id = ids[random(ids.length)] as string
    const kind = id.startsWith('bytes') ? 'bytes' : 'json'
    const sessions = new Set(Array.from({ length: 1 + random(random(8) === 0 ? 90 : 3) }, () => sessionOf(id)))
    const runs = [...sessions].map((session) => runOf(model, id, session))
    const verifier = new Map(
      [...sessions].filter(() => random(3) === 0).map((session) => [session, bytesOf(`${random(99)}`)]),
    )
    const header = random(5) > 0 ? {} : { header: bytesOf(random(30) === 0 ? '"other"' : `"header of ${id}"`) }
    return { id, kind, priority: 3, ...header, runs, verifier }
  }

  async function append(storage: SqliteStorage, model: SynchronousStorage): Promise<void> {
    const batch = Array.from({ length: 1 + random(3) }, () => contentOf(model))
    const marks = new Map([[`mark ${random(9)}`, random(3) === 0 ? undefined : bytesOf(`${random(99)}`)]])
    same(await storage.append(batch, { marks }), model.append(batch, { marks }))
  }

  /** Only towards the end: what comes afterwards stores nothing. */
  function erase(storage: SqliteStorage, model: SynchronousStorage): void {
    const id = random(3) === 0 ? (ids[random(2)] as string) : 'unknown'
    const keep = [sessionOf(id)]
    const version = [1 + random(5), 'a'] as const
    same(storage.erase(id, version, { keep }), model.erase(id, version, { keep }))
  }

  function compare(storage: SqliteStorage, model: SynchronousStorage): void {
    const asked = [...ids, 'unknown']
    same(storage.knownStates(asked), model.knownStates(asked))
    same(storage.headers(asked), model.headers(asked))
    same(storage.marks({ prefix: 'mark', limit: 5 }), model.marks({ prefix: 'mark', limit: 5 }))
    expect(storage.changes({ since: 0, limit: 9 }).map(({ id }) => id)).toEqual(
      model.changes({ since: 0, limit: 9 }).map(({ id }) => id),
    )
    const id = ids[random(ids.length)] as string
    const known = model.knownStates([id])[0]?.known ?? EMPTY
    const sessions = [...known.sessions.keys()]
    same(storage.verifierStates(id, sessions), model.verifierStates(id, sessions))
    comparePages(storage, model, id, random(4) === 0 ? EMPTY : partOf(known))
  }

  function partOf(known: KnownState): KnownState {
    const sessions = [...known.sessions].map(
      ([session, count]) => [session, random(3) === 0 ? random(count + 2) : count] as const,
    )
    return knownState(true, sessions)
  }

  function comparePages(storage: SqliteStorage, model: SynchronousStorage, id: string, start: KnownState): void {
    const bytesMax = [0, 500, 5_000, 100_000][random(4)] as number
    for (let after = start, page = 0; page < 10; page++) {
      const expected = model.read(id, after, { bytesMax })
      same(storage.read(id, after, { bytesMax }), expected)
      if (!expected?.more) return
      after = expected.end
    }
  }

  return { random, append, erase, compare }
}
