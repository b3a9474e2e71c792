/**
 * Once, and in order: every transaction goes to a connection once, behind the one before it in its session.
 *
 * A peer that asks again, corrects us, tells of a failure or ends its subscription may be sent the same once more: what it says may
 * have crossed what is on its way, so each such word is good for one repetition.
 */
import { EMPTY, type KnownState } from '@tidemark/known-state'
import type { Message, Run } from '@tidemark/protocol'
import { Violation } from '../violation.ts'
import type { MakeChecker } from './checker.ts'

/** What one end of a connection sends of one document. */
interface Stream {
  readonly cursors: Map<string, Cursor>
  /** How often its peer said something that allows a repetition. */
  replaced: number
}

/** Where a session may go on: it stands at `until`, and may have to begin again at `from`, or so many times anywhere. */
interface Cursor {
  from: number
  until: number
  repetitions: number
}

export const once: MakeChecker = () => {
  const streams = new Map<string, Stream>()

  function streamOf(connection: number, sender: string, id: string): Stream {
    const key = JSON.stringify([connection, sender, id])
    const present = streams.get(key)
    if (present !== undefined) return present
    const made: Stream = { cursors: new Map(), replaced: 0 }
    streams.set(key, made)
    return made
  }

  return {
    happened(happening) {
      if (happening.type === 'said') {
        const { connection, from, to, message } = happening
        if (message.action === 'content') {
          const stream = streamOf(connection, from, message.id)
          for (const run of message.runs) send(stream, run, `${from} sends ${to} ${message.id}`)
        } else if (message.action === 'done') tell(streamOf(connection, from, message.id), EMPTY, true)
      } else if (happening.type === 'heard') {
        const { connection, to, message } = happening
        if ('id' in message && message.id !== undefined) listen(streamOf(connection, to, message.id), message)
      }
    },
  }
}

function listen(stream: Stream, message: Message): void {
  if (message.action === 'load') tell(stream, message.known, true)
  else if (message.action === 'known') tell(stream, message.known, message.correction)
  else if (message.action === 'content') {
    // What a peer sends it holds.
    const ends = message.runs.map((run) => [run.session, run.after + run.transactions.length] as const)
    tell(stream, { header: true, sessions: new Map(ends) }, false)
  } else if (message.action === 'error' || message.action === 'done') tell(stream, EMPTY, true)
}

/** The sender was told what its peer holds: a claim replaces what was sent, an acknowledgement adds to it. */
function tell(stream: Stream, known: KnownState, replaces: boolean): void {
  const { cursors } = stream
  if (replaces) {
    stream.replaced += 1
    for (const [session, cursor] of cursors) {
      cursor.from = Math.min(cursor.from, known.sessions.get(session) ?? 0)
      cursor.repetitions += 1
    }
  }
  for (const [session, count] of known.sessions) {
    const cursor = cursors.get(session)
    if (cursor === undefined)
      cursors.set(session, { from: replaces ? count : 0, until: count, repetitions: stream.replaced + 1 })
    else cursor.until = Math.max(cursor.until, count)
  }
}

function send(stream: Stream, { session, after, transactions }: Run, what: string): void {
  if (transactions.length === 0) return
  const cursor = stream.cursors.get(session) ?? { from: 0, until: 0, repetitions: stream.replaced }
  const text = `${what} ${session} after ${after}`
  if (after > cursor.until) throw new Violation('once', `${text}, which was sent up to ${cursor.until} only`)
  if (after < cursor.from) {
    if (cursor.repetitions === 0) throw new Violation('once', `${text}, which was sent up to ${cursor.from}`)
    cursor.repetitions -= 1
  }
  const until = after + transactions.length
  stream.cursors.set(session, { ...cursor, from: until, until: Math.max(until, cursor.until) })
}
