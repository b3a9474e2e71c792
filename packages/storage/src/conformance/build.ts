/**
 * Contents for the cases: what transaction `index` of a session is follows from both, so nothing must be remembered.
 */
import type { PayloadKind, Priority, Run } from '@tidemark/protocol'
import type { Append, AppendResult, StoredState } from '../contract.ts'
import { holds, show } from './assert.ts'

const utf8 = new TextEncoder()

export interface RunOptions {
  readonly seal?: string
  /** Bytes of each transaction, at least. */
  readonly size?: number
  /** Another writer's transactions: a fork. */
  readonly salt?: string
  readonly digest?: string
}

export interface ContentOptions {
  /** Another header than the usual one of the id, or none. */
  readonly header?: string | false
  readonly priority?: Priority
  readonly verifier?: Readonly<Record<string, string>>
}

export interface Maker {
  readonly kind: PayloadKind
  /** Transactions `after` to `until` (exclusive) of a session. */
  run(session: string, after: number, until: number, options?: RunOptions): Run
  content(id: string, runs?: readonly Run[], options?: ContentOptions): Append
  header(id: string): Uint8Array
}

export const bytes: Maker = maker('bytes')
export const json: Maker = maker('json')

export function text(value: string): Uint8Array {
  return utf8.encode(value)
}

/** The state after a content of which everything was accepted. */
export function accepted(result: AppendResult | undefined): StoredState {
  holds(result !== undefined, 'one result per content')
  holds(!('failed' in result), `the content to be stored, got ${show(result)}`)
  holds(
    result.headerRefused === undefined && result.refused.size === 0 && result.state !== undefined,
    `nothing of the content to be refused, got ${show(result)}`,
  )
  return result.state
}

/** The result of a content that the store could judge. */
export function judged(result: AppendResult | undefined): Exclude<AppendResult, { failed: unknown }> {
  holds(result !== undefined, 'one result per content')
  holds(!('failed' in result), `the content to be judged, got ${show(result)}`)
  return result
}

function maker(kind: PayloadKind): Maker {
  const header = (id: string) => text(kind === 'json' ? JSON.stringify({ header: id }) : `header of ${id}`)
  return {
    kind,
    header,
    run(session, after, until, options = {}) {
      const transactions: Uint8Array[] = []
      for (let index = after; index < until; index++) transactions.push(transaction(kind, session, index, options))
      const seal = options.seal === undefined ? {} : { seal: text(options.seal) }
      const digest = options.digest === undefined ? {} : { digest: options.digest }
      return { session, after, transactions, ...seal, ...digest }
    },
    content(id, runs = [], options = {}) {
      const other = options.header
      const verifier =
        options.verifier && new Map(Object.entries(options.verifier).map(([key, state]) => [key, text(state)]))
      return {
        id,
        kind,
        priority: options.priority ?? 3,
        ...(other === false ? {} : { header: other === undefined ? header(id) : text(other) }),
        runs,
        ...(verifier === undefined ? {} : { verifier }),
      }
    },
  }
}

function transaction(kind: PayloadKind, session: string, index: number, options: RunOptions): Uint8Array {
  const label = `${session}#${index}${options.salt ?? ''} `
  const filled = label.padEnd(options.size ?? 0, '0123456789abcdef')
  return text(kind === 'json' ? JSON.stringify([filled]) : filled)
}
