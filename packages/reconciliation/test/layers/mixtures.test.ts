/**
 * Histories that disagree are never put together (L13), on a disk or by a load: not from a second source either, and not beyond what
 * a page holds. `TIDEMARK_SEED` and `TIDEMARK_HISTORIES` choose which random forks are played; `TIDEMARK_LARGE` plays 3,000.
 */
import { type Append, memoryStorage } from '@tidemark/storage'
import { faults } from '@tidemark/storage/conformance'
import { expect, test } from 'vitest'
import { type LayerOptions, type LayersEvent, type LayersLimits, type LoadOptions, layers } from '../../src/layers.ts'
import {
  chance,
  content,
  type Disk,
  disk,
  dump,
  held,
  type ManualClock,
  manualClock,
  of,
  passing,
  type Store,
  store,
} from './world.ts'

const HISTORIES = Number(process.env.TIDEMARK_HISTORIES ?? (process.env.TIDEMARK_LARGE ? 3_000 : 1_000))
const FIRST_SEED = Number(process.env.TIDEMARK_SEED ?? 1)
const utf8 = new TextEncoder()
const text = new TextDecoder()

type Kind = Append['kind']

/** Transactions of session s, those from `forkAt` on of another writer; of one append each, or sealed in one. */
function holding(count: number, { kind = 'json' as Kind, forkAt = count, seal = false } = {}): Disk {
  const on = disk()
  const part = (range: string, salt: string, header: boolean) =>
    on.data.append([content('note', `s:${range}`, { kind, header, salt, seal })])
  if (seal) part(`0-${count}`, '', true)
  else for (let at = 0; at < count; at++) part(`${at}-${at + 1}`, at < forkAt ? '' : ' other', at === 0)
  return on
}

interface Given {
  readonly limits?: Partial<LayersLimits>
  /** The disk that may only be read. */
  readonly readOnly?: number
}

async function over(disks: readonly Disk[], clock: ManualClock, { limits = {}, readOnly }: Given = {}) {
  const stores = disks.map((on) => store(on))
  const given = stores.map(
    (storage, index): LayerOptions => ({
      storage,
      name: 'ABC'[index] as string,
      ...(index === readOnly && { write: 'none' }),
    }),
  )
  const all = layers(given, { clock, limits })
  const events: LayersEvent[] = []
  all.listen((event) => events.push(event))
  await passing(clock, all.open())
  const load = async (options: LoadOptions = {}) => {
    const handed: string[] = []
    const onPage: LoadOptions['onPage'] = ({ runs }) => {
      for (const { after, transactions } of runs) {
        expect(after).toBe(handed.length)
        handed.push(...transactions.map((one) => text.decode(one)))
      }
    }
    await passing(clock, all.load('note', { ...options, onPage }))
    return { text: handed.join(' '), count: handed.length }
  }
  const sweep = () => passing(clock, all.sweep())
  return { all, stores, events, load, sweep }
}

const isMixed = (told: string, forkAt: number) => told.includes('other') && told.includes(`"s ${forkAt}"`)
const forked = (events: readonly LayersEvent[]) => of(events, 'fork').map(({ session }) => session)

for (const kind of ['bytes', 'json'] as const)
  test(`${kind}: a layer is given nothing of a second source that holds another document under this id`, async () => {
    const clock = manualClock()
    const other = disk()
    other.data.append([{ ...content('note', 't:0-3', { kind }), header: utf8.encode('"another"') }])
    const disks = [holding(10, { kind }), holding(5, { kind }), other]
    const { events, sweep } = await over(disks, clock, { readOnly: 2 })
    await sweep()
    await clock.advance(60_000)
    expect(disks.map((on) => held({ disk: on }))).toEqual(['s:10', 's:10', 't:3'])
    expect(forked(events)).toEqual([undefined])
  })

