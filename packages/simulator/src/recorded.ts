/**
 * A client whose application is listened to: what its handles are asked for and told. It behaves as the client does.
 */
import type { Client, Creation, Doc, Received } from '@tidemark/client'
import type { KnownState } from '@tidemark/known-state'
import type { Observe } from './happenings.ts'

const utf8 = new TextDecoder()

/** `handles` numbers handles over all clients of a world. */
export function recorded(client: Client, node: string, observe: Observe, handles: () => number): Client {
  function record(doc: Doc, after?: KnownState): Doc {
    const handle = handles()
    const facts = { node, handle, id: doc.id }
    let state = 'asking'
    observe({ type: 'opened', ...facts, after })

    const look = () => {
      if (doc.state !== state) {
        state = doc.state
        observe({ type: 'state', ...facts, state })
      }
      if (doc.status.uploaded === true) observe({ type: 'uploaded', node, id: doc.id })
    }
    /** Session → the last of its transactions that this handle was given, or wrote. */
    const last = new Map<string, string>()
    const given = ({ header, runs }: Received) => {
      for (const { session, transactions } of runs) {
        const transaction = transactions.at(-1)
        if (transaction !== undefined) last.set(session, utf8.decode(transaction))
      }
      observe({ type: 'given', ...facts, header: header !== undefined, runs })
    }

    /** Whether it takes what there is, or is at something else. */
    const reads = (now: boolean) => observe({ type: now ? 'reads' : 'left', ...facts })

    async function write(session: string, transactions: readonly Uint8Array[], work: () => Promise<void>) {
      const what = { ...facts, session, texts: transactions.map((transaction) => utf8.decode(transaction)) }
      observe({ type: 'wrote', ...what })
      try {
        await work()
        observe({ type: 'resolved', ...what, behind: last.get(session) })
        last.set(session, what.texts.at(-1) ?? '')
      } catch (error) {
        observe({ type: 'rejected', ...what, error })
        throw error
      }
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
      close() {
        observe({ type: 'closed', ...facts })
        return doc.close()
      },
    }
    return overridden(doc, overrides)
  }

  return overridden(client, {
    open: (id, options) => record(client.open(id, options), options?.after),
    create: async (id, creation) => record(await client.create(id, creation)),
    async whenUploaded(id, options) {
      await client.whenUploaded(id, options)
      observe({ type: 'uploaded', node, id, level: options?.level })
    },
  })
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
