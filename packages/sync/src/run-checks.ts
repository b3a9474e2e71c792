/**
 * Hooks: what a framework knows about its documents, as small functions that may return promises.
 *
 * Bytes in, bytes out: payloads pass through unread, and these functions read them where that is wanted.
 * Not here: what follows from an answer (the engine), parking while it is awaited (the engine).
 */
import { type Append, type Awaitable, andThen, type Storage, settle } from '@tidemark/storage'
import type { Check, ConnectionId, Outcome, Verified } from './events.ts'

export interface Hooks {
  /** Whether whoever `authenticate` named may read or write a document. A rejection is a no. */
  authorize?(principal: unknown, action: 'read' | 'write', id: string): Awaitable<boolean>
  /** Ids of the documents that a document needs, from its header (if at hand) and its session ids. */
  dependenciesOf?(header: Uint8Array | undefined, sessionIds: readonly string[]): Awaitable<readonly string[]>
  /** Whether a session is a tombstone: once its content is durable the document is erased. Without a header: whether it may be. */
  isTombstone?(session: string, header: Uint8Array | undefined): Awaitable<boolean>
  /**
   * How many of each run's transactions are genuine. `content` is what is new; `states` is what this function left behind for each
   * session at the content's `after`, `undefined` for a session that is new.
   */
  verify?(content: Append, states: ReadonlyMap<string, Uint8Array | undefined>): Awaitable<Verified>
}

export type StoredDependencies = Extract<Check, { question: 'dependencies' }> & { readonly header: 'stored' }

/** Whether the stored header is to be read before this can be answered. */
export function needsHeader(check: Check): check is StoredDependencies {
  return check.question === 'dependencies' && check.header === 'stored'
}

/** Asks the hook and hands its answer on, in the same turn if it is a value. */
export function answerCheck(
  hooks: Hooks,
  storage: Storage,
  principalOf: (connection: ConnectionId) => unknown,
  check: Check,
  done: (outcome: Outcome<unknown>) => void,
): void {
  settle<unknown>(
    () => ask(hooks, storage, principalOf, check),
    (value) => done({ value }),
    (failed) => done({ failed }),
  )
}

function ask(
  hooks: Hooks,
  storage: Storage,
  principalOf: (connection: ConnectionId) => unknown,
  check: Check,
): Awaitable<unknown> {
  switch (check.question) {
    case 'authorize':
      return hooks.authorize?.(principalOf(check.connection), check.action, check.id)
    case 'dependencies':
      return hooks.dependenciesOf?.(check.header === 'stored' ? undefined : check.header, check.sessions)
    case 'tombstones':
      return tombstones(hooks, storage, check)
    case 'verify':
      return verify(hooks, storage, check.content, check.states)
  }
}

/** A yes without the header is asked again with the stored one: there are few tombstones, and many other new sessions. */
function tombstones(hooks: Hooks, storage: Storage, check: TombstoneCheck): Awaitable<readonly string[]> {
  return andThen(filterTombstones(hooks, check.sessions, check.header), (seeming) => {
    if (seeming.length === 0 || check.header !== undefined) return seeming
    return andThen(storage.headers([check.id]), ([header]) =>
      header === undefined ? seeming : filterTombstones(hooks, seeming, header),
    )
  })
}

type TombstoneCheck = Extract<Check, { question: 'tombstones' }>

function filterTombstones(
  hooks: Hooks,
  sessions: readonly string[],
  header: Uint8Array | undefined,
): Awaitable<readonly string[]> {
  const answers = sessions.map((session) => hooks.isTombstone?.(session, header))
  const pick = (list: readonly unknown[]) => sessions.filter((_, index) => list[index] === true)
  return answers.every((answer) => typeof answer === 'boolean') ? pick(answers) : Promise.all(answers).then(pick)
}

/** States that are not in flight come from the storage. */
async function verify(
  hooks: Hooks,
  storage: Storage,
  content: Append,
  inFlight: ReadonlyMap<string, Uint8Array | undefined>,
): Promise<Verified | undefined> {
  const unknown = [...inFlight].filter(([, state]) => state === undefined).map(([session]) => session)
  const stored = unknown.length > 0 ? await storage.verifierStates(content.id, unknown) : new Map<string, Uint8Array>()
  const states = new Map([...inFlight].map(([session, state]) => [session, state ?? stored.get(session)]))
  return hooks.verify?.(content, states)
}
