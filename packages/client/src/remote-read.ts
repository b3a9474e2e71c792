/**
 * Reading from a server: one LOAD opens a stream, whose pages are handed out one after the other to whoever reads on where the last one ended.
 *
 * So what a reader lacks crosses once, and there is more as long as the end that any stream of the document announced has not come. L10: few streams are kept. One of
 * which more waits than its reader takes is left, which costs another LOAD later and no page: what was on its way is kept (as much as a connection
 * has on its way, for all streams together). No page of a stream that was left is taken for an answer to a later LOAD: that is said when all
 * of it was heard (`leave`). Not here: one reader of a document at a time (`remote.ts`).
 */
import { covers, EMPTY, type KnownState, union } from '@tidemark/known-state'
import { type ContentMessage, contentWeight, type KnownMessage, type Message, MINIMUM_LIMITS } from '@tidemark/protocol'
import { type Page, StorageError, unlessAborted } from '@tidemark/storage'
import { compareIds } from '@tidemark/storage/adapter'
import { endOf } from './content.ts'
import type { RemoteLink } from './remote-link.ts'
import { errorOf, failIfError, stateOf } from './remote-look.ts'

export interface Streams {
  /** A page after `after`: the next one of a stream of this document, or the first one of a new stream. */
  read(link: RemoteLink, id: string, after: KnownState, signal: AbortSignal | undefined): Promise<Page | undefined>
  /** Has nothing more come for the streams of a document; what came may still be read. */
  end(id: string, signal: AbortSignal | undefined): Promise<void>
  /** The server holds this of a document: there is as much to be read, and a stream that brings something else is of no use. */
  heard(id: string, known: KnownState): void
  /** Forgets the streams of a document. */
  drop(id: string): void
}

interface Stream {
  readonly id: string
  readonly link: RemoteLink
  readonly pages: ContentMessage[]
  /** Of the pages that wait. */
  weight: number
  /** Where that ends which was handed out. */
  handed: KnownState
  /** Where that ends which came. */
  came: KnownState
  /** The announced end, as far as it was announced, here or by a later stream of the document: known with the first page. */
  until: KnownState | undefined
  /** What the server was heard to hold since. */
  held: KnownState
  isWaitedFor: boolean
  /** Ends the subscription, once; resolves when nothing more comes. */
  left: Promise<void> | undefined
  /** Nothing more comes. */
  isOver: boolean
  failure: Error | undefined
  unlisten: () => void
  /** Something came, or it is over. */
  wake: () => void
}

const STREAMS_MAX = 16
/** Of pages that wait for their reader. */
const WAITING_BYTES = 1024 * 1024
/** Announcements of more sessions may be cut: where they end is asked for. */
const ANNOUNCED_MAX = MINIMUM_LIMITS.sessionsMax

export function createStreams(): Streams {
  /** In the order in which they were opened. Several of one document where several read it: one of them is still coming. */
  const streams = new Set<Stream>()
  const of = (id: string) => [...streams].filter((stream) => stream.id === id)

  function drop(stream: Stream): void {
    streams.delete(stream)
    stream.pages.length = 0
    finish(stream)
  }

  /** What comes of a stream that is still coming is its own, to the end. */
  async function end(id: string, signal: AbortSignal | undefined): Promise<void> {
    for (const stream of of(id)) if (!stream.isOver) await unlessAborted(leave(stream), signal)
  }

  /** What is announced now is more to come for whoever is handed pages of an older stream: its reader may have begun with the new one. */
  function announce({ id, until }: Stream): void {
    if (until === undefined) return
    for (const stream of of(id)) if (stream.until !== undefined) stream.until = union(stream.until, until)
  }

  async function open(link: RemoteLink, id: string, after: KnownState, signal: AbortSignal | undefined) {
    await end(id, signal)
    const idle = [...streams].find(({ isWaitedFor }) => !isWaitedFor)
    if (streams.size >= STREAMS_MAX && idle !== undefined) drop(idle)
    const stream = createStream(link, id, after)
    streams.add(stream)
    try {
      const answer = await link.talk(id, [{ action: 'load', id, known: after }], (one) => hear(stream, one), signal)
      if (answer === 'stream') {
        announce(stream)
        return stream
      }
      drop(stream)
      return answer
    } catch (cause) {
      drop(stream)
      throw cause
    }
  }

  /** The next page of a stream, if that is one after `after`. */
  async function next(stream: Stream, after: KnownState, signal: AbortSignal | undefined): Promise<Page | undefined> {
    stream.isWaitedFor = true
    try {
      await somethingIn(stream, signal)
    } catch (cause) {
      // What it owes is asked for anew.
      drop(stream)
      stream.link.doubt(stream.id)
      throw cause
    } finally {
      stream.isWaitedFor = false
    }
    const [message] = stream.pages
    const page = message !== undefined && continues(message, after) ? hand(stream, message, after) : undefined
    if (stream.pages.length === 0 && stream.isOver) drop(stream)
    if (message === undefined && stream.failure !== undefined) throw stream.failure
    return page
  }

  /** What came over a connection that is used no more is as good. */
  function follows(stream: Stream, link: RemoteLink, after: KnownState): boolean {
    const [message] = stream.pages
    if (!covers(after, stream.handed)) return false
    return message === undefined ? !stream.isOver && stream.link === link : continues(message, after)
  }

  return {
    end,
    async read(link, id, after, signal) {
      const before = of(id).find((stream) => follows(stream, link, after))
      const page = before === undefined ? undefined : await next(before, after, signal)
      if (page !== undefined) return page
      const opened = await open(link, id, after, signal)
      if (!('pages' in opened)) return lastPage(id, after, opened)
      const first = await next(opened, after, signal)
      if (first === undefined) throw new StorageError('IO', 'what the server sent is out of date')
      return first
    },
    heard(id, known) {
      for (const stream of of(id))
        if (stream.until === undefined || covers(known, stream.until)) stream.held = union(stream.held, known)
        else drop(stream)
    },
    drop: (id) => of(id).forEach(drop),
  }
}

