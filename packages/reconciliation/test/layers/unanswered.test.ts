/**
 * Writes that a layer has not answered: nobody knows whether it has them, so nothing is acknowledged by it.
 */
import { expect, test } from 'vitest'
import { content, counts, disk, held, manualClock, over, passing, type Store, settled } from './world.ts'

const outcome = (work: PromiseLike<unknown> | unknown) =>
  Promise.resolve(work).then(
    () => 'done',
    () => 'failed',
  )

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
