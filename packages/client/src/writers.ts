/**
 * Writers: which handle of this client writes which session.
 *
 * L13: a session has one writer. Two handles that appended to one session would fork it in the first busy moment, so the
 * second is refused before it does. Not here: other processes, which have to take session ids of their own.
 */
export interface Writers {
  /** Whether `writer` writes the session from now on; not if another one does. */
  claim(id: string, session: string, writer: object): boolean
  /** Gives up all sessions of a document that `writer` had. */
  release(id: string, writer: object): void
}

export function createWriters(): Writers {
  const documents = new Map<string, Map<string, object>>()
  return {
    claim(id, session, writer) {
      const sessions = documents.get(id) ?? new Map<string, object>()
      const present = sessions.get(session)
      if (present !== undefined) return present === writer
      documents.set(id, sessions.set(session, writer))
      return true
    },
    release(id, writer) {
      const sessions = documents.get(id)
      if (sessions === undefined) return
      for (const [session, present] of sessions) if (present === writer) sessions.delete(session)
      if (sessions.size === 0) documents.delete(id)
    },
  }
}
