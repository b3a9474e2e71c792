/**
 * Comparison: which upstream has confirmed what is stored here, outside the outbox.
 *
 * A confirmation is worth something at the upstream that gave it: at that opening of its store (its generation), no earlier in it
 * than when we last heard of it (its sequence). Told of any other, a server that was restored from a backup, made anew or started again, all
 * that is stored is asked for once, in pages; until then nothing counts that was not confirmed on this connection. What the
 * upstream does not confirm enters the outbox. A dialect without `hello` names no generation: there it is so for each connection.
 * Decision 018. Not here: what documents are asked with (the engine).
 */
import type { AckLevel, HelloMessage } from '@tidemark/protocol'
import { type Clock, compareIds, type Generation, type Storage } from '@tidemark/storage'
import { fromBytes, toBytes } from './marks.ts'

export interface Comparison {
  /** Whether a document outside the outbox is confirmed, as far as the upstream was heard of; `undefined` if that is not known. */
  confirms(id: string): boolean | undefined
  /** The same of everything stored outside the outbox. */
  confirmsAll(): boolean | undefined
  /** What its acknowledgements mean; `undefined` if it does not say. */
  level(): AckLevel | undefined
  /** Whether the upstream has introduced itself on the present connection. */
  isConnected(): boolean
  /** The upstream introduced itself, or was heard of at all where dialects have no `hello`. */
  begin(hello: HelloMessage | undefined, link: ComparisonLink): void
  /** The connection is gone. */
  interrupt(): void
  /** The upstream has confirmed a document, or refused it. */
  answered(id: string, how: 'confirmed' | 'refused'): void
}

/** What a comparison does on a connection. */
export interface ComparisonLink {
  ask(ids: readonly string[]): void
  leave(ids: readonly string[]): void
}

export interface ComparisonContext {
  readonly storage: Storage
  /** Without lists nothing can be compared: then nothing counts that was not confirmed on the present connection. */
  readonly canList: boolean
  readonly clock: Clock
  /** Whether the document is in the outbox, and so asked for already. */
  isOwed(id: string): boolean
  /** Whether the upstream has confirmed it on this connection, and is still subscribed to it. */
  isConfirmed(id: string): boolean
  /** These were not confirmed: into the outbox. */
  owe(ids: readonly string[]): void
  /** Resolves when all that is owed is marked; rejects if that failed. */
  marked(): Promise<void>
  /** More is confirmed than before, or all is in question. */
  changed(): void
}

/** `after`: the last id compared; none once all are. */
interface UpstreamRecord {
  readonly generation: Generation | undefined
  readonly level: AckLevel | undefined
  readonly after: string | undefined
}

const KEY = 'tidemark upstream'
const PAGE = 500
/** How long the answers for one page, and a failing storage, are waited for. */
const PAGE_MS_MAX = 30_000
const RETRY_MS = 5_000

/** Reads what is known of the upstream. The storage must be open. */
export async function loadComparison(context: ComparisonContext): Promise<Comparison> {
  const [mark] = await context.storage.marks({ prefix: KEY, limit: 1 })
  return createComparison(context, mark === undefined ? undefined : (fromBytes(mark[1]) as UpstreamRecord))
}

/**
 * Begins a run without an upstream. What it stores will not be owed, so from here on nothing counts as confirmed: the next upstream is
 * asked for all. Answers whether there ever was one. The storage must be open.
 */
export async function forgetUpstream(storage: Storage): Promise<boolean> {
  const [mark] = await storage.marks({ prefix: KEY, limit: 1 })
  if (mark === undefined) return false
  const { generation, after } = fromBytes(mark[1]) as UpstreamRecord
  if (generation !== undefined || after !== '')
    await storage.append([], { marks: new Map([[KEY, toBytes({ after: '' })]]) })
  return true
}

