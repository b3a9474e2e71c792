/**
 * A client whose application is listened to: what its handles are asked for and told. It behaves as the client does.
 */
import type { Client, Creation, Doc, Received } from '@tidemark/client'
import type { KnownState } from '@tidemark/known-state'
import type { Observe } from './happenings.ts'

const utf8 = new TextDecoder()

/** `handles` numbers handles over all clients of a world. */
export function recorded(client: Client, node: string, observe: Observe, handles: () => number): Client {
  /** A handle begins. */
  function begin(id: string, after?: KnownState): Telling {
    const facts = { node, handle: handles(), id }
    const last = new Map<string, string>()
    observe({ type: 'opened', ...facts, after })
    return {
      facts,
      last,
      async write(session, transactions, work) {
        const what = { ...facts, session, texts: transactions.map((transaction) => utf8.decode(transaction)) }
        observe({ type: 'wrote', ...what })
        try {
          const result = await work()
          observe({ type: 'resolved', ...what, behind: last.get(session) })
          const text = what.texts.at(-1)
          if (text !== undefined) last.set(session, text)
          return result
        } catch (error) {
          observe({ type: 'rejected', ...what, error })
          throw error
        }
      },
    }
  }

  function record(doc: Doc, { facts, last, write }: Telling): Doc {
    let state = 'asking'
    const look = () => {
      if (doc.state !== state) {
        state = doc.state
        observe({ type: 'state', ...facts, state })
      }
      if (doc.status.uploaded === true) observe({ type: 'uploaded', node, id: doc.id })
    }
    const given = ({ header, runs }: Received) => {
      for (const { session, transactions } of runs) {
        const transaction = transactions.at(-1)
        if (transaction !== undefined) last.set(session, utf8.decode(transaction))
      }
      observe({ type: 'given', ...facts, header: header !== undefined, runs })
    }

    /** Whether it takes what there is, or is at something else. */
    const reads = (now: boolean) => observe({ type: now ? 'reads' : 'left', ...facts })

    const close = () => {
      observe({ type: 'closed', ...facts })
      return doc.close()
    }

    doc.watch(look)
    look()
    const overrides: Partial<Doc> = {
      create: (creation: Creation) =>
        write(creation.session ?? '', creation.transactions ?? [], () => doc.create(creation)),
      append: (session, transactions, options) =>
        write(session, transactions, () => doc.append(session, transactions, options)),
      contents: () => listenedTo(doc.contents(), reads, given),
      subscribe(listener) {
        reads(true)
        const stop = doc.subscribe((content) => {
          given(content)
          const taken = listener(content)
          if (isPromise(taken)) {
            reads(false)
            taken.then(
              () => reads(true),
              () => {},
            )
          }
          return taken
        })
        return () => {
          reads(false)
          stop()
        }
      },
      async whenUploaded(options) {
        await doc.whenUploaded(options)
        observe({ type: 'uploaded', node, id: doc.id, level: options?.level })
      },
      close,
      [Symbol.asyncDispose]: close,
    }
    return overridden(doc, overrides)
  }

  return overridden(client, {
    open(id, options) {
      const doc = client.open(id, options)
      const telling = begin(id, options?.after)
      options?.signal?.addEventListener('abort', () => observe({ type: 'closed', ...telling.facts }), { once: true })
      return record(doc, telling)
    },
    async create(id, creation) {
      const telling = begin(id)
      const { session = '', transactions = [] } = creation
      try {
        return record(await telling.write(session, transactions, () => client.create(id, creation)), telling)
      } catch (error) {
        observe({ type: 'closed', ...telling.facts })
        throw error
      }
    },
    async whenUploaded(id, options) {
      await client.whenUploaded(id, options)
      observe({ type: 'uploaded', node, id, level: options?.level })
    },
  })
}

interface Telling {
  readonly facts: { readonly node: string; readonly handle: number; readonly id: string }
  /** Session → the last of its transactions that this handle was given, or wrote. */
  readonly last: Map<string, string>
  /** Tells of a write, and how it ends. */
  write<T>(session: string, transactions: readonly Uint8Array[], work: () => Promise<T>): Promise<T>
}

function overridden<T extends object>(object: T, overrides: Partial<T>): T {
  return new Proxy(object, {
    get: (target, name) => (name in overrides ? overrides[name as keyof T] : target[name as keyof T]),
  })
}

const isPromise = (value: unknown): value is PromiseLike<unknown> =>
  typeof (value as { readonly then?: unknown } | null | undefined)?.then === 'function'

function listenedTo(
  contents: AsyncIterableIterator<Received>,
  reads: (now: boolean) => void,
  given: (content: Received) => void,
): AsyncIterableIterator<Received> {
  const listening: AsyncIterableIterator<Received> = {
    async next() {
      reads(true)
      const result = await contents.next()
      reads(false)
      if (result.done !== true) given(result.value)
      return result
    },
    return: () => contents.return?.() ?? Promise.resolve({ done: true, value: undefined }),
    [Symbol.asyncIterator]: () => listening,
  }
  return listening
}
