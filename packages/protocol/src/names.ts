/**
 * Names: the numbers that stand for document and session ids on one connection.
 *
 * Each direction has its own: a sender announces which slot stands for which id before it uses the slot, and may announce
 * another id in the same slot later. Only the sender decides what stands where; the receiver decides how many slots there are.
 * L10: both ends hold at most that many ids in each of the two tables.
 * Not here: where references stand in messages (tidemark-binary-write.ts, -read.ts).
 */
import type { ByteReader } from './byte-reader.ts'
import type { ByteWriter } from './byte-writer.ts'

/** Documents and sessions are numbered apart. */
export const DOCUMENTS = 0
export const SESSIONS = 1
export type Table = typeof DOCUMENTS | typeof SESSIONS

/** Slots of each table that every receiver has, also before its `hello` was read. */
export const NAMES_MIN = 1_024
/** More than this no receiver offers. */
export const NAMES_MAX = 65_536

/** What an entry takes beside its text; a character may take two bytes. Estimated. */
const NAME_BYTES = 48
const bytesOf = (name: string): number => NAME_BYTES + name.length * 2

/** What a sender knows of its own announcements. */
export class Announcer {
  private slots: readonly [SlotTable, SlotTable] = [new SlotTable(), new SlotTable()]
  private size = NAMES_MIN
  private message = 0

  /** In memory, estimated. */
  get bytes(): number {
    return this.slots[DOCUMENTS].bytes + this.slots[SESSIONS].bytes
  }

  /** The receiver has `size` slots in each table. */
  allow(size: number): void {
    this.size = Math.max(NAMES_MIN, Math.min(size, NAMES_MAX))
  }

  /** Another message begins: slots that it refers to are not given away until the next one. */
  begin(): void {
    this.message += 1
  }

  /** The slot that stands for `name`, announced in `announcements` if it is new; -1 if none is free in this message. */
  slotOf(table: Table, name: string, announcements: ByteWriter): number {
    const slots = this.slots[table]
    const known = slots.find(name, this.message)
    if (known >= 0) return known
    const slot = slots.give(name, this.size, this.message)
    if (slot < 0) return slot
    announcements.varint(slot * 2 + table)
    announcements.text(name)
    return slot
  }

  /** What was announced may not have been sent: every name is announced again on its next use. */
  forget(): void {
    this.slots = [new SlotTable(), new SlotTable()]
  }
}

class SlotTable {
  bytes = 0
  private readonly bySlot: string[] = []
  private readonly usedBy: number[] = []
  private readonly slots = new Map<string, number>()
  private next = 0

  find(name: string, message: number): number {
    const slot = this.slots.get(name)
    if (slot === undefined) return -1
    this.usedBy[slot] = message
    return slot
  }

  /** The oldest slot is given away, unless this very message refers to it. */
  give(name: string, size: number, message: number): number {
    const slot = this.next
    if (this.usedBy[slot] === message) return -1
    const before = this.bySlot[slot]
    if (before !== undefined) {
      this.slots.delete(before)
      this.bytes -= bytesOf(before)
    }
    this.bytes += bytesOf(name)
    this.bySlot[slot] = name
    this.usedBy[slot] = message
    this.slots.set(name, slot)
    this.next = slot + 1 < size ? slot + 1 : 0
    return slot
  }
}

/** What a receiver was told. */
export class Announced {
  /** In memory, estimated. */
  bytes = 0
  private readonly tables: readonly [string[], string[]] = [[], []]
  private readonly size: number

  constructor(size: number) {
    this.size = Math.max(NAMES_MIN, Math.min(size, NAMES_MAX))
  }

  /** Takes announcements up to the end of the message. */
  read(reader: ByteReader, idBytesMax: number): void {
    // No sender needs more for one message; without a bound a large one would be a long standstill.
    for (let announced = 0; reader.at < reader.end; announced++) {
      if (announced >= 2 * this.size)
        throw reader.excess('names', `at most ${2 * this.size} announcements in a message`, 'more')
      const key = reader.varint('names.slot')
      const slot = Math.floor(key / 2)
      if (slot >= this.size) throw reader.excess('names.slot', `a slot below ${this.size}`, `${slot}`)
      const table = this.tables[(key % 2) as Table]
      // Slots are given in order, so that the table has no holes to be filled.
      if (slot > table.length) throw reader.malformed('names.slot', `at most ${table.length}`, `${slot}`)
      const name = reader.name('names.id', idBytesMax)
      const before = table[slot]
      this.bytes += bytesOf(name) - (before === undefined ? 0 : bytesOf(before))
      table[slot] = name
    }
  }

  /** What stands in a slot, or nothing. */
  get(table: Table, slot: number): string | undefined {
    return this.tables[table][slot]
  }
}
