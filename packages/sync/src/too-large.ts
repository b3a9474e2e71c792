/**
 * What is too large for a peer: its `hello` says how large messages it takes, and nothing larger is sent to it.
 *
 * Pages are made to fit. A run that cannot be cut (L8) is passed over with what follows it in its session, which is reported; the rest of
 * the document goes on. Not here: frames and parts of states (the dialects).
 */
import type { ContentMessage, Run } from '@tidemark/protocol'
import { type Connection, type Core, type Holding, report, type View } from './core.ts'

/** What names, lengths and base64 come to beside so many bytes of payload. */
const wireBytes = (payloadBytes: number) => (payloadBytes * 4) / 3 + 1_024

/** The largest page for a peer: half of what it takes, since names and lengths come on top. */
export function pageBytesFor(core: Core, { messageBytesMax }: Connection): number {
  return Math.max(1, Math.min(core.limits.pageBytes, Math.floor(messageBytesMax / 2)))
}

/** The part of a page that its peer takes. Sessions that cannot go on there are passed over from now on. */
export function fitting(
  core: Core,
  connection: Connection,
  { id }: Holding,
  view: View,
  page: ContentMessage,
): ContentMessage {
  const bytes = page.runs.reduce((sum, run) => sum + bytesOf(run), page.header?.length ?? 0)
  // The header alone fits; the next pages bring the rest.
  if (page.header !== undefined && !fits(connection, bytes)) return { ...page, runs: [] }
  const runs = page.runs.filter((run) => fits(connection, bytesOf(run)))
  if (runs.length === page.runs.length) return page
  view.tooLarge ??= new Set()
  for (const run of page.runs) {
    if (runs.includes(run)) continue
    view.tooLarge.add(run.session)
    const message = `session ${JSON.stringify(run.session)} holds more in one piece than this peer takes`
    report(core, { kind: 'unsent', connection: connection.id, id, code: 'tooLarge', message })
  }
  return { ...page, runs }
}

/** Whether a peer takes a message with so many bytes of payload. */
export function fits({ messageBytesMax }: Connection, payloadBytes: number): boolean {
  return wireBytes(payloadBytes) <= messageBytesMax
}

function bytesOf({ transactions, seal }: Run): number {
  let bytes = seal?.length ?? 0
  for (const transaction of transactions) bytes += transaction.length
  return bytes
}
