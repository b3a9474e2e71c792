/**
 * Writes that a layer has not answered: nobody knows whether it has them, so nothing is acknowledged by it.
 */
import { expect, test } from 'vitest'
import { type LayersOptions, layers } from '../../src/layers.ts'
import {
  content,
  counts,
  type Disk,
  disk,
  held,
  type ManualClock,
  manualClock,
  of,
  outcome,
  over,
  passing,
  type Store,
  settled,
  store,
  writes,
} from './world.ts'

const first = () => content('note', 'a:0-1')
const second = () => content('note', 'a:1-2', { header: false })

type Call = Parameters<NonNullable<Store['plan']>>[0]
const isOfContent = ({ method, args }: Call) => method === 'append' && (args[0] as readonly unknown[]).length > 0

/** Appends of content are answered when `done` is; from the first one on it does not say what it holds either. */
function busyUntil(one: Store, done: Promise<void>): void {
  let busy = false
  void done.then(() => {
    one.plan = undefined
  })
  one.plan = (call) => {
    busy ||= isOfContent(call)
    if (isOfContent(call)) return { after: done }
    return call.method === 'knownStates' && busy ? { fails: 'IO' } : undefined
  }
}

function signal(): { readonly sent: Promise<void>; send(): void } {
  let send = () => {}
  const sent = new Promise<void>((resolve) => {
    send = resolve
  })
  return { sent, send: () => send() }
}

const storesNoContent = (one: Store) => {
  one.plan = (call) => (isOfContent(call) ? { fails: 'IO' } : undefined)
}

test('what a layer that says nothing is still writing is not acknowledged, and what it held before is', async () => {
  for (const policy of ['all-required', { quorum: 2 }] as const) {
    const clock = manualClock()
    const { all, b } = await over([disk(), disk()], { clock, policy })
    await all.append([first()])
    const done = signal()
    busyUntil(b, done.sent)
    const writing = outcome(all.append([second()]))
    await settled()
    const [early] = await all.knownStates(['note'])
    expect([counts(early?.known), counts(early?.durable), early?.partial]).toEqual(['a:2', 'a:1', true])
    done.send()
    expect(await writing).toBe('done')
    const [later] = await all.knownStates(['note'])
    expect([counts(later?.known), later?.durable]).toEqual(['a:2', undefined])
  }
})

test('a layer that was given the flags of a write and not its content is no vote for it', async () => {
  const clock = manualClock()
  const disks = [disk(), disk(), disk()] as const
  for (const on of disks.slice(0, 2)) on.data.append([first()])
  const { all, b } = await over(disks, { clock, policy: { quorum: 2 } }, ([, , c]) => storesNoContent(c as Store))
  const done = signal()
  busyUntil(b, done.sent)
  let answered = false
  const writing = outcome(all.append([second()])).finally(() => {
    answered = true
  })
  await clock.advance(3_000)
  expect(answered).toBe(false)
  const [early] = await all.knownStates(['note'])
  expect([counts(early?.known), counts(early?.durable)]).toEqual(['a:2', 'a:1'])
  done.send()
  expect(await writing).toBe('done')
})

test('a repair that runs while others are still writing lets no layer count that could not store it', async () => {
  const clock = manualClock()
  const disks = [disk(), disk(), disk()] as const
  const { all, a, b, c } = await over(disks, { clock, policy: { quorum: 2 } })
  await all.append([first()])
  await settled()
  const [done, never] = [signal(), signal()]
  a.plan = (call) => (isOfContent(call) ? { after: done.sent } : undefined)
  c.plan = (call) => (isOfContent(call) ? { after: never.sent } : undefined)
  storesNoContent(b)
  const writing = outcome(all.append([second()]))
  // It failed there, and is repaired: all layers hold the same, as far as can be seen.
  await clock.advance(1_000)
  b.plan = (call) => (isOfContent(call) || call.method === 'knownStates' ? { fails: 'IO' } : undefined)
  done.send()
  await settled()
  const [state] = await all.knownStates(['note'])
  expect([held({ disk: disks[0] }), counts(state?.known), counts(state?.durable)]).toEqual(['a:2', 'a:2', 'a:1'])
  never.send()
  b.plan = undefined
  await passing(clock, writing)
})

/** What it is given to append is stored at once, and answered when `done` is. */
function answersLate(one: Store, done: Promise<void>): void {
  const { append } = one
  one.append = (batch, options) => {
    const answer = append(batch, options)
    return batch.length === 0 ? answer : done.then(() => answer)
  }
}

async function overtaken() {
  const clock = manualClock()
  const { all, a, b, events } = await over([disk(), disk()], { clock, policy: 'any-durable' })
  const { append } = b
  const done = signal()
  answersLate(b, done.sent)
  await all.append([content('note', 'a:0-1 tomb:0-1')])
  b.append = append
  return { clock, all, a, b, events, done }
}