function createComparison(context: ComparisonContext, stored: UpstreamRecord | undefined): Comparison {
  const { storage, canList, clock, changed } = context
  let record = canList ? stored : undefined
  let level = record?.level
  let over: AbortController | undefined
  /** Of the present page, what is not answered yet. */
  let open = new Set<string>()
  let answeredAll = () => {}

  async function keep(next: UpstreamRecord): Promise<void> {
    const isNews = !equal(record, next)
    record = next
    changed()
    if (!isNews) return
    const value = next.generation === undefined ? undefined : toBytes(next)
    await storage.append([], { marks: new Map([[KEY, value]]) })
  }

  async function begin(from: UpstreamRecord, link: ComparisonLink, signal: AbortSignal): Promise<void> {
    // What cannot be kept is compared again next time.
    await keep(from).catch(() => {})
    await compare(link, signal)
  }

  async function compare(link: ComparisonLink, signal: AbortSignal): Promise<void> {
    while (record?.after !== undefined && !signal.aborted) {
      try {
        await comparePage(record, record.after, link, signal)
      } catch {
        // The storage failed, or the connection did: then the signal has aborted.
        await clock.wait(RETRY_MS, signal).catch(() => {})
      }
    }
  }

  async function comparePage(
    now: UpstreamRecord,
    after: string,
    link: ComparisonLink,
    signal: AbortSignal,
  ): Promise<void> {
    const ids = await storage.list({ after, limit: PAGE, signal })
    const asked = ids.filter((id) => !context.isOwed(id))
    if (asked.length > 0) {
      await answers(asked, link, signal)
      // Who did not answer in time is owed it.
      context.owe([...open])
      link.leave(asked.filter((id) => !context.isOwed(id)))
    }
    signal.throwIfAborted()
    // A crash in between must not find the page done and what it lacks forgotten.
    await context.marked()
    await keep({ ...now, after: ids.length < PAGE ? undefined : ids.at(-1) })
  }

  /** Resolves when each was answered, or time is up. */
  async function answers(ids: readonly string[], link: ComparisonLink, signal: AbortSignal): Promise<void> {
    open = new Set(ids.filter((id) => !context.isConfirmed(id)))
    if (open.size === 0) return
    const done = new AbortController()
    const ended = () => done.abort()
    signal.addEventListener('abort', ended, { once: true })
    answeredAll = ended
    link.ask([...open])
    await clock.wait(PAGE_MS_MAX, done.signal).catch(() => {})
    signal.removeEventListener('abort', ended)
    signal.throwIfAborted()
  }

  return {
    confirms: (id) =>
      record === undefined ? undefined : record.after === undefined || compareIds(id, record.after) <= 0,
    confirmsAll: () => (record === undefined ? undefined : record.after === undefined),
    level: () => level,
    isConnected: () => over !== undefined,
    begin(hello, link) {
      over?.abort()
      over = new AbortController()
      const { signal } = over
      const { generation } = hello ?? {}
      level = hello?.level
      if (!canList) return changed()
      const goesOn =
        record?.generation !== undefined && generation !== undefined && continues(record.generation, generation)
      const after = goesOn ? record?.after : ''
      void begin({ generation, level, after }, link, signal)
    },
    interrupt() {
      over?.abort()
      over = undefined
      // Without a generation nobody could tell later whose confirmations those were.
      if (record?.generation === undefined) record = undefined
    },
    answered(id, how) {
      if (!open.delete(id)) return
      if (how === 'refused') context.owe([id])
      if (open.size === 0) answeredAll()
    },
  }
}

function equal(a: UpstreamRecord | undefined, b: UpstreamRecord): boolean {
  return (
    a?.generation?.id === b.generation?.id &&
    a?.generation?.sequence === b.generation?.sequence &&
    a?.level === b.level &&
    a?.after === b.after
  )
}

/** Whether what was confirmed by the one stands at the other: the same opening of the same store, not earlier. */
function continues(mark: Generation, now: Generation): boolean {
  return mark.id === now.id && mark.sequence <= now.sequence
}