async function somethingIn(stream: Stream, signal: AbortSignal | undefined): Promise<void> {
  while (stream.pages.length === 0 && !stream.isOver) {
    const woken = new Promise<void>((resolve) => {
      stream.wake = resolve
    })
    await unlessAborted(woken, signal)
  }
}

function createStream(link: RemoteLink, id: string, after: KnownState): Stream {
  const stream: Stream = {
    id,
    link,
    pages: [],
    weight: 0,
    handed: after,
    came: after,
    until: undefined,
    held: EMPTY,
    isWaitedFor: true,
    left: undefined,
    isOver: false,
    failure: undefined,
    unlisten: () => {},
    wake: () => {},
  }
  const end = () => {
    stream.isOver = true
    stream.wake()
  }
  stream.unlisten = link.listen(id, { hear: (message) => take(stream, message), end })
  return stream
}

/** What answers the LOAD. Of content the stream heard before. */
function hear(stream: Stream, message: Message): KnownMessage | 'stream' | undefined {
  failIfError(message)
  if (message.action === 'content') return stream.until === undefined && !stream.isOver ? undefined : 'stream'
  // Whoever holds more than we have says so first, and then sends it.
  if (message.action !== 'known' || message.correction) return undefined
  return covers(stream.came, message.known) ? message : undefined
}

function take(stream: Stream, message: Message): void {
  if (message.action === 'error') {
    if (stream.isWaitedFor) stream.failure = errorOf(message)
    return finish(stream)
  }
  if (message.action !== 'content' || stream.isOver || !continues(message, stream.came)) return
  stream.came = union(stream.came, endOf(message))
  stream.until ??= message.expectUntil ?? stream.came
  stream.pages.push(message)
  stream.weight += contentWeight(message)
  if (covers(stream.came, stream.until)) finish(stream)
  else if (stream.weight > WAITING_BYTES) void leave(stream)
  stream.wake()
}

function finish(stream: Stream): void {
  stream.isOver = true
  stream.unlisten()
  void leave(stream)
  stream.wake()
}

/** Ends the subscription; what is on its way still comes. */
function leave(stream: Stream): Promise<void> {
  stream.left ??= stream.link.leave(stream.id).then(() => {
    stream.isOver = true
    stream.unlisten()
    stream.wake()
  })
  return stream.left
}

function continues({ header, runs }: ContentMessage, after: KnownState): boolean {
  if ((header !== undefined) === after.header) return false
  return runs.every((run) => run.after === (after.sessions.get(run.session) ?? 0))
}

function hand(stream: Stream, message: ContentMessage, after: KnownState): Page {
  stream.pages.shift()
  stream.weight -= contentWeight(message)
  stream.handed = union(stream.handed, endOf(message))
  const end = union(after, endOf(message))
  const until = union(stream.until as KnownState, stream.held)
  const { action: _action, expectUntil: _expectUntil, ...content } = message
  const runs = content.runs.toSorted((a, b) => compareIds(a.session, b.session))
  return { ...content, runs, end, more: until.sessions.size >= ANNOUNCED_MAX || !covers(end, until) }
}

/** There is nothing after `after`. */
function lastPage(id: string, after: KnownState, answer: KnownMessage): Page | undefined {
  if (!answer.known.header) return undefined
  const { kind, priority } = stateOf(answer)
  return { id, kind, priority, runs: [], end: union(after, { header: true, sessions: new Map() }), more: false }
}
