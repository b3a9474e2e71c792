/**
 * Once, and in order: every transaction goes to a connection once, behind the one before it in its session.
 *
 * A peer that asks again, corrects us, tells of a failure or ends its subscription may be sent the same once more, from where it says
 * that it stands: each such word is good for one repetition, because it may have crossed what is on its way. The first word about a
 * document crosses nothing.
 */
import { EMPTY, type KnownState } from '@tidemark/known-state'
import type { Message, Run } from '@tidemark/protocol'
import { Violation } from '../violation.ts'
import type { MakeChecker } from './checker.ts'
import { kept } from './kept.ts'

/** What one end of a connection sends of one document. */
interface Stream {
  readonly cursors: Map<string, Cursor>
  /** What its peer said that it holds whenever that allows a repetition. */
  readonly words: KnownState[]
  /** Nothing was said yet about the document on this connection. */
  isFresh: boolean
  /** One repetition that is good only for what comes with its header. */
  taken?: KnownState | undefined
}

/** Where a session may go on: it stands at `at`, its peer may have it up to `until`. */
interface Cursor {
  at: number
  until: number
  /** Words that it used for a repetition. */
  readonly used: Set<KnownState>
}

export const once: MakeChecker = (world) => {
  /** Connection → sender → document. */
  const streams = new Map<number, Map<string, Map<string, Stream>>>()

  function streamOf(connection: number, sender: string, id: string): Stream {
    const senders = kept(streams, connection, () => new Map<string, Map<string, Stream>>())
    const documents = kept(senders, sender, () => new Map<string, Stream>())
    return kept(documents, id, () => ({ cursors: new Map(), words: [], isFresh: true }))
  }

  return {
    happened(happening) {
      if (happening.type === 'said') {
        const { connection, from, to, message } = happening
        // Keeps no count of what is under way, and repeats what it asked about.
        if (world.writers.some(({ name }) => name === from)) return
        if (message.action === 'load') streamOf(connection, from, message.id).isFresh = false
        else if (message.action === 'content') {
          const stream = streamOf(connection, from, message.id)
          stream.isFresh = false
          if (message.header !== undefined && stream.taken !== undefined) {
            stream.words.push(stream.taken)
            stream.taken = undefined
          }
          for (const run of message.runs) send(stream, run, `${from} sends ${to} ${message.id}`)
        } else if (message.action === 'done') replace(streamOf(connection, from, message.id), EMPTY)
      } else if (happening.type === 'heard') {
        const { connection, to, message } = happening
        if ('id' in message && message.id !== undefined) listen(streamOf(connection, to, message.id), message)
      }
    },
  }
}

function listen(stream: Stream, message: Message): void {
  listenTo(stream, message)
  stream.isFresh = false
}

function listenTo(stream: Stream, message: Message): void {
  if (message.action === 'load') replace(stream, message.known)
  else if (message.action === 'known') message.correction ? replace(stream, message.known) : add(stream, message.known)
  else if (message.action === 'content') {
    // What a peer sends it holds.
    const ends = message.runs.map((run) => [run.session, run.after + run.transactions.length] as const)
    add(stream, { header: true, sessions: new Map(ends) })
  } else if (message.action === 'error' || message.action === 'done') replace(stream, EMPTY)
}

/** Its peer says where it stands, whatever was sent before. */
function replace(stream: Stream, known: KnownState): void {
  add(stream, known, known)
  if (!stream.isFresh) stream.words.push({ ...known })
  // What depends on the document may take it along before this word is acted upon: it is then sent from its beginning.
  else if (known.header) stream.taken = { ...EMPTY }
}

/** Its peer has so much by now: whether that is known where it is sent from is not certain, so it may begin at the beginning. */
function add({ cursors }: Stream, known: KnownState, begins = EMPTY): void {
  for (const [session, count] of known.sessions) {
    const cursor = cursors.get(session)
    if (cursor === undefined)
      cursors.set(session, { at: begins.sessions.get(session) ?? 0, until: count, used: new Set() })
    else cursor.until = Math.max(cursor.until, count)
  }
}

function send(stream: Stream, { session, after, transactions }: Run, what: string): void {
  if (transactions.length === 0) return
  const cursor = stream.cursors.get(session) ?? { at: 0, until: 0, used: new Set() }
  stream.cursors.set(session, cursor)
  const text = `${what} ${session} after ${after}`
  if (after > cursor.until) throw new Violation('once', `${text}, which was sent up to ${cursor.until} only`)
  if (after < cursor.at) {
    const word = stream.words.find((known) => !cursor.used.has(known) && (known.sessions.get(session) ?? 0) <= after)
    if (word === undefined) throw new Violation('once', `${text}, which was sent up to ${cursor.at}`)
    cursor.used.add(word)
  }
  cursor.at = after + transactions.length
  cursor.until = Math.max(cursor.until, cursor.at)
}
