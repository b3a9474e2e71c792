/**
 * Packed transactions: how adapters keep some transactions of one session, few or many, in one record.
 *
 *     flags      bit 0: a digest follows
 *     after      count of the session at the start
 *     digest     of the session at the start (8 bytes), for bytes documents
 *     sizes      how many transactions, then the length of each
 *     seals      how many, then of each: transactions without a seal before its run, transactions of its run, its length
 *     the transactions, then the seals, back to back
 *
 * L8: every sealed run keeps its start and its seal, however often it is packed together with others. Packing together copies
 * bytes, it does not look at transactions. Not here: where records are, when they are packed together.
 */
import { type BlobReader, type BlobWriter, DamagedBlob, viewOf } from './blob.ts'
import { extendDigest } from './digest.ts'
import type { PageBuilder } from './page.ts'

/** A run that was appended with a seal, by counts of the session. */
export interface Sealed {
  readonly after: number
  readonly until: number
  readonly seal: Uint8Array
}

/** What can be packed: transactions of one session from `after` on. */
export interface Packable {
  readonly after: number
  /** Of the session at `after`, of `bytes` documents. */
  readonly digest: string | undefined
  readonly sizes: readonly number[]
  readonly seals: readonly Sealed[]
  /** All transactions, back to back, in any number of parts. */
  readonly body: readonly Uint8Array[]
}

const HAS_DIGEST = 1
/** Transactions without a seal are offered to a page in portions, so that few are made into views that do not fit. */
const PORTION = 64

/** Writes what `Packed` reads, within a record that may have more. */
export function writePacked(writer: BlobWriter, { after, digest, sizes, seals, body }: Packable): void {
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

/** Where a seal is: the run that it ends, and its bytes. */
interface SealPlace {
  readonly after: number
  readonly until: number
  readonly size: number
  /** Index of its first byte in the record. */
  at: number
}

/** Packed transactions, read. They are made into views of the record only when they are asked for. */
export class Packed implements Packable {
  readonly after: number
  readonly until: number
  readonly digest: string | undefined
  readonly sizes: readonly number[]
  /** Of transactions and seals, as pages count them. */
  readonly bytes: number
  readonly #record: Uint8Array
  readonly #seals: readonly SealPlace[]
  /** Where the transactions begin and end. */
  readonly #start: number
  readonly #end: number
  /** Where a transaction begins that was asked for last: the next one is looked for from there. */
  #lastIndex = 0
  #lastAt: number

  /** @throws DamagedBlob */
  constructor(reader: BlobReader) {
    const flags = reader.byte()
    this.after = reader.varint()
    this.digest = flags & HAS_DIGEST ? reader.digest() : undefined
    this.sizes = readSizes(reader)
    this.until = this.after + this.sizes.length
    this.#seals = readSeals(reader, this.after, this.until)
    this.#record = reader.bytes
    this.#start = reader.at
    this.#lastAt = reader.at
    reader.skip(total(this.sizes))
    this.#end = reader.at
    for (const place of this.#seals) {
      place.at = reader.at
      reader.skip(place.size)
    }
    this.bytes = reader.at - this.#start
  }

  get seals(): readonly Sealed[] {
    return this.#seals.map((place) => ({ after: place.after, until: place.until, seal: this.#seal(place) }))
  }

  get body(): readonly Uint8Array[] {
    return [viewOf(this.#record, this.#start, this.#end - this.#start)]
  }

  /** Transactions from count `after` to count `until`, as views of the record. */
  transactions(after: number, until: number): Uint8Array[] {
    const views: Uint8Array[] = []
    let at = this.#placeOf(after - this.after)
    for (let index = after - this.after; index < until - this.after; index++) {
      const size = this.sizes[index] as number
      views.push(viewOf(this.#record, at, size))
      at += size
    }
    return views
  }

  /** Of the session at `count`, of `bytes` documents. */
  digestAt(count: number): string | undefined {
    return this.digest === undefined ? undefined : extendDigest(this.digest, this.transactions(this.after, count))
  }

  /**
   * Offers what is here from count `from` to count `until` (never inside a sealed run); answers whether the page took all of it.
   */
  addTo(page: PageBuilder, from: number, until: number = this.until): boolean {
    const end = Math.min(until, this.until)
    let at = Math.max(from, this.after)
    for (const place of this.#seals) {
      if (place.until <= at) continue
      if (place.until > end) break
      if (!this.#addUnsealed(page, at, place.after)) return false
      const start = Math.max(at, place.after)
      const transactions = this.transactions(start, place.until)
      if (page.add({ transactions, seal: this.#seal(place) }) < transactions.length) return false
      at = place.until
    }
    return this.#addUnsealed(page, at, end)
  }

  #addUnsealed(page: PageBuilder, after: number, until: number): boolean {
    for (let at = after; at < until; at += PORTION) {
      const transactions = this.transactions(at, Math.min(until, at + PORTION))
      if (page.add({ transactions }) < transactions.length) return false
    }
    return true
  }

  #placeOf(index: number): number {
    const onwards = index >= this.#lastIndex
    let at = onwards ? this.#lastAt : this.#start
    for (let before = onwards ? this.#lastIndex : 0; before < index; before++) at += this.sizes[before] as number
    this.#lastIndex = index
    this.#lastAt = at
    return at
  }

  #seal({ at, size }: SealPlace): Uint8Array {
    return viewOf(this.#record, at, size)
  }
}

function readSizes(reader: BlobReader): number[] {
  const count = reader.varint()
  // A size is at least one byte: a damaged count must not become a huge array.
  if (count > reader.left) throw new DamagedBlob('it names more transactions than it has room for')
  const sizes: number[] = []
  for (let index = 0; index < count; index++) sizes.push(reader.varint())
  return sizes
}

function readSeals(reader: BlobReader, after: number, until: number): SealPlace[] {
  const seals: SealPlace[] = []
  let end = after
  for (let left = reader.varint(); left > 0; left--) {
    const start = end + reader.varint()
    end = start + reader.varint()
    if (end > until || end === start) throw new DamagedBlob('a seal stands outside its transactions')
    seals.push({ after: start, until: end, size: reader.varint(), at: 0 })
  }
  return seals
}

function total(sizes: readonly number[]): number {
  let sum = 0
  for (const size of sizes) sum += size
  return sum
}
