/**
 * What a server counts, and where in its traces each number comes from.
 *
 * Attributes are closed sets (actions, codes), so the number of series is bounded (L10), and each set is one object made once.
 * Not here: how numbers are kept or read (`registry.ts`, or the meter that was handed in).
 */
import type { Message } from '@tidemark/protocol'
import type { Append, AppendResult } from '@tidemark/storage'
import type { Effect, Event, Report } from '@tidemark/sync'
import type { Attributes, Counter, Meter } from './meter.ts'

export interface Counters {
  opened(dialect: string): void
  closed(code: number): void
  refused(status: number): void
  /** A connection was sent away for lack of memory. */
  shed(): void
  /** Frames as they travel; text is counted by its characters. */
  bytesIn(bytes: number): void
  bytesOut(bytes: number): void
  /** A keep-alive that did not come from the engine. */
  pinged(): void
  /** Sees every event and effect of the engine. */
  observe(step: Event | Effect): void
  report(report: Report): void
}

export function createCounters(meter: Meter): Counters {
  const count = (name: string, description: string, unit = '{count}') =>
    meter.createCounter(`tidemark.${name}`, { description, unit })
  const opened = count('connections.opened', 'Connections accepted')
  const closed = count('connections.closed', 'Connections closed, by close code')
  const refused = count('upgrades.refused', 'Clients refused before they were connected, by HTTP status')
  const shed = count('connections.shed', 'Connections sent away for lack of memory')
  const bytesIn = count('received', 'Bytes of frames received', 'By')
  const bytesOut = count('sent', 'Bytes of frames sent', 'By')
  const messagesOut = count('messages.sent', 'Messages sent, by action')
  const trace = createTraceCounters(meter, messagesOut)
  const reports = createReportCounters(meter)
  return {
    opened: (dialect) => opened.add(1, labelled('dialect', dialect)),
    closed: (code) => closed.add(1, labelled('code', closeCodeLabel(code))),
    refused: (status) => refused.add(1, labelled('status', `${status}`)),
    shed: () => shed.add(1),
    bytesIn: (bytes) => bytesIn.add(bytes),
    bytesOut: (bytes) => bytesOut.add(bytes),
    pinged: () => messagesOut.add(1, labelled('action', 'ping')),
    observe: trace,
    report: reports,
  }
}

function createTraceCounters(meter: Meter, messagesOut: Counter): (step: Event | Effect) => void {
  const count = (name: string, description: string) =>
    meter.createCounter(`tidemark.${name}`, { description, unit: '{count}' })
  const messagesIn = count('messages.received', 'Messages received and understood, by action')
  const malformed = count('messages.malformed', 'Messages that could not be understood, by code')
  const lookups = count('storage.lookups', 'Known states read; they read no content')
  const pages = count('storage.pages', 'Pages of content read')
  const appends = count('storage.appends', 'Batches appended')
  const contents = count('storage.contents', 'Contents appended, in batches')
  const transactions = count('storage.transactions', 'Transactions made durable, what overlapped included')
  let appending: readonly Append[] = []
  return (step) => {
    switch (step.type) {
      case 'received':
        return messagesIn.add(1, actionOf(step.message))
      case 'malformed':
        return malformed.add(1, labelled('code', step.error.code))
      case 'send':
        return messagesOut.add(1, actionOf(step.message))
      case 'look':
        return lookups.add(1)
      case 'page':
        return pages.add(1)
      case 'append':
        // There is one batch in flight at a time.
        appending = step.batch
        appends.add(1)
        return contents.add(step.batch.length)
      case 'appended':
        if ('value' in step.outcome) transactions.add(storedOf(appending, step.outcome.value))
        appending = []
        return
    }
  }
}

function createReportCounters(meter: Meter): (report: Report) => void {
  const count = (name: string, description: string) =>
    meter.createCounter(`tidemark.${name}`, { description, unit: '{count}' })
  const corrections = count('corrections', 'Gaps that were corrected')
  const forks = count('forks', 'Sessions that turned out to have two histories')
  const refusals = count('refusals', 'Loads and contents that were refused, by code')
  const storageFailures = count('storage.failures', 'Storage calls that failed, by operation and code')
  const checkFailures = count('hooks.failures', 'Hooks that failed, by question')
  return (report) => {
    switch (report.kind) {
      case 'corrected':
        return corrections.add(1)
      case 'fork':
        return forks.add(Math.max(1, report.sessions.length))
      case 'refused':
      case 'unsent':
        return refusals.add(1, labelled('code', report.code))
      case 'storage':
        return storageFailures.add(1, { operation: report.operation, code: report.code ?? 'unknown' })
      case 'check':
        return checkFailures.add(1, labelled('question', report.question))
    }
  }
}

function storedOf(batch: readonly Append[], results: readonly AppendResult[]): number {
  let stored = 0
  for (const [index, { runs }] of batch.entries()) {
    const result = results[index]
    if (result === undefined || 'failed' in result || result.headerRefused !== undefined) continue
    for (const run of runs) if (!result.refused.has(run.session)) stored += run.transactions.length
  }
  return stored
}

function actionOf(message: Message): Attributes {
  return labelled('action', message.action)
}

/** Peers choose the code they close with: only known ones get a series of their own. */
function closeCodeLabel(code: number): string {
  return (code >= 1000 && code <= 1014) || code === 4008 ? `${code}` : 'other'
}

const labels = new Map<string, Map<string, Attributes>>()

/** One object per name and value; both come from closed sets. */
function labelled(name: string, value: string): Attributes {
  let values = labels.get(name)
  if (values === undefined) {
    values = new Map()
    labels.set(name, values)
  }
  let attributes = values.get(value)
  if (attributes === undefined) {
    attributes = { [name]: value }
    values.set(value, attributes)
  }
  return attributes
}
