/**
 * Random histories, beside the memory storage: every answer is the same, whatever was folded, erased or reopened in between.
 */
import 'fake-indexeddb/auto'
import { EMPTY } from '@tidemark/known-state'
import { type Append, memoryStorage, type Storage } from '@tidemark/storage'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { indexeddbStorage } from '../src/index.ts'
import { text } from './contents.ts'
import { freshName } from './subject.ts'

const PAGE_BYTES = 5_000

const run = fc.record({
  session: fc.nat({ max: 40 }).map((index) => `session ${index % 7 === 0 ? index : index % 5}`),
  /** Relative to what is held: overlapping, continuing or a gap. */
  offset: fc.constantFrom(0, 0, 0, 0, 0, 0, -1, -3, -20, -60, 1),
  count: fc.nat({ max: 12 }),
  size: fc.constantFrom(5, 40, 300, 300, 9_000),
  seal: fc.option(fc.nat({ max: 9 }), { freq: 2 }),
  fork: fc.nat({ max: 30 }).map((dice) => dice === 0),
})

const step = fc.oneof(
  {
    weight: 20,
    arbitrary: fc.record({
      kind: fc.constant('append' as const),
      runs: fc.array(run, { maxLength: 8 }),
      document: fc.nat({ max: 2 }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('erase' as const),
      document: fc.nat({ max: 2 }),
      version: fc.nat({ max: 3 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('reopen' as const) }) },
)

type Step = typeof step extends fc.Arbitrary<infer T> ? T : never
type AppendStep = Extract<Step, { kind: 'append' }>

test('answers what the memory storage answers', { timeout: 120_000 }, async () => {
  const history = fc.array(step, { minLength: 1, maxLength: 60 })
  await fc.assert(fc.asyncProperty(history, fc.boolean(), follow), {
    seed: Number(process.env.TIDEMARK_SEED ?? 20_261_121),
    numRuns: 60,
  })
})

async function follow(steps: readonly Step[], ofBytes: boolean): Promise<void> {
  const name = freshName()
  const kind = ofBytes ? 'bytes' : 'json'
  const model = memoryStorage()
  model.open()
  let storage: Storage = indexeddbStorage({ name })
  await storage.open()
  for (const next of steps) {
    if (next.kind === 'reopen') {
      await storage.close()
      storage = indexeddbStorage({ name })
      await storage.open()
    } else if (next.kind === 'erase') {
      const call = [`d${next.document}`, [next.version, 'me'], { keep: ['session 1'] }] as const
      expect(await storage.erase(...call)).toEqual(model.erase(...call))
    } else {
      const batch = [contentOf(next, kind, model)]
      expect(await storage.append(batch)).toEqual(model.append(batch))
    }
  }
  for (const id of ['d0', 'd1', 'd2']) await compare(storage, model, id)
  expect(await storage.changes({ since: 0, limit: 99 })).toEqual(model.changes({ since: 0, limit: 99 }))
  await storage.close()
}

function contentOf({ document, runs }: AppendStep, kind: Append['kind'], model: Storage): Append {
  const id = `d${document}`
  const [state] = model.knownStates([id]) as Exclude<ReturnType<Storage['knownStates']>, PromiseLike<unknown>>
  const bySession = new Map(
    runs.map(({ session, offset, count, size, seal, fork }) => {
      const after = Math.max(0, (state?.known.sessions.get(session) ?? 0) + offset)
      const transactions = Array.from({ length: count }, (_, index) =>
        text(JSON.stringify(`${session}#${after + index}${fork ? '!' : ''} `.padEnd(size, 'x'))),
      )
      return [session, { session, after, transactions, ...(seal === null ? {} : { seal: text(`seal ${seal}`) }) }]
    }),
  )
  return { id, kind, priority: 3, header: text(`"${id}"`), runs: [...bySession.values()] }
}

async function compare(storage: Storage, model: Storage, id: string): Promise<void> {
  expect(await storage.knownStates([id])).toEqual(await model.knownStates([id]))
  for (let after = EMPTY; ; ) {
    const page = await storage.read(id, after, { bytesMax: PAGE_BYTES })
    expect(page).toEqual(await model.read(id, after, { bytesMax: PAGE_BYTES }))
    if (page === undefined || !page.more) return
    after = page.end
  }
}
