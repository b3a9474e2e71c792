/**
 * Scenario 40 as a property: whatever happened, in whatever order layers answered, all of them end with the join.
 *
 * Each history has two to four layers that hold random parts of a document, takes a random turn through writes, loads, failures and
 * absences, and then lets things settle. `TIDEMARK_SEED` and `TIDEMARK_HISTORIES` choose which and how many; `TIDEMARK_LARGE` plays 20,000.
 * Not here: processes that are killed (`faults.test.ts`).
 */
import type { Append } from '@tidemark/storage'
import type { FaultyStorage } from '@tidemark/storage/conformance'
import { expect, test } from 'vitest'
import { type LayersEvent, type LayersOptions, layers, type WritePolicy } from '../../src/layers.ts'
import { chance, content, type Disk, disk, dump, held, manualClock, of, store } from './world.ts'

type Store = FaultyStorage & { readonly disk: Disk }

const HISTORIES = Number(process.env.TIDEMARK_HISTORIES ?? (process.env.TIDEMARK_LARGE ? 20_000 : 1_000))
const FIRST_SEED = Number(process.env.TIDEMARK_SEED ?? 1)
const SESSIONS = ['a', 'b', 'c']

test(`40: in ${HISTORIES} random histories all layers end with the join of what they held and what was acknowledged`, async () => {
  for (let seed = FIRST_SEED; seed < FIRST_SEED + HISTORIES; seed++)
    await history(seed).catch((cause) => {
      throw new Error(`seed ${seed} (TIDEMARK_SEED=${seed} TIDEMARK_HISTORIES=1): ${(cause as Error).message}`, {
        cause,
      })
    })
}, 600_000)

async function history(seed: number): Promise<void> {
  const random = chance(seed)
  const below = (count: number) => Math.floor(random() * count)
  const clock = manualClock(random)
  const kind = below(2) === 0 ? 'bytes' : 'json'
  const sealed = below(2) === 0
  const most = new Map<string, number>()
  const part = (session: string) => {
    const count = below(6)
    most.set(session, Math.max(most.get(session) ?? 0, count))
    return `${session}:0-${count}`
  }
  const stores = Array.from({ length: 2 + below(3) }, () => {
    const on = disk()
    if (below(4) > 0) on.data.append([content('note', SESSIONS.map(part).join(' '), { kind, seal: sealed })])
    return store(on)
  })
  const all = layers(
    stores.map((storage, index) => ({ storage, name: `layer ${index}`, remote: index > 1 && below(3) === 0 })),
    {
      clock,
      policy: policyOf(below(3)),
      limits: { pageBytes: 1 + below(60), repairPageBytes: 1 + below(60) },
    } satisfies LayersOptions,
  )
  const events: LayersEvent[] = []
  all.listen((event) => events.push(event))
  await all.open()
  const calls: PromiseLike<unknown>[] = []
  const sure = new Map<string, number>()
  let erased = false
  for (let step = below(8); step > 0; step--) calls.push(...(await act(below(13))))
  for (const one of stores) one.plan = undefined
  await clock.advance(100_000)
  await Promise.all(calls)
  await settle()
  const closing = all.close()
  await clock.advance(60_000)
  await closing
  expect(clock.waiting).toBe(0)

  async function act(choice: number): Promise<readonly PromiseLike<unknown>[]> {
    const what = choice >> 1
    const one = stores[below(stores.length)] as Store
    if (what === 0) one.plan = () => (below(2) === 0 ? { after: clock.wait(below(3_000)) } : undefined)
    if (what === 1) one.plan = () => (below(2) === 0 ? { fails: 'IO', performed: below(2) === 0 } : undefined)
    if (what === 2) one.plan = undefined
    if (what === 3)
      return [all.load('note', { until: below(2) === 0 ? 'usable' : 'settled', onPage: () => {} }).catch(() => {})]
    if (what === 4) await clock.advance(below(4_000))
    if (what === 5) return [write().catch(() => {})]
    return what === 6 ? [erase().catch(() => {})] : []
  }

  function alike(): boolean {
    return new Set(stores.map(({ disk: on }) => dump(on.data))).size === 1
  }

  /** The one writer of a session goes on after what it wrote. */
  async function write(): Promise<void> {
    const session = SESSIONS[below(3)] as string
    const after = most.get(session) ?? 0
    const until = after + 1 + below(2)
    most.set(session, until)
    const [result] = await all.append([
      content('note', `${session}:0-${until}`, { kind, seal: sealed }) satisfies Append,
    ])
    if (result === undefined || 'failed' in result || result.refused.size > 0 || result.headerRefused) return
    sure.set(session, Math.max(sure.get(session) ?? 0, until))
  }

  async function erase(): Promise<void> {
    // Whatever becomes of the call, some layer may have done it.
    erased = true
    await all.erase('note', [1 + below(3), 'me'], { keep: ['a'] })
  }

  async function settle(): Promise<void> {
    for (let round = 0; round < 3 && (round === 0 || !alike()); round++) {
      const loads = Promise.allSettled([all.load('note', { until: 'settled' }), all.sweep()])
      await clock.advance(700_000)
      await loads
    }
    const dumps = stores.map(({ disk: on }) => dump(on.data))
    const erasures = stores.map(({ disk: on }) => on.data.knownStates(['note'])[0]?.erased)
    for (const one of erasures) expect(one).toEqual(erasures[0])
    // An erased document stores nothing: more tombstones, of a layer that was silent meanwhile, stay where they are.
    if (erased && erasures[0] !== undefined) return
    for (const one of dumps) expect(one).toBe(dumps[0])
    const counts = new Map(
      held(stores[0] as Store)
        .split(' ')
        .map((text) => text.split(':') as [string, string]),
    )
    for (const [session, until] of sure) expect(Number(counts.get(session) ?? 0)).toBeGreaterThanOrEqual(until)
    expect(of(events, 'fork')).toEqual([])
    const before = stores.map(({ calls: made }) => [made.read, made.append])
    const again = all.load('note', { until: 'settled' })
    await clock.advance(60_000)
    await again
    expect(stores.map(({ calls: made }) => [made.read, made.append])).toEqual(before)
  }
}

function policyOf(choice: number): WritePolicy {
  return choice === 0 ? 'all-required' : choice === 1 ? 'any-durable' : { quorum: 2 }
}
