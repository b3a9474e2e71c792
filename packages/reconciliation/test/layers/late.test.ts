/**
 * Answers that come late: what a layer was asked, or given, before it said or failed something else takes nothing of that back.
 */
import { EMPTY } from '@tidemark/known-state'
import type { StoredState } from '@tidemark/storage'
import { expect, test } from 'vitest'
import { createEvents, type LayersEvent } from '../../src/layers/events.ts'
import type { Layer } from '../../src/layers/layer.ts'
import { createSeen } from '../../src/layers/seen.ts'
import { content, counts, disk, held, manualClock, of, over, passing, type Store, settled } from './world.ts'

type Call = Parameters<NonNullable<Store['plan']>>[0]
const isOfContent = ({ method, args }: Call) => method === 'append' && (args[0] as readonly unknown[]).length > 0

const first = () => content('note', 'a:0-1 tomb:0-1')
const second = () => content('note', 'a:1-2', { header: false })
const third = () => content('note', 'a:2-3', { header: false })

function signal(): { readonly sent: Promise<void>; send(): void } {
  let send = () => {}
  const sent = new Promise<void>((resolve) => {
    send = resolve
  })
  return { sent, send: () => send() }
}

/** Calls of one method are performed at once and answered when `done` is, until what comes back is called. */
function answersLate(one: Store, method: 'knownStates' | 'append', done: Promise<void>): () => void {
  const real = one[method] as (...args: unknown[]) => unknown
  const late = (...args: unknown[]) => {
    const answer = real(...args)
    return Array.isArray(args[0]) && args[0].length > 0 ? done.then(() => answer) : answer
  }
  Object.assign(one, { [method]: late })
  return () => void Object.assign(one, { [method]: real })
}

const fails = (one: Store, method: string, performed = false) => {
  one.plan = (call) =>
    call.method === method && (method !== 'append' || isOfContent(call)) ? { fails: 'IO', performed } : undefined
}

async function world() {
  const clock = manualClock()
  return { clock, ...(await over([disk(), disk()], { clock, policy: 'any-durable' })) }
}

/** B is asked what it holds of a note that both have; it answers when `done` is. */
async function asked() {
  const { clock, all, a, b, events } = await world()
  await all.append([first()])
  await passing(clock, all.whenSettled('note'))
  const done = signal()
  const restore = answersLate(b, 'knownStates', done.sent)
  const looking = Promise.resolve(all.knownStates(['note']))
  await settled()
  restore()
  return { clock, all, a, b, events, looking, done }
}

/** B stored the first write at once, and answers it when `done` is; A acknowledged it. */
async function given() {
  const { clock, all, a, b, events } = await world()
  const done = signal()
  const restore = answersLate(b, 'append', done.sent)
  await all.append([first()])
  restore()
  await all.knownStates(['note'])
  return { clock, all, a, b, events, done }
}

test('a look-up that an erasure has overtaken does not take that back, also when the layer fell silent since', async () => {
  const { clock, all, a, b, looking, done } = await asked()
  fails(a, 'erase')
  await all.erase('note', [1, 'me'], { keep: ['tomb'] })
  expect([held(a), held(b)]).toEqual(['a:1 tomb:1', 'tomb:1'])
  fails(b, 'knownStates')
  const [told] = await all.knownStates(['note'])
  expect([told?.erased, told?.partial]).toEqual([[1, 'me'], true])
  done.send()
  const [late] = await looking
  expect([counts(late?.known), late?.erased, late?.partial]).toEqual(['tomb:1', [1, 'me'], true])
  await expect(Promise.resolve(all.read('note', EMPTY, { bytesMax: 1_000 }))).rejects.toThrow('has nothing more')
  // Nobody who answers can be brought into step, so nothing is stored nor acknowledged.
  await expect(passing(clock, Promise.resolve(all.append([second()])))).rejects.toThrow('too few layers')
  expect([held(a), held(b)]).toEqual(['a:1 tomb:1', 'tomb:1'])
  // What was not heard is asked again.
  for (const one of [a, b]) one.plan = undefined
  await clock.advance(60_000)
  const [whole] = await all.knownStates(['note'])
  expect([whole?.erased, whole?.partial, held(a)]).toEqual([[1, 'me'], undefined, 'tomb:1'])
})

test('a look-up that a write has overtaken does not say that all layers answered, when the layer fell silent since', async () => {
  const { clock, all, a, b, looking, done } = await asked()
  fails(a, 'append')
  await passing(clock, Promise.resolve(all.append([second()])))
  fails(b, 'knownStates')
  await all.knownStates(['note'])
  done.send()
  const [late] = await looking
  expect([counts(late?.known), late?.partial]).toEqual(['a:1 tomb:1', true])
  a.plan = undefined
  expect(await passing(clock, Promise.resolve(all.append([third()])))).toMatchObject([{ failed: 'IO' }])
  const loaded = await passing(clock, all.load('note', { until: 'usable', onPage: () => {} }))
  expect([loaded.answered, loaded.absent, loaded.failed]).toEqual([['A'], [], ['B']])
})

