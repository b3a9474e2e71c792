/**
 * Writing to a server that answers late, or that says something else meanwhile: nothing of that is taken for an acknowledgement (L3, L13).
 */
import type { KnownState } from '@tidemark/known-state'
import { type Dialect, type Run, tidemarkBinary, tidemarkJson } from '@tidemark/protocol'
import type { ServerOptions } from '@tidemark/server'
import type { Append, Changed, Storage, StoredState } from '@tidemark/storage'
import { afterEach, expect, test } from 'vitest'
import { far, filled, note, refusals, run, sessionsIn } from './far.ts'

declare function setTimeout(callback: () => void, ms: number): unknown
const wait = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

const leftovers: (() => unknown)[] = []
afterEach(async () => {
  for (const end of leftovers.splice(0).reverse()) await end()
})

/** A storage some of whose methods are others. */
const changed = (data: Storage, methods: object): Storage =>
  new Proxy(data, {
    has: (target, name) => name in methods || name in target,
    get(target, name) {
      const method = Reflect.get(name in methods ? methods : target, name)
      return typeof method === 'function' ? method.bind(target) : method
    },
  })

/** A server that asks who may write for a while, and whose disk takes its time. */
async function slowServer(dialect: Dialect, appendMs: number, { limits = {}, ...options }: Partial<ServerOptions>) {
  const authorize = () => wait(50).then(() => true)
  const append = (data: Storage) => (batch: readonly Append[], given?: object) =>
    wait(appendMs).then(() => data.append(batch, given))
  const f = await far(dialect, limits, 100_000, (data) => ({
    ...options,
    storage: changed(data, { append: append(data) }),
    hooks: { authorize },
  }))
  leftovers.push(() => f.close())
  return f
}

const utf8 = new TextEncoder()
const sealed = (session: string, length: number, after: number, text = ''): Run => ({
  ...run(
    session,
    Array.from({ length }, (_, at) => utf8.encode(`["${after + at}${text}"]`)),
    after,
  ),
  seal: utf8.encode('seal'),
})

for (const dialect of [tidemarkBinary, tidemarkJson])
  for (const appendMs of [0, 40]) {
    test(`${dialect.name}, a disk of ${appendMs} ms: beside a session too many a fork is refused, however late that is said`, async () => {
      const f = await slowServer(dialect, appendMs, { limits: { documentSessionsMax: 3 } })
      await f.data.append([note(10, run('fork', filled(3, 10)), run('large', filled(1, 10)))])
      const runs = [run('fork', filled(3, 10, 9)), run('b', filled(1, 10)), run('c', filled(1, 10))]
      expect(refusals((await f.remote.append([note(undefined, ...runs)]))[0])).toEqual({
        fork: 'fork 3',
        c: 'tooLarge 0',
      })
      expect(await sessionsIn(f.data)).toEqual({ fork: 3, large: 1, b: 1 })
    })

    test(`${dialect.name}, a disk of ${appendMs} ms: beside a fork of JSON nothing is acknowledged that is not stored, however late that is said`, async () => {
      const f = await slowServer(dialect, appendMs, { proveContinuity: true })
      const json = (...runs: Run[]): Append => ({ ...note(undefined, ...runs), kind: 'json' })
      await f.data.append([{ ...json(sealed('a', 3, 0), sealed('f', 3, 0)), header: utf8.encode('{}') }])
      const content = json(sealed('a', 2, 3), sealed('f', 3, 0, 'other'))
      // Refused, or a failure: whose answers come too late to be told apart, the outcome is unknown (L2).
      const outcome = await Promise.resolve(f.remote.append([content])).then(
        ([result]) => refusals(result),
        ({ code }) => code,
      )
      const { a } = await sessionsIn(f.data)
      expect([a === 5 && { f: 'fork 3' }, 'IO']).toContainEqual(outcome)
    })
  }

test.each([true, false])(
  'what another process writes meanwhile acknowledges no fork (before it is judged: %s)',
  async (isEarly) => {
    let tell: ((change: Changed) => void) | undefined
    let write = async () => {}
    const watch = (listener: (change: Changed) => void) => {
      tell = listener
      return () => {}
    }
    const authorize = async (_: unknown, action: string) => {
      if (action === 'write' && isEarly) await write().then(() => wait(50))
      return true
    }
    const f = await far(tidemarkBinary, {}, 100_000, (data) => ({
      storage: changed(data, { watch }),
      hooks: { authorize },
    }))
    leftovers.push(() => f.close())
    await f.data.append([note(10, run('a', filled(3, 10)))])
    write = async () => {
      write = async () => {}
      const [held] = (await f.data.knownStates(['note'])) as StoredState[]
      await f.data.append([note(undefined, run('z', filled(1, 10)))])
      tell?.({ id: 'note', before: held?.known as KnownState })
    }
    const writing = f.remote.append([note(undefined, run('a', filled(3, 10, 9)))])
    if (!isEarly) await write()
    expect(refusals((await writing)[0])).toEqual({ a: 'fork 3' })
  },
)
