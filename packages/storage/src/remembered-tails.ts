/**
 * The ends of sessions that are being appended to, as records, so that folding them need not read them again. For adapters.
 *
 * Reading a hundred small records again costs several times what writing them did, and a document that many write to is folded
 * all the time. What is remembered is copied, since a record is a view of much more, and only ever a shortcut: it says from which
 * count to which it goes, and who asks for another stretch is told nothing and reads.
 * L10: bounded by bytes. Not here: which records are worth it, what a record says.
 */

interface Tail {
  readonly after: number
  until: number
  bytes: Uint8Array
  /** Where each record ends in `bytes`. */
  readonly ends: number[]
}

export interface RememberedTail {
  readonly after: number
  /** In order; the caller's to keep. */
  readonly records: readonly Uint8Array[]
}

const TAIL_BYTES_MIN = 1024

/** At most `bytesMax` bytes of memory, for the tails that grew most recently. Two generations, as `Remembered`. */
export class RememberedTails {
  readonly #generationBytes: number
  #young = new Map<string, Tail>()
  #old = new Map<string, Tail>()
  #youngBytes = 0

  constructor(bytesMax: number) {
    this.#generationBytes = bytesMax / 2
  }

  /** Adds a record of the transactions from count `after` to count `until`; what did not lead to `after` is forgotten. */
  add(session: string, after: number, until: number, record: Uint8Array): void {
    const tail = this.#tailAt(session, after) ?? { after, until, bytes: new Uint8Array(TAIL_BYTES_MIN), ends: [] }
    const counted = this.#young.get(session)?.bytes.length ?? 0
    append(tail, record)
    tail.until = until
    this.#youngBytes += tail.bytes.length - counted
    if (this.#youngBytes > this.#generationBytes) {
      this.#old = this.#young
      this.#young = new Map()
      this.#youngBytes = tail.bytes.length
    }
    this.#young.set(session, tail)
  }

  /** The records that lead to count `until`, and the count from which they do so; they are forgotten. */
  take(session: string, until: number): RememberedTail | undefined {
    const tail = this.#tailAt(session, until)
    this.#youngBytes -= this.#young.get(session)?.bytes.length ?? 0
    this.#young.delete(session)
    this.#old.delete(session)
    if (tail === undefined) return undefined
    const records = tail.ends.map((end, index) => tail.bytes.subarray(tail.ends[index - 1] ?? 0, end))
    return { after: tail.after, records }
  }

  clear(): void {
    this.#young.clear()
    this.#old.clear()
    this.#youngBytes = 0
  }

  #tailAt(session: string, until: number): Tail | undefined {
    const tail = this.#young.get(session) ?? this.#old.get(session)
    return tail?.until === until ? tail : undefined
  }
}

function append(tail: Tail, record: Uint8Array): void {
  const used = tail.ends.at(-1) ?? 0
  const wanted = used + record.length
  if (wanted > tail.bytes.length) {
    const bytes = new Uint8Array(Math.max(2 * tail.bytes.length, wanted))
    bytes.set(tail.bytes.subarray(0, used))
    tail.bytes = bytes
  }
  tail.bytes.set(record, used)
  tail.ends.push(wanted)
}
