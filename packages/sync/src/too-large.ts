/**
 * What is too large for a peer: its `hello` says how large messages it takes, and nothing larger is sent to it.
 *
 * Pages are made to fit. A run that cannot be cut (L8) is passed over with what follows it in its session, which is reported; the rest of
 * the document goes on. Not here: frames and parts of states (the dialects).
 */
import {
  type ContentMessage,
  contentWeight,
  DEFAULT_LIMITS,
  piecesWeight,
  type Run,
  runWeight,
  wireBytesOf,
} from '@tidemark/protocol'
import { type Connection, type Core, type Holding, report, type View } from './core.ts'

/** The largest page for a peer, by its weight: on the wire it is half of what it takes, and what it announces comes on top. */
export function pageBytesFor(core: Core, { messageBytesMax }: Connection): number {
  return Math.max(1, Math.min(core.limits.pageBytes, Math.floor((messageBytesMax * 3) / 8)))
}

/** The part of a page that its peer takes. Sessions that cannot go on there are passed over from now on. */
export function fitting(
  core: Core,
  connection: Connection,
  holding: Holding,
  view: View,
  page: ContentMessage,
): ContentMessage {
  // The header alone fits; the next pages bring the rest.
  if (page.header !== undefined && !fits(connection, contentWeight(page))) return { ...page, runs: [] }
  const runs = page.runs.filter((run) => takes(connection, run))
  if (runs.length === page.runs.length) return page
  // Once for a document: of a peer that takes little there may be very many.
  const isNews = view.tooLarge === undefined && !awaitsHello(connection, view)
  view.tooLarge ??= new Set()
  const taken = new Set(runs)
  for (const run of page.runs) if (!taken.has(run)) view.tooLarge.add(run.session)
  if (!isNews) return { ...page, runs }
  const [session] = view.tooLarge
  const message = `session ${JSON.stringify(session)}, if not others, holds more in one piece than this peer takes`
  report(core, { kind: 'unsent', connection: connection.id, id: holding.id, code: 'tooLarge', message })
  return { ...page, runs }
}

/** What is too large before its peer has said how much it takes is tried again then; its view says so. */
export function awaitsHello(connection: Connection, view: View): boolean {
  const { traits, peer } = connection
  if (!traits.hello || peer !== undefined) return false
  view.tooLarge ??= new Set()
  return true
}

/** Whether a peer takes a message of this weight. */
export function fits({ messageBytesMax }: Connection, weight: number): boolean {
  return wireBytesOf(weight) <= messageBytesMax
}

/** No reader takes more transactions at once; what was stored before that was refused may have them. */
function takes(connection: Connection, { session, transactions, seal }: Run): boolean {
  if (connection.traits.local) return true
  let bytes = seal?.length ?? 0
  for (const transaction of transactions) bytes += transaction.length
  const { length } = transactions
  return length <= DEFAULT_LIMITS.transactionsMax && fits(connection, runWeight(session) + piecesWeight(bytes, length))
}
