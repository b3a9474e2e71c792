/**
 * The LOADs of a reconnecting client (seed 000), as the log of what it says. Scenarios 1, 2b and 6–11.
 */
import { EMPTY } from '@tidemark/known-state'
import type { LoadMessage } from '@tidemark/protocol'
import { expect, test } from 'vitest'
import { type ReconcileOptions, reconcile, type Warning } from '../src/index.ts'
import { dependenciesOf, document, gate, generator, nextTurn, rest, type Spied, spied, state, times } from './world.ts'

interface Said {
  readonly log: string[]
  readonly warnings: Warning[]
  readonly done: Promise<void>
}

const line = ({ id, known }: LoadMessage): string =>
  `LOAD ${id}=${known.header ? (known.sessions.get('a') ?? 'header') : '∅'}`

/** Says every LOAD as soon as it comes. */
function say(options: ReconcileOptions): Said {
  const log: string[] = []
  const warnings: Warning[] = []
  const talk = async () => {
    for await (const load of reconcile({ warn: (warning) => warnings.push(warning), ...options })) log.push(line(load))
  }
  return { log, warnings, done: talk() }
}

async function logOf(options: ReconcileOptions): Promise<string[]> {
  const { log, done } = say(options)
  await done
  return log
}

/** Lets every look-up that asks for `id` wait. */
function slow(spy: Spied, id: string): { open(): void } {
  const { opened, open } = gate()
  spy.replace.knownStates = async (ids) => {
    if (ids.includes(id)) await opened
    return spy.real.knownStates(ids)
  }
  return { open }
}

test('1: a document that is only stored is asked for with what is stored, and no content is read', async () => {
  const spy = spied(document('note', 3))
  expect(await logOf({ storage: spy.storage })).toEqual(['LOAD note=3'])
  expect(times(spy, 'read')).toBe(0)
  expect(times(spy, 'headers')).toBe(0)
})

test('2b: a subscribed document in neither memory nor storage is asked for with nothing, without a warning', async () => {
  const said = say({ storage: spied().storage, live: { keys: () => ['note'], get: () => undefined } })
  await said.done
  expect(said).toMatchObject({ log: ['LOAD note=∅'], warnings: [] })
})

test('6: a dependency leaves first although its look-up is slow, and an unrelated document does not wait', async () => {
  const spy = spied(document('list', 2, ['group']), document('zebra', 1), document('group', 1))
  const late = slow(spy, 'group')
  // Somebody else asks for it already, on its own: the others are looked up without it.
  const other = say({ storage: spy.storage, ids: ['group'] })
  const said = say({ storage: spy.storage, dependenciesOf })
  await rest()
  expect(said.log).toEqual(['LOAD zebra=1'])
  late.open()
  await Promise.all([said.done, other.done])
  expect(said.log).toEqual(['LOAD zebra=1', 'LOAD group=1', 'LOAD list=2'])
})

test('6: dependencies leave first from whatever page they are in, and once', async () => {
  const documents = [document('a', 1, ['z', 'm']), document('m', 1, ['z']), document('n', 1, ['m']), document('z', 1)]
  for (const pageSize of [1, 2, 3, 4]) {
    const { storage } = spied(...documents)
    const log = await logOf({ storage, dependenciesOf, pageSize })
    expect(log, `pages of ${pageSize}`).toEqual(['LOAD z=1', 'LOAD m=1', 'LOAD a=1', 'LOAD n=1'])
  }
})

test('6: a dependency that nobody here holds is asked for with nothing, once, before who needs it', async () => {
  const documents = [document('b', 1, ['a', 'x']), document('c', 1, ['a', 'x'])]
  for (const pageSize of [1, 2]) {
    const said = say({ storage: spied(...documents).storage, dependenciesOf, pageSize })
    await said.done
    expect(said.log.toSorted()).toEqual(['LOAD a=∅', 'LOAD b=1', 'LOAD c=1', 'LOAD x=∅'])
    expect(said.log.indexOf('LOAD a=∅')).toBeLessThan(said.log.indexOf('LOAD b=1'))
    expect(said.log.indexOf('LOAD x=∅')).toBeLessThan(said.log.indexOf('LOAD b=1'))
    expect(said.warnings).toEqual([])
  }
})

