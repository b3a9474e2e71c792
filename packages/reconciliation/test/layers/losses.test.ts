/**
 * What must not be lost, denied or acknowledged by layers: flags, sights, small maps, marks.
 */
import { EMPTY } from '@tidemark/known-state'
import { memoryStorage } from '@tidemark/storage'
import { expect, test } from 'vitest'
import { type LayersEvent, layers } from '../../src/layers.ts'
import {
  content,
  counts,
  type Disk,
  disk,
  held,
  manualClock,
  of,
  outcome,
  over,
  passing,
  settled,
  store,
} from './world.ts'

const flags = (on: Disk) => on.data.marks({ prefix: '\u{10ffff}tidemark layers dirty', limit: 9 }).length
test('a flag stays while its layer is silent: the write that it missed is not acknowledged, and arrives after a restart', async () => {
  const clock = manualClock()
  const disks = [disk(), disk()] as const
  const { all, b } = await over(disks, { clock })
  let wrote = false
  b.plan = ({ method }) => {
    wrote ||= method === 'append'
    return wrote ? { fails: 'IO' } : undefined
  }
  expect(await outcome(all.append([content('note', 'a:0-3')]))).toBe('failed')
  await clock.advance(5_000)
  const [state] = await all.knownStates(['note'])
  expect([flags(disks[0]), counts(state?.known), counts(state?.durable)]).toEqual([1, 'a:3', ''])
  for (const on of disks) on.kill()
  const again = await over(disks, { clock })
  expect(again.all.health().map(({ dirty }) => dirty)).toEqual([0, 1])
  await clock.advance(3_600_000)
  expect([held(again.b), flags(disks[0])]).toEqual(['a:3', 0])
})

test('a flag stays while the layer that holds what is missing is silent', async () => {
  const clock = manualClock()
  const disks = [disk(), disk(), disk()] as const
  const { all, stores, a } = await over(disks, { clock, policy: 'any-durable', limits: { repairsQueuedMax: 0 } })
  for (const one of stores.slice(1)) one.plan = ({ method }) => (method === 'append' ? { fails: 'IO' } : undefined)
  await all.append([content('note', 'a:0-3')])
  for (const one of stores) one.plan = undefined
  for (const on of disks) on.kill()
  const again = await over(disks, { clock, policy: 'any-durable' })
  again.a.plan = ({ method }) => (method === 'knownStates' ? { fails: 'IO' } : undefined)
  await clock.advance(600_000)
  expect([again.all.health().map(({ dirty }) => dirty), held(a)]).toEqual([[0, 1, 1], 'a:3'])
})

test('a repair whose document is forgotten by others in the meantime copies all of it', async () => {
  const clock = manualClock()
  const disks = [disk(), disk()] as const
  const limits = { rememberedMax: 50, repairPageBytes: 1 }
  const { all, b, events } = await over(disks, { clock, policy: 'any-durable', limits })
  b.plan = ({ method }) => (method === 'append' ? { fails: 'IO' } : undefined)
  await all.append([content('note', 'a:0-20')])
  b.plan = ({ method }) => (method === 'append' ? { after: clock.wait(100) } : undefined)
  await clock.advance(550)
  for (let round = 0; round < 20; round++) {
    for (let page = 0; page < 4; page++)
      await outcome(all.knownStates(Array.from({ length: 50 }, (_, at) => `other ${round} ${page} ${at}`)))
    await clock.advance(100)
    const done = of(events, 'repair').some(({ step }) => step === 'done')
    expect(done).toBe(held(b) === 'a:20')
  }
  await clock.advance(60_000)
  expect([held(b), flags(disks[0])]).toEqual(['a:20', 0])
})

test('more documents than are remembered are looked up and written at once', async () => {
  const clock = manualClock()
  const disks = [disk(), disk()] as const
  const { all } = await over(disks, { clock, limits: { rememberedMax: 20 } })
  const ids = Array.from({ length: 100 }, (_, at) => `n${at}`)
  for (const on of disks) on.data.append(ids.map((id) => content(id, 'a:0-1')))
  const states = await all.knownStates(ids)
  expect(new Set(states.map((state) => counts(state?.known)))).toEqual(new Set(['a:1']))
  const results = await all.append(ids.map((id) => content(id, 'a:1-2', { header: false })))
  expect(results.filter((result) => 'failed' in result)).toEqual([])
  expect(new Set(ids.map((id) => held({ disk: disks[1] }, id)))).toEqual(new Set(['a:2']))
})