test('an answer that an erasure has overtaken does not take that back (disks, seed 920151 of two disks)', async () => {
  const { clock, all, a, b, done } = await overtaken()
  a.plan = ({ method }) => (method === 'erase' ? { fails: 'IO' } : undefined)
  await all.erase('note', [1, ''], { keep: ['tomb'] })
  expect([held(a), held(b)]).toEqual(['a:1 tomb:1', 'tomb:1'])
  // Nothing is in doubt, so that nobody asks again.
  await all.knownStates(['note'])
  done.send()
  await settled()
  const [result] = await passing(clock, Promise.resolve(all.append([second()])))
  expect(result).toMatchObject({ state: { known: { sessions: new Map([['tomb', 1]]) }, erased: [1, ''] } })
})

test('an answer that a later write has overtaken is no loss', async () => {
  const { clock, all, a, b, events, done } = await overtaken()
  await passing(clock, all.whenSettled('note'))
  await all.append([second()])
  expect([held(a), held(b)]).toEqual(['a:2 tomb:1', 'a:2 tomb:1'])
  const written = writes(b)
  done.send()
  await settled()
  await passing(clock, all.whenSettled('note'))
  expect([of(events, 'regressed'), written.entries]).toEqual([[], 0])
})

test('what was stored is answered although its layer fell silent since, alone in having it (disks, seed 5301341 of two disks)', async () => {
  const clock = manualClock()
  const { all, a, b } = await over([disk(), disk()], { clock, policy: 'any-durable' })
  const [stored, noted] = [signal(), signal()]
  let isSilent = false
  let flags = 0
  a.plan = (call) => {
    if (isOfContent(call)) return { after: stored.sent }
    if (call.method === 'append') return flags++ === 0 ? { fails: 'IO' } : { after: noted.sent }
    return call.method === 'knownStates' && isSilent ? { fails: 'IO' } : undefined
  }
  storesNoContent(b)
  const writing = Promise.resolve(all.append([first()]))
  await settled()
  stored.send()
  await settled()
  isSilent = true
  expect(await outcome(all.knownStates(['note']))).toBe('failed')
  noted.send()
  const [result] = await passing(clock, writing)
  expect(result).toMatchObject({ state: { known: { header: true, sessions: new Map([['a', 1]]) }, partial: true } })
})

test('a layer that falls silent while another is brought into step leaves no gap to be judged (disks, seed 5302286 of two disks)', async () => {
  const clock = manualClock()
  const disks = [disk(), disk()] as const
  disks[0].data.append([content('note', 'b:0-1')])
  disks[1].data.append([content('note', 'a:0-1 b:0-1')])
  const { all, a, b } = await over(disks, { clock, policy: 'any-durable' })
  const done = signal()
  let repairs = 0
  a.plan = (call) => (isOfContent(call) && repairs++ === 0 ? { after: done.sent } : undefined)
  const writing = Promise.resolve(all.append([second()]))
  await settled()
  b.plan = ({ method }) => (method === 'knownStates' ? { fails: 'IO' } : undefined)
  await all.knownStates(['note'])
  expect(await passing(clock, writing)).toMatchObject([{ failed: 'IO' }])
  done.send()
})

test('a layer that is being refilled does not count before the others have said what it missed', async () => {
  const clock = manualClock()
  const [one, other] = [disk(), disk()]
  const { all, b } = await over([one, other], { clock })
  await all.append([first()])
  storesNoContent(b)
  await outcome(all.append([second()]))
  for (const on of [one, other]) on.kill()
  let isRead = false
  const again = await over([one, disk()], { clock }, ([a, wiped]) => {
    storesNoContent(wiped as Store)
    const hides = ({ method, args }: Call) => method === 'marks' && JSON.stringify(args).includes('layers dirty')
    ;(a as Store).plan = (call) => (hides(call) && !isRead ? { fails: 'IO' } : undefined)
  })
  const [early] = await again.all.knownStates(['note'])
  expect([counts(early?.known), early?.durable === undefined]).toEqual(['a:2', false])
  isRead = true
  again.b.plan = undefined
  await clock.advance(3_600_000)
  const [later] = await again.all.knownStates(['note'])
  expect([held(again.b), later?.durable]).toEqual(['a:2', undefined])
})

/** Layers near by, and the last disk behind a remote one. */
async function withRemote(
  clock: ManualClock,
  disks: readonly Disk[],
  options: LayersOptions,
  write: 'required' | 'best-effort' = 'best-effort',
) {
  const stores = disks.map((on) => store(on))
  const given = stores.map((storage, index) => {
    const name = 'ABC'[index] as string
    return storage === stores.at(-1) ? { storage, name: 'R', remote: true, write } : { storage, name }
  })
  const all = layers(given, { ...options, clock })
  await passing(clock, all.open())
  await clock.advance(10_000)
  const told = async () => {
    const [state] = await passing(clock, Promise.resolve(all.knownStates(['note'])))
    return [counts(state?.known), counts(state?.durable ?? state?.known)]
  }
  return { all, stores, told }
}

const silence = (one: Store) => {
  one.plan = ({ method }) => (method === 'knownStates' ? { fails: 'IO' } : undefined)
}

