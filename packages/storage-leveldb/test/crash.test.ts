/**
 * Killed at any moment: what was acknowledged is there, nothing is there by half (law L3, scenario 29), and digests are of what is read.
 *
 * SIGKILL keeps what the system has in its cache, so this is about processes, not about power: for that see log-cut.test.ts.
 * `TIDEMARK_KILLS` kills as often, `TIDEMARK_SEED` repeats a run.
 */
import { setTimeout as wait } from 'node:timers/promises'
import { EMPTY_DIGEST, extendDigest } from '@tidemark/storage/adapter'
import { expect, test } from 'vitest'
import { leveldbStorage } from '../src/index.ts'
import { start } from './children.ts'
import { bytesOf, home, readAll } from './support.ts'

type Store = ReturnType<typeof leveldbStorage>

const KILLS = Number(process.env.TIDEMARK_KILLS ?? 20)
/** A store grows with every round: after so many kills another one is begun. */
const KILLS_PER_STORE = 20
const WRITERS = 4
const seed = Number(process.env.TIDEMARK_SEED ?? 20_261_121)

interface Said {
  readonly opened?: { readonly id: string; readonly sequence: number }
  readonly writer: number
  readonly batch: number
  readonly acknowledged: readonly (readonly [id: string, sessions: readonly (readonly [string, number])[]])[]
}

/** What must be there: counts by document, the last batch of each writer, generations and sequence. */
interface Promised {
  readonly counts: Map<string, number>
  readonly batches: number[]
  sequence: number
  generations: string[]
  /** Batches and transactions that were acknowledged. */
  acknowledged: { batches: number; transactions: number }
}

let state = seed
function random(below: number): number {
  state = (Math.imul(state, 1103515245) + 12345) >>> 0
  return Math.floor((state / 2 ** 32) * below)
}

test(`a process that is killed loses nothing that it acknowledged (${KILLS} kills, seed ${seed})`, {
  timeout: 10_000 + KILLS * 10_000,
}, async () => {
  let [batches, acknowledged, there] = [0, 0, 0]
  for (let kills = 0; kills < KILLS; kills += KILLS_PER_STORE) {
    const promised = await killAgainAndAgain(Math.min(KILLS_PER_STORE, KILLS - kills), kills)
    batches += promised.acknowledged.batches
    acknowledged += promised.acknowledged.transactions
    for (const count of promised.counts.values()) there += 2 * count
  }
  // More only of batches whose acknowledgement was cut off.
  expect(there).toBeGreaterThanOrEqual(acknowledged)
  expect(batches).toBeGreaterThan(KILLS)
  console.log(
    `leveldb: ${KILLS} kills, ${batches} batches, ${acknowledged} transactions acknowledged, ` +
      `${there} there, 0 lost; again: TIDEMARK_KILLS=${KILLS} TIDEMARK_SEED=${seed}`,
  )
})

/** Kills the processes of one store. */
async function killAgainAndAgain(kills: number, from: number): Promise<Promised> {
  const place = home()
  const promised: Promised = {
    counts: new Map(),
    batches: new Array(WRITERS).fill(-1),
    sequence: 0,
    generations: [],
    acknowledged: { batches: 0, transactions: 0 },
  }
  for (let kill = 0; kill < kills; kill++) {
    const first = String(1 + Math.max(...promised.batches))
    note(promised, await killed(place.folder(), [String(seed + from + kill), first]))
    const storage = leveldbStorage({ path: place.folder() })
    try {
      await check(storage, promised)
    } finally {
      await storage.close()
    }
  }
  place.remove()
  return promised
}

/** What a process said before it was killed: mostly while it wrote, sometimes while it opened. */
async function killed(path: string, values: readonly string[]): Promise<readonly string[]> {
  const child = start('appender.ts', [path, ...values])
  try {
    if (random(5) > 0) await child.first
    await wait(random(150))
  } finally {
    await child.kill()
  }
  return child.lines
}

