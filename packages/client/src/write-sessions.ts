/**
 * Sessions: which session this client writes a document in.
 *
 * L13: a session has one writer. One that was made up in this run is nobody else's. One of an earlier run is gone on with, so that known
 * states stay short, but only while its exclusive lock is held, and only in documents whose upstream has confirmed its end; anywhere else,
 * and for good once somebody else was seen to write in it (a storage that was rolled back, a copy of it), a new one is written.
 * Not here: two handles of one client (`writers.ts`), reading what comes before (`handle.ts`).
 */
import { type Append, type Clock, randomToken, type Storage } from '@tidemark/storage'

/** Exclusive locks of sessions, on this device. */
export interface SessionLocks {
  /** Takes the lock of a session, until what is answered is called or this process ends; `undefined` if somebody has it. */
  take(session: string): Promise<(() => void) | undefined>
}

/** For storages that one process has to itself (SQLite, LevelDB): whoever has the storage has the sessions recorded in it. */
export function storageLocks(): SessionLocks {
  return { take: async () => () => {} }
}

export interface Sessions {
  /**
   * A session for a document, the same one every time. `isConfirmed` says whether the storage and the upstream agree on where an
   * earlier run has left it.
   */
  choose(isConfirmed: (session: string) => Promise<boolean>): Promise<string>
  /** One that was never given to anybody. */
  fresh(): string
  /** Somebody else wrote in these, or they are forked. */
  retire(sessions: Iterable<string>): void
  /** Lets others have the lock. */
  close(): void
}

export interface SessionsContext {
  readonly clock: Clock
  /** Where sessions are recorded for the next run, and who may go on with them. Without it every run has new ones. */
  readonly kept?: { readonly storage: Storage; readonly locks: SessionLocks } | undefined
}

interface Lease {
  /** Made up when it is needed, if it is not said. */
  readonly session?: string
  /** Made up in this run. */
  readonly isFresh: boolean
  readonly key?: string
  readonly letGo?: () => void
}

const PREFIX = 'tidemark session '
/** More than run at once on one storage. */
const KEPT_MAX = 1_000

/**
 * Takes a session that an earlier run has left, if nobody has its lock; else makes up one, which the next run may find. At once, so
 * that it is seen when somebody else has written in it. The storage must be open.
 */
export async function openSessions({ clock, kept }: SessionsContext): Promise<Sessions> {
  if (kept === undefined) return freshSessions(clock)
  const { storage, locks } = kept
  for (const [key, value] of await storage.marks({ prefix: PREFIX, limit: KEPT_MAX })) {
    const session = new TextDecoder().decode(value)
    const letGo = await locks.take(session)
    if (letGo !== undefined) return createSessions({ clock, kept }, { session, isFresh: false, key, letGo })
  }
  const session = fresh(clock)
  const key = PREFIX + session
  const letGo = await locks.take(session)
  await storage.append([], { marks: new Map([[key, new TextEncoder().encode(session)]]) })
  return createSessions({ clock, kept }, { session, isFresh: true, key, ...(letGo !== undefined && { letGo }) })
}

/** For those who cannot know what an earlier run has left. */
export function freshSessions(clock: Clock): Sessions {
  return createSessions({ clock }, { isFresh: true })
}

const fresh = (clock: Clock) => `s${randomToken(clock)}`

function createSessions({ clock, kept }: SessionsContext, lease: Lease): Sessions {
  let { session } = lease
  let isRetired = false
  let spare: string | undefined

  function retire(): void {
    if (isRetired) return
    isRetired = true
    if (kept === undefined || lease.key === undefined) return
    // If this fails it is found out again by whoever takes it next.
    Promise.resolve(kept.storage.append([], { marks: new Map([[lease.key, undefined]]) })).catch(() => {})
  }

  return {
    async choose(isConfirmed) {
      session ??= fresh(clock)
      const mayGoOn = lease.isFresh || (await isConfirmed(session))
      if (mayGoOn && !isRetired) return session
      spare ??= fresh(clock)
      return spare
    },
    fresh: () => fresh(clock),
    retire(sessions) {
      for (const lost of sessions) {
        if (lost === session) retire()
        else if (lost === spare) spare = undefined
      }
    },
    close: () => lease.letGo?.(),
  }
}

/** Sessions in which an upstream brings something: this client did not write that, or does not know any more that it did. */
export function foreignSessions(batch: readonly Append[], owed: readonly string[]): readonly string[] {
  const own = new Set(owed)
  return batch.filter(({ id }) => !own.has(id)).flatMap(({ runs }) => runs.map(({ session }) => session))
}
