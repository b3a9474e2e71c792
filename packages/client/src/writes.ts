/**
 * The writes of one document handle: in order, durable or refused as a whole.
 *
 * What is appended to one session while a write is in flight gathers and goes next, as one run: it is stored whole or not at all.
 * When it is refused, everything behind it in the same session is refused with it: it would leave a gap, or follow what it was
 * not written after. L3: a write resolves when it is durable here.
 * Not here: what may be written in which state (`handle.ts`), sending it on (the engine).
 */
import { EMPTY, type KnownState, knownState } from '@tidemark/known-state'
import type { ContentMessage, ErrorMessage, PayloadKind, Priority } from '@tidemark/protocol'
import { PAGE_BYTES } from '@tidemark/storage'
import { ClientError, refusalCode } from './errors.ts'
import { checkJson } from './json.ts'
import { createWaiters } from './waiters.ts'

/** What the application wants written. Bytes are not to be changed until the write is settled. */
export interface Write {
  /** Set for the write that creates the document. */
  readonly header: Uint8Array | undefined
  readonly priority: Priority
  readonly session: string | undefined
  readonly transactions: readonly Uint8Array[]
  readonly seal: Uint8Array | undefined
}

export interface Writes {
  /**
   * Resolves when the write is durable; rejects if nothing of it is stored. While it waits for its turn a signal withdraws it, and what
   * was to follow it in its session; afterwards it is done.
   */
  add(write: Write, signal?: AbortSignal): Promise<void>
  /** Sends what may be sent now. */
  flush(): void
  /** Sends what is in flight once more, to whoever may have it or not; answers what it brings. */
  sendAgain(): KnownState
  /** What one turn of the engine said: what is durable, and what was refused. */
  answered(known: readonly KnownState[], errors: readonly ErrorMessage[]): void
  /** What the storage holds, exactly: what begins beyond it was not taken. */
  corrected(known: KnownState): void
  isEmpty(): boolean
  /** Resolves when nothing is left to be settled. */
  settled(signal?: AbortSignal): Promise<void>
  /** Rejects everything; whether what is in flight gets stored is unknown. */
  abandon(error: ClientError): void
}

/** What a handle tells its writes, and does for them. */
export interface WritesPort {
  readonly id: string
  kind(): PayloadKind
  /** Whether a write may be sent now, has to wait, or is refused. */
  may(write: Write): 'now' | 'wait' | ClientError
  /** Where the session ends in the storage. */
  endOf(session: string): number
  send(message: ContentMessage, bytes: number): void
  /** Durable: `session` up to `until`, or the header alone. */
  stored(session: string | undefined, until: number): void
}

interface Entry {
  readonly write: Write
  readonly resolve: () => void
  readonly reject: (cause: unknown) => void
}

/** Writes that travel as one content. */
interface Chain {
  readonly entries: readonly Entry[]
  readonly creates: boolean
  readonly session: string | undefined
  readonly after: number
  readonly until: number
}

/** What a transaction costs beside its own bytes. */
const TRANSACTION_BYTES = 16

