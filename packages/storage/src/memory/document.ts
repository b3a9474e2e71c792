/**
 * One document in memory: its header and its sessions.
 */
import type { KnownState } from '@tidemark/known-state'
import type { PayloadKind, Priority } from '@tidemark/protocol'
import type { Append, Page, Refused, StoredState, Version } from '../contract.ts'
import { exceedsPage, type PageLimits, pageBuilder } from '../page.ts'
import { copy, type NewPart, Session } from './session.ts'
import { SortedMap } from './sorted-map.ts'

interface Accepted {
  readonly id: string
  readonly session: Session
  readonly part: NewPart
}

export class Document {
  readonly id: string
  readonly kind: PayloadKind
  readonly priority: Priority
  readonly header: Uint8Array
  erased: Version | undefined
  #sessions = new SortedMap<Session>()
  #bytes: number
  readonly #pageBytes: number
  /** Made when asked for, until the next change: states are immutable and often asked for. */
  #state: StoredState | undefined

  constructor(content: Append, header: Uint8Array, pageBytes: number) {
    this.id = content.id
    this.kind = content.kind
    this.priority = content.priority
    this.header = copy(header)
    this.#bytes = header.length
    this.#pageBytes = pageBytes
  }

  get state(): StoredState {
    this.#state ??= this.#describe()
    return this.#state
  }

  /** Stores the runs that continue what is held and names the others; answers whether anything was stored. */
  store(content: Append, runBytesMax: number, refused: Map<string, Refused>): boolean {
    const accepted: Accepted[] = []
    for (const run of content.runs) {
      const session = this.#sessions.get(run.session) ?? new Session(this.kind)
      const judged = session.judge(run, runBytesMax)
      if (judged.verdict === 'refuse') refused.set(run.session, judged.refused)
      if (judged.verdict === 'store') accepted.push({ id: run.session, session, part: judged })
    }
    for (const { id, session, part } of accepted) {
      this.#sessions.set(id, session)
      session.store(part)
      const verifier = content.verifier?.get(id)
      if (verifier !== undefined) session.verifier = copy(verifier)
      this.#bytes += part.bytes
    }
    if (accepted.length > 0) this.#state = undefined
    return accepted.length > 0
  }

  read(after: KnownState, limits: PageLimits): Page {
    const page = pageBuilder(this, after, limits)
    for (const [id, session] of this.#sessions.after()) {
      const count = after.sessions.get(id) ?? 0
      if (count >= session.count) continue
      if (!page.begin(id, count, session.digestAt(count))) break
      for (const piece of session.from(count)) if (page.add(piece) < piece.transactions.length) break
    }
    return page.end(this.state.known)
  }

  verifier(session: string): Uint8Array | undefined {
    return this.#sessions.get(session)?.verifier
  }

  erase(version: Version, keep: readonly string[]): void {
    const kept = new SortedMap<Session>()
    this.#bytes = this.header.length
    for (const id of keep) {
      const session = this.#sessions.get(id)
      if (session === undefined || kept.get(id) !== undefined) continue
      kept.set(id, session)
      this.#bytes += session.bytes
    }
    this.#sessions = kept
    this.erased = version
    this.#state = undefined
  }

  #describe(): StoredState {
    const counts = new Map<string, number>()
    const digests = new Map<string, string>()
    const lastRuns = new Map<string, number>()
    for (const [id, session] of this.#sessions.entries()) {
      counts.set(id, session.count)
      if (session.digest !== undefined) digests.set(id, session.digest)
      else if (session.lastRun !== undefined) lastRuns.set(id, session.lastRun)
    }
    return {
      known: { header: true, sessions: counts },
      kind: this.kind,
      priority: this.priority,
      digests,
      lastRuns,
      paged: exceedsPage(this.#bytes, counts, this.#pageBytes),
      erased: this.erased,
    }
  }
}
