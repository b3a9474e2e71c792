/**
 * Killed at any moment: what was acknowledged is there, nothing is there by half (law L3, scenario 29).
 *
 * SIGKILL leaves what the system has not yet written to the disk, a power cut does not: that is cut.test.ts and the kit's faults.
 * `TIDEMARK_KILLS` kills as often with each driver, `TIDEMARK_SEED` repeats a run.
 */
import { setTimeout as wait } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { betterSqlite3, type SqliteDriver, type SqliteStorage, sqliteStorage } from '../src/index.ts'
import { nodeSqlite } from '../src/node-sqlite.ts'
import { type Child, start } from './children.ts'
import { bytesOf, folder, readAll } from './support.ts'

const KILLS = Number(process.env.TIDEMARK_KILLS ?? 10)
/** A store grows with every round: after so many kills another one is begun. */
const KILLS_PER_STORE = 20
const seed = Number(process.env.TIDEMARK_SEED ?? 20_261_121)

interface Said {
  readonly opened?: { readonly id: string; readonly sequence: number }
  readonly batch: number
  readonly acknowledged: readonly (readonly [id: string, sessions: readonly (readonly [string, number])[]])[]
  readonly sequence: number
}

/** What must be there: counts by document, the last batch, the sequence it ended at. */
interface Promised {
  readonly counts: Map<string, number>
  batch: number
  sequence: number
  /** Transactions that were acknowledged, and those that are there. */
  acknowledged: number
  readonly generations: string[]
}

let state = seed
function random(below: number): number {
  state = (Math.imul(state, 1103515245) + 12345) >>> 0
  return Math.floor((state / 2 ** 32) * below)
}

test.for([
  ['better-sqlite3', betterSqlite3, 'better'],
  ['node:sqlite', nodeSqlite, 'node'],
] as const)(
  `a process that is killed loses nothing that it acknowledged (%s, seed ${seed})`,
  { timeout: 20_000 + KILLS * 10_000 },
  async ([, driver, name]) => {
    let [batches, acknowledged, there] = [0, 0, 0]
    for (let kills = 0; kills < KILLS; kills += KILLS_PER_STORE) {
      const promised = await killAgainAndAgain(driver, name, Math.min(KILLS_PER_STORE, KILLS - kills), kills)
      batches += promised.batch + 1
      acknowledged += promised.acknowledged
      for (const count of promised.counts.values()) there += 2 * count
    }
    expect(batches).toBeGreaterThan(KILLS)
    // More only of batches whose acknowledgement was cut off.
    expect(there).toBeGreaterThanOrEqual(acknowledged)
    console.log(
      `${name}: ${KILLS} kills, ${batches} batches, ${acknowledged} transactions acknowledged, ` +
        `${there} there, 0 lost; again: TIDEMARK_KILLS=${KILLS} TIDEMARK_SEED=${seed}`,
    )
  },
)

/** Kills the processes of one store. */
async function killAgainAndAgain(driver: SqliteDriver, name: string, kills: number, from: number): Promise<Promised> {
  const home = folder()
  const promised: Promised = { counts: new Map(), batch: -1, sequence: 0, acknowledged: 0, generations: [] }
  for (let kill = 0; kill < kills; kill++) {
    note(promised, await killed([home.file(), name, String(seed + from + kill), String(promised.batch + 1)]))
    const storage = sqliteStorage({ path: home.file(), driver })
    try {
      check(storage, promised)
    } finally {
      await storage.close()
    }
  }
  home.remove()
  return promised
}

/** A process that was killed while it wrote. */
async function killed(values: readonly string[]): Promise<Child> {
  const child = start('appender.ts', values)
  try {
    await child.first
    await wait(random(120))
  } finally {
    await child.kill()
  }
  return child
}

/** Takes over what the child said. A line that was cut by the kill was not said. */
function note(promised: Promised, child: Child): void {
  for (const line of child.lines) {
    if (!line.endsWith('}')) continue
    const said = JSON.parse(line) as Said
    if (said.opened !== undefined) promised.generations.push(said.opened.id)
    else {
      promised.batch = said.batch
      promised.sequence = said.sequence
      for (const [id, sessions] of said.acknowledged) {
        const count = sessions[0]?.[1] as number
        promised.acknowledged += 2 * (count - (promised.counts.get(id) ?? 0))
        promised.counts.set(id, count)
      }
    }
  }
}

function check(storage: SqliteStorage, promised: Promised): void {
  const opened = storage.open()
  promised.generations.push(opened.generation.id)
  expect(opened.history?.map(({ id }) => id)).toEqual(promised.generations)
  expect(opened.generation.sequence).toBeGreaterThanOrEqual(promised.sequence)
  const sequences = opened.history?.map(({ sequence }) => sequence) ?? []
  expect(sequences).toEqual([...sequences].sort((a, b) => a - b))
  const marks = new Map(storage.marks({ prefix: '', limit: 1000 }))
  const last = Number(new TextDecoder().decode(marks.get('batch') ?? bytesOf('-1')))
  // One batch may have been committed whose acknowledgement was not said any more.
  expect(last - promised.batch === 0 || last - promised.batch === 1).toBe(true)
  for (const id of new Set([...promised.counts.keys(), ...storage.list({ limit: 1000 })])) {
    const count = checkDocument(storage, id)
    const before = promised.counts.get(id) ?? 0
    const isOfLast = new TextDecoder().decode(marks.get(`last ${id}`)) === String(last) && last > promised.batch
    // Marks and content together: more than was promised only in what the last batch names, and there it is.
    if (isOfLast) expect(count).toBeGreaterThan(before)
    else expect([id, count]).toEqual([id, before])
    promised.counts.set(id, count)
  }
  promised.batch = last
}

/** Both sessions equally long, all of it readable, every run sealed at its end; answers the count. */
function checkDocument(storage: SqliteStorage, id: string): number {
  const state = storage.knownStates([id])[0]
  const count = state?.known.sessions.get('a') ?? 0
  expect(state?.known.sessions).toEqual(
    new Map([
      ['a', count],
      ['b', count],
    ]),
  )
  const found = new Map([
    ['a', 0],
    ['b', 0],
  ])
  for (const { session, after, transactions, seal } of readAll(storage, id, 20_000)) {
    expect(after).toBe(found.get(session))
    found.set(session, after + transactions.length)
    expect(seal).toEqual(bytesOf(`${session} until ${after + transactions.length}`))
    for (const [index, transaction] of transactions.entries())
      expect(new TextDecoder().decode(transaction).trimEnd()).toBe(`{"${session}":${after + index}}`)
  }
  expect(found).toEqual(state?.known.sessions)
  return count
}