test('with ids of its own, what they depend on is asked for too, with what is stored of it', async () => {
  const { storage } = spied(document('group', 4), document('list', 2, ['group']), document('other', 1))
  expect(await logOf({ storage, ids: ['list'], dependenciesOf })).toEqual(['LOAD group=4', 'LOAD list=2'])
})

test('7: a dependency cycle leaves, and nothing hangs, whichever look-up answers last', async () => {
  const documents = [document('a', 1, ['b']), document('b', 1, ['c', 'b']), document('c', 1, ['a', 'd']), document('d')]
  for (const last of ['a', 'b', 'c', 'd']) {
    const spy = spied(...documents)
    const late = slow(spy, last)
    const other = say({ storage: spy.storage, ids: [last] })
    const said = say({ storage: spy.storage, dependenciesOf })
    await rest()
    late.open()
    await Promise.all([said.done, other.done])
    expect(said.log.toSorted(), `${last} last`).toEqual(['LOAD a=1', 'LOAD b=1', 'LOAD c=1', 'LOAD d=1'])
    expect(said.log.indexOf('LOAD d=1'), `${last} last`).toBeLessThan(said.log.indexOf('LOAD c=1'))
  }
})

test('8: a document that is opened while its look-up runs is asked for once, with what memory holds', async () => {
  const spy = spied(document('note', 3))
  const late = slow(spy, 'note')
  const live = new Map()
  const said = say({ storage: spy.storage, live })
  await rest()
  live.set('note', state(5))
  late.open()
  await said.done
  expect(said.log).toEqual(['LOAD note=5'])
})

test('9: a look-up that fails costs a LOAD with nothing and one warning that names the document and the cause', async () => {
  const spy = spied(document('bad', 3), document('good', 2))
  const cause = new Error('disk on fire')
  spy.replace.knownStates = (ids) => {
    if (ids.includes('bad')) throw cause
    return spy.real.knownStates(ids)
  }
  const said = say({ storage: spy.storage })
  await said.done
  expect(said).toMatchObject({
    log: ['LOAD bad=∅', 'LOAD good=2'],
    warnings: [{ id: 'bad', failed: 'look', cause }],
  })
})

test('what a document depends on could not be found out: it leaves, with a warning', async () => {
  const spy = spied(document('a', 1, ['b']), document('b', 1))
  const cause = new Error('disk on fire')
  spy.replace.headers = (ids) => {
    if (ids.includes('a')) throw cause
    return spy.real.headers(ids)
  }
  const said = say({ storage: spy.storage, dependenciesOf })
  await said.done
  expect(said).toMatchObject({
    log: ['LOAD a=1', 'LOAD b=1'],
    warnings: [{ id: 'a', failed: 'dependencies', cause }],
  })
  const asked = say({ storage: spied(document('a')).storage, dependenciesOf: () => Promise.reject(cause) })
  await asked.done
  expect(asked).toMatchObject({ log: ['LOAD a=1'], warnings: [{ id: 'a', failed: 'dependencies', cause }] })
})

test('10: two connections at once share their look-ups, and each is told of every document once', async () => {
  const spy = spied(...Array.from({ length: 2_000 }, (_, index) => document(`d${index}`, 1, ['d0'])))
  spy.replace.knownStates = async (ids) => rest().then(() => spy.real.knownStates(ids))
  const [first, second] = [say({ storage: spy.storage, dependenciesOf }), say({ storage: spy.storage, dependenciesOf })]
  await Promise.all([first.done, second.done])
  expect(times(spy, 'knownStates')).toBe(2)
  for (const { log } of [first, second]) {
    expect(log[0]).toBe('LOAD d0=1')
    expect(new Set(log).size).toBe(2_000)
    expect(log).toHaveLength(2_000)
  }
})

test('10: of a connection that closed no answer is applied: its LOADs end with the reason of the signal', async () => {
  const spy = spied(document('note', 3))
  const late = slow(spy, 'note')
  const closed = new AbortController()
  const [first, second] = [say({ storage: spy.storage, signal: closed.signal }), say({ storage: spy.storage })]
  await rest()
  closed.abort(new Error('disconnected'))
  await expect(first.done).rejects.toThrow('disconnected')
  late.open()
  await second.done
  expect([first.log, second.log]).toEqual([[], ['LOAD note=3']])
  expect(times(spy, 'knownStates')).toBe(1)
})