test('a repair that changes its source in the middle compares what it has copied with the next one', async () => {
  const clock = manualClock()
  const disks = [holding(5), holding(12), holding(20, { forkAt: 3 })]
  const { stores, events, sweep } = await over(disks, clock, { readOnly: 1, limits: { repairPageBytes: 20 } })
  if (stores[1]) stores[1].plan = ({ method, nth }) => (method === 'read' && nth > 3 ? { fails: 'IO' } : undefined)
  await sweep()
  await clock.advance(60_000)
  expect(Number(held({ disk: disks[0] as Disk }).slice(2))).toBeGreaterThan(5)
  expect(disks.map((on) => isMixed(dump(on.data), 3))).toEqual([false, false, false])
  expect(dump((disks[0] as Disk).data)).not.toContain('other')
  expect(forked(events)).toEqual(['s'])
})

for (const [who, first] of [
  ['shorter', 1],
  ['longer', 0],
] as const)
  for (const how of ['sweep', 'load'] as const)
    test(`a fork that only a later page of the last run shows is found by a ${how} (the ${who} one comes first)`, async () => {
      const clock = manualClock()
      const disks = [holding(12, { forkAt: 7 }), holding(10, { seal: true })]
      if (first === 1) disks.reverse()
      const before = disks.map((on) => dump(on.data))
      const limits = { pageBytes: 20, repairPageBytes: 20 }
      const { events, sweep, load } = await over(disks, clock, { limits })
      if (how === 'sweep') await sweep()
      const handed = await load()
      await clock.advance(60_000)
      expect([isMixed(handed.text, 7), handed.count >= 10]).toEqual([false, true])
      expect(disks.map((on) => dump(on.data))).toEqual(before)
      expect(forked(events)).toEqual(['s'])
    })

test('what was compared in part is not compared: it is read from the layer that holds most, and compared later', async () => {
  const clock = manualClock()
  const disks = [holding(10, { seal: true }), holding(12, { forkAt: 7 })]
  const { stores, events, load } = await over(disks, clock, { limits: { repairsMax: 0, pageBytes: 20 } })
  const [a] = stores
  if (a === undefined) return expect.unreachable()
  a.plan = ({ method, nth }) => (method === 'read' && nth > 1 ? { fails: 'IO' } : undefined)
  const first = await load()
  expect([isMixed(first.text, 7), first.count, forked(events)]).toEqual([false, 12, []])
  a.plan = undefined
  await clock.advance(600_000)
  const second = await load()
  expect([isMixed(second.text, 7), second.count, forked(events)]).toEqual([false, 10, ['s']])
})

test('what was compared with the layer that held most is compared with the one that does now', async () => {
  const clock = manualClock()
  const disks = [holding(5), holding(7), holding(9, { forkAt: 3 })]
  const { stores, events, load } = await over(disks, clock, { limits: { repairsMax: 0 } })
  const [, b, c] = stores
  const silent = ({ method }: { readonly method: string }) =>
    method === 'knownStates' ? ({ fails: 'IO' } as const) : undefined
  if (b === undefined || c === undefined) return expect.unreachable()
  c.plan = silent
  expect((await load()).count).toBe(7)
  b.plan = silent
  c.plan = undefined
  const handed = await load()
  expect([isMixed(handed.text, 3), handed.count]).toEqual([false, 5])
  expect(forked(events)).toEqual(['s'])
})

test('bytes: a load that began in a faster layer does not go on in another one that holds something else', async () => {
  const clock = manualClock()
  const disks = [holding(20, { kind: 'bytes' }), holding(22, { kind: 'bytes', forkAt: 1 })]
  const { stores, events, load } = await over(disks, clock, { limits: { repairsMax: 0, pageBytes: 60 } })
  const [a, b] = stores
  if (a === undefined || b === undefined) return expect.unreachable()
  a.plan = ({ method }) => (method === 'knownStates' ? { after: clock.wait(200) } : undefined)
  b.plan = ({ method }) => (method === 'read' ? { after: clock.wait(150) } : undefined)
  const { text: handed, count } = await load()
  expect(count).toBeGreaterThan(1)
  expect(dump((disks[1] as Disk).data).startsWith(`s: ${handed}`)).toBe(true)
  expect(forked(events)).toEqual(['s'])
})

