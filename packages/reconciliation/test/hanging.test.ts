/**
 * Storages that hang: whoever gives up is let go, and nobody later waits for what was given up. Not here: storages that fail.
 */
import { expect, test } from 'vitest'
import { plan, reconcile } from '../src/index.ts'
import { dependenciesOf, document, rest, spied } from './world.ts'

const gone = new Error('gone')
const never = () => new Promise<never>(() => {})

test.each(['list', 'knownStates'] as const)('plan and reconcile end with the signal while %s hangs', async (method) => {
  const spy = spied(document('a'))
  spy.replace[method] = never
  const abort = new AbortController()
  const options = { storage: spy.storage, signal: abort.signal }
  const works = [plan(options).next(), reconcile(options).next()].map((work) => work.catch((cause) => cause))
  await rest()
  abort.abort(gone)
  expect(await Promise.all(works)).toEqual([gone, gone])
})

test('a look-up that hangs is shared for as long as somebody waits for it, and no longer', async () => {
  const spy = spied(document('a', 3))
  let calls = 0
  spy.replace.knownStates = (ids) => (++calls === 1 ? never() : spy.real.knownStates(ids))
  const [one, two] = [new AbortController(), new AbortController()]
  const works = [one, two].map(({ signal }) =>
    reconcile({ storage: spy.storage, signal })
      .next()
      .catch((cause) => cause),
  )
  await rest()
  one.abort(gone)
  const third = new AbortController()
  works.push(
    reconcile({ storage: spy.storage, signal: third.signal })
      .next()
      .catch((cause) => cause),
  )
  await rest()
  expect(calls).toBe(1)
  two.abort(gone)
  third.abort(gone)
  expect(await Promise.all(works)).toEqual([gone, gone, gone])
  expect((await reconcile({ storage: spy.storage }).next()).value).toMatchObject({ id: 'a' })
  expect(calls).toBe(2)
})

test('the dependencies of one document are looked up in pages', async () => {
  const ids = Array.from({ length: 95 }, (_, index) => `x${index}`)
  const spy = spied(document('a', 1, ids))
  const calls: number[] = []
  spy.replace.knownStates = (asked) => {
    calls.push(asked.length)
    return spy.real.knownStates(asked)
  }
  const said: string[] = []
  for await (const { id } of reconcile({ storage: spy.storage, dependenciesOf, pageSize: 10 })) said.push(id)
  expect([said.length, said.at(-1), Math.max(...calls), calls.length]).toEqual([96, 'a', 10, 11])
})
