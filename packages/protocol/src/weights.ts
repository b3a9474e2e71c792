/**
 * Weights: what content comes to beside its payload. Many small things cost more than the bytes that they hold.
 *
 * L10: what is cut by weight is bounded in bytes, in transactions and in sessions alike, whatever the dialect that it travels in.
 * Not here: cutting (storages make pages), what a message costs to handle.
 */
import type { Content } from './messages.ts'

/** Of a transaction, on top of its bytes: its length, or quotes, a comma and what base64 rounds up. */
export const TRANSACTION_WEIGHT = 8
/** Of a run, on top of its session's name: counts, a digest, and the names of fields in readable dialects. */
const RUN_WEIGHT = 96
/** What the name of a document, and of fields beside its runs, come to. */
const HEAD_BYTES = 2_048

/** Of a run without transactions. */
export function runWeight(session: string): number {
  let weight = RUN_WEIGHT
  for (let index = 0; index < session.length; index++) weight += unitWeight(session.charCodeAt(index))
  return weight
}

/** Of so many transactions of a run, with so many bytes between them and their seal. */
export function piecesWeight(bytes: number, transactions: number): number {
  return bytes + transactions * TRANSACTION_WEIGHT
}

/** Of all that a content brings. */
export function contentWeight({ header, runs }: Content): number {
  let weight = header?.length ?? 0
  for (const { session, transactions, seal } of runs) {
    weight += runWeight(session) + (seal?.length ?? 0)
    for (const transaction of transactions) weight += transaction.length + TRANSACTION_WEIGHT
  }
  return weight
}

/** How large a message with content of this weight is at most, in any dialect; without what it announces. */
export function wireBytesOf(weight: number): number {
  return Math.ceil((weight * 4) / 3) + HEAD_BYTES
}

/** A UTF-16 code unit in JSON text. */
function unitWeight(unit: number): number {
  if (unit < 0x20) return 6
  if (unit === 0x22 || unit === 0x5c) return 2
  if (unit < 0x80) return 1
  return unit < 0x800 || (unit >= 0xd800 && unit <= 0xdfff) ? 2 : 3
}
