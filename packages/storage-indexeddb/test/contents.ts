/**
 * Contents for the tests of this package.
 */
import type { Append, AppendResult, StoredState } from '@tidemark/storage'
import { expect } from 'vitest'

const utf8 = new TextEncoder()

export function text(value: string): Uint8Array<ArrayBuffer> {
  return utf8.encode(value)
}

/** Transactions `after` to `until` of a session, each of `size` bytes at least. */
export function run(session: string, after: number, until: number, size = 0): Append['runs'][number] {
  const transactions: Uint8Array[] = []
  for (let index = after; index < until; index++) transactions.push(text(`${session}#${index} `.padEnd(size, 'x')))
  return { session, after, transactions }
}

export function content(id: string, ...runs: Append['runs'][number][]): Append {
  return { id, kind: 'bytes', priority: 3, header: text(`header of ${id}`), runs }
}

/** The state after a content of which everything was accepted. */
export function accepted(result: AppendResult | undefined): StoredState {
  if (result === undefined || 'failed' in result) throw new Error('expected a content to be stored', { cause: result })
  expect([result.headerRefused, result.refused.size]).toEqual([undefined, 0])
  return result.state as StoredState
}
