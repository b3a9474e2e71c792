/**
 * Packed transactions: what one row of content holds, small or large, of one session.
 *
 *     flags      bit 0: a digest follows
 *     after      count of the session at the start
 *     digest     of the session at the start (8 bytes), for bytes documents
 *     sizes      how many transactions, then the length of each
 *     seals      how many, then of each: transactions without a seal before its run, transactions of its run, its length
 *     the transactions, then the seals, back to back
 *
 * L8: every sealed run keeps its start and its seal, however often it is packed together with others. Packing together copies
 * bytes, it does not look at transactions. Not here: where rows are (pieces.ts), when they are packed together (tail.ts).
 */
import { extendDigest } from '@tidemark/storage/adapter'
import { DamagedBlob, Reader, viewOf, type Writer } from './bytes.ts'

/** A run that was appended with a seal, by counts of the session. */
export interface Sealed {
  readonly after: number
  readonly until: number
  readonly seal: Uint8Array
}

/** What can be packed: transactions of one session from `after` on. */
export interface Packable {
  readonly after: number
  readonly digest: string | undefined
  readonly sizes: readonly number[]
  readonly seals: readonly Sealed[]
  /** All transactions, back to back, in any number of parts. */
  readonly body: readonly Uint8Array[]
}

/** What belongs together on a page: a sealed run or the rest of it, or transactions without a seal. */
export interface Unit {
  readonly after: number
  readonly until: number
  readonly seal: Uint8Array | undefined
}

const HAS_DIGEST = 1

/** A row of its own. */
export function pack(writer: Writer, packable: Packable): Uint8Array {
  writer.begin()
  writePacked(writer, packable)
  return writer.end()
}

/** As part of a blob that has more. */
export function writePacked(writer: Writer, { after, digest, sizes, seals, body }: Packable): void {
  writer.byte(digest === undefined ? 0 : HAS_DIGEST)
  writer.varint(after)
  if (digest !== undefined) writer.digest(digest)
  writer.varint(sizes.length)
  for (const size of sizes) writer.varint(size)
  writer.varint(seals.length)
  let end = after
  for (const sealed of seals) {
    writer.varint(sealed.after - end)
    writer.varint(sealed.until - sealed.after)
    writer.varint(sealed.seal.length)
    end = sealed.until
  }
  for (const part of body) writer.raw(part)
  for (const { seal } of seals) writer.raw(seal)
}

/** A row of its own. @throws DamagedBlob */
export function unpack(blob: Uint8Array): Packed {
  const reader = new Reader(blob)
  const packed = new Packed(reader)
  reader.finish()
  return packed
}

/** Packed transactions, read. They are made into views only when they are asked for. */
export class Packed implements Packable {
  readonly after: number
  readonly digest: string | undefined
  readonly sizes: readonly number[]
  readonly seals: readonly Sealed[]
  readonly #bytes: Uint8Array
  /** Where the transactions begin and end. */
  readonly #start: number
  readonly #end: number

  /** @throws DamagedBlob */
  constructor(reader: Reader) {
    const flags = reader.byte()
    this.after = reader.varint()
    this.digest = flags & HAS_DIGEST ? reader.digest() : undefined
    this.sizes = readSizes(reader)
    const bytes = total(this.sizes)
    const sealed = readSealed(reader, this.after, this.until)
    this.#bytes = reader.bytes
    this.#start = reader.at
    reader.skip(bytes)
    this.#end = reader.at
    this.seals = sealed.map(({ after, until, size }) => ({ after, until, seal: reader.view(size) }))
  }

  get until(): number {
    return this.after + this.sizes.length
  }

  get body(): readonly Uint8Array[] {
    return [viewOf(this.#bytes, this.#start, this.#end - this.#start)]
  }

  /** Bytes of transactions and seals, as pages count them. */
  get bytes(): number {
    return this.seals.reduce((sum, { seal }) => sum + seal.length, this.#end - this.#start)
  }

  /** Transactions from count `after` to count `until`, as views of the row. */
  transactions(after: number, until: number): Uint8Array[] {
    const views: Uint8Array[] = []
    let at = this.#start
    for (let index = 0; index < until - this.after; index++) {
      const size = this.sizes[index] as number
      if (index >= after - this.after) views.push(viewOf(this.#bytes, at, size))
      at += size
    }
    return views
  }

  digestAt(count: number): string | undefined {
    return this.digest === undefined ? undefined : extendDigest(this.digest, this.transactions(this.after, count))
  }

  /** From count `from` on; the first is the rest of the one that `from` lies in. */
  *units(from: number): Generator<Unit> {
    let at = Math.max(from, this.after)
    for (const { after, until, seal } of this.seals) {
      if (until <= at) continue
      if (after > at) yield { after: at, until: after, seal: undefined }
      yield { after: Math.max(after, at), until, seal }
      at = until
    }
    if (at < this.until) yield { after: at, until: this.until, seal: undefined }
  }
}

function readSizes(reader: Reader): number[] {
  const count = reader.varint()
  // A size is at least one byte: a damaged count must not become a huge array.
  if (count > reader.left) throw new DamagedBlob('it names more transactions than it has room for')
  const sizes: number[] = []
  for (let index = 0; index < count; index++) sizes.push(reader.varint())
  return sizes
}

function readSealed(reader: Reader, after: number, until: number): { after: number; until: number; size: number }[] {
  const sealed: { after: number; until: number; size: number }[] = []
  let end = after
  for (let left = reader.varint(); left > 0; left--) {
    const start = end + reader.varint()
    end = start + reader.varint()
    if (end > until || end === start) throw new DamagedBlob('a seal stands outside its transactions')
    sealed.push({ after: start, until: end, size: reader.varint() })
  }
  return sealed
}

function total(sizes: readonly number[]): number {
  let sum = 0
  for (const size of sizes) sum += size
  return sum
}
