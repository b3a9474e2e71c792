/**
 * One connection to a server, and talks over it: what is said about one document and what is answered, one talk at a time per document.
 *
 * Answers say no more than their document, so a talk that nobody waits for any more still hears its answer, and while that is missing nothing
 * else can be asked about the document here. Where it is not known how much is answered, a comparison of nothing is said behind it
 * (`fence`), which is acknowledged at once: what was answered before is heard by then, but not what the server is still storing. A document of
 * which more may come so (`shun`), or a fork was told, is talked about over another connection. Law L2: a connection that closes fails its
 * talks; none of them is an answer. An error that names no document fails every talk: whose answer it is cannot be told.
 * Not here: what is said, and closing a connection that does not answer (`remote.ts`).
 */
import { type ErrorMessage, type HelloMessage, type Message, MINIMUM_LIMITS, ProtocolError } from '@tidemark/protocol'
import { StorageError } from '@tidemark/storage'
import type { Channel } from '@tidemark/sync/run'
import { errorOf } from './remote-look.ts'
import { createTurns } from './remote-turns.ts'

export interface RemoteLink {
  /** What the server said of itself. */
  readonly greeted: Promise<HelloMessage>
  /** The largest message that the server takes: as it said, and until then what every receiver takes. */
  messageBytesMax(): number
  isGreeted(): boolean
  /** Says `messages` about a document; `hear` gets what is answered until it makes something of it. It ends early with the reason of `signal`. */
  talk<T>(
    id: string,
    messages: readonly Message[],
    hear: (message: Message) => T | undefined,
    signal: AbortSignal | undefined,
  ): Promise<T>
  /** Has the talk that is going on about a document hear RECONCILE_ACK when it has heard all that was answered before; it overtakes what is not stored yet. */
  fence(id: string): void
  /** Ends the subscription to a document. What was on its way is heard before anything else is asked about it; it ends then, or early with `signal`. */
  leave(id: string, signal?: AbortSignal): Promise<void>
  /** Hears, besides the talks, what comes about a document; answers how to end that. */
  listen(id: string, listener: Listener): () => void
  /** Something that came about a document not in time: the link serves it again when all that was asked is answered. */
  doubt(id: string): void
  /** Whether its document may be talked about: no talk about it ended early, but for those whose answer has come, and it was not shunned. */
  serves(id: string): boolean
  /** Not to be used for this document any more: of what was said about it here answers may still come. A fork that is told does this by itself. */
  shun(id: string): void
  readonly closed: boolean
  /** Somebody has something to say over it; answers how to leave. */
  enter(): () => void
  /** Closes it as soon as nobody has anything to say over it. */
  retire(): void
  close(): void
}

export interface Listener {
  hear(message: Message): void
  /** Nothing more will come. */
  end(): void
}

interface Hearing {
  hear(message: Message): void
  /** Its answer may not come. */
  doubt(error: ErrorMessage): void
  fail(cause: StorageError): void
}

/** What a talk fails with that was not begun: an earlier question about the document is not answered here. */
export const unasked: StorageError = new StorageError('IO', 'an earlier question about the document is not answered')

const FRAME_BYTES = 128 * 1024
const VERSION = 1
/** L10: with more than these it serves nobody. */
const SHUNNED_MAX = 1_000

