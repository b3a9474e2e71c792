/**
 * Marks over random lives of processes: layers that fail, hang, do not open, and commits that arrive late.
 *
 * What was acknowledged is there in the end, in every layer alike; no write waits for ever; where the policy leaves no layer behind that could
 * have been alone, no older value comes back.
 */
import { expect, test } from 'vitest'
import type { WritePolicy } from '../../src/layers.ts'
import { marks, over, owed, owedBy } from './owing.ts'
import { chance, type Disk, disk, type ManualClock, manualClock, outcome, type Store, settled } from './world.ts'

declare const process: { readonly env: Readonly<Record<string, string | undefined>> }

const FIRST_SEED = Number(process.env.TIDEMARK_SEED ?? 1)
const LIVES = Number(process.env.TIDEMARK_HISTORIES ?? 60)
const WRITE_MS_MAX = 100_000

interface World {
  readonly clock: ManualClock
  readonly disks: readonly Disk[]
  readonly policy: WritePolicy
  readonly below: (count: number) => number
  readonly acknowledged: Map<string, number>
  value: number
}

for (const policy of ['any-durable', { quorum: 2 }, 'all-required'] as const)
  test(`in random lives no acknowledged mark is lost, and all layers end alike (${JSON.stringify(policy)})`, async () => {
    for (let seed = FIRST_SEED; seed < FIRST_SEED + LIVES; seed++) {
      const random = chance(seed)
      const clock = manualClock(random)
      const disks = [disk(), disk(), disk()]
      const below = (count: number) => Math.floor(random() * count)
      const world: World = { clock, disks, policy, below, acknowledged: new Map(), value: 0 }
      for (let lives = 1 + below(4); lives > 0; lives--) await live(world, seed)
      await check(world, seed)
    }
  }, 60_000)

/** One process, until it is killed. */
async function live(world: World, seed: number): Promise<void> {
  const { clock, disks, policy, below } = world
  const shut = below(6)
  const before = (stores: readonly Store[]) => {
    const one = stores[shut]
    if (one !== undefined) one.plan = ({ method }) => (method === 'open' ? { fails: 'IO' } : undefined)
  }
  const opened = await over(disks, { clock, policy, before }).catch(() => undefined)
  const hanging: (() => void)[] = []
  if (opened !== undefined) {
    const stores = [opened.a, opened.b, opened.c]
    for (let steps = 3 + below(12); steps > 0; steps--) {
      disturb(world, stores, hanging)
      if (below(2) === 0) await clock.advance([10, 1_000, 15_000, 400_000][below(4)] as number)
      if (below(2) === 0) await write(world, opened.all, seed)
    }
    if (below(2) === 0) {
      for (const one of stores) one.plan = undefined
      for (const release of hanging) release()
      await clock.advance(3_600_000)
    }
  }
  for (const on of disks) on.kill()
  await clock.advance(10_000)
}

function disturb({ below }: World, stores: readonly Store[], hanging: (() => void)[]): void {
  const one = stores[below(3)] as Store
  const performed = below(2) === 0
  const hangs = () => new Promise<void>((resolve) => hanging.push(resolve))
  const kinds = [
    () => {
      one.plan = ({ method }) => (method === 'append' ? { fails: 'IO', performed } : undefined)
    },
    () => {
      one.plan = ({ method }) =>
        method === 'append' ? { after: hangs(), ...(performed && { fails: 'IO' }) } : undefined
    },
    () => {
      one.plan = ({ method }) => (method === 'marks' ? { fails: 'IO' } : undefined)
    },
    () => {
      for (const each of stores) each.plan = undefined
    },
    () => {
      for (const release of hanging.splice(0, 2)) release()
    },
  ]
  kinds[below(8)]?.()
}

async function write(world: World, all: Awaited<ReturnType<typeof over>>['all'], seed: number): Promise<void> {
  const { clock, below, acknowledged } = world
  const key = `k${below(4)}`
  world.value += 1
  const { value } = world
  let result = 'hangs'
  void outcome(all.append([], marks({ [key]: value }))).then((one) => {
    result = one
  })
  await settled()
  for (let passedMs = 0; result === 'hangs' && passedMs < WRITE_MS_MAX; passedMs += 500) await clock.advance(500)
  expect([seed, result]).not.toEqual([seed, 'hangs'])
  if (result === 'done') acknowledged.set(key, value)
}

async function check({ clock, disks, policy, acknowledged }: World, seed: number): Promise<void> {
  const { all } = await over(disks, { clock, policy })
  await clock.advance(7_200_000)
  const found = await owed(all)
  expect([seed, ...disks.map(owedBy)]).toEqual([seed, found, found, found])
  expect([seed, ...all.health().map((one) => one.marks)]).toEqual([seed, 'all', 'all', 'all'])
  const held = new Map(found.map((one) => one.split(' ') as [string, string]))
  for (const [key, value] of acknowledged) {
    const least = policy === 'any-durable' ? 0 : value
    expect([seed, key, Number(held.get(key) ?? -1) >= least]).toEqual([seed, key, true])
  }
  for (const on of disks) on.kill()
}
