/**
 * Reports of the engine in words. A storm of one kind (a full disk, a client in a loop) is one line a second with a count.
 *
 * Not here: counting all of them (`counters.ts`).
 */
import type { Clock } from '@tidemark/storage'
import type { Report } from '@tidemark/sync'
import type { Log, LogLevel } from './log.ts'

const SAME_KIND_EVERY_MS = 1_000

export function createReportLog(log: Log, clock: Clock): (report: Report) => void {
  const kinds = new Map<Report['kind'], { nextMs: number; leftOut: number }>()
  return (report) => {
    const line = lineOf(report)
    if (line === undefined) return
    const kind = kinds.get(report.kind) ?? { nextMs: 0, leftOut: 0 }
    kinds.set(report.kind, kind)
    const nowMs = clock.now()
    if (nowMs < kind.nextMs) {
      kind.leftOut += 1
      return
    }
    const { leftOut } = kind
    kind.nextMs = nowMs + SAME_KIND_EVERY_MS
    kind.leftOut = 0
    const [level, message, facts] = line
    log(level, message, leftOut > 0 ? { ...facts, leftOutBefore: leftOut } : facts)
  }
}

type Line = readonly [level: LogLevel, message: string, facts: Readonly<Record<string, unknown>>]

/** `undefined`: ordinary life, not worth a line. */
function lineOf(report: Report): Line | undefined {
  switch (report.kind) {
    case 'storage': {
      const { operation, id, code, cause } = report
      return ['error', 'a storage call failed', { operation, id, code, cause }]
    }
    case 'check':
      return ['error', 'a hook failed', { question: report.question, cause: report.cause }]
    case 'unsendable':
      return ['error', 'a message could not be encoded, and its connection is closed', { cause: report.cause }]
    case 'fork':
      return [
        'warn',
        'sessions have two histories',
        { id: report.id, session: report.sessions[0], sessions: report.sessions.length },
      ]
    case 'refused':
      return ['info', 'refused', { id: report.id, code: report.code, reason: report.message }]
    case 'unsent':
      return ['info', 'not sent', { id: report.id, code: report.code, reason: report.message }]
    case 'error':
      return ['info', 'a peer reported an error', { id: report.id, code: report.code, reason: report.message }]
    case 'corrected':
      return ['debug', 'corrected', { id: report.id }]
    default:
      return undefined
  }
}