/** Takes over what was said. A line that was cut by the kill was not said. */
function note(promised: Promised, lines: readonly string[]): void {
  for (const line of lines) {
    if (!line.endsWith('}')) continue
    const said = JSON.parse(line) as Said
    if (said.opened !== undefined) {
      promised.generations.push(said.opened.id)
      continue
    }
    promised.acknowledged.batches++
    promised.batches[said.writer] = said.batch
    for (const [id, sessions] of said.acknowledged) {
      const count = sessions[0]?.[1] as number
      promised.acknowledged.transactions += 2 * (count - (promised.counts.get(id) ?? 0))
      promised.counts.set(id, count)
    }
  }
}

async function check(storage: Store, promised: Promised): Promise<void> {
  const opened = await storage.open()
  const generations = opened.history?.map(({ id }) => id) ?? []
  // A process may have been killed before it could say that it had opened.
  expect(generations.filter((id) => promised.generations.includes(id))).toEqual(promised.generations)
  promised.generations = generations
  const sequences = opened.history?.map(({ sequence }) => sequence) ?? []
  expect(sequences).toEqual([...sequences].sort((a, b) => a - b))
  const changes = await storage.changes({ since: 0, limit: 10_000 })
  const sequence = changes.at(-1)?.sequence ?? 0
  expect(opened.generation.sequence).toBe(sequence)
  expect(sequence).toBeGreaterThanOrEqual(promised.sequence)
  promised.sequence = sequence
  const ids = await storage.list({ limit: 10_000 })
  expect(changes.map(({ id }) => id).sort()).toEqual([...ids].sort())
  for (let writer = 0; writer < WRITERS; writer++) await checkWriter(storage, promised, writer, ids)
}

async function checkWriter(storage: Store, promised: Promised, writer: number, ids: readonly string[]) {
  const marks = new Map(await storage.marks({ prefix: '', limit: 1000 }))
  const markOf = (key: string) => Number(new TextDecoder().decode(marks.get(key) ?? bytesOf('-1')))
  const said = promised.batches[writer] as number
  const last = markOf(`batch ${writer}`)
  // One batch may have been written whose acknowledgement was not said any more; the next was not begun then.
  expect(last).toBeGreaterThanOrEqual(said)
  promised.batches[writer] = last
  for (const id of ids.filter((id) => id.startsWith(`document ${writer}/`))) {
    const count = await checkDocument(storage, id)
    const before = promised.counts.get(id) ?? 0
    // Marks and content together: more than was promised only in what the last batch names, and there it is.
    if (last > said && markOf(`last ${id}`) === last) expect(count).toBeGreaterThan(before)
    else expect([id, count]).toEqual([id, before])
    promised.counts.set(id, count)
  }
}

/** Both sessions equally long, all of it readable, every run sealed at its end; answers the count. */
async function checkDocument(storage: Store, id: string): Promise<number> {
  const state = (await storage.knownStates([id]))[0]
  const count = state?.known.sessions.get('a') ?? 0
  expect([...(state?.known.sessions ?? [])].sort()).toEqual([
    ['a', count],
    ['b', count],
  ])
  const found = new Map([
    ['a', 0],
    ['b', 0],
  ])
  const digests = new Map<string, string>()
  for (const { session, after, transactions, seal } of await readAll(storage, id, 20_000)) {
    expect(after).toBe(found.get(session))
    found.set(session, after + transactions.length)
    if (state?.kind === 'bytes') digests.set(session, extendDigest(digests.get(session) ?? EMPTY_DIGEST, transactions))
    expect(seal).toEqual(bytesOf(`${session} until ${after + transactions.length}`))
    for (const [index, transaction] of transactions.entries())
      expect(new TextDecoder().decode(transaction).trimEnd()).toBe(`{"${session}":${after + index}}`)
  }
  expect([...found.values()]).toEqual([count, count])
  expect(state?.digests ?? digests).toEqual(digests)
  return count
}
