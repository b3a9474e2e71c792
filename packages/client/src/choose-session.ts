/**
 * Choosing the session that a handle writes in: whether one of an earlier run may be gone on with in its document.
 *
 * L13: its end has to be what the storage and the upstream both say, and what the writer has read. Who cannot be asked has not confirmed.
 * Not here: which session that would be (`write-sessions.ts`).
 */
import type { Clock } from '@tidemark/storage'
import type { DocState } from './doc.ts'
import type { Sessions } from './write-sessions.ts'

export interface Choice {
  readonly sessions: Pick<Sessions, 'choose' | 'fresh'>
  readonly clock: Clock
  readonly msMax: number
  /** What the document is, once somebody has answered. */
  settled(): Promise<DocState>
  /** Whether the upstream holds exactly what is stored. */
  agreed(): 'yes' | 'no' | 'waiting'
  /** Calls back when that may have changed; answers how to stop. */
  changed(watcher: () => void): () => void
  /** Whether what is stored of the session was read, or is being. */
  isRead(session: string): boolean
  /** Whether no other handle writes it. */
  claim(session: string): boolean
}

export async function chooseSession(choice: Choice): Promise<string> {
  const session = await choice.sessions.choose((candidate) => isConfirmed(choice, candidate))
  if (choice.claim(session)) return session
  const another = choice.sessions.fresh()
  choice.claim(another)
  return another
}

async function isConfirmed(choice: Choice, session: string): Promise<boolean> {
  const state = await choice.settled()
  if (state === 'failed') return false
  // Nobody holds anything of it.
  if (state === 'absent') return true
  await agreement(choice)
  return choice.agreed() === 'yes' && choice.isRead(session)
}

/** Resolves when the upstream has said yes or no, or time is up. */
async function agreement({ agreed, changed, clock, msMax }: Choice): Promise<void> {
  if (agreed() !== 'waiting') return
  const done = new AbortController()
  const stop = changed(() => {
    if (agreed() !== 'waiting') done.abort()
  })
  await clock.wait(msMax, done.signal).catch(() => {})
  stop()
}
