/**
 * What a content brings, what it weighs, and a copy of it. Pure.
 */
import type { KnownState } from '@tidemark/known-state'
import type { Content } from '@tidemark/protocol'
import type { Append } from '@tidemark/storage'

/** What whoever stored all of it holds. */
export function endOf(content: Content): KnownState {
  const sessions = new Map<string, number>()
  for (const { session, after, transactions } of content.runs) {
    const end = after + transactions.length
    if (end > 0) sessions.set(session, end)
  }
  return { header: content.header !== undefined, sessions }
}

/** Bytes of header, transactions and seals. */
export function sizeOf(content: Content): number {
  let bytes = content.header?.length ?? 0
  for (const { transactions, seal } of content.runs) {
    bytes += seal?.length ?? 0
    for (const transaction of transactions) bytes += transaction.length
  }
  return bytes
}

export function copyOf(content: Append): Append {
  return {
    ...content,
    ...(content.header !== undefined && { header: content.header.slice() }),
    runs: content.runs.map((run) => ({
      ...run,
      transactions: run.transactions.map((transaction) => transaction.slice()),
      ...(run.seal !== undefined && { seal: run.seal.slice() }),
    })),
    ...(content.verifier !== undefined && {
      verifier: new Map([...content.verifier].map(([session, state]) => [session, state.slice()])),
    }),
  }
}