test('without its only disk a cache denies nothing and acknowledges nothing', async () => {
  const clock = manualClock()
  const all = layers([memoryStorage(), { storage: store(), name: 'disk' }], { clock })
  await all.open()
  await all.append([content('note', 'a:0-3')])
  all.detach('disk')
  expect((await all.load('note')).found).toBe('unknown')
  const calls = [
    all.knownStates(['note']),
    all.headers(['note']),
    all.list({ limit: 9 }),
    all.append([content('new', 'a:0-1')]),
  ]
  expect(await Promise.all(calls.map(outcome))).toEqual(['failed', 'failed', 'failed', 'failed'])
})

test('what a crash left in one of two required layers is not acknowledged before the other has it', async () => {
  const clock = manualClock()
  const disks = [disk(), disk()] as const
  const { all, b } = await over(disks, { clock })
  b.plan = ({ method }) => (method === 'append' ? { after: new Promise(() => {}) } : undefined)
  void outcome(all.append([content('note', 'a:0-3')]))
  await settled()
  for (const on of disks) on.kill()
  const again = await over(disks, { clock })
  again.b.plan = ({ method }) => (method === 'append' ? { fails: 'IO' } : undefined)
  const [state] = await again.all.knownStates(['note'])
  expect([counts(state?.known), counts(state?.durable)]).toEqual(['a:3', ''])
  again.b.plan = undefined
  await clock.advance(60_000)
  const [later] = await again.all.knownStates(['note'])
  expect([counts(later?.known), later?.durable, held(again.b)]).toEqual(['a:3', undefined, 'a:3'])
})

test('marks that too few layers stored are not acknowledged', async () => {
  const clock = manualClock()
  const { all, a, b } = await over([disk(), disk()], { clock })
  for (const one of [a, b]) one.plan = ({ method }) => (method === 'append' ? { fails: 'IO' } : undefined)
  const marks = new Map([['outbox note', new Uint8Array(1)]])
  expect(await outcome(all.append([], { marks }))).toBe('failed')
  a.plan = undefined
  expect(await outcome(all.append([], { marks }))).toBe('failed')
  b.plan = undefined
  expect(await outcome(all.append([], { marks }))).toBe('done')
})

test('entries of a small map that no layer stored are not acknowledged, also if none is required', async () => {
  const clock = manualClock()
  const stores = [store(), store()]
  const all = layers(
    stores.map((storage) => ({ storage, write: 'best-effort' as const })),
    { clock },
  )
  await all.open()
  await settled()
  const entries = new Map([['key', { version: [1, 'me'] as const, bytes: new Uint8Array([1]) }]])
  for (const one of stores) one.plan = ({ method }) => (method === 'mergeMap' ? { fails: 'IO' } : undefined)
  expect(await outcome(all.mergeMap('map', entries))).toBe('failed')
  for (const one of stores) one.plan = undefined
  expect(await outcome(all.mergeMap('map', entries))).toBe('done')
})

test('the flag of a write that failed becomes durable with the next one', async () => {
  const clock = manualClock()
  const disks = [disk(), disk()] as const
  const limits = { failuresMax: 1, retryMs: 100_000_000, retryMsMax: 100_000_000, repairsQueuedMax: 0 }
  const { all, a, b } = await over(disks, { clock, policy: 'any-durable', limits })
  await all.append([content('note', 'a:0-1')])
  b.plan = () => ({ fails: 'IO' })
  await outcome(all.knownStates(['other']))
  let appends = 0
  a.plan = ({ method }) => (method === 'append' && appends++ < 1 ? { fails: 'QUOTA' } : undefined)
  const more = () => outcome(all.append([content('note', 'a:1-2', { header: false })]))
  expect([await more(), await more()]).toEqual(['failed', 'done'])
  expect(flags(disks[0])).toBe(1)
})

