/**
 * Many sessions and many documents: at a tenth of the size in `storageCases`, in full in `largeStorageCases`.
 */
import { EMPTY } from '@tidemark/known-state'
import type { Append, Change } from '../../contract.ts'
import { holds, same } from '../assert.ts'
import { accepted, bytes } from '../build.ts'
import { readsBack } from '../model.ts'
import { group, type Scenario, type StorageCase, scenario } from '../subject.ts'

interface Sizes {
  readonly sessions: number
  readonly documents: number
}

export const many: readonly StorageCase[] = group('many', scenarios({ sessions: 1_000, documents: 10_000 }))
export const manyInFull: readonly StorageCase[] = group('many', scenarios({ sessions: 10_000, documents: 100_000 }))

function scenarios({ sessions, documents }: Sizes): readonly Scenario[] {
  return [
    scenario(`${sessions} sessions in one document`, async ({ storage }) => {
      const names = Array.from({ length: sessions }, (_, index) => `session ${(index * 7919) % sessions}`)
      const contents: Append[] = [
        bytes.content(
          'x',
          names.map((session) => bytes.run(session, 0, 2)),
        ),
      ]
      contents.push(
        bytes.content(
          'x',
          names.filter((_, index) => index % 10 === 0).map((session) => bytes.run(session, 2, 3)),
          { header: false },
        ),
      )
      for (const content of contents) accepted((await storage.append([content]))[0])
      await readsBack(storage, contents, [sessions * 10, 10_000_000])
      const one = bytes.content('x', [bytes.run('session 5', 1, 9)], { header: false })
      same(accepted((await storage.append([one]))[0]).known.sessions.size, sessions, 'sessions after one of them grew')
    }),

    scenario(`${documents} documents, listed in pages`, ['list'], async ({ storage }) => {
      const ids = Array.from(
        { length: documents },
        (_, index) => `document ${String((index * 7919) % documents).padStart(6, '0')}`,
      )
      for (let at = 0; at < documents; at += 1000)
        for (const result of await storage.append(ids.slice(at, at + 1000).map((id) => bytes.content(id))))
          accepted(result)
      same(await storage.count(), documents, 'documents counted')
      const listed: string[] = []
      for (;;) {
        const after = listed.at(-1)
        const page = await storage.list({ limit: 997, ...(after === undefined ? {} : { after }) })
        listed.push(...page)
        if (page.length < 997) break
      }
      same(listed.length, documents, 'documents listed')
      holds(
        listed.every((id, index) => index === 0 || (listed[index - 1] as string) < id),
        'ids in order',
      )
    }),

    scenario(`${documents / 10} documents, known states and changes in bulk`, ['changes'], async ({ storage }) => {
      const ids = Array.from({ length: documents / 10 }, (_, index) => `d${index}`)
      await storage.append(ids.map((id) => bytes.content(id, [bytes.run('a', 0, 1)])))
      same(
        (await storage.knownStates(ids)).every((state) => state?.known.sessions.get('a') === 1),
        true,
        'all known states',
      )
      const found: Change[] = []
      for (let since = 0; ; since = (found.at(-1) as Change).sequence) {
        const page = await storage.changes({ since, limit: 100 })
        found.push(...page)
        if (page.length < 100) break
      }
      same(
        found.map((change) => change.id),
        ids,
        'changes',
      )
    }),

    scenario(`${sessions * 2} transactions, stored one by one and read in pages`, async ({ storage }) => {
      const count = sessions * 2
      const contents = [bytes.content('x', [bytes.run('a', 0, 1)])]
      for (let at = 1; at < count; at++)
        contents.push(bytes.content('x', [bytes.run('a', at, at + 1)], { header: false }))
      for (let at = 0; at < count; at += 100) await storage.append(contents.slice(at, at + 100))
      await readsBack(storage, contents, [5_000, 1_000_000])
      same(
        (await storage.read('x', EMPTY, { bytesMax: 0 }))?.runs[0]?.transactions.length,
        1,
        'transactions on the smallest page',
      )
    }),
  ]
}