test.each([
  [{ policy: { quorum: 2 } }, 2, 'best-effort'],
  [{}, 1, 'required'],
] as const)(
  'what others wrote to a remote layer is not acknowledged by the silence of a near one (%s)',
  async (policy, near, write) => {
    const clock = manualClock()
    const disks = Array.from({ length: near + 1 }, () => disk())
    const { stores, told } = await withRemote(clock, disks, { ...policy, limits: { repairsMax: 0 } }, write)
    disks.at(-1)?.data.append([content('note', 'a:0-3')])
    silence(stores[0] as Store)
    expect(await told()).toEqual(['a:3', ''])
  },
)

test('a write that had reached a remote layer alone when its process ended is not acknowledged by the silence of a near one', async () => {
  const clock = manualClock()
  const disks = [disk(), disk(), disk()]
  const options = { policy: { quorum: 2 }, limits: { repairsMax: 0 } }
  const before = await withRemote(clock, disks, options)
  for (const one of before.stores.slice(0, 2))
    one.plan = (call) => (isOfContent(call) ? { after: new Promise(() => {}) } : undefined)
  void outcome(before.all.append([content('note', 'a:0-3')]))
  await clock.advance(100)
  for (const on of disks) on.kill()
  const { stores, told } = await withRemote(clock, disks, options)
  silence(stores[0] as Store)
  expect(await told()).toEqual(['a:3', ''])
})

test('what a repair brings from a remote layer to one near by is not acknowledged by the silence of another, also by the next process', async () => {
  const clock = manualClock()
  const disks = [disk(), disk(), disk()]
  const { all, stores, told } = await withRemote(clock, disks, {})
  await all.append([first()])
  await clock.advance(10_000)
  disks[2]?.data.append([content('note', 'a:1-3', { header: false })])
  silence(stores[1] as Store)
  expect(await told()).toEqual(['a:3', 'a:1'])
  await clock.advance(10_000)
  expect([...disks.map((on) => held({ disk: on })), ...(await told())]).toEqual(['a:3', 'a:1', 'a:3', 'a:3', 'a:1'])
  for (const on of disks) on.kill()
  const next = await withRemote(clock, disks, {})
  silence(next.stores[1] as Store)
  expect(await next.told()).toEqual(['a:3', ''])
  for (const one of next.stores) one.plan = undefined
  await clock.advance(3_600_000)
  expect([held({ disk: disks[1] as Disk }), ...(await next.told())]).toEqual(['a:3', 'a:3', 'a:3'])
})

test('what a remote layer got while it was copied from is not acknowledged by the silence of one that had all there was before', async () => {
  const clock = manualClock()
  const disks = [disk(), disk(), disk()] as const
  const { all, stores } = await withRemote(clock, disks, {})
  const [a, b, far] = stores as [Store, Store, Store]
  await all.append([first()])
  await clock.advance(10_000)
  storesNoContent(a)
  expect(await passing(clock, outcome(all.append([second()])))).toBe('failed')
  const { read } = far
  far.read = (...args) => {
    far.read = read
    disks[2].data.append([content('note', 'a:2-4', { header: false })])
    for (const one of [b, far]) silence(one)
    return read(...args)
  }
  b.plan = ({ method }) => (method === 'read' ? { fails: 'IO' } : undefined)
  a.plan = undefined
  await clock.advance(30_000)
  expect(disks.map((on) => held({ disk: on }))).toEqual(['a:4', 'a:2', 'a:4'])
  expect(all.health().map(({ dirty }) => dirty)).toEqual([0, 1, 0])
  for (const on of disks) on.kill()
  const next = await withRemote(clock, disks, {})
  for (const one of next.stores.slice(1)) silence(one)
  expect(await next.told()).toEqual(['a:4', ''])
})

test('what was acknowledged stays so while a layer is silent, whoever else has it', async () => {
  const clock = manualClock()
  const disks = [disk(), disk(), disk()]
  const before = await withRemote(clock, disks, {})
  await before.all.append([content('note', 'a:0-3')])
  await clock.advance(10_000)
  await before.all.close()
  for (const silent of [0, 1]) {
    const { stores, told } = await withRemote(clock, disks, {})
    silence(stores[silent] as Store)
    expect(await told()).toEqual(['a:3', 'a:3'])
    for (const on of disks) on.kill()
  }
})

test('a write that failed is not acknowledged because its session turns out to be a fork', async () => {
  const clock = manualClock()
  const [one, other] = [disk(), disk()]
  const { all, b, events } = await over([one, other], { clock, limits: { repairsMax: 0 } })
  await all.append([content('note', 'a:0-3 b:0-1')])
  storesNoContent(b)
  expect(await passing(clock, outcome(all.append([content('note', 'a:3-6', { header: false })])))).toBe('failed')
  other.data.append([content('note', 'a:3-4', { header: false, salt: ' other' })])
  b.plan = undefined
  await passing(clock, outcome(all.append([content('note', 'b:1-2', { header: false })])))
  const [state] = await passing(clock, Promise.resolve(all.knownStates(['note'])))
  expect(of(events, 'fork').map(({ session }) => session)).toEqual(['a'])
  expect([counts(state?.known), counts(state?.durable)]).toEqual(['a:6 b:2', 'a:4 b:2'])
})