test('a source whose verifier states cannot be read is passed over, in repairs and for whoever asks', async () => {
  for (const fails of ['CORRUPT', 'IO'] as const) {
    const clock = manualClock()
    const disks = [disk(), disk(), disk()] as const
    for (const on of disks.slice(0, 2))
      on.data.append([{ ...content('note', 's:0-5'), verifier: new Map([['s', new Uint8Array([5])]]) }])
    const { all, a } = await over(disks, { clock })
    a.plan = ({ method }) => (method === 'verifierStates' ? { fails } : undefined)
    await passing(clock, all.load('note', { until: 'settled' }))
    expect(held({ disk: disks[2] }), fails).toBe('s:5')
    expect([...(await all.verifierStates('note', ['s']))], fails).toEqual([['s', new Uint8Array([5])]])
  }
})

test('a layer that cannot erase is not called for it, and does not count as failing', async () => {
  const clock = manualClock()
  const stores = [store(), store()] as const
  const [, weak] = stores
  const open = weak.open
  weak.open = async (options) => {
    const opened = await open(options)
    return { ...opened, capabilities: { ...opened.capabilities, erase: false } }
  }
  const all = layers(
    [
      { storage: stores[0], name: 'A' },
      { storage: weak, name: 'B', write: 'best-effort' },
    ],
    { clock },
  )
  const events: LayersEvent[] = []
  all.listen((event) => events.push(event))
  await all.open()
  await settled()
  for (let at = 0; at < 6; at++) {
    await all.append([content(`n${at}`, 'a:0-1')])
    await settled()
    await all.erase(`n${at}`, [1, 'me'], { keep: [] })
  }
  await all.append([content('last', 'a:0-1')])
  await settled()
  expect([weak.calls.erase, of(events, 'layer').length, held(weak, 'last')]).toEqual([0, 0, 'a:1'])
})

test('closing waits for no throttled repair', async () => {
  const clock = manualClock()
  const on = disk()
  const run = { session: 'a', after: 0, transactions: [new Uint8Array(1_000_000)] }
  on.data.append([{ ...content('note', ''), runs: [run] }])
  const all = layers([store(on), { storage: store(), repairBytesPerSecond: 1_000 }], { clock })
  await all.open()
  void all.load('note')
  await settled()
  await settled()
  await all.close()
  expect(clock.waiting).toBe(0)
})

test('absent is not said while a layer hangs that once said so', async () => {
  const clock = manualClock()
  const { all, b } = await over([disk(), disk()], { clock })
  expect((await all.load('note')).found).toBe('absent')
  b.plan = () => ({ after: new Promise(() => {}) })
  const loaded = await passing(clock, all.load('note'))
  expect([loaded.found, loaded.timedOut]).toEqual(['unknown', ['B']])
})

test('a document that has to be brought into step first holds up no write of another', async () => {
  const clock = manualClock()
  const on = disk()
  on.data.append([content('big', 's:0-50')])
  const { all, a } = await over([on, disk()], { clock, limits: { repairPageBytes: 1 } })
  await all.append([content('small', 's:0-1')])
  a.plan = ({ method }) => (method === 'read' ? { after: clock.wait(1_000) } : undefined)
  const before = clock.now()
  void outcome(all.append([content('big', 's:50-51', { header: false })]))
  await passing(clock, all.append([content('small', 's:1-2', { header: false })]))
  expect(clock.now() - before).toBeLessThan(1_000)
})

test('where one layer is enough, content that the first could not take is not refused while another stores it', async () => {
  const clock = manualClock()
  const { all, a, b } = await over([disk(), disk()], { clock, policy: 'any-durable' })
  a.append = (batch) => batch.map(() => ({ failed: 'QUOTA' as const }))
  let slow = true
  b.plan = ({ method }) => {
    if (method !== 'append' || !slow) return undefined
    slow = false
    return { after: clock.wait(100) }
  }
  const storing = all.append([content('note', 'a:0-3')])
  const [result] = await passing(clock, Promise.resolve(storing))
  expect(result).not.toHaveProperty('failed')
  expect(held(b)).toBe('a:3')
})

const withState = (sessions: string, count: number) => ({
  ...content('note', sessions),
  verifier: new Map([['s', new Uint8Array([count])]]),
})

