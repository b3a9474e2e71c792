/**
 * Writers: which sessions may have two histories, because two processes wrote them.
 *
 * Against the rules (L13), and only then: that somebody reports a fork proves nothing. Not here: whether it is reported (`forks.ts`).
 */
import type { Happening } from '../happenings.ts'

export interface Writers {
  happened(happening: Happening): void
  /** Sessions of a document that nobody can say the one right content of. */
  mayDiffer(id: string): ReadonlySet<string>
}

export function watchWriters(): Writers {
  /** Node → how many processes it had. */
  const processes = new Map<string, number>()
  /** Document → session → the process that writes it. */
  const writers = new Map<string, Map<string, number>>()
  const twice = new Map<string, Set<string>>()

  function wrote(node: string, id: string, session: string): void {
    const process = processes.get(node) ?? 0
    const sessions = writers.get(id) ?? new Map<string, number>()
    writers.set(id, sessions)
    if ((sessions.get(session) ?? process) !== process) twice.set(id, (twice.get(id) ?? new Set<string>()).add(session))
    sessions.set(session, process)
  }

  return {
    happened(happening) {
      if (happening.type === 'started') processes.set(happening.node, (processes.get(happening.node) ?? 0) + 1)
      else if (happening.type === 'wrote') wrote(happening.node, happening.id, happening.session)
    },
    mayDiffer: (id) => twice.get(id) ?? NONE,
  }
}

const NONE: ReadonlySet<string> = new Set()