export function createRemoteLink(channel: Channel, hello: HelloMessage): RemoteLink {
  const codec = channel.dialect.createCodec(hello.limits)
  const hearings = new Map<string, Hearing>()
  const listeners = new Map<string, Listener>()
  const owed = new Set<string>()
  const shunned = new Set<string>()
  const lanes = createTurns((id) => owed.delete(id))
  let greet: (hello: HelloMessage) => void = () => {}
  let turnAway: (cause: StorageError) => void = () => {}
  const greeted = new Promise<HelloMessage>((resolve, reject) => {
    greet = resolve
    turnAway = reject
  })
  greeted.catch(() => {})
  let messageBytesMax: number | undefined
  let closed = false
  let inside = 0
  let isRetired = false

  function say(...messages: Message[]): void {
    for (const frame of codec.encode(messages, FRAME_BYTES)) channel.send(frame)
  }

  function take(message: Message): void {
    if (message.action === 'hello') meet(message)
    else if (message.action === 'reconcile-ack') hearings.get(message.batch)?.hear(message)
    else if ('id' in message && message.id !== undefined) {
      // Whoever waits for it: the server withholds the session here from now on.
      if (message.action === 'error' && message.code === 'fork') shunned.add(message.id)
      listeners.get(message.id)?.hear(message)
      hearings.get(message.id)?.hear(message)
    }
    // It does not say what it is about: it may be the answer to any of them.
    else if (message.action === 'error') for (const hearing of [...hearings.values()]) hearing.doubt(message)
  }

  function meet(message: HelloMessage): void {
    if (messageBytesMax !== undefined) return
    const refusal = refusalOf(message)
    if (refusal === undefined) {
      messageBytesMax = Math.min(message.limits.messageBytesMax, message.limits.frameBytesMax)
      greet(message)
      return
    }
    say(refusal)
    fail(new StorageError('IO', `the server cannot be spoken with: ${refusal.message}`))
    channel.close(1002, refusal.message)
  }

  function fail(cause: StorageError): void {
    closed = true
    turnAway(cause)
    for (const listener of [...listeners.values()]) listener.end()
    listeners.clear()
    for (const hearing of [...hearings.values()]) hearing.fail(cause)
    hearings.clear()
  }

  channel.open({
    frame(frame) {
      for (const one of codec.decode(frame)) {
        if (closed) return
        if (!(one instanceof ProtocolError)) take(one.message)
        else channel.close(1002, one.message)
      }
    },
    drained() {},
    closed: (code, reason) => fail(new StorageError('IO', `the connection was closed (${code} ${reason})`)),
  })
  say(hello)

  /** Says it and hears what is answered, to the end. */
  function converse<T>(
    id: string,
    messages: readonly Message[],
    hear: (message: Message) => T | undefined,
    doubt: (error: ErrorMessage) => void,
  ): Promise<T> {
    return new Promise((resolve, reject) => {
      if (closed) return reject(new StorageError('IO', 'the connection is closed'))
      const end = (how: () => void) => {
        hearings.delete(id)
        how()
      }
      hearings.set(id, {
        doubt,
        fail: reject,
        hear(message) {
          try {
            const heard = hear(message)
            if (heard !== undefined) end(() => resolve(heard))
          } catch (cause) {
            end(() => reject(cause))
          }
        },
      })
      say(...messages)
    })
  }

  /** As `converse`, in its turn. Who waits for it may leave; then the document is owed an answer until all turns are over. */
  function ask<T>(
    id: string,
    messages: readonly Message[],
    hear: (message: Message) => T | undefined,
    signal: AbortSignal | undefined,
  ): Promise<T> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason)
      let isOver = false
      const over = () => {
        isOver = true
        signal?.removeEventListener('abort', left)
      }
      const leave = (reason: unknown) => {
        if (isOver) return
        over()
        owed.add(id)
        reject(reason)
      }
      const left = () => leave(signal?.reason)
      signal?.addEventListener('abort', left, { once: true })
      const converseInTurn = () => {
        // It was left before it was said.
        if (isOver) return Promise.reject(signal?.reason)
        return converse(id, messages, hear, (error) => leave(errorOf(error))).finally(over)
      }
      lanes.take(id, converseInTurn).then(resolve, reject)
    })
  }

  const fence = (id: string): Message => ({ action: 'reconcile', batch: id, values: [] })

  function close(): void {
    fail(new StorageError('CLOSED', 'the connection was closed here'))
    channel.close(1000, '')
  }

  function closeIfLeft(): void {
    if (isRetired && inside === 0 && !closed) close()
  }

  return {
    greeted,
    messageBytesMax: () => messageBytesMax ?? MINIMUM_LIMITS.messageBytesMax,
    isGreeted: () => messageBytesMax !== undefined,
    get closed() {
      return closed
    },
    fence(id) {
      if (!closed) say(fence(id))
    },
    async leave(id, signal) {
      if (closed) return
      const messages: Message[] = [{ action: 'done', id }, fence(id)]
      await ask(id, messages, ({ action }) => action === 'reconcile-ack' || undefined, signal).catch(() => {})
      signal?.throwIfAborted()
    },
    listen(id, listener) {
      listeners.set(id, listener)
      return () => {
        if (listeners.get(id) === listener) listeners.delete(id)
      }
    },
    doubt: (id) => void owed.add(id),
    serves: (id) => !owed.has(id) && !shunned.has(id) && shunned.size <= SHUNNED_MAX,
    shun: (id) => void shunned.add(id),
    talk(id, messages, hear, signal) {
      if (!owed.has(id)) return ask(id, messages, hear, signal)
      return Promise.reject(unasked)
    },
    enter() {
      inside += 1
      return () => {
        inside -= 1
        closeIfLeft()
      }
    },
    retire() {
      isRetired = true
      closeIfLeft()
    },
    close,
  }
}

/** As the engine judges a HELLO. */
function refusalOf({ version, limits }: HelloMessage): ErrorMessage | undefined {
  if (version !== VERSION)
    return {
      action: 'error',
      code: 'unsupported',
      message: `protocol version ${VERSION} is spoken here, not ${version}`,
    }
  const { messageBytesMax, frameBytesMax } = MINIMUM_LIMITS
  if (limits.messageBytesMax >= messageBytesMax && limits.frameBytesMax >= frameBytesMax) return undefined
  const message = `messages of ${messageBytesMax} and frames of ${frameBytesMax} bytes have to be taken`
  return { action: 'error', code: 'limit', message }
}
