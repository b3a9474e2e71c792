/**
 * The trace: what happened, in words. A message is a line as in a message log: `c1 > server  LOAD note header a:3`.
 */
import type { KnownState } from '@tidemark/known-state'
import type { Message } from '@tidemark/protocol'
import type { Report } from '@tidemark/sync'
import type { Happening } from './happenings.ts'

export function describeHappening(happening: Happening): string {
  switch (happening.type) {
    case 'said':
      return `${happening.from} > ${happening.to} #${happening.connection}  ${describe(happening.message)}`
    case 'heard':
      return `${happening.to} hears #${happening.connection} ${describe(happening.message)}`
    case 'connected':
      return `#${happening.connection} connects ${happening.client} and ${happening.server}`
    case 'disconnected':
      return `${happening.node} knows that #${happening.connection} is over`
    case 'stored':
      return `disk of ${happening.node}: ${happening.id} ${describeState(happening.known)}`
    case 'disk failed':
      return `disk of ${happening.node}: ${happening.method} ${happening.ids.join(' ')} fails (${happening.how})`
    case 'started':
    case 'crashed':
      return `${happening.node} ${happening.type === 'started' ? 'starts' : 'crashes'}, disk ${happening.fate}`
    case 'reported':
      return `${happening.node} reports ${describeReport(happening.report)}`
    case 'opened':
    case 'closed':
    case 'reads':
    case 'left':
      return `application of ${happening.node}: handle ${happening.handle} of ${happening.id} ${HANDLING[happening.type]}`
    case 'given':
      return `application of ${happening.node}: handle ${happening.handle} of ${happening.id} is given ${[
        ...(happening.header ? ['header'] : []),
        ...happening.runs.map(describeRun),
      ].join(' ')}`
    case 'wrote':
    case 'resolved':
    case 'rejected':
      return `application of ${happening.node}: ${WRITING[happening.type]} ${happening.id} ${happening.session} ${happening.texts.join(' ')}${
        happening.error === undefined ? '' : `: ${(happening.error as Error).message}`
      }`
    case 'state':
      return `application of ${happening.node}: handle ${happening.handle} of ${happening.id} is ${happening.state}`
    case 'uploaded':
      return `application of ${happening.node}: ${happening.id ?? 'everything'} is uploaded`
    case 'trouble':
    case 'step':
      return `— ${happening.text}`
  }
}

const HANDLING = { opened: 'opened', closed: 'closed', reads: 'waits for content', left: 'does not wait' } as const
const WRITING = { wrote: 'writes', resolved: 'wrote', rejected: 'could not write' } as const

/** One line a message: `LOAD note header a:3`, `CONTENT note header a:0-3`, `KNOWN! note ∅`. */
export function describe(message: Message): string {
  switch (message.action) {
    case 'load':
      return `LOAD${message.probe === true ? '?' : ''} ${message.id} ${describeState(message.known)}`
    case 'known':
      return `KNOWN${message.correction ? '!' : ''} ${message.id} ${describeState(message.known)}`
    case 'content': {
      const until = message.expectUntil === undefined ? [] : [`until ${describeState(message.expectUntil)}`]
      const header = message.header === undefined ? [] : ['header']
      return ['CONTENT', message.id, ...header, ...message.runs.map(describeRun), ...until].join(' ')
    }
    case 'done':
      return `DONE ${message.id}`
    case 'error':
      return ['ERROR', message.id, message.code, message.message].filter(Boolean).join(' ')
    case 'reconcile':
      return `RECONCILE ${message.batch} ${message.values.map(([id]) => id).join(' ')}`
    case 'reconcile-ack':
      return `RECONCILE-ACK ${message.batch}`
    default:
      return message.action.toUpperCase()
  }
}

export function describeState(known: KnownState): string {
  const sessions = [...known.sessions].map(([session, count]) => `${session}:${count}`)
  return known.header || sessions.length > 0 ? [...(known.header ? ['header'] : []), ...sessions].join(' ') : '∅'
}

function describeRun(run: {
  readonly session: string
  readonly after: number
  readonly transactions: readonly Uint8Array[]
}): string {
  return `${run.session}:${run.after}-${run.after + run.transactions.length}`
}

function describeReport(report: Report): string {
  const { kind } = report
  const rest = Object.entries(report)
    .filter(([name, value]) => name !== 'kind' && name !== 'hello' && value !== undefined)
    .map(([name, value]) => `${name} ${value instanceof Error ? value.message : String(value)}`)
  return [kind, ...rest].join(' ')
}