test('a repair whose source grew since it was looked at brings the verifier state of what it copied', async () => {
  const clock = manualClock()
  const disks = [disk(), disk()] as const
  disks[0].data.append([withState('s:0-5', 5)])
  disks[1].data.append([withState('s:0-2', 2)])
  const { all, a } = await over(disks, { clock })
  a.plan = ({ method }) => (method === 'read' ? { after: clock.wait(100) } : undefined)
  const loading = all.load('note', { until: 'settled' })
  await settled()
  // What is stored and not answered yet is read already.
  disks[0].data.append([withState('s:5-7', 7)])
  await passing(clock, loading)
  expect(held({ disk: disks[1] })).toBe('s:7')
  expect([...(await disks[1].data.verifierStates('note', ['s']))]).toEqual([['s', new Uint8Array([7])]])
})

test('verifier states are not denied while layers are silent', async () => {
  const clock = manualClock()
  const disks = [disk(), disk()] as const
  for (const on of disks) on.data.append([withState('s:0-5', 5)])
  const { all, a, b } = await over(disks, { clock })
  for (const one of [a, b]) one.plan = ({ method }) => (method === 'knownStates' ? { fails: 'IO' } : undefined)
  expect(await outcome(all.verifierStates('note', ['s']))).toBe('failed')
})

const stores = (one: { plan: unknown }, isAble: boolean) => {
  const plan = ({ method, args }: { method: string; args: readonly unknown[] }) =>
    method === 'append' && (args[0] as readonly unknown[]).length > 0 ? { fails: 'IO' } : undefined
  Object.assign(one, { plan: isAble ? undefined : plan })
}
const tombs = (range: string) => content('note', `tomb:${range}`, { header: false })

test('a layer is not erased while it lacks what only a silent one has, which the erasure is to keep', async () => {
  const clock = manualClock()
  const { all, a, b } = await over([disk(), disk()], { clock, policy: 'any-durable' })
  await all.append([content('note', 's:0-2 tomb:0-1')])
  stores(a, false)
  await passing(clock, all.append([tombs('1-2')]))
  stores(a, true)
  b.plan = () => ({ fails: 'IO' })
  expect(await passing(clock, outcome(all.erase('note', [1, 'me'], { keep: ['tomb'] })))).toBe('failed')
  expect(held(a)).toBe('s:2 tomb:1')
  b.plan = undefined
  await clock.advance(600_000)
  await passing(clock, all.erase('note', [1, 'me'], { keep: ['tomb'] }))
  expect([held(a), held(b)]).toEqual(['tomb:2', 'tomb:2'])
})

/** B was not told of the erasure in A, and was given more of what that kept, by a process that was not either. */
async function keptMore(policy: 'any-durable' | 'all-required') {
  const clock = manualClock()
  const disks = [disk(), disk()] as const
  for (const on of disks) on.data.append([content('note', 's:0-2 tomb:0-1')])
  disks[0].data.erase('note', [1, 'me'], { keep: ['tomb'] })
  disks[1].data.append([tombs('1-2')])
  const { all, events } = await over(disks, { clock, policy })
  await passing(clock, all.knownStates(['note']))
  await passing(clock, all.whenSettled())
  return { clock, all, events, disks }
}

test('what an erasure kept in one layer alone stays in the join, is read, and is told to be missing in the other', async () => {
  const { clock, all, events, disks } = await keptMore('any-durable')
  const [state] = await all.knownStates(['note'])
  expect([counts(state?.known), state?.erased, state?.durable]).toEqual(['tomb:2', [1, 'me'], undefined])
  const page = await all.read('note', EMPTY, { bytesMax: 1_000 })
  expect(page?.runs.map(({ session, transactions }) => [session, transactions.length])).toEqual([['tomb', 1]])
  const next = await all.read('note', page?.end ?? EMPTY, { bytesMax: 1_000 })
  expect([next?.runs.map(({ session, after }) => [session, after]), next?.more]).toEqual([[['tomb', 1]], false])
  expect(await all.status('note')).toMatchObject({ word: 'here', layers: [{ behind: 1 }, { behind: 0 }] })
  // It can not be brought there any more, and nobody tries.
  const before = of(events, 'repair').length
  await passing(clock, all.sweep())
  await clock.advance(3_600_000)
  expect([disks.map((on) => held({ disk: on })), of(events, 'repair').length]).toEqual([['tomb:1', 'tomb:2'], before])
})

test('what an erasure kept in too few layers is not acknowledged', async () => {
  const { all } = await keptMore('all-required')
  const [state] = await all.knownStates(['note'])
  expect([counts(state?.known), counts(state?.durable)]).toEqual(['tomb:2', 'tomb:1'])
})