for (const kind of ['bytes', 'json'] as const)
  test(`${kind}: a load hands over nothing of a layer that holds another document under this id`, async () => {
    const clock = manualClock()
    const other = disk()
    other.data.append([{ ...content('note', 't:0-3', { kind }), header: utf8.encode('"another"') }])
    const disks = [holding(5, { kind }), other, holding(8, { kind })]
    const { events, load } = await over(disks, clock, { limits: { repairsMax: 0 } })
    const handed = await load()
    expect([handed.text.includes('t'), handed.count >= 5]).toEqual([false, true])
    expect(forked(events)).toEqual([undefined])
    // It is known by now.
    expect((await load({ after: { header: true, sessions: new Map() } })).text).not.toContain('t')
  })

for (const kind of ['bytes', 'json'] as const)
  test(`${kind}: a load ends, and hands over one document, where a cache has another one under this id`, async () => {
    const clock = manualClock()
    const [first, second] = [disk(), disk()]
    first.data.append([
      { ...content('note', 't:0-3 u:0-5', { kind, salt: ' other' }), header: utf8.encode('"another"') },
    ])
    second.data.append([content('note', 's:0-2', { kind })])
    const [a, b] = [store(first), store(second)]
    const cache = faults(memoryStorage())
    const all = layers([cache, a, b], { clock, limits: { repairsMax: 0 } })
    const load = async () => {
      const handed: string[] = []
      const onPage: LoadOptions['onPage'] = ({ runs }) => {
        for (const { transactions } of runs) handed.push(...transactions.map((one) => text.decode(one)))
      }
      await passing(clock, all.load('note', { onPage }))
      return handed.join(' ')
    }
    await all.open()
    const saysNothing: Store['plan'] = ({ method }) => (method === 'knownStates' ? { fails: 'IO' } : undefined)
    b.plan = saysNothing
    expect(await load()).toContain('"u 4 other"')
    b.plan = undefined
    a.plan = saysNothing
    await Promise.resolve(all.knownStates(['note'])).catch(() => {})
    a.plan = ({ method }) => (method === 'knownStates' ? { after: clock.wait(200) } : undefined)
    cache.plan = ({ method, nth }) => {
      if (method === 'read' && nth > 100) return { fails: 'IO' }
      return undefined
    }
    expect(await load()).toBe('"s 0" "s 1"')
    a.plan = undefined
    expect(await load()).toMatch(/^"t 0 other".* "u 4 other"$/)
    expect(cache.calls.read).toBeLessThan(10)
  })

test('a load that began in a faster layer hands over nothing of one whose document is of another kind', async () => {
  const clock = manualClock()
  const other = disk()
  other.data.append([content('note', 't:0-3', { kind: 'json' })])
  const { stores, events, load } = await over([holding(5, { kind: 'bytes' }), other], clock)
  if (stores[0]) stores[0].plan = ({ method }) => (method === 'knownStates' ? { after: clock.wait(200) } : undefined)
  expect((await load()).text).toBe('"t 0" "t 1" "t 2"')
  expect(forked(events)).toEqual([undefined])
})

test(`in ${HISTORIES} random forks each is told once, and no disk and no load has parts of two histories`, async () => {
  for (let seed = FIRST_SEED; seed < FIRST_SEED + HISTORIES; seed++)
    await history(seed).catch((cause) => {
      throw new Error(`seed ${seed} (TIDEMARK_SEED=${seed} TIDEMARK_HISTORIES=1): ${(cause as Error).message}`, {
        cause,
      })
    })
}, 300_000)

/**
 * Two or three layers that hold parts of a session s, in random runs, which one of them has of another writer from a count on, and parts of a session r
 * on which they agree. Layers fail and are late meanwhile.
 */
