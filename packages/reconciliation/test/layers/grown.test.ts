/**
 * Layers that hold more by the time they are read than was seen of them, and documents that turn out to be two while they are loaded (L13).
 */
import { EMPTY } from '@tidemark/known-state'
import type { Run } from '@tidemark/protocol'
import type { Page } from '@tidemark/storage'
import { expect, test } from 'vitest'
import { layers } from '../../src/layers.ts'
import { content, disk, dump, manualClock, over, passing, store } from './world.ts'

const json = (range: string, salt = '', header = true) => content('note', range, { kind: 'json', salt, header })
const isMixed = (text: string) => text.includes('other') && text.includes('"s 3"')

test.each([60, 200, 400])(
  'a source that is repaired meanwhile gives nothing that was not compared (json, pages of %i bytes)',
  async (repairPageBytes) => {
    const clock = manualClock()
    const [a, b, c] = [disk(), disk(), disk()] as const
    a.data.append([json('s:0-1')])
    for (let at = 0; at < 30; at++) a.data.append([json(`t:${at}-${at + 1}`, '', false)])
    b.data.append([json('s:0-1')])
    b.data.append([json('s:1-9', ' other', false)])
    for (let at = 0; at < 4; at++) c.data.append([json(`s:${at}-${at + 1}`, '', at === 0)])
    const { all } = await over([a, b, c], { clock, limits: { repairPageBytes } })
    await passing(clock, all.sweep())
    await clock.advance(60_000)
    expect([a, b, c].filter(({ data }) => isMixed(dump(data)))).toEqual([])
  },
)

/** A layer that others write to, when it was looked at and before its page is read. */
async function written(repairsMax: number) {
  const clock = manualClock()
  const [near, far] = [disk(), disk()]
  near.data.append([json('s:0-4')])
  far.data.append([json('s:0-3')])
  far.data.append([json('t:0-3', '', false)])
  const remote = store(far)
  const read = remote.read
  let isWritten = false
  remote.read = (...args) => {
    if (!isWritten && (args[1].sessions.get('s') ?? 0) >= 3) {
      isWritten = true
      far.data.append([json('s:3-9', ' other', false)])
    }
    return read(...args)
  }
  const all = layers([{ storage: store(near) }, { storage: remote, name: 'far', remote: true }], {
    clock,
    limits: { repairsMax },
  })
  await passing(clock, all.open())
  return { clock, all, near }
}

const ofS = (runs: readonly Run[]) =>
  runs
    .filter(({ session }) => session === 's')
    .flatMap((run) => run.transactions.map((one) => new TextDecoder().decode(one)))

test('what somebody else wrote to a layer meanwhile is not loaded behind what another one holds', async () => {
  const { clock, all } = await written(0)
  const handed: string[] = []
  await passing(clock, all.load('note', { onPage: ({ runs }) => void handed.push(...ofS(runs)) }))
  expect([handed.length > 0, isMixed(handed.join(' '))]).toEqual([true, false])
})

test('what somebody else wrote to a layer meanwhile is not read behind what another one holds', async () => {
  const { clock, all } = await written(0)
  const handed: string[] = []
  for (let after = EMPTY; ; ) {
    const page = await passing(clock, Promise.resolve(all.read('note', after, { bytesMax: 100_000 })))
    handed.push(...ofS(page?.runs ?? []))
    if (!page?.more) break
    after = page.end
  }
  expect([handed.length > 0, isMixed(handed.join(' '))]).toEqual([true, false])
})

test('what somebody else wrote to a layer meanwhile is not copied behind what another one holds', async () => {
  const { clock, all, near } = await written(4)
  await passing(clock, all.sweep())
  await clock.advance(60_000)
  expect(isMixed(dump(near.data))).toBe(false)
})

test('a load ends when a session that it began turns out to be forked, and then the document', async () => {
  const clock = manualClock()
  const [other, b, c] = [disk(), disk(), disk()] as const
  const header = new TextEncoder().encode('"another"')
  other.data.append([{ ...content('note', 's:0-10 u:0-9', { salt: ' other' }), header }])
  b.data.append([content('note', 's:0-20')])
  c.data.append([content('note', 's:0-10')])
  const { all, stores } = await over([other, b, c], { clock, limits: { repairsMax: 0, pageBytes: 60 } })
  const [first, second] = stores
  if (first === undefined || second === undefined) throw new Error('three layers')
  first.plan = ({ method }) => (method === 'knownStates' ? { after: clock.wait(200) } : undefined)
  let reads = 0
  second.plan = ({ method }) => {
    if (method !== 'read') return undefined
    reads += 1
    if (reads > 500) throw new Error('read 500 times')
    return { after: clock.wait(30) }
  }
  await passing(clock, all.load('note', { onPage: () => {} }))
  expect(reads).toBeLessThan(100)
})

test('a load in which a session turns out to be forked hands over the others of that layer, also where it grows meanwhile, and ends', async () => {
  const clock = manualClock()
  const [long, short] = [disk(), disk()]
  long.data.append([content('note', 's:0-5 t:0-60', { salt: ' other' })])
  short.data.append([content('note', 's:0-3')])
  const growing = store(long)
  const read = growing.read
  growing.read = (...args) => {
    const reads = growing.calls.read
    if (reads > 200) throw new Error('read 200 times')
    if (reads > 0 && reads < 5)
      long.data.append([content('note', `s:${4 + reads}-${5 + reads}`, { salt: ' other', header: false })])
    return read(...args)
  }
  growing.plan = ({ method }) => (method === 'knownStates' ? { after: clock.wait(200) } : undefined)
  const all = layers([growing, store(short)], { clock, limits: { repairsMax: 0, pageBytes: 400 } })
  await passing(clock, all.open())
  const handed = new Map<string, number>()
  const onPage = ({ runs, end }: Page) => {
    for (const { session, after, transactions } of runs) {
      expect(after).toBe(handed.get(session) ?? 0)
      handed.set(session, after + transactions.length)
      expect(end.sessions.get(session)).toBe(handed.get(session))
    }
  }
  await passing(clock, all.load('note', { onPage }))
  expect(Object.fromEntries(handed)).toEqual({ s: 3, t: 60 })
})
