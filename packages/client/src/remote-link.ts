/**
 * One connection to a server, and talks over it: what is said about one document and what is answered, one talk at a time per document.
 *
 * Law L2: a connection that closes fails its talks; none of them is an answer. Answers say no more than their document, so a talk that nobody waits for
 * any more still hears its answer; while that is missing nothing else can be asked about the document here. An error that names no document fails
 * every talk: whose answer it is cannot be told.
 * Not here: what is said, and closing a connection that does not answer (`remote.ts`).
 */
import {
  type ErrorCode,
  type ErrorMessage,
  type HelloMessage,
  type Message,
  MINIMUM_LIMITS,
  ProtocolError,
} from '@tidemark/protocol'
import { StorageError, type StorageErrorCode } from '@tidemark/storage'
import type { Channel } from '@tidemark/sync/run'

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
  /** A talk about it ended early, and its answer did not come yet. */
  isOwed(id: string): boolean
  /** Says something that is not answered. */
  say(message: Message): void
  readonly closed: boolean
  /** Somebody has something to say over it; answers how to leave. */
  enter(): () => void
  /** Closes it as soon as nobody has anything to say over it. */
  retire(): void
  close(): void
}

interface Hearing {
  hear(message: Message): void
  /** Its answer may not come. */
  doubt(error: ErrorMessage): void
  fail(cause: StorageError): void
}

const FRAME_BYTES = 128 * 1024

/** What a server refused or could not do, in the words of storages. */
export function errorOf({ code, message }: ErrorMessage): StorageError {
  return new StorageError(CODES[code] ?? 'IO', `the server refused: ${code} (${message})`)
}

const CODES: Readonly<Partial<Record<ErrorCode, StorageErrorCode>>> = {
  quota: 'QUOTA',
  tooLarge: 'TOO_LARGE',
  forbidden: 'READ_ONLY',
}

export function createRemoteLink(channel: Channel, hello: HelloMessage): RemoteLink {
  const codec = channel.dialect.createCodec(hello.limits)
  const hearings = new Map<string, Hearing>()
  const lanes = new Map<string, Promise<unknown>>()
  const owed = new Set<string>()
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
    if (message.action === 'hello') {
      messageBytesMax ??= Math.min(message.limits.messageBytesMax, message.limits.frameBytesMax)
      greet(message)
    } else if ('id' in message && message.id !== undefined) hearings.get(message.id)?.hear(message)
    // It does not say what it is about: it may be the answer to any of them.
    else if (message.action === 'error') for (const hearing of hearings.values()) hearing.doubt(message)
  }

  function fail(cause: StorageError): void {
    closed = true
    turnAway(cause)
    for (const hearing of hearings.values()) hearing.fail(cause)
    hearings.clear()
  }

  channel.open({
    frame(frame) {
      for (const one of codec.decode(frame)) {
        if (!(one instanceof ProtocolError)) take(one.message)
        else channel.close(1002, one.message)
      }
    },
    drained() {},
    closed: (code, reason) => fail(new StorageError('IO', `the connection was closed (${code} ${reason})`)),
  })
  say(hello)

  function hearing<T>(
    id: string,
    messages: readonly Message[],
    hear: (message: Message) => T | undefined,
    signal: AbortSignal | undefined,
  ): Promise<T> {
    return new Promise((resolve, reject) => {
      if (closed) return reject(new StorageError('IO', 'the connection is closed'))
      if (signal?.aborted) return reject(signal.reason)
      if (owed.has(id)) return reject(new StorageError('IO', 'an earlier question about the document is not answered'))
      const leave = (reason: unknown) => {
        owed.add(id)
        reject(reason)
      }
      const left = () => leave(signal?.reason)
      const end = (how: () => void) => {
        signal?.removeEventListener('abort', left)
        hearings.delete(id)
        // Whoever left subscribed, and said no word of farewell.
        if (owed.delete(id)) say({ action: 'done', id })
        how()
      }
      hearings.set(id, {
        hear(message) {
          try {
            const heard = hear(message)
            if (heard !== undefined) end(() => resolve(heard))
          } catch (cause) {
            end(() => reject(cause))
          }
        },
        doubt(error) {
          signal?.removeEventListener('abort', left)
          leave(errorOf(error))
        },
        fail(cause) {
          signal?.removeEventListener('abort', left)
          reject(cause)
        },
      })
      signal?.addEventListener('abort', left, { once: true })
      say(...messages)
    })
  }

  function close(): void {
    channel.close(1000, '')
    fail(new StorageError('CLOSED', 'the connection was closed here'))
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
    say(message) {
      if (!closed) say(message)
    },
    isOwed: (id) => owed.has(id),
    talk(id, messages, hear, signal) {
      const before = lanes.get(id) ?? Promise.resolve()
      const mine = before.then(() => hearing(id, messages, hear, signal))
      const over = mine.then(
        () => {},
        () => {},
      )
      lanes.set(id, over)
      void over.then(() => {
        if (lanes.get(id) === over) lanes.delete(id)
      })
      return mine
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