async function history(seed: number): Promise<void> {
  const random = chance(seed * 31 + 7)
  const below = (count: number) => Math.floor(random() * count)
  const clock = manualClock(random)
  const kind: Kind = below(2) === 0 ? 'bytes' : 'json'
  const lengths = [1, 2, 3, 4, 5, 6, 7, 8].sort(() => random() - 0.5).slice(0, 2 + below(2))
  const forkAt = below(5)
  const odd = below(lengths.length)
  const histories = lengths.map((length, index) =>
    Array.from({ length }, (_, at) => `"s ${at}${index === odd && at >= forkAt ? ' other' : ''}"`),
  )
  const disks = histories.map((entries) => inRuns(entries))
  const most = disks.map(addAgreed).reduce((a, b) => Math.max(a, b))
  const agreed = Array.from({ length: most }, (_, at) => `"r ${at}"`).join(' ')
  const evens = lengths.filter((_, index) => index !== odd)
  const isFork = forkAt < Math.min(lengths[odd] as number, Math.max(...evens))
  const limits = { pageBytes: 1 + below(30) * 20, repairPageBytes: 1 + below(30) * 20 }
  const { all, stores, events } = await over(disks, clock, { limits })
  for (const one of stores)
    if (below(2) === 0)
      one.plan = ({ method }) => {
        if (method === 'open') return undefined
        if (below(4) === 0) return { fails: below(2) === 0 ? 'IO' : 'CORRUPT' }
        return below(3) === 0 ? { after: clock.wait(below(3_000)) } : undefined
      }
  const loads: Promise<unknown>[] = []
  const mixed: string[] = []
  for (let step = 0; step < 5; step++) {
    const handed: string[] = []
    let agreedHanded = 0
    const onPage: LoadOptions['onPage'] = ({ runs }) => {
      for (const { session, after, transactions } of runs) {
        if (after !== (session === 'r' ? agreedHanded : handed.length)) mixed.push(`a hole of ${session} at ${after}`)
        if (session === 'r') agreedHanded += transactions.length
        else handed.push(...transactions.map((one) => text.decode(one)))
      }
      if (!histories.some((entries) => handed.every((one, at) => entries[at] === one))) mixed.push(handed.join(' '))
    }
    loads.push(all.load('note', { until: below(2) === 0 ? 'usable' : 'settled', onPage }).catch(() => {}))
    await clock.advance(below(3_000))
  }
  for (const one of stores) one.plan = undefined
  await clock.advance(100_000)
  loads.push(all.sweep())
  await clock.advance(700_000)
  await Promise.all(loads)
  const closing = all.close()
  await clock.advance(60_000)
  await closing
  const after = disks.map((on) => {
    const told = dump(on.data).split('\n')
    expect(told.length === 2 ? told[0] : 'r: ').toBe(`r: ${agreed}`)
    return told.at(-1)?.slice('s: '.length) ?? ''
  })
  expect(mixed).toEqual([])
  expect(forked(events)).toEqual(isFork ? ['s'] : [])
  if (!isFork) expect(new Set(after).size).toBe(1)
  const whole = histories.map((entries) => entries.join(' '))
  for (const [index, told] of after.entries()) {
    expect(told.startsWith(whole[index] as string)).toBe(true)
    expect(whole.some((one) => one.startsWith(told))).toBe(true)
  }

  function addAgreed(on: Disk): number {
    const count = below(5)
    if (count > 0) on.data.append([content('note', `r:0-${count}`, { kind, header: false })])
    return count
  }

  function inRuns(entries: readonly string[]): Disk {
    const on = disk()
    for (let at = 0; at < entries.length; ) {
      const transactions = entries.slice(at, at + 1 + below(3)).map((one) => utf8.encode(one))
      const run = { session: 's', after: at, transactions, ...(below(2) === 0 && { seal: utf8.encode('seal') }) }
      const header = at === 0 ? { header: utf8.encode('"note"') } : {}
      on.data.append([{ id: 'note', kind, priority: 3, ...header, runs: [run] }])
      at += transactions.length
    }
    return on
  }
}