test('a load that is answered what a silence has overtaken says that the layer failed, and not that it has nothing', async () => {
  const { clock, all, a, b } = await world()
  await all.append([first()])
  await passing(clock, all.whenSettled('note'))
  const done = signal()
  const restore = answersLate(b, 'knownStates', done.sent)
  const loading = all.load('note')
  await settled()
  restore()
  fails(a, 'append')
  await passing(clock, Promise.resolve(all.append([second()])))
  fails(b, 'knownStates')
  await all.knownStates(['note'])
  done.send()
  const { found, answered, absent, failed } = await loading
  expect([found, answered, absent, failed]).toEqual(['present', ['A'], [], ['B']])
})

test('an answer to a write takes back nothing of what a look-up saw since, and is no loss', async () => {
  const { clock, all, a, b, events, done } = await given()
  fails(a, 'append')
  fails(b, 'append', true)
  await expect(passing(clock, Promise.resolve(all.append([second()])))).rejects.toThrow('too few layers')
  b.plan = undefined
  const [told] = await all.knownStates(['note'])
  expect([counts(told?.known), told?.partial]).toEqual(['a:2 tomb:1', undefined])
  done.send()
  await settled()
  expect(of(events, 'regressed')).toEqual([])
  const after = { header: true, sessions: new Map([...(told?.known.sessions ?? []), ['a', 1]]) }
  const page = await all.read('note', after, { bytesMax: 1_000 })
  expect(page?.runs.map((run) => `${run.session} ${run.after}+${run.transactions.length}`)).toEqual(['a 1+1'])
  const [result] = await passing(clock, Promise.resolve(all.append([third()])))
  expect(result).toMatchObject({
    state: {
      known: {
        sessions: new Map([
          ['a', 3],
          ['tomb', 1],
        ]),
      },
    },
    refused: new Map(),
  })
})

test('an answer to a write takes back no erasure of which a look-up told since', async () => {
  const { clock, all, a, b, done } = await given()
  fails(a, 'erase')
  fails(b, 'erase', true)
  await expect(Promise.resolve(all.erase('note', [1, 'me'], { keep: ['tomb'] }))).rejects.toThrow('too few layers')
  const [told] = await all.knownStates(['note'])
  expect([counts(told?.known), told?.erased]).toEqual(['tomb:1', [1, 'me']])
  done.send()
  // Before anything is asked again.
  for (let turn = 0; turn < 20; turn++) await Promise.resolve()
  const page = await all.read('note', EMPTY, { bytesMax: 1_000 })
  expect(page?.runs.map(({ session }) => session)).toEqual(['tomb'])
  const [result] = await passing(clock, Promise.resolve(all.append([second()])))
  expect(result).toMatchObject({ state: { erased: [1, 'me'] } })
})

test('an erasure that its layer answers when it is silent again is told, and the silence is not over', async () => {
  const { clock, all, a, b, done } = await given()
  const erased = signal()
  const { erase } = b
  b.erase = (...args) => {
    const answer = erase(...args)
    return erased.sent.then(() => answer)
  }
  fails(a, 'erase')
  const erasing = Promise.resolve(all.erase('note', [1, 'me'], { keep: ['tomb'] }))
  await settled()
  done.send()
  await settled()
  fails(b, 'knownStates')
  await all.knownStates(['note'])
  erased.send()
  expect(await passing(clock, erasing)).toMatchObject({ erased: [1, 'me'], partial: true })
  const [told] = await all.knownStates(['note'])
  expect([told?.erased, told?.partial]).toEqual([[1, 'me'], true])
})

test('a late answer adds what it shows to what was seen since, and ends no doubt', () => {
  const told: LayersEvent[] = []
  const events = createEvents()
  events.listen((event) => told.push(event))
  const seen = createSeen(events, 10, () => {})
  const layer = { name: 'B' } as Layer
  const holding = (sessions: Record<string, number>): StoredState => ({
    known: { header: true, sessions: new Map(Object.entries(sessions)) },
    kind: 'bytes',
    priority: 3,
    digests: new Map(),
    lastRuns: new Map(),
    paged: false,
    erased: undefined,
  })
  seen.heard('note', layer, holding({ a: 1, b: 1 }), seen.tick())
  const asked = seen.tick()
  seen.heard('note', layer, holding({ a: 2, b: 1 }), seen.tick())
  seen.doubt('note', layer)
  seen.heard('note', layer, holding({ a: 1, b: 2 }), asked)
  const sight = seen.of('note')
  expect([counts(sight?.states.get(layer)?.known), sight?.doubtful.has(layer), told]).toEqual(['a:2 b:2', true, []])
})

test('a sweep takes no answer of documents that were not in use for a late one', async () => {
  const clock = manualClock()
  const disks = [disk(), disk()] as const
  for (const on of disks) on.data.append(['one', 'two', 'three'].map((id) => content(id, 'a:0-1')))
  const { all, events } = await over(disks, { clock })
  await passing(clock, all.sweep())
  await passing(clock, all.whenSettled())
  // Nothing is looked at more closely.
  expect(of(events, 'settled')).toEqual([])
})