export function createWrites(port: WritesPort): Writes {
  let queue: Entry[] = []
  let inFlight: Chain | undefined
  /** The engine does not answer for a session that it froze. */
  const forked = new Set<string>()
  const settling = createWaiters<void>()

  function flush(): void {
    while (inFlight === undefined) {
      const [head] = queue
      if (head === undefined) return settling.resolve()
      const verdict = mayGo(head.write)
      if (verdict === 'wait') return
      if (verdict === 'now') sendChain()
      else refuse([head], verdict)
    }
  }

  function mayGo(write: Write): 'now' | 'wait' | Error {
    if (write.session !== undefined && forked.has(write.session)) return refusal('FORK', write.session, FORKED)
    const verdict = port.may(write)
    if (verdict !== 'now') return verdict
    return port.kind() === 'json' ? (notJson(port.id, write) ?? 'now') : 'now'
  }

  function sendChain(): void {
    const entries = queue.splice(
      0,
      chainLength(queue, (write) => mayGo(write) === 'now'),
    )
    const { header, session } = (entries[0] as Entry).write
    const after = session === undefined ? 0 : port.endOf(session)
    const count = entries.reduce((sum, { write }) => sum + write.transactions.length, 0)
    inFlight = { entries, creates: header !== undefined, session, after, until: after + count }
    send(inFlight)
  }

  function send({ entries, after }: Chain): void {
    port.send(
      asMessage(port, entries, after),
      entries.reduce((sum, { write }) => sum + bytesOf(write), 0),
    )
  }

  function answered(known: readonly KnownState[], errors: readonly ErrorMessage[]): void {
    // A refusal is heard first: the acknowledgement beside it names what is stored, which is then not what was sent.
    const [error] = errors
    if (error !== undefined) fail(error)
    for (const state of known) if (inFlight !== undefined && isCovered(state, inFlight)) keep(inFlight)
    flush()
  }

  function keep({ entries, session, until }: Chain): void {
    inFlight = undefined
    port.stored(session, until)
    for (const entry of entries) entry.resolve()
  }

  function fail({ code, message, retryAfterMs }: ErrorMessage): void {
    if (inFlight === undefined) return
    const { creates, session } = inFlight
    if (code === 'fork' && !creates && session !== undefined) forked.add(session)
    const kind = code === 'fork' && creates ? 'EXISTS' : refusalCode(code)
    const facts = { id: port.id, session, retryAfterMs, failure: { code, message } }
    refuseChain(inFlight, new ClientError(kind, message, facts))
  }

  function refuseChain({ entries }: Chain, error: ClientError): void {
    inFlight = undefined
    refuse(entries, error)
  }

  /** Together with what waits in the same session; or, behind a document that was not created, with everything. */
  function refuse(entries: readonly Entry[], error: Error): void {
    const { header, session } = (entries[0] as Entry).write
    const lost = new Set([
      ...entries,
      ...queue.filter(({ write }) => header !== undefined || write.session === session),
    ])
    queue = queue.filter((entry) => !lost.has(entry))
    for (const entry of lost) entry.reject(error)
  }

  async function withdrawable(settled: Promise<void>, entry: Entry, signal: AbortSignal): Promise<void> {
    const withdraw = () => {
      if (queue.includes(entry)) refuse([entry], signal.reason)
    }
    signal.addEventListener('abort', withdraw, { once: true })
    try {
      await settled
    } finally {
      signal.removeEventListener('abort', withdraw)
    }
  }

  function refusal(code: 'FORK' | 'GAP', session: string | undefined, message: string): ClientError {
    return new ClientError(code, message, { id: port.id, session })
  }

  return {
    add(write, signal) {
      const settled = new Promise<void>((resolve, reject) => queue.push({ write, resolve, reject }))
      const entry = queue.at(-1) as Entry
      flush()
      return signal === undefined ? settled : withdrawable(settled, entry, signal)
    },
    flush,
    sendAgain() {
      if (inFlight === undefined) return EMPTY
      const { creates, session, until } = inFlight
      send(inFlight)
      return knownState(creates, session === undefined ? [] : [[session, until]])
    },
    answered,
    corrected(known) {
      if (inFlight?.session === undefined || inFlight.after <= (known.sessions.get(inFlight.session) ?? 0)) return
      refuseChain(inFlight, refusal('GAP', inFlight.session, 'the storage holds less of this session'))
      flush()
    },
    isEmpty: () => queue.length === 0 && inFlight === undefined,
    settled: (signal) => (queue.length === 0 && inFlight === undefined ? Promise.resolve() : settling.add(signal)),
    abandon(error) {
      const all = [...(inFlight?.entries ?? []), ...queue]
      inFlight = undefined
      queue = []
      for (const entry of all) entry.reject(error)
      settling.resolve()
    },
  }
}

const FORKED = 'other transactions are stored at that place of the session: open a new session and write there'

/** How many writes may travel as one: all sealed or none, so that what ends at a seal is covered by it. */
function chainLength(queue: readonly Entry[], mayGo: (write: Write) => boolean): number {
  const { header, session, seal } = (queue[0] as Entry).write
  if (header !== undefined) return 1
  let bytes = 0
  for (const [index, { write }] of queue.entries()) {
    bytes += bytesOf(write)
    if (index === 0) continue
    const fits = write.header === undefined && write.session === session && bytes <= PAGE_BYTES
    if (!fits || (write.seal === undefined) !== (seal === undefined) || !mayGo(write)) return index
  }
  return queue.length
}

function asMessage(port: WritesPort, entries: readonly Entry[], after: number): ContentMessage {
  const { header, priority, session } = (entries[0] as Entry).write
  const transactions = entries.flatMap(({ write }) => write.transactions)
  const seal = entries.at(-1)?.write.seal
  return {
    action: 'content',
    id: port.id,
    kind: port.kind(),
    priority,
    ...(header !== undefined && { header }),
    runs: session === undefined ? [] : [{ session, after, transactions, ...(seal !== undefined && { seal }) }],
  }
}

function isCovered(known: KnownState, { session, until }: Chain): boolean {
  return known.header && (session === undefined || (known.sessions.get(session) ?? 0) >= until)
}

function notJson(id: string, { header, transactions }: Write): Error | undefined {
  try {
    if (header !== undefined) checkJson(header, `header of document ${JSON.stringify(id)}`)
    for (const transaction of transactions) checkJson(transaction, `transaction of document ${JSON.stringify(id)}`)
    return undefined
  } catch (error) {
    return error as Error
  }
}

function bytesOf({ header, transactions, seal }: Write): number {
  const fixed = (header?.length ?? 0) + (seal?.length ?? 0)
  return transactions.reduce((sum, transaction) => sum + transaction.length + TRANSACTION_BYTES, fixed)
}
