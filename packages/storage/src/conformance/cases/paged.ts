/**
 * Whether a document is more than one page: by what its page weighs, to the byte.
 */
import { EMPTY } from '@tidemark/known-state'
import { contentWeight, type Run } from '@tidemark/protocol'
import type { Append, Storage } from '../../contract.ts'
import { same } from '../assert.ts'
import { accepted, bytes } from '../build.ts'
import { group, type StorageCase, scenario } from '../subject.ts'

const NOTHING = new Uint8Array(0)

const run = (session: string, after: number, length: number): Run => ({
  session,
  after,
  transactions: Array.from({ length }, () => NOTHING),
})

/** A document that fills a page exactly: so many sessions, the rest transactions without bytes, what is left over in its header. */
function fullPage(id: string, sessions: number, pageBytes: number): Append {
  const runs = Array.from({ length: sessions }, (_, index) => run(`s${index}`, 0, 1))
  const content = (transactions: number, header: number): Append => ({
    ...bytes.content(id, [...runs, run('z', 0, transactions)]),
    header: new Uint8Array(header),
  })
  const weight = (transactions: number) => contentWeight(content(transactions, 1))
  const each = weight(1) - weight(0)
  const transactions = Math.floor((pageBytes - weight(0)) / each)
  return content(transactions, 1 + pageBytes - weight(transactions))
}

async function isPaged(storage: Storage, content: Append, expected: boolean, pageBytes: number, what: string) {
  const { id } = content
  same(accepted((await storage.append([content]))[0]).paged, expected, `paged ${what}, as appended`)
  same((await storage.knownStates([id]))[0]?.paged, expected, `paged ${what}, asked for later`)
  same((await storage.read(id, EMPTY, { bytesMax: pageBytes }))?.more, expected, `more ${what}`)
}

export const paged: readonly StorageCase[] = group('paged', [
  scenario(
    'is what does not come with one page, however small its transactions are',
    async ({ storage, pageBytes }) => {
      for (const sessions of [0, 1, Math.floor(pageBytes / 200)]) {
        const full = fullPage(`${sessions} sessions`, sessions, pageBytes)
        const count = full.runs.at(-1)?.transactions.length ?? 0
        const what = `at a full page of ${sessions + 1} sessions`
        await isPaged(storage, full, false, pageBytes, what)
        const more = bytes.content(full.id, [run('z', count, 1)], { header: false })
        await isPaged(storage, more, true, pageBytes, `${what} and an empty transaction`)
      }
    },
  ),

  scenario('is what has a session more than one page', async ({ storage, pageBytes }) => {
    const full = fullPage('x', 2, pageBytes)
    await isPaged(storage, full, false, pageBytes, 'at a full page')
    await isPaged(
      storage,
      bytes.content('x', [run('a', 0, 1)], { header: false }),
      true,
      pageBytes,
      'at one session more',
    )
  }),
])
