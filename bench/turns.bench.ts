/**
 * One message is the least that a connection does in its turn: how long the largest that a server takes hold up all others.
 *
 * A server over SQLite, in process; each message comes alone, on a connection of its own to a store of its own; so do ten small ones whose
 * answers are large, of a document of 100,000 sessions. What is measured is
 * the longest turn of the event loop, in time of its thread, so that other programs do not count; the worst of several rounds.
 */
import { join } from 'node:path'
import { EMPTY, type KnownState } from '@tidemark/known-state'
import { type Dialect, dialects, type Message, type PayloadKind } from '@tidemark/protocol'
import { createServer } from '@tidemark/server'
import type { Append } from '@tidemark/storage'
import { sqliteStorage } from '@tidemark/storage-sqlite'
import { createPipe } from '@tidemark/sync/run'
import { heading, print, type Row, withFolder } from './harness.ts'

const ROUNDS = process.argv.includes('--quick') ? 2 : 5
const SETTLE_MS = 400
const SETTLE_WIDE_MS = 3_000

const utf8 = (text: string) => new TextEncoder().encode(text)
const times = <T>(count: number, make: (index: number) => T): T[] =>
  Array.from({ length: count }, (_, index) => make(index))
const known = (count: number) => ({
  header: true,
  sessions: new Map(times(count, (index) => [`co_zabcdefghij_session_z${index}`, 5] as const)),
})

function content(kind: PayloadKind, transactions: readonly Uint8Array[]): Message {
  const run = { session: 's', after: 0, transactions, seal: utf8('x') }
  return { action: 'content', id: 'note', kind, priority: 3, header: utf8('{}'), runs: [run] }
}

/** A document of 100,000 sessions, as it comes. */
const wide = times(10, (page) => ({
  id: 'wide',
  kind: 'json' as const,
  priority: 3 as const,
  header: utf8('{}'),
  runs: times(10_000, (index) => ({
    session: `co_zabcdefghij_session_z${page * 10_000 + index}`,
    after: 0,
    transactions: [utf8('1')],
    seal: utf8('x'),
  })),
}))
const wideLoad = (known: KnownState, probe = false): Message => ({ action: 'load', id: 'wide', known, probe })
/** Ten at a time: they have to be answered one by one. */
const asking: readonly (readonly [what: string, message: Message])[] = [
  ['10 LOADs of nothing of a document of 100,000 sessions', wideLoad(EMPTY)],
  [
    '10 LOADs of a document of 100,000 sessions that claim more',
    wideLoad({ header: true, sessions: new Map([['q', 1]]) }),
  ],
]

const batch = times(10_000, (index) => [`doc${index}`, 'shortHash_z1'] as const)
const messages: readonly (readonly [what: string, make: (kind: PayloadKind) => Message])[] = [
  ['LOAD of 10,000 sessions', () => ({ action: 'load', id: 'note', known: known(10_000) })],
  ['LOAD of 100,000 sessions', () => ({ action: 'load', id: 'note', known: known(100_000) })],
  [
    'CONTENT of 100,000 of 1 byte',
    (kind) =>
      content(
        kind,
        times(100_000, () => utf8('1')),
      ),
  ],
  [
    'CONTENT of 100,000 of 48 bytes',
    (kind) =>
      content(
        kind,
        times(100_000, () => utf8(`{"a":"${'x'.repeat(40)}"}`)),
      ),
  ],
  ['CONTENT of 10,000 sessions', (kind) => ({ ...(wide[0] as Append), action: 'content', id: 'note', kind })],
  ['CONTENT of one transaction of 3.9 MB', (kind) => content(kind, [utf8(JSON.stringify('x'.repeat(3_900_000)))])],
  ['RECONCILE of 10,000', () => ({ action: 'reconcile', batch: 'b', values: batch })],
]

const threadMs = () => {
  const { user, system } = (process as unknown as { threadCpuUsage(): NodeJS.CpuUsage }).threadCpuUsage()
  return (user + system) / 1_000
}

async function longestTurnMs(
  dialect: Dialect,
  messages: readonly Message[],
  path: string,
  holds: readonly Append[] = [],
): Promise<number> {
  const storage = sqliteStorage({ path })
  const server = await createServer({ storage })
  for (const one of holds) await storage.append([one])
  const [ours, theirs] = createPipe(dialect)
  server.accept(ours)
  theirs.open({ frame() {}, drained() {}, closed() {} })
  const frames = dialect.createCodec().encode(messages, Number.MAX_SAFE_INTEGER)
  let [last, longest, watching] = [threadMs(), 0, true]
  const tick = () => {
    const now = threadMs()
    longest = Math.max(longest, now - last)
    last = now
    if (watching) setImmediate(tick)
  }
  setImmediate(tick)
  for (const frame of frames) theirs.send(frame)
  await new Promise((resolve) => setTimeout(resolve, holds.length > 0 ? SETTLE_WIDE_MS : SETTLE_MS))
  watching = false
  await server.close()
  return longest
}

heading()
await withFolder(async (folder) => {
  const rows: Row[] = []
  let stores = 0
  for (const dialect of dialects)
    for (const [what, make] of messages)
      for (const kind of what.startsWith('CONTENT') ? dialect.traits.kinds : (['json'] as const)) {
        const rounds: number[] = []
        while (rounds.length < ROUNDS)
          rounds.push(await longestTurnMs(dialect, [make(kind)], join(folder, `${++stores}.db`)))
        const name = what.startsWith('CONTENT') ? `${what}, ${kind}` : what
        rows.push({
          what: `${dialect.name}: ${name}`,
          figure: `${Math.max(...rounds).toFixed(0)} ms`,
          target: '100 ms',
        })
      }
  for (const dialect of dialects)
    for (const [what, message] of asking) {
      const rounds: number[] = []
      while (rounds.length < ROUNDS)
        rounds.push(
          await longestTurnMs(
            dialect,
            times(10, () => message),
            join(folder, `${++stores}.db`),
            wide,
          ),
        )
      rows.push({ what: `${dialect.name}: ${what}`, figure: `${Math.max(...rounds).toFixed(0)} ms`, target: '100 ms' })
    }
  print(rows)
})