test('11: 10,000 stored documents take ten look-ups and eleven lists, and whoever reads slowly is not read ahead of', async () => {
  const spy = spied(...Array.from({ length: 10_000 }, (_, index) => document(`d${index}`)))
  const reading = reconcile({ storage: spy.storage })
  for (let said = 0; said < 1_000; said++) await reading.next()
  await rest()
  expect(times(spy, 'knownStates')).toBeLessThanOrEqual(2)
  let said = 1_000
  while (!(await reading.next()).done) said += 1
  expect(said).toBe(10_000)
  expect([times(spy, 'knownStates'), times(spy, 'list'), spy.calls.length]).toEqual([10, 11, 21])
})

test('a storage that cannot list its documents fails the iteration; whoever stops early leaves nothing behind', async () => {
  const spy = spied(document('a'), document('b'))
  const reading = reconcile({ storage: spy.storage, pageSize: 1 })
  expect((await reading.next()).value).toEqual({ action: 'load', id: 'a', known: state(1) })
  await reading.return()
  const before = spy.calls.length
  await rest()
  expect(spy.calls.length).toBe(before)
  spy.replace.list = () => {
    throw new Error('disk on fire')
  }
  await expect(say({ storage: spy.storage }).done).rejects.toThrow('disk on fire')
})

test('of a document of kind bytes the LOAD carries the digests', async () => {
  const { storage } = spied({ ...document('note', 3), kind: 'bytes' })
  const { value } = await reconcile({ storage }).next()
  expect(value).toMatchObject({ action: 'load', id: 'note', digests: new Map([['a', expect.any(String)]]) })
  expect((await reconcile({ storage, ids: ['nothing'] }).next()).value).toEqual({
    action: 'load',
    id: 'nothing',
    known: EMPTY,
  })
})

test('in 300 generated worlds every document leaves once, behind what it depends on, whatever answers first', async () => {
  for (let seed = 1; seed <= 300; seed++) {
    const random = generator(seed)
    const ids = Array.from({ length: 1 + Math.floor(random() * 10) }, (_, index) => `d${index}`)
    const edges = new Map(ids.map((id) => [id, ids.filter(() => random() < 0.2)]))
    const stored = ids.filter(() => random() < 0.8)
    const spy = spied(...stored.map((id) => document(id, 1, edges.get(id))))
    spy.replace.knownStates = async (asked) => {
      for (let turns = Math.floor(random() * 4); turns > 0; turns--) await nextTurn()
      if (asked.length > 1 && random() < 0.3) throw new Error('one by one, please')
      return spy.real.knownStates(asked)
    }
    const { log, warnings, done } = say({
      storage: spy.storage,
      dependenciesOf: async (header) => {
        if (random() < 0.5) await nextTurn()
        return dependenciesOf(header)
      },
      pageSize: 1 + Math.floor(random() * 4),
    })
    await done
    const said = log.map((text) => text.replace(/LOAD (.*)=.*/, '$1'))
    const named = new Set(stored.flatMap((id) => edges.get(id) ?? []))
    const expected = ids.filter((id) => stored.includes(id) || named.has(id))
    expect([said.toSorted(), warnings], `seed ${seed}: ${log}`).toEqual([expected.toSorted(), []])
    for (const id of stored)
      for (const dependency of (edges.get(id) ?? []).filter((other) => !reaches(edges, stored, other, id)))
        expect(said.indexOf(dependency), `seed ${seed}: ${id} needs ${dependency}`).toBeLessThan(said.indexOf(id))
  }
})

/** Through what is stored: of other documents nobody knows what they depend on. */
function reaches(edges: ReadonlyMap<string, readonly string[]>, stored: string[], from: string, to: string): boolean {
  const seen = new Set([from])
  for (const id of seen) if (stored.includes(id)) for (const next of edges.get(id) ?? []) seen.add(next)
  return seen.has(to)
}
