/**
 * The inbox of a document handle: content on its way to the application, which takes it at its own pace.
 *
 * Holds what was not taken yet, which is one page at most: there is room for another only when it is empty, and without room
 * the engine reads none. One consumer at a time, so that every transaction reaches exactly one. Not here: what is asked for.
 */
import type { Content } from '@tidemark/protocol'

/** Content as the application receives it; what it carries continues what the handle was given before. */
export interface Received extends Content {
  /** More of what was stored when this stream began follows at once. */
  readonly more: boolean
}

export interface Inbox {
  isEmpty(): boolean
  /** Somebody is reading. */
  isRead(): boolean
  put(content: Received): void
  /**
   * Contents as they are taken; ends when the inbox is closed.
   *
   * @throws TypeError while somebody else is reading.
   */
  read(): AsyncIterableIterator<Received>
  close(): void
}

type Taker = (result: IteratorResult<Received>) => void
const DONE: IteratorReturnResult<undefined> = { done: true, value: undefined }

export interface InboxEvents {
  /** The application has it now. */
  taken(content: Received): void
  /** There is room again. */
  emptied(): void
  /** Nobody is reading any more. */
  left(): void
}

export function createInbox(events: InboxEvents): Inbox {
  const waiting: Received[] = []
  const takers: Taker[] = []
  let reader: object | undefined
  let closed = false

  function take(): Received | undefined {
    const content = waiting.shift()
    if (content === undefined) return undefined
    events.taken(content)
    if (waiting.length === 0) events.emptied()
    return content
  }

  function release(): void {
    for (const taker of takers.splice(0)) taker(DONE)
    reader = undefined
    events.left()
  }

  function next(of: object): Promise<IteratorResult<Received>> {
    if (closed || reader !== of) return Promise.resolve(DONE)
    const value = take()
    if (value !== undefined) return Promise.resolve({ done: false, value })
    return new Promise((resolve) => takers.push(resolve))
  }

  return {
    isEmpty: () => waiting.length === 0,
    isRead: () => reader !== undefined,
    put(content) {
      if (closed) return
      const taker = takers.shift()
      if (taker === undefined) waiting.push(content)
      else {
        events.taken(content)
        taker({ done: false, value: content })
      }
    },
    read() {
      if (reader !== undefined)
        throw new TypeError('this handle is being read already: stop that first, or open another handle')
      const iterator: AsyncIterableIterator<Received> = {
        next: () => next(iterator),
        return() {
          if (reader === iterator) release()
          return Promise.resolve(DONE)
        },
        [Symbol.asyncIterator]: () => iterator,
      }
      reader = iterator
      return iterator
    },
    close() {
      closed = true
      waiting.length = 0
      release()
    },
  }
}
