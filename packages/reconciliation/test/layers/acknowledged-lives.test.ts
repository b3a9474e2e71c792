/**
 * Random lives: layers that fail, hang and come back, writes, erasures, others that write to the remote layer, processes that end.
 *
 * L3, the checker: at any time, what may be acknowledged is on as many disks as the write policy wants.
 */
import type { KnownState } from '@tidemark/known-state'
import { expect, test } from 'vitest'
import { layers } from '../../src/layers.ts'
import {
  chance,
  content,
  counts,
  type Disk,
  disk,
  held,
  manualClock,
  outcome,
  passing,
  settled,
  store,
} from './world.ts'

declare const process: { readonly env: Readonly<Record<string, string | undefined>> }

const LIVES = Number(process.env.TIDEMARK_HISTORIES ?? 200)
const FIRST_SEED = Number(process.env.TIDEMARK_SEED ?? 10_000)
const KEPT = 'a'
const POLICIES = ['all-required', { quorum: 2 }, 'any-durable'] as const

/** The choices of one life, and its disks: some near by, and then perhaps one far away. */
function born(seed: number) {
  const random = chance(seed)
  const below = (most: number) => Math.floor(random() * most)
  const near = 2 + below(2)
  const far = below(2)
  const disks = Array.from({ length: near + far }, () => disk())
  const policy = POLICIES[below(3)] as (typeof POLICIES)[number]
  const kind = (['bytes', 'json'] as const)[below(2)] as 'bytes' | 'json'
  /** How much of each session was ever written. */
  const written = new Map<string, number>()
  const grow = (session: string, by: number) => {
    const until = (written.get(session) ?? 0) + by
    written.set(session, until)
    return until
  }
  return { random, below, near, far, disks, policy, kind, written, grow }
}
type Life = ReturnType<typeof born>

async function open({ random, below, near, disks, policy }: Life, process: number) {
  const clock = manualClock(random)
  await clock.advance(process * 10_000_000)
  const stores = disks.map((on) => store(on))
  const given = stores.map((storage, index) => ({ storage, name: `L${index}`, remote: index >= near }))
  const all = layers(given, { clock, policy })
  for (const one of stores)
    if (process > 0 && below(3) === 0) one.plan = ({ method }) => (method !== 'open' ? { fails: 'IO' } : undefined)
  await passing(clock, all.open())
  await settled()
  return { clock, stores, all }
}
type Process = Awaited<ReturnType<typeof open>>

/** Some layer fails, hangs or is well again. */
function bedevil({ below }: Life, { clock, stores }: Process): void {
  const one = stores[below(stores.length)]
  const failing = (['append', 'read', 'knownStates', undefined] as const)[below(4)]
  const ms = below(40_000)
  const plans = [
    undefined,
    ({ method }: { readonly method: string }) =>
      failing === undefined || method === failing
        ? { fails: 'IO' as const, performed: failing === 'append' && below(2) === 0 }
        : undefined,
    () => (below(2) === 0 ? { after: clock.wait(ms) } : undefined),
  ]
  Object.assign(one as object, { plan: plans[below(plans.length)] })
}

/** Somebody else writes to the layer that is far away. */
function writeFar({ below, near, disks, kind, written, grow }: Life): void {
  const data = disks[near]?.data
  const [state] = data?.knownStates(['note']) ?? []
  const session = 'cd'[below(2)] as string
  const after = written.get(session) ?? 0
  if (!state?.known.header || state.erased !== undefined || (state.known.sessions.get(session) ?? 0) !== after) return
  data?.append([content('note', `${session}:${after}-${grow(session, 1)}`, { kind, header: false })])
}

async function step(life: Life, process: Process): Promise<void> {
  const { below, kind, grow } = life
  const { clock, all } = process
  const act = below(9)
  if (act < 4) bedevil(life, process)
  else if (act < 6) {
    const session = 'ab'[below(2)] as string
    const writing = outcome(all.append([content('note', `${session}:0-${grow(session, 1 + below(2))}`, { kind })]))
    if (below(3) > 0) await passing(clock, writing)
  } else if (act === 6) await clock.advance(below(60_000))
  else if (act === 7) writeFar(life)
  else await passing(clock, outcome(all.erase('note', [1, 'me'], { keep: [KEPT] })))
  if (below(2) === 0) await settled()
}

/** How much of a session a disk answers for: of what it was erased of, all. */
function countOn({ data }: Disk, session: string): number {
  const [state] = data.knownStates(['note'])
  if (state?.erased !== undefined && session !== KEPT) return Number.POSITIVE_INFINITY
  return state?.known.sessions.get(session) ?? 0
}

function isStored({ policy, near, disks }: Life, known: KnownState): boolean {
  const needed = policy === 'all-required' ? near : policy === 'any-durable' ? 1 : 2
  const voting = policy === 'all-required' ? disks.slice(0, near) : disks
  return [...known.sessions].every(
    ([session, count]) => voting.filter((on) => countOn(on, session) >= count).length >= needed,
  )
}

/** What was wrong first. */
async function live(seed: number): Promise<string | undefined> {
  const life = born(seed)
  const { below, disks } = life
  for (let index = 0; index < 3; index++) {
    const process = await open(life, index)
    const { clock, all, stores } = process
    for (let steps = 3 + below(8); steps > 0; steps--) {
      await step(life, process)
      const [said] = await passing(
        clock,
        Promise.resolve(all.knownStates(['note'])).catch(() => []),
      )
      const known = said?.durable ?? said?.known
      if (known !== undefined && !isStored(life, known)) return `${counts(known)} is acknowledged: ${heldBy(life)}`
    }
    if (below(2) === 0) {
      for (const one of stores) one.plan = undefined
      await passing(clock, outcome(all.close()))
    }
    for (const on of disks) on.kill()
  }
  return comesToRest(life)
}

/** When nothing fails any more all of it is acknowledged; what layers kept different counts of before all were erased stays apart. */
async function comesToRest(life: Life): Promise<string | undefined> {
  const { clock, stores, all } = await open(life, 3)
  for (const one of stores) one.plan = undefined
  await clock.advance(100_000_000)
  const [said] = await passing(clock, Promise.resolve(all.knownStates(['note'])))
  await all.close()
  const isApart = life.disks.every(({ data }) => data.knownStates(['note'])[0]?.erased !== undefined)
  if (said?.durable === undefined || isApart) return undefined
  return `${counts(said.known)} is known, and only ${counts(said.durable)} is acknowledged: ${heldBy(life)}`
}

const heldBy = ({ disks }: Life) => disks.map((on) => held({ disk: on })).join(' | ')

test('in random lives with erasures what may be acknowledged is on as many disks as the write policy wants, and all of it is in the end', async () => {
  const wrong: string[] = []
  for (let seed = FIRST_SEED; seed < FIRST_SEED + LIVES; seed++) {
    const why = await live(seed)
    if (why !== undefined) wrong.push(`seed ${seed}: ${why}`)
  }
  expect(wrong).toEqual([])
}, 60_000)
